/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-metrics-test - the figures that a journal makes, as text and as somebody else reads that
 */

#include <gio/gio.h>
#include <string.h>

#include "metric-family.h"
#include "migration-history.h"
#include "migration-metrics.h"
#include "test-journal.h"

#define T0     (G_GINT64_CONSTANT (1795384000) * G_USEC_PER_SEC)
#define SECOND G_USEC_PER_SEC

static void
family_free (gpointer family)
{
  metric_family_free (family);
}

static GPtrArray *
new_families (void)
{
  return g_ptr_array_new_with_free_func (family_free);
}

/* Have an independent parser read @text. */
static void
check_text (const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess)
    checker = g_subprocess_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                                  G_SUBPROCESS_FLAGS_STDERR_MERGE,
                                &error, METRICS_CHECK, NULL);
  g_autofree char *said = NULL;

  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (checker, text, NULL, &said, NULL, &error);
  g_assert_no_error (error);
  g_test_message ("%s%s", text, said);
  g_assert_true (g_subprocess_get_successful (checker));
}

/* The figures of the last boot in @file. */
static char *
make_text (TestJournal *file)
{
  const HistoryQuery query = { .is_last_boot = TRUE, .is_every_end = TRUE };
  g_autoptr (GPtrArray) families = new_families ();
  g_autoptr (GPtrArray) records = NULL;
  g_autoptr (sd_journal) journal = NULL;
  g_autoptr (GError) error = NULL;

  journal = journal_open (test_journal_write (file), &error);
  g_assert_no_error (error);
  records = migration_history_read (journal, &query, &error);
  g_assert_no_error (error);
  migration_metrics_add (families, records, migration_history_get_boot_begin (journal));
  return metric_families_format (families);
}

static void
assert_line (const char *text, const char *line)
{
  g_autofree char *whole = g_strdup_printf ("\n%s\n", line);

  if (strstr (text, whole) == NULL)
    g_test_message ("no line %s in\n%s", line, text);
  g_assert_nonnull (strstr (text, whole));
}

static void
test_journal (void)
{
  g_autoptr (TestJournal) file = test_journal_new ();
  g_autofree char *text = NULL;

  test_journal_add_fixed (file, T0 + 3 * SECOND, "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39", "web");
  test_journal_add_fixed (file, T0 + 10 * SECOND, "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a38", "web");
  test_journal_add_end (file, T0 + 20 * SECOND, "c0000000000000000000000000000001",
                        "migration-stock", "stock", "no answer");
  test_journal_add_end (file, T0 + 30 * SECOND, "d0000000000000000000000000000001",
                        "departure-done", "", "");
  test_journal_add_end (file, T0 + 40 * SECOND, "c0000000000000000000000000000002",
                        "migration-unknown", "unknown", "no report");
  text = make_text (file);
  check_text (text);

#define MIGRATIONS "clockferry_migrations_"
  assert_line (text, MIGRATIONS "total{direction=\"arriving\",result=\"fixed\"} 2");
  assert_line (text, MIGRATIONS "total{direction=\"arriving\",result=\"stock\"} 1");
  assert_line (text, MIGRATIONS "total{direction=\"arriving\",result=\"unknown\"} 1");
  assert_line (text, MIGRATIONS "total{direction=\"arriving\",result=\"observed\"} 0");
  assert_line (text, MIGRATIONS "total{direction=\"leaving\",result=\"sent\"} 1");
  assert_line (text,
               MIGRATIONS "created{direction=\"leaving\",result=\"sent\"} 1795384000.000000000");
#undef MIGRATIONS
  assert_line (text, "clockferry_advance_seconds_bucket{le=\"0.3\"} 0");
  assert_line (text, "clockferry_advance_seconds_bucket{le=\"1.0\"} 2");
  assert_line (text, "clockferry_advance_seconds_count 2");
  assert_line (text, "clockferry_advance_seconds_sum 0.830246998");
  assert_line (text, "clockferry_theta_bound_seconds_bucket{le=\"0.001\"} 0");
  assert_line (text, "clockferry_theta_bound_seconds_bucket{le=\"0.01\"} 2");
  assert_line (text, "clockferry_last_fixed_timestamp_seconds 1795384010.000000000");
  assert_line (text, "clockferry_last_fixed_residual_seconds 0.000000043");
  g_assert_true (g_str_has_suffix (text, "\n# EOF\n"));
}

static void
test_nothing_yet (void)
{
  g_autoptr (GPtrArray) families = new_families ();
  g_autoptr (GPtrArray) records = g_ptr_array_new ();
  g_autofree char *text = NULL;

  migration_metrics_add (families, records, 0);
  text = metric_families_format (families);
  check_text (text);
  assert_line (text, "clockferry_migrations_total{direction=\"arriving\",result=\"fixed\"} 0");
  assert_line (text, "clockferry_advance_seconds_bucket{le=\"+Inf\"} 0");
  g_assert_null (strstr (text, "_created"));
  g_assert_null (strstr (text, "last_fixed"));
}

static void
test_labels (void)
{
  g_autoptr (GPtrArray) families = new_families ();
  MetricFamily *family = metric_family_new ("clockferry_test", METRIC_GAUGE, NULL, "A test.");
  g_autofree char *text = NULL;

  metric_family_add_count (family, "", 7, "a", "\"\\\n", "b", "é", NULL);
  g_ptr_array_add (families, family);
  text = metric_families_format (families);
  check_text (text);
  g_assert_cmpstr (text, ==,
                   "# HELP clockferry_test A test.\n"
                   "# TYPE clockferry_test gauge\n"
                   "clockferry_test{a=\"\\\"\\\\\\n\",b=\"é\"} 7\n"
                   "# EOF\n");
}

static void
test_seconds (void)
{
  static const struct {
    gint64 ns;
    const char *text;
  } cases[] = {
    { 0, "0.000000000" },
    { 43, "0.000000043" },
    { -43, "-0.000000043" },
    { G_GINT64_CONSTANT (1795384010123456789), "1795384010.123456789" },
    { -1500000000, "-1.500000000" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = metric_format_seconds (cases[i].ns);

    g_assert_cmpstr (text, ==, cases[i].text);
  }
}

static void
test_json (void)
{
  g_autoptr (GPtrArray) families = new_families ();
  MetricFamily *family =
    metric_family_new ("clockferry_test_seconds", METRIC_GAUGE, "seconds", "A test.");
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL;

  metric_family_add (family, "", "0.5", "a", "b", NULL);
  g_ptr_array_add (families, family);
  root = metric_families_to_json (families);
  text = json_to_string (root, FALSE);
  g_assert_cmpstr (text, ==,
                   "{\"metrics\":[{\"name\":\"clockferry_test_seconds\",\"type\":\"gauge\","
                   "\"unit\":\"seconds\",\"help\":\"A test.\",\"samples\":[{\"name\":"
                   "\"clockferry_test_seconds\",\"labels\":{\"a\":\"b\"},\"value\":0.5}]}]}");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl-metrics/journal", test_journal);
  g_test_add_func ("/ctl-metrics/nothing-yet", test_nothing_yet);
  g_test_add_func ("/ctl-metrics/labels", test_labels);
  g_test_add_func ("/ctl-metrics/seconds", test_seconds);
  g_test_add_func ("/ctl-metrics/json", test_json);
  return g_test_run ();
}
