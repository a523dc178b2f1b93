/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-history-test - what clockferryctl believes of a journal
 */

#include "ctl-error.h"
#include "migration-history.h"
#include "migration-json.h"
#include "test-journal.h"

#define T0     (G_GINT64_CONSTANT (1795384000) * G_USEC_PER_SEC)
#define SECOND G_USEC_PER_SEC

#define ID_A "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39"
#define ID_B "6fcb77778f0c4f9a8a0f7c5d2e1b4a39"
#define ID_C "c0000000000000000000000000000001"
#define ID_D "d0000000000000000000000000000001"

typedef struct {
  TestJournal *file;
  sd_journal *journal; /* once it is open */
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->file = test_journal_new ();
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->journal, sd_journal_close);
  test_journal_free (fixture->file);
}

static void
open_journal (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  fixture->journal = journal_open (test_journal_write (fixture->file), &error);
  g_assert_no_error (error);
}

static GPtrArray *
read_history (Fixture *fixture, const HistoryQuery *query)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *records = migration_history_read (fixture->journal, query, &error);

  g_assert_no_error (error);
  return records;
}

/* The ids that @query finds, in order, by their first letters: "6 6 c". */
static void
assert_found (Fixture *fixture, const HistoryQuery *query, const char *letters)
{
  g_autoptr (GPtrArray) records = read_history (fixture, query);
  g_autoptr (GString) found = g_string_new (NULL);

  for (guint i = 0; i < records->len; i++) {
    const MigrationRecord *record = g_ptr_array_index (records, i);

    g_string_append_printf (found, "%s%c", i > 0 ? " " : "", record->id[0]);
  }
  g_assert_cmpstr (found->str, ==, letters);
}

static void
assert_not_found (Fixture *fixture, const char *id, CtlErrorCode code, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) records = migration_history_find (fixture->journal, id, &error);

  g_assert_null (records);
  g_assert_error (error, CTL_ERROR, (int) code);
  g_assert_nonnull (strstr (error->message, text));
}

static MigrationRecord *
find_one (Fixture *fixture, const char *id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) records = migration_history_find (fixture->journal, id, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (records->len, ==, 1);
  return g_ptr_array_steal_index (records, 0);
}

/* history */

static void
test_order_and_limit (Fixture *fixture, gconstpointer data)
{
  test_journal_add_fixed (fixture->file, T0, ID_A, "web");
  test_journal_add_end (fixture->file, T0 + SECOND, ID_C, "migration-stock", "stock", "no answer");
  test_journal_add_end (fixture->file, T0 + 2 * SECOND, ID_D, "departure-done", "", "");
  open_journal (fixture);

  assert_found (fixture, &(HistoryQuery){ 0 }, "6 c d");
  assert_found (fixture, &(HistoryQuery){ .limit = 2 }, "c d");
  assert_found (fixture, &(HistoryQuery){ .limit = 3 }, "6 c d");
  assert_found (fixture, &(HistoryQuery){ .limit = 9 }, "6 c d");
}

static void
test_times (Fixture *fixture, gconstpointer data)
{
  test_journal_add_fixed (fixture->file, T0, ID_A, "web");
  test_journal_add_end (fixture->file, T0 + SECOND, ID_C, "migration-stock", "stock", "no answer");
  test_journal_add_end (fixture->file, T0 + 2 * SECOND, ID_D, "departure-done", "", "");
  open_journal (fixture);

  assert_found (fixture, &(HistoryQuery){ .since_us = T0 + 1 }, "c d");
  assert_found (fixture, &(HistoryQuery){ .since_us = T0 }, "6 c d");
  assert_found (fixture, &(HistoryQuery){ .until_us = T0 + SECOND }, "6 c");
  assert_found (fixture, &(HistoryQuery){ .until_us = T0 + SECOND - 1 }, "6");
  assert_found (fixture, &(HistoryQuery){ .since_us = T0 + SECOND, .until_us = T0 + SECOND }, "c");
  assert_found (fixture, &(HistoryQuery){ .until_us = T0 + SECOND, .limit = 1 }, "c");
  assert_found (fixture, &(HistoryQuery){ .since_us = T0 + 3 * SECOND }, "");
}

static void
test_domains (Fixture *fixture, gconstpointer data)
{
  test_journal_add_fixed (fixture->file, T0, ID_A, "web");
  test_journal_add (fixture->file, T0 + SECOND, "EVENT", "departure-done", "MIGRATION", ID_C,
                    "DOMAIN", TEST_MAIL, "DOMAIN_NAME", "名前", "MESSAGE", "left", NULL);
  open_journal (fixture);

  assert_found (fixture, &(HistoryQuery){ .domain = "web" }, "6");
  assert_found (fixture, &(HistoryQuery){ .domain = "名前" }, "c");
  assert_found (fixture, &(HistoryQuery){ .domain = TEST_MAIL }, "c");
  assert_found (fixture, &(HistoryQuery){ .domain = "4DEA22B3-1D52-D8F3-2516-782E98AB3FA0" }, "6");
  assert_found (fixture, &(HistoryQuery){ .domain = "we" }, "");
  g_assert_true (migration_history_knows_domain (fixture->journal, "名前"));
  g_assert_true (migration_history_knows_domain (fixture->journal, TEST_WEB));
  g_assert_false (migration_history_knows_domain (fixture->journal, "we"));
}

/* Anybody may log anything, but not in the name of the daemon's unit. */
static void
test_forged (Fixture *fixture, gconstpointer data)
{
  test_journal_add_fixed (fixture->file, T0, ID_A, "web");
  test_journal_set_unit (fixture->file, "user@1000.service");
  test_journal_add_end (fixture->file, T0 + SECOND, ID_C, "migration-stock", "stock", "forged");
  test_journal_add_end (fixture->file, T0 + 2 * SECOND, ID_A, "migration-stock", "stock", "forged");
  test_journal_add (fixture->file, T0 + 3 * SECOND, "EVENT", "departure-done", "MIGRATION", ID_D,
                    "DOMAIN", TEST_MAIL, "DOMAIN_NAME", "mail", "MESSAGE", "forged", NULL);
  open_journal (fixture);

  assert_found (fixture, &(HistoryQuery){ 0 }, "6");
  assert_not_found (fixture, ID_C, CTL_ERROR_NOT_FOUND, ID_C);
  g_assert_false (migration_history_knows_domain (fixture->journal, "mail"));
  {
    g_autoptr (MigrationRecord) record = find_one (fixture, "last");

    g_assert_cmpstr (record->id, ==, ID_A);
    g_assert_cmpstr (migration_record_get_result (record), ==, "fixed");
    g_assert_cmpuint (record->events->len, ==, 4);
  }
}

/* The peer came back to a departure that had been given up. */
static void
test_taken_up_again (Fixture *fixture, gconstpointer data)
{
  test_journal_add_end (fixture->file, T0, ID_C, "departure-cancelled", "", "gone");
  test_journal_add_end (fixture->file, T0 + SECOND, ID_C, "departure-claimed", "", "");
  test_journal_add_end (fixture->file, T0 + 2 * SECOND, ID_C, "departure-done", "", "");
  test_journal_add_end (fixture->file, T0 + 3 * SECOND, ID_D, "departure-cancelled", "", "gone");
  test_journal_add_end (fixture->file, T0 + 4 * SECOND, ID_D, "departure-claimed", "", "");
  open_journal (fixture);

  assert_found (fixture, &(HistoryQuery){ 0 }, "c d");
  assert_found (fixture, &(HistoryQuery){ .is_every_end = TRUE }, "c c d");
  {
    g_autoptr (MigrationRecord) sent = find_one (fixture, "c000");
    g_autoptr (MigrationRecord) going_on = find_one (fixture, "d000");

    g_assert_cmpstr (migration_record_get_result (sent), ==, "sent");
    g_assert_cmpstr (migration_record_get_result (going_on), ==, "unfinished");
  }
}

static void
test_last_boot (Fixture *fixture, gconstpointer data)
{
  test_journal_set_boot (fixture->file, TEST_JOURNAL_OTHER_BOOT);
  test_journal_add_end (fixture->file, T0, ID_C, "migration-stock", "stock", "no answer");
  test_journal_set_boot (fixture->file, TEST_JOURNAL_BOOT);
  test_journal_set_unit (fixture->file, "init.scope");
  test_journal_add (fixture->file, T0 + SECOND, "MESSAGE", "the kernel comes up", NULL);
  test_journal_set_unit (fixture->file, TEST_JOURNAL_UNIT);
  test_journal_add_end (fixture->file, T0 + 2 * SECOND, ID_D, "departure-done", "", "");
  open_journal (fixture);

  assert_found (fixture, &(HistoryQuery){ .is_last_boot = TRUE }, "d");
  g_assert_cmpint (migration_history_get_boot_begin (fixture->journal), ==, T0 + SECOND);
}

static void
test_empty (Fixture *fixture, gconstpointer data)
{
  test_journal_set_unit (fixture->file, "init.scope");
  test_journal_add (fixture->file, T0, "MESSAGE", "something else", NULL);
  open_journal (fixture);

  assert_found (fixture, &(HistoryQuery){ 0 }, "");
  assert_not_found (fixture, "last", CTL_ERROR_NOT_FOUND, "no migration");
}

/* one migration */

static void
test_find (Fixture *fixture, gconstpointer data)
{
  g_autoptr (MigrationRecord) record = NULL;

  test_journal_add_fixed (fixture->file, T0, ID_A, "web");
  test_journal_add_fixed (fixture->file, T0 + 10 * SECOND, ID_B, "web");
  open_journal (fixture);

  record = find_one (fixture, "6FCB3");
  g_assert_cmpstr (record->id, ==, ID_A);
  assert_not_found (fixture, "6fcb", CTL_ERROR_INVALID, "2 migrations");
  assert_not_found (fixture, "6fcb", CTL_ERROR_INVALID, ID_B);
  assert_not_found (fixture, "6fc", CTL_ERROR_INVALID, "6fc");
  assert_not_found (fixture, "", CTL_ERROR_INVALID, "4");
  assert_not_found (fixture, "xyzw", CTL_ERROR_INVALID, "xyzw");
  assert_not_found (fixture, ID_A "0", CTL_ERROR_INVALID, ID_A "0");
  assert_not_found (fixture, "abcd", CTL_ERROR_NOT_FOUND, "abcd");
}

static void
test_fixed (Fixture *fixture, gconstpointer data)
{
  g_autoptr (MigrationRecord) record = NULL;
  gint64 blackout_ns = 0, bound_ns = 0, advance_ns = 0;

  test_journal_add_fixed (fixture->file, T0, ID_A, "web");
  open_journal (fixture);
  record = find_one (fixture, ID_A);

  g_assert_true (record->is_arriving);
  g_assert_cmpstr (migration_record_get_label (record), ==, "web");
  g_assert_cmpstr (migration_record_get (record, "PEER"), ==, "hv1.example.org");
  g_assert_cmpstr (migration_record_get (record, "REASON"), ==, NULL);
  g_assert_cmpint (migration_record_get_time (record), ==, T0);
  g_assert_true (migration_record_get_blackout (record, &blackout_ns));
  g_assert_cmpint (blackout_ns, ==, 415123456);
  g_assert_true (migration_record_get_bound (record, &bound_ns));
  g_assert_cmpint (bound_ns, ==, 4300000);
  g_assert_true (migration_record_get_int (record, "ADVANCE_NS", &advance_ns));
  g_assert_cmpint (advance_ns, ==, 415123499);
}

/* A step that was mended later is not the reason of the end; nobody knew theta. */
static void
test_fields_of_the_end (Fixture *fixture, gconstpointer data)
{
  g_autoptr (MigrationRecord) record = NULL;
  gint64 ns = 5;

  test_journal_add (fixture->file, T0, "EVENT", "arrival-step-failed", "MIGRATION", ID_A, "DOMAIN",
                    TEST_WEB, "STEP", "peer", "REASON", "no route", "MESSAGE", "failed", NULL);
  test_journal_add (fixture->file, T0 + SECOND, "EVENT", "migration-fixed", "MIGRATION", ID_A,
                    "DOMAIN", TEST_WEB, "VERDICT", "fixed", "THETA_NS", "0", "THETA_BOUND_NS",
                    "31536000000000000", "HOST_SRC_NS", "5", "HOST_DEST_NS", "0", "MESSAGE", "done",
                    NULL);
  open_journal (fixture);
  record = find_one (fixture, ID_A);

  g_assert_cmpstr (migration_record_get (record, "STEP"), ==, NULL);
  g_assert_cmpstr (migration_record_get (record, "REASON"), ==, NULL);
  g_assert_cmpstr (migration_record_get_label (record), ==, TEST_WEB);
  g_assert_false (migration_record_get_bound (record, &ns));
  g_assert_false (migration_record_get_blackout (record, &ns));
  g_assert_cmpint (ns, ==, 5);
}

/* Both hosts' journals in one. */
static void
test_both_ends (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) records = NULL;
  g_autoptr (GError) error = NULL;
  const MigrationRecord *first, *second;

  test_journal_add_fixed (fixture->file, T0, ID_A, "web");
  test_journal_add_end (fixture->file, T0 + SECOND, ID_A, "departure-done", "", "");
  open_journal (fixture);
  records = migration_history_find (fixture->journal, ID_A, &error);
  g_assert_no_error (error);

  g_assert_cmpuint (records->len, ==, 2);
  first = g_ptr_array_index (records, 0);
  second = g_ptr_array_index (records, 1);
  g_assert_cmpstr (migration_record_get_result (first), ==, "fixed");
  g_assert_cmpstr (migration_record_get_result (second), ==, "sent");
  assert_found (fixture, &(HistoryQuery){ 0 }, "6 6");
}

/* Who has no event, or no domain, is no migration. */
static void
test_incomplete (Fixture *fixture, gconstpointer data)
{
  test_journal_add (fixture->file, T0, "MIGRATION", ID_C, "DOMAIN", TEST_WEB, "MESSAGE", "odd",
                    NULL);
  test_journal_add (fixture->file, T0 + SECOND, "MIGRATION", ID_D, "EVENT", "migration-fixed",
                    "MESSAGE", "odd", NULL);
  open_journal (fixture);

  assert_not_found (fixture, ID_C, CTL_ERROR_NOT_FOUND, ID_C);
  assert_not_found (fixture, ID_D, CTL_ERROR_NOT_FOUND, ID_D);
}

/* The least and the most that the helper's fields could hold: none of them is true, nor their
 * difference. */
static void
test_extremes (Fixture *fixture, gconstpointer data)
{
  g_autoptr (MigrationRecord) too_far = NULL;
  g_autoptr (MigrationRecord) too_long = NULL;
  gint64 ns = 5;

  test_journal_add (fixture->file, T0, "EVENT", "migration-fixed", "MIGRATION", ID_C, "DOMAIN",
                    TEST_WEB, "THETA_NS", "-9223372036854775808", "HOST_SRC_NS",
                    "-9223372036854775808", "HOST_DEST_NS", "9223372036854775807", "ADVANCE_NS",
                    "4611686018427387904", "MESSAGE", "odd", NULL);
  test_journal_add (fixture->file, T0 + SECOND, "EVENT", "migration-fixed", "MIGRATION", ID_D,
                    "DOMAIN", TEST_WEB, "THETA_NS", "-4611686018427387904", "HOST_SRC_NS",
                    "-4611686018427387904", "HOST_DEST_NS", "4611686018427387904", "MESSAGE", "odd",
                    NULL);
  open_journal (fixture);
  too_far = find_one (fixture, ID_C);
  too_long = find_one (fixture, ID_D);

  g_assert_false (migration_record_get_int (too_far, "HOST_DEST_NS", &ns));
  g_assert_true (migration_record_get_int (too_far, "ADVANCE_NS", &ns));
  g_assert_cmpint (ns, ==, MIGRATION_VALUE_MAX);
  g_assert_false (migration_record_get_blackout (too_far, &ns));
  g_assert_false (migration_record_get_blackout (too_long, &ns));
  g_assert_cmpint (ns, ==, MIGRATION_VALUE_MAX);
}

/* Longer than what libsystemd reads of a field unless told. */
static void
test_many_vcpus (Fixture *fixture, gconstpointer data)
{
  const guint count = 4096;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (MigrationRecord) record = NULL;
  g_autoptr (GArray) offsets = NULL;

  for (guint i = 0; i < count; i++)
    g_string_append_printf (text, "%s%u:-216894921087651:-98990323796295:-98990000000000",
                            i > 0 ? " " : "", i);
  g_assert_cmpuint (text->len, >, 128 * 1024);
  test_journal_add (fixture->file, T0, "EVENT", "migration-fixed", "MIGRATION", ID_A, "DOMAIN",
                    TEST_WEB, "OFFSETS", text->str, "MESSAGE", "done", NULL);
  open_journal (fixture);
  record = find_one (fixture, ID_A);
  offsets = migration_offsets_parse (migration_record_get (record, "OFFSETS"));
  g_assert_cmpuint (offsets->len, ==, count);
}

static void
test_offsets (void)
{
  g_autoptr (GArray) offsets = migration_offsets_parse ("0:-7:1:2 3:-:4:-5 x 4:1:2 5:1:2:y");
  const VcpuOffsets *vcpus = (const VcpuOffsets *) (gpointer) offsets->data;
  g_autoptr (GArray) none = migration_offsets_parse (NULL);

  g_assert_cmpuint (none->len, ==, 0);
  g_assert_cmpuint (offsets->len, ==, 2);
  g_assert_true (vcpus[0].has_source);
  g_assert_cmpint (vcpus[0].source_ticks, ==, -7);
  g_assert_cmpuint (vcpus[1].vcpu, ==, 3);
  g_assert_false (vcpus[1].has_source);
  g_assert_cmpint (vcpus[1].before_ticks, ==, 4);
  g_assert_cmpint (vcpus[1].after_ticks, ==, -5);
}

static void
test_no_journal (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (sd_journal) journal = journal_open ("/nonexistent/test.journal", &error);

  g_assert_null (journal);
  g_assert_error (error, CTL_ERROR, CTL_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "/nonexistent/test.journal"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function)                                                                        \
  g_test_add ("/ctl-history/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("order-and-limit", test_order_and_limit);
  ADD ("times", test_times);
  ADD ("domains", test_domains);
  ADD ("forged", test_forged);
  ADD ("taken-up-again", test_taken_up_again);
  ADD ("last-boot", test_last_boot);
  ADD ("empty", test_empty);
  ADD ("find", test_find);
  ADD ("fixed", test_fixed);
  ADD ("fields-of-the-end", test_fields_of_the_end);
  ADD ("both-ends", test_both_ends);
  ADD ("incomplete", test_incomplete);
  ADD ("extremes", test_extremes);
  ADD ("many-vcpus", test_many_vcpus);
#undef ADD
  g_test_add_func ("/ctl-history/offsets", test_offsets);
  g_test_add_func ("/ctl-history/no-journal", test_no_journal);
  return g_test_run ();
}
