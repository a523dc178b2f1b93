/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "migration-json.h"

#include "output.h"

typedef enum { VALUE_TEXT, VALUE_NUMBER } ValueKind;

typedef struct {
  const char *field; /* in the journal; its key here is the same in lower case */
  ValueKind kind;
} JsonField;

static const JsonField listed_fields[] = {
  { "DOMAIN", VALUE_TEXT },       { "DOMAIN_NAME", VALUE_TEXT },   { "PEER", VALUE_TEXT },
  { "EVENT", VALUE_TEXT },        { "VERDICT", VALUE_TEXT },       { "STEP", VALUE_TEXT },
  { "REASON", VALUE_TEXT },       { "MODE", VALUE_TEXT },          { "POLICY", VALUE_TEXT },
  { "ADVANCE_NS", VALUE_NUMBER }, { "RESIDUAL_NS", VALUE_NUMBER }, { "THETA_NS", VALUE_NUMBER },
  { "THETA_USED", VALUE_TEXT },
};

static const JsonField other_fields[] = {
  { "GUEST_SRC_NS", VALUE_NUMBER },
  { "HOST_SRC_NS", VALUE_NUMBER },
  { "TSC_SRC_TICKS", VALUE_NUMBER },
  { "GUEST_DEST_NS", VALUE_NUMBER },
  { "HOST_DEST_NS", VALUE_NUMBER },
  { "TSC_DEST_TICKS", VALUE_NUMBER },
  { "FREQ_KHZ", VALUE_NUMBER },
  { "ATTEMPTS", VALUE_NUMBER },
  { "KVM_FLAGS", VALUE_NUMBER },
  { "VCPUS", VALUE_NUMBER },
  { "OFFSETS_RELATION", VALUE_TEXT },
  { "WAITED_NS", VALUE_NUMBER },
  { "SPENT_NS", VALUE_NUMBER },
  { "ERRNO", VALUE_NUMBER },
  { "UNDO", VALUE_TEXT },
  { "RECORD", VALUE_TEXT },
  { "SOURCE", VALUE_TEXT },
};

/* fields */

static void
add_field (JsonBuilder *builder, const MigrationRecord *record, const JsonField *field)
{
  g_autofree char *key = g_ascii_strdown (field->field, -1);
  gint64 number = 0;
  gboolean is_known;

  if (field->kind == VALUE_TEXT) {
    output_json_text (builder, key, migration_record_get (record, field->field));
    return;
  }
  is_known = migration_record_get_int (record, field->field, &number);
  output_json_number (builder, key, is_known, number);
}

static void
add_listed (JsonBuilder *builder, const MigrationRecord *record)
{
  gint64 blackout_ns = 0, bound_ns = 0;
  gboolean is_blackout_known = migration_record_get_blackout (record, &blackout_ns);
  gboolean is_bound_known = migration_record_get_bound (record, &bound_ns);

  output_json_text (builder, "migration", record->id);
  output_json_text (builder, "direction", record->is_arriving ? "arriving" : "leaving");
  output_json_number (builder, "time_us", TRUE, migration_record_get_time (record));
  output_json_text (builder, "result", migration_record_get_result (record));
  for (gsize i = 0; i < G_N_ELEMENTS (listed_fields); i++)
    add_field (builder, record, &listed_fields[i]);
  output_json_number (builder, "theta_bound_ns", is_bound_known, bound_ns);
  output_json_number (builder, "blackout_ns", is_blackout_known, blackout_ns);
}

static void
add_offsets (JsonBuilder *builder, const MigrationRecord *record)
{
  g_autoptr (GArray) offsets = migration_offsets_parse (migration_record_get (record, "OFFSETS"));

  json_builder_set_member_name (builder, "offsets");
  json_builder_begin_array (builder);
  for (guint i = 0; i < offsets->len; i++) {
    const VcpuOffsets *vcpu = &g_array_index (offsets, VcpuOffsets, i);

    json_builder_begin_object (builder);
    output_json_number (builder, "vcpu", TRUE, vcpu->vcpu);
    output_json_number (builder, "source_ticks", vcpu->has_source, vcpu->source_ticks);
    output_json_number (builder, "before_ticks", TRUE, vcpu->before_ticks);
    output_json_number (builder, "after_ticks", TRUE, vcpu->after_ticks);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
}

static void
add_events (JsonBuilder *builder, const MigrationRecord *record)
{
  json_builder_set_member_name (builder, "events");
  json_builder_begin_array (builder);
  for (guint i = 0; i < record->events->len; i++) {
    const MigrationEvent *event = g_ptr_array_index (record->events, i);

    json_builder_begin_object (builder);
    output_json_number (builder, "time_us", TRUE, event->realtime_us);
    output_json_text (builder, "event", g_hash_table_lookup (event->fields, "EVENT"));
    output_json_text (builder, "message", g_hash_table_lookup (event->fields, "MESSAGE"));
    output_json_text (builder, "step", g_hash_table_lookup (event->fields, "STEP"));
    output_json_text (builder, "reason", g_hash_table_lookup (event->fields, "REASON"));
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
}

/* offsets */

static gboolean
parse_ticks (const char *text, gint64 *ticks)
{
  return g_ascii_string_to_signed (text, 10, G_MININT64, G_MAXINT64, ticks, NULL);
}

/* "id:source:before:after" */
static gboolean
parse_vcpu (const char *text, VcpuOffsets *vcpu)
{
  g_auto (GStrv) parts = g_strsplit (text, ":", 5);
  guint64 id = 0;

  if (g_strv_length (parts) != 4 ||
      !g_ascii_string_to_unsigned (parts[0], 10, 0, G_MAXUINT32, &id, NULL))
    return FALSE;
  vcpu->vcpu = (guint) id;
  vcpu->has_source = !g_str_equal (parts[1], "-");
  return (!vcpu->has_source || parse_ticks (parts[1], &vcpu->source_ticks)) &&
         parse_ticks (parts[2], &vcpu->before_ticks) && parse_ticks (parts[3], &vcpu->after_ticks);
}

/* public functions */

void
migration_json_add (JsonBuilder *builder, const MigrationRecord *record)
{
  json_builder_begin_object (builder);
  add_listed (builder, record);
  json_builder_end_object (builder);
}

void
migration_json_add_whole (JsonBuilder *builder, const MigrationRecord *record)
{
  json_builder_begin_object (builder);
  add_listed (builder, record);
  for (gsize i = 0; i < G_N_ELEMENTS (other_fields); i++)
    add_field (builder, record, &other_fields[i]);
  add_offsets (builder, record);
  add_events (builder, record);
  json_builder_end_object (builder);
}

void
migration_json_print (const GPtrArray *records,
                      void (*add) (JsonBuilder *builder, const MigrationRecord *record))
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "migrations");
  json_builder_begin_array (builder);
  for (guint i = 0; i < records->len; i++)
    add (builder, g_ptr_array_index (records, i));
  json_builder_end_array (builder);
  json_builder_end_object (builder);
  output_json (json_builder_get_root (builder));
}

GArray *
migration_offsets_parse (const char *text)
{
  GArray *offsets = g_array_new (FALSE, FALSE, sizeof (VcpuOffsets));
  g_auto (GStrv) vcpus = g_strsplit (text != NULL ? text : "", " ", -1);

  for (char **vcpu = vcpus; *vcpu != NULL; vcpu++) {
    VcpuOffsets parsed = { 0 };

    if (parse_vcpu (*vcpu, &parsed))
      g_array_append_val (offsets, parsed);
  }
  return offsets;
}
