/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "migration-history.h"

#include <glib/gi18n.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "ctl-error.h"

#define UNIT         "clockferryd.service"
#define FIELD_PREFIX "CLOCKFERRY_"
#define ID_FIELD     "CLOCKFERRY_MIGRATION"
#define ID_DIGITS    32
#define LAST         "last"
/* Ids that an error lists. */
#define LISTED_MAX 4

/* matches: of one field any of its values, and of every field one */

static int
add_match (sd_journal *journal, const char *field, const char *value)
{
  g_autofree char *match = g_strconcat (field, "=", value, NULL);

  return sd_journal_add_match (journal, match, 0);
}

/* What the daemon wrote, and nobody else. */
static int
match_daemon (sd_journal *journal)
{
  sd_journal_flush_matches (journal);
  return add_match (journal, "_SYSTEMD_UNIT", UNIT);
}

static int
match_ends (sd_journal *journal)
{
  int result = match_daemon (journal);

  for (const char *const *event = migration_event_list_ends (); *event != NULL && result >= 0;
       event++)
    result = add_match (journal, "CLOCKFERRY_EVENT", *event);
  return result;
}

static int
match_domain (sd_journal *journal, const char *domain)
{
  g_autofree char *uuid = g_ascii_strdown (domain, -1);

  return g_uuid_string_is_valid (domain) ? add_match (journal, "CLOCKFERRY_DOMAIN", uuid)
                                         : add_match (journal, "CLOCKFERRY_DOMAIN_NAME", domain);
}

/* The running kernel's, on this host. The journal knows it without /proc, and also of another host.
 * Returns 1, 0 for an empty journal, or a negative errno. */
static int
find_last_boot (sd_journal *journal, sd_id128_t *boot)
{
  guint64 monotonic_us;
  int result;

  sd_journal_flush_matches (journal);
  result = sd_journal_seek_tail (journal);
  if (result >= 0)
    result = sd_journal_previous (journal);
  if (result <= 0)
    return result;
  result = sd_journal_get_monotonic_usec (journal, &monotonic_us, boot);
  return result < 0 ? result : 1;
}

static int
match_boot (sd_journal *journal, sd_id128_t boot)
{
  char text[SD_ID128_STRING_MAX];

  return add_match (journal, "_BOOT_ID", sd_id128_to_string (boot, text));
}

static int
match_query (sd_journal *journal, const HistoryQuery *query)
{
  sd_id128_t boot = { 0 };
  int result = query->is_last_boot ? find_last_boot (journal, &boot) : 0;

  if (result >= 0)
    result = match_ends (journal);
  if (result >= 0 && query->domain != NULL)
    result = match_domain (journal, query->domain);
  if (result >= 0 && query->is_last_boot)
    result = match_boot (journal, boot);
  return result;
}

static int
match_id (sd_journal *journal, const char *id)
{
  int result = match_daemon (journal);

  return result < 0 ? result : add_match (journal, ID_FIELD, id);
}

/* entries */

/* Of a field that comes more than once the first counts. */
static void
take_field (GHashTable *fields, const char *data, gsize size)
{
  const char *equals = memchr (data, '=', size);
  gsize prefix = strlen (FIELD_PREFIX);
  g_autofree char *name = NULL;

  if (equals == NULL)
    return;
  name = g_strndup (data, (gsize) (equals - data));
  if (g_str_has_prefix (name, FIELD_PREFIX))
    memmove (name, name + prefix, strlen (name) - prefix + 1);
  else if (!g_str_equal (name, "MESSAGE"))
    return;
  if (!g_hash_table_contains (fields, name)) {
    g_autofree char *value = g_strndup (equals + 1, size - (gsize) (equals + 1 - data));

    g_hash_table_insert (fields, g_steal_pointer (&name), g_utf8_make_valid (value, -1));
  }
}

static GHashTable *
read_fields (sd_journal *journal)
{
  GHashTable *fields = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  const void *data;
  gsize size;

  SD_JOURNAL_FOREACH_DATA (journal, data, size)
  {
    take_field (fields, data, size);
  }
  return fields;
}

static gboolean
is_id (const char *text)
{
  return strlen (text) == ID_DIGITS && strspn (text, "0123456789abcdef") == ID_DIGITS;
}

/* Of the entry at hand; NULL where it is about no migration. */
static GHashTable *
read_migration_fields (sd_journal *journal)
{
  g_autoptr (GHashTable) fields = read_fields (journal);
  const char *id = g_hash_table_lookup (fields, "MIGRATION");

  if (id == NULL || !is_id (id) || g_hash_table_lookup (fields, "EVENT") == NULL ||
      g_hash_table_lookup (fields, "DOMAIN") == NULL)
    return NULL;
  return g_steal_pointer (&fields);
}

/* ends, from the newest on */

static int
seek_end (sd_journal *journal, const HistoryQuery *query)
{
  return query->until_us != 0
           ? sd_journal_seek_realtime_usec (journal, (guint64) query->until_us + 1)
           : sd_journal_seek_tail (journal);
}

/* @seen has the later ends: one that was taken up again ended again. */
static void
take_end (sd_journal *journal, gint64 realtime_us, GHashTable *seen, GPtrArray *records)
{
  g_autoptr (GHashTable) fields = read_migration_fields (journal);
  MigrationRecord *record;
  const char *id;
  gboolean is_arriving;

  if (fields == NULL)
    return;
  id = g_hash_table_lookup (fields, "MIGRATION");
  is_arriving = migration_event_is_of_arrival (g_hash_table_lookup (fields, "EVENT"));
  if (seen != NULL &&
      !g_hash_table_add (seen, g_strconcat (id, is_arriving ? " arriving" : " leaving", NULL)))
    return;
  record = migration_record_new (id, is_arriving);
  migration_record_add (record, realtime_us, g_steal_pointer (&fields));
  g_ptr_array_add (records, record);
}

/* Goes back by one entry. Returns 1 to go on, 0 at the end, a negative errno on failure. */
static int
step_back (sd_journal *journal, const HistoryQuery *query, GHashTable *seen, GPtrArray *records)
{
  guint64 realtime_us = 0;
  int result = sd_journal_previous (journal);

  if (result <= 0)
    return result;
  result = sd_journal_get_realtime_usec (journal, &realtime_us);
  if (result < 0)
    return result;
  if ((gint64) realtime_us < query->since_us)
    return 0;
  if (query->until_us == 0 || (gint64) realtime_us <= query->until_us)
    take_end (journal, (gint64) realtime_us, seen, records);
  return query->limit == 0 || records->len < query->limit ? 1 : 0;
}

static void
reverse (GPtrArray *records)
{
  for (guint i = 0; i < records->len / 2; i++) {
    gpointer *a = &records->pdata[i];
    gpointer *b = &records->pdata[records->len - 1 - i];
    gpointer record = *a;

    *a = *b;
    *b = record;
  }
}

/* finding one */

static gboolean
has_entry (sd_journal *journal)
{
  return sd_journal_seek_tail (journal) >= 0 && sd_journal_previous (journal) > 0;
}

/* Of all values that the field ever had, by whomever, those that begin with @prefix. */
static GPtrArray *
list_candidates (sd_journal *journal, const char *prefix)
{
  GPtrArray *ids = g_ptr_array_new_with_free_func (g_free);
  const void *data;
  gsize size;

  if (sd_journal_query_unique (journal, ID_FIELD) < 0)
    return ids;
  SD_JOURNAL_FOREACH_UNIQUE (journal, data, size)
  {
    gsize offset = strlen (ID_FIELD "=");
    g_autofree char *id = g_strndup ((const char *) data + offset, size - offset);

    if (is_id (id) && g_str_has_prefix (id, prefix))
      g_ptr_array_add (ids, g_steal_pointer (&id));
  }
  return ids;
}

static void
remove_unbelieved (sd_journal *journal, GPtrArray *ids)
{
  for (guint i = ids->len; i > 0; i--) {
    if (match_id (journal, g_ptr_array_index (ids, i - 1)) < 0 || !has_entry (journal))
      g_ptr_array_remove_index (ids, i - 1);
  }
}

static void
set_ambiguous (GError **error, const char *prefix, const GPtrArray *ids)
{
  g_autoptr (GString) list = g_string_new (NULL);

  for (guint i = 0; i < MIN (ids->len, LISTED_MAX); i++)
    g_string_append_printf (list, "%s%s", i > 0 ? ", " : "",
                            (const char *) g_ptr_array_index (ids, i));
  g_set_error (error, CTL_ERROR, CTL_ERROR_INVALID,
               /* TRANSLATORS: never one; some digits, and what they are the beginning of */
               ngettext ("%u migration begins with %s; give more digits of one: %s%s",
                         "%u migrations begin with %s; give more digits of one: %s%s", ids->len),
               ids->len, prefix, list->str, ids->len > LISTED_MAX ? "…" : "");
}

static void
set_not_found (GError **error, const char *prefix)
{
  g_set_error (error, CTL_ERROR, CTL_ERROR_NOT_FOUND,
               _ ("no migration in the journal begins with %s; clockferryctl history lists them"),
               prefix);
}

static char *
complete_id (sd_journal *journal, const char *prefix, GError **error)
{
  g_autoptr (GPtrArray) ids = list_candidates (journal, prefix);

  remove_unbelieved (journal, ids);
  if (ids->len > 1) {
    set_ambiguous (error, prefix, ids);
    return NULL;
  }
  if (ids->len == 0) {
    set_not_found (error, prefix);
    return NULL;
  }
  return g_strdup (g_ptr_array_index (ids, 0));
}

static char *
find_last (sd_journal *journal, GError **error)
{
  const HistoryQuery query = { .limit = 1 };
  g_autoptr (GPtrArray) records = migration_history_read (journal, &query, error);
  const MigrationRecord *last;

  if (records == NULL)
    return NULL;
  if (records->len == 0) {
    g_set_error (error, CTL_ERROR, CTL_ERROR_NOT_FOUND,
                 _ ("there is no migration in the journal yet"));
    return NULL;
  }
  last = g_ptr_array_index (records, 0);
  return g_strdup (last->id);
}

static char *
find_id (sd_journal *journal, const char *text, GError **error)
{
  g_autofree char *prefix = g_ascii_strdown (text, -1);
  gsize length = strlen (prefix);

  if (g_str_equal (text, LAST))
    return find_last (journal, error);
  if (length < MIGRATION_ID_MIN || length > ID_DIGITS ||
      strspn (prefix, "0123456789abcdef") != length) {
    g_set_error (error, CTL_ERROR, CTL_ERROR_INVALID,
                 _ ("“%s” names no migration: give the first %d or more digits of its id as in "
                    "clockferryctl history, or “%s”"),
                 text, MIGRATION_ID_MIN, LAST);
    return NULL;
  }
  return complete_id (journal, prefix, error);
}

/* The record of the same end of the migration. */
static MigrationRecord *
get_record (GPtrArray *records, const char *id, gboolean is_arriving)
{
  for (guint i = 0; i < records->len; i++) {
    MigrationRecord *record = g_ptr_array_index (records, i);

    if (record->is_arriving == is_arriving)
      return record;
  }
  g_ptr_array_add (records, migration_record_new (id, is_arriving));
  return g_ptr_array_index (records, records->len - 1);
}

static void
take_event (sd_journal *journal, const char *id, GPtrArray *records)
{
  GHashTable *fields = read_migration_fields (journal);
  guint64 realtime_us = 0;
  gboolean is_arriving;

  if (fields == NULL)
    return;
  is_arriving = migration_event_is_of_arrival (g_hash_table_lookup (fields, "EVENT"));
  sd_journal_get_realtime_usec (journal, &realtime_us);
  migration_record_add (get_record (records, id, is_arriving), (gint64) realtime_us, fields);
}

static void
record_free (gpointer data)
{
  migration_record_free (data);
}

/* public functions */

GPtrArray *
migration_history_read (sd_journal *journal, const HistoryQuery *query, GError **error)
{
  g_autoptr (GPtrArray) records = g_ptr_array_new_with_free_func (record_free);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  int result = match_query (journal, query);

  if (result >= 0)
    result = seek_end (journal, query);
  if (result >= 0) {
    do
      result = step_back (journal, query, query->is_every_end ? NULL : seen, records);
    while (result > 0);
  }
  if (result < 0) {
    journal_set_error (error, result);
    return NULL;
  }
  reverse (records);
  return g_steal_pointer (&records);
}

GPtrArray *
migration_history_find (sd_journal *journal, const char *id, GError **error)
{
  g_autoptr (GPtrArray) records = g_ptr_array_new_with_free_func (record_free);
  g_autofree char *whole_id = find_id (journal, id, error);
  int result;

  if (whole_id == NULL)
    return NULL;
  result = match_id (journal, whole_id);
  if (result >= 0)
    result = sd_journal_seek_head (journal);
  while (result >= 0 && (result = sd_journal_next (journal)) > 0)
    take_event (journal, whole_id, records);
  if (result < 0) {
    journal_set_error (error, result);
    return NULL;
  }
  /* entries with the id that lack what a migration's have */
  if (records->len == 0) {
    set_not_found (error, whole_id);
    return NULL;
  }
  return g_steal_pointer (&records);
}

gboolean
migration_history_knows_domain (sd_journal *journal, const char *domain)
{
  return match_daemon (journal) >= 0 && match_domain (journal, domain) >= 0 && has_entry (journal);
}

gint64
migration_history_get_boot_begin (sd_journal *journal)
{
  guint64 realtime_us = 0;
  sd_id128_t boot = { 0 };

  if (find_last_boot (journal, &boot) <= 0 || match_boot (journal, boot) < 0 ||
      sd_journal_seek_head (journal) < 0 || sd_journal_next (journal) <= 0 ||
      sd_journal_get_realtime_usec (journal, &realtime_us) < 0)
    return 0;
  return (gint64) realtime_us;
}
