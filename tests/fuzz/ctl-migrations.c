/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-migrations - what clockferryctl makes of the migrations in the journal
 *
 * A line FIELD=VALUE of the input is a field of an entry, and an empty line ends the entry. The entries
 * become a record, as in history, and that JSON, metrics and what people read.
 */
#include <string.h>

#include "clock-offset.h"
#include "fuzz-target.h"
#include "metric-family.h"
#include "migration-json.h"
#include "migration-metrics.h"
#include "migration-record.h"
#include "output.h"

#define ID "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39"
/* When the first entry was written, CLOCK_REALTIME; each later one a second after. */
#define BEGIN_US G_GINT64_CONSTANT (1700000000000000)

/* fields that come to numbers, in JSON and elsewhere */
static const char *const number_fields[] = { "ADVANCE_NS", "RESIDUAL_NS", "THETA_NS", "HOST_SRC_NS",
                                             "HOST_DEST_NS" };

static GHashTable *
make_fields (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
}

/* As migration-history.c takes them from the journal: the first of a name counts, and it is UTF-8. */
static void
take_line (GHashTable *fields, const char *line)
{
  const char *equals = strchr (line, '=');
  g_autofree char *name = equals != NULL ? g_strndup (line, (gsize) (equals - line)) : NULL;

  if (name != NULL && !g_hash_table_contains (fields, name))
    g_hash_table_insert (fields, g_steal_pointer (&name), g_utf8_make_valid (equals + 1, -1));
}

/* Takes @fields. An entry is about a migration if it has these two. */
static void
end_entry (MigrationRecord *record, GHashTable *fields)
{
  gint64 realtime_us = BEGIN_US + record->events->len * G_USEC_PER_SEC;

  if (g_hash_table_contains (fields, "EVENT") && g_hash_table_contains (fields, "DOMAIN"))
    migration_record_add (record, realtime_us, fields);
  else
    g_hash_table_unref (fields);
}

static MigrationRecord *
make_record (const char *text)
{
  MigrationRecord *record = migration_record_new (ID, TRUE);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  GHashTable *fields = make_fields ();

  for (guint i = 0; lines[i] != NULL; i++) {
    take_line (fields, lines[i]);
    if (*lines[i] == '\0') {
      end_entry (record, fields);
      fields = make_fields ();
    }
  }
  end_entry (record, fields);
  return record;
}

/* promises */

static void
check_numbers (const MigrationRecord *record)
{
  gint64 value = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (number_fields); i++) {
    if (!migration_record_get_int (record, number_fields[i], &value))
      continue;
    g_assert_cmpint (value, <=, MIGRATION_VALUE_MAX);
    g_assert_cmpint (value, >=, -MIGRATION_VALUE_MAX);
  }
  if (migration_record_get_blackout (record, &value)) {
    g_assert_cmpint (value, <=, MIGRATION_VALUE_MAX);
    g_assert_cmpint (value, >=, -MIGRATION_VALUE_MAX);
  }
  if (migration_record_get_bound (record, &value)) {
    g_assert_cmpint (value, >=, 0);
    g_assert_cmpint (value, <, CLOCK_BOUND_UNKNOWN_NS);
  }
}

/* A program can read it, and reads the same migration. */
static void
check_json (const MigrationRecord *record)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (JsonNode) node = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  migration_json_add_whole (builder, record);
  node = json_builder_get_root (builder);
  text = json_to_string (node, FALSE);
  g_assert_true (g_utf8_validate (text, -1, NULL));
  json_parser_load_from_data (parser, text, -1, &error);
  g_assert_no_error (error);
  g_assert_true (json_node_equal (node, json_parser_get_root (parser)));
}

/* One line a sample, whatever a domain or a reason is called. */
static void
check_metrics (MigrationRecord *record)
{
  g_autoptr (GPtrArray)
    families = g_ptr_array_new_with_free_func ((GDestroyNotify) metric_family_free);
  g_autoptr (GPtrArray) records = g_ptr_array_new ();
  g_autoptr (JsonNode) node = NULL;
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  g_ptr_array_add (records, record);
  migration_metrics_add (families, records, BEGIN_US);
  text = metric_families_format (families);
  node = metric_families_to_json (families);
  g_assert_true (g_utf8_validate (text, -1, NULL));
  g_assert_true (g_str_has_suffix (text, "# EOF\n"));
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL && *lines[i] != '\0'; i++)
    g_assert_true (*lines[i] == '#' || g_str_has_prefix (lines[i], "clockferry_"));
}

/* Nothing that a terminal would obey. */
static void
check_words (const MigrationRecord *record)
{
  g_autofree char *label = output_clean (migration_record_get_label (record));
  gint64 value = 0;

  for (const char *c = label; *c != '\0'; c++)
    g_assert_false (g_ascii_iscntrl (*c));
  g_assert_true (g_utf8_validate (label, -1, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (number_fields); i++) {
    g_autofree char *duration = NULL;
    g_autofree char *difference = NULL;

    if (!migration_record_get_int (record, number_fields[i], &value))
      continue;
    duration = output_duration (value);
    difference = output_difference (value);
    g_assert_cmpuint (strlen (duration), <, 40);
    g_assert_cmpuint (strlen (difference), <, 40);
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = fuzz_take_text (data, size);
  MigrationRecord *record;

  fuzz_begin ();
  record = make_record (text);
  /* migration-history.c makes no record without an entry */
  if (record->events->len > 0) {
    g_assert_nonnull (migration_record_get_result (record));
    g_assert_cmpint (migration_record_get_time (record), >=, BEGIN_US);
    check_numbers (record);
    check_json (record);
    check_metrics (record);
    check_words (record);
  }
  migration_record_free (record);
  return 0;
}
