/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "migration-record.h"

#include "clock-offset.h"

static const struct {
  const char *event;
  const char *result;
} ends[] = {
  { "migration-fixed", "fixed" },
  { "migration-kvmclock-only", "kvmclock-only" },
  { "migration-observed", "observed" },
  { "migration-stock", "stock" },
  { "migration-unknown", "unknown" },
  { "arrival-abandoned", "abandoned" },
  { "departure-done", "sent" },
  { "departure-unclaimed", "unclaimed" },
  { "departure-rolled-back", "rolled-back" },
  { "departure-cancelled", "cancelled" },
};

static const char *
find_result (const char *event)
{
  for (gsize i = 0; i < G_N_ELEMENTS (ends); i++) {
    if (g_str_equal (ends[i].event, event))
      return ends[i].result;
  }
  return NULL;
}

static void
event_free (gpointer data)
{
  MigrationEvent *event = data;

  g_hash_table_unref (event->fields);
  g_free (event);
}

static gboolean
is_of_end (const char *field)
{
  return g_str_equal (field, "VERDICT") || g_str_equal (field, "STEP") ||
         g_str_equal (field, "REASON");
}

/* public functions */

MigrationRecord *
migration_record_new (const char *id, gboolean is_arriving)
{
  MigrationRecord *record = g_new0 (MigrationRecord, 1);

  record->id = g_strdup (id);
  record->is_arriving = is_arriving;
  record->events = g_ptr_array_new_with_free_func (event_free);
  return record;
}

void
migration_record_free (MigrationRecord *record)
{
  g_ptr_array_unref (record->events);
  g_free (record->id);
  g_free (record);
}

void
migration_record_add (MigrationRecord *record, gint64 realtime_us, GHashTable *fields)
{
  MigrationEvent *event = g_new0 (MigrationEvent, 1);
  const char *name = g_hash_table_lookup (fields, "EVENT");

  event->realtime_us = realtime_us;
  event->fields = fields;
  g_ptr_array_add (record->events, event);
  if (find_result (name) != NULL)
    record->end = event;
  else if (g_str_equal (name, "departure-claimed"))
    record->end = NULL; /* the peer came back after "departure-cancelled" */
}

const char *
migration_record_get (const MigrationRecord *record, const char *field)
{
  if (is_of_end (field))
    return record->end != NULL ? g_hash_table_lookup (record->end->fields, field) : NULL;
  for (guint i = record->events->len; i > 0; i--) {
    const MigrationEvent *event = g_ptr_array_index (record->events, i - 1);
    const char *value = g_hash_table_lookup (event->fields, field);

    if (value != NULL)
      return value;
  }
  return NULL;
}

gboolean
migration_record_get_int (const MigrationRecord *record, const char *field, gint64 *value)
{
  const char *text = migration_record_get (record, field);

  return text != NULL && g_ascii_string_to_signed (text, 10, -MIGRATION_VALUE_MAX,
                                                   MIGRATION_VALUE_MAX, value, NULL);
}

const char *
migration_record_get_label (const MigrationRecord *record)
{
  const char *name = migration_record_get (record, "DOMAIN_NAME");

  return name != NULL ? name : migration_record_get (record, "DOMAIN");
}

const char *
migration_record_get_result (const MigrationRecord *record)
{
  if (record->end == NULL)
    return "unfinished";
  return find_result (g_hash_table_lookup (record->end->fields, "EVENT"));
}

gboolean
migration_record_is_credited (const MigrationRecord *record)
{
  const char *const credited[] = { "fixed", "kvmclock-only", NULL };

  return g_strv_contains (credited, migration_record_get_result (record));
}

gboolean
migration_record_get_blackout (const MigrationRecord *record, gint64 *blackout_ns)
{
  gint64 host_src_ns = 0, host_dest_ns = 0, theta_ns = 0, between_ns = 0, true_ns = 0;

  if (!migration_record_get_int (record, "HOST_SRC_NS", &host_src_ns) ||
      !migration_record_get_int (record, "HOST_DEST_NS", &host_dest_ns) || host_dest_ns == 0 ||
      !migration_record_get_int (record, "THETA_NS", &theta_ns))
    return FALSE;
  if (__builtin_sub_overflow (host_dest_ns, host_src_ns, &between_ns) ||
      __builtin_sub_overflow (between_ns, theta_ns, &true_ns) || true_ns < -MIGRATION_VALUE_MAX ||
      true_ns > MIGRATION_VALUE_MAX)
    return FALSE;
  *blackout_ns = true_ns;
  return TRUE;
}

gboolean
migration_record_get_bound (const MigrationRecord *record, gint64 *bound_ns)
{
  gint64 claimed_ns = 0;

  if (!migration_record_get_int (record, "THETA_BOUND_NS", &claimed_ns) || claimed_ns < 0 ||
      claimed_ns >= (gint64) CLOCK_BOUND_UNKNOWN_NS)
    return FALSE;
  *bound_ns = claimed_ns;
  return TRUE;
}

gint64
migration_record_get_time (const MigrationRecord *record)
{
  const MigrationEvent *last = g_ptr_array_index (record->events, record->events->len - 1);

  return record->end != NULL ? record->end->realtime_us : last->realtime_us;
}

const char *const *
migration_event_list_ends (void)
{
  static const char *names[G_N_ELEMENTS (ends) + 1];

  for (gsize i = 0; i < G_N_ELEMENTS (ends); i++)
    names[i] = ends[i].event;
  return names;
}

gboolean
migration_event_is_of_arrival (const char *event)
{
  return !g_str_has_prefix (event, "departure-");
}
