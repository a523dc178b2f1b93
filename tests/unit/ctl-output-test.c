/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-output-test - tables, colours, durations and JSON, as they are printed
 */

#include <string.h>

#include "output.h"

static const CtlContext pipe_context = { 0 };
static const CtlContext terminal = { .is_terminal = TRUE };
static const CtlContext coloured = { .is_terminal = TRUE, .has_colour = TRUE };

static GString *printed;

static void
keep_print (const char *text)
{
  g_string_append (printed, text);
}

static void
print (const Table *table, const CtlContext *context)
{
  GPrintFunc before;

  g_string_truncate (printed, 0);
  before = g_set_print_handler (keep_print);
  table_print (table, context);
  g_set_print_handler (before);
}

static Table *
make_table (void)
{
  const char *const headings[] = { "NAME", "STATE", "WHY", NULL };
  Table *table = table_new (headings);

  table_add_row (table, "web", "fixed", NULL);
  table_add_row (table, "名前", "stock", "no answer");
  table_style_cell (table, 1, OUTPUT_WARNING);
  table_add_row (table, "café", "", "x");
  return table;
}

static void
test_table (void)
{
  g_autoptr (Table) table = make_table ();

  print (table, &terminal);
  g_assert_cmpstr (printed->str, ==,
                   "NAME  STATE  WHY\n"
                   "web   fixed  -\n"
                   "名前  stock  no answer\n"
                   "café  -      x\n");
  print (table, &pipe_context);
  g_assert_cmpstr (printed->str, ==,
                   "NAME\tSTATE\tWHY\n"
                   "web\tfixed\t-\n"
                   "名前\tstock\tno answer\n"
                   "café\t-\tx\n");
}

static void
test_colours (void)
{
  g_autoptr (Table) table = make_table ();

  print (table, &coloured);
  g_assert_nonnull (strstr (printed->str, "\033[1mNAME\033[0m  \033[1mSTATE\033[0m"));
  g_assert_nonnull (strstr (printed->str, "名前  \033[33mstock\033[0m  no answer\n"));
  print (table, &terminal);
  g_assert_null (strchr (printed->str, '\033'));
  g_assert_cmpstr (output_style (&terminal, OUTPUT_BAD), ==, "");
}

/* What others wrote does not move the cursor, nor add rows or columns. */
static void
test_hostile_text (void)
{
  const char *const headings[] = { "NAME", "WHY", NULL };
  g_autoptr (Table) table = table_new (headings);
  /* NOLINTNEXTLINE(misc-misleading-bidirectional): that it misleads is what is tested */
  g_autofree char *clean = output_clean ("a\xff\u202e\xc2\x85z");

  table_add_row (table, "a\033[2Jb\nc\td", "\r");
  print (table, &pipe_context);
  g_assert_cmpstr (printed->str, ==, "NAME\tWHY\na?[2Jb?c?d\t?\n");
  g_assert_cmpstr (clean, ==, "a\ufffd??z");
}

static void
test_width (void)
{
  g_assert_cmpuint (output_width (""), ==, 0);
  g_assert_cmpuint (output_width ("abc"), ==, 3);
  g_assert_cmpuint (output_width ("µs"), ==, 2);
  g_assert_cmpuint (output_width ("データ"), ==, 6);
  g_assert_cmpuint (output_width ("ＡＢ"), ==, 4);
  g_assert_cmpuint (output_width ("e\u0301"), ==, 1);
}

static void
test_fields (void)
{
  GPrintFunc before = g_set_print_handler (keep_print);

  g_string_truncate (printed, 0);
  output_field (&terminal, "Daemon", OUTPUT_GOOD, "runs");
  output_field (&terminal, "名前", OUTPUT_PLAIN, NULL);
  output_field (&terminal, "", OUTPUT_PLAIN, "more");
  output_field (&coloured, "A label that is long", OUTPUT_BAD, "x");
  g_set_print_handler (before);
  g_assert_cmpstr (printed->str, ==,
                   "  Daemon          runs\n"
                   "  名前            -\n"
                   "                  more\n"
                   "  A label that is long \033[31mx\033[0m\n");
}

static void
assert_duration (gint64 ns, const char *text)
{
  g_autofree char *duration = output_duration (ns);

  g_assert_cmpstr (duration, ==, text);
}

static void
test_durations (void)
{
  g_autofree char *ahead = output_difference (350000);
  g_autofree char *behind = output_difference (-1500000000);
  g_autofree char *none = output_difference (0);

  assert_duration (0, "0 ns");
  assert_duration (999, "999 ns");
  assert_duration (1000, "1.00 µs");
  assert_duration (9994, "9.99 µs");
  assert_duration (9996, "10.0 µs");
  assert_duration (99960, "100 µs");
  assert_duration (999499, "999 µs");
  assert_duration (999500, "1.00 ms");
  assert_duration (4300000, "4.30 ms");
  assert_duration (415123456, "415 ms");
  assert_duration (-415123456, "-415 ms");
  assert_duration (G_GINT64_CONSTANT (99400000000), "99.4 s");
  assert_duration (G_GINT64_CONSTANT (125000000000), "2 min 5 s");
  assert_duration (G_GINT64_CONSTANT (7500) * 1000000000, "2 h 5 min");
  assert_duration (G_GINT64_CONSTANT (90000) * 1000000000, "1 d 1 h");
  g_assert_cmpstr (ahead, ==, "+350 µs");
  g_assert_cmpstr (behind, ==, "-1.50 s");
  g_assert_cmpstr (none, ==, "+0 ns");
}

static void
assert_age (gint64 seconds, const char *text)
{
  /* half a second more: the test takes its time as well */
  g_autofree char *age = output_age (g_get_real_time () - seconds * G_USEC_PER_SEC - 500000);

  g_assert_cmpstr (age, ==, text);
}

static void
test_ages (void)
{
  assert_age (-3600, "just now");
  assert_age (5, "5 s ago");
  assert_age (119, "1 min ago");
  assert_age (3 * 3600, "3 h ago");
  assert_age (47 * 3600, "47 h ago");
  assert_age (48 * 3600, "2 days ago");
}

static void
test_json_members (void)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL;

  json_builder_begin_object (builder);
  output_json_text (builder, "a", "quote \" \xff");
  output_json_text (builder, "b", "");
  output_json_text (builder, "c", NULL);
  output_json_number (builder, "d", TRUE, G_MININT64);
  output_json_number (builder, "e", FALSE, 5);
  output_json_bool (builder, "f", TRUE);
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  text = json_to_string (root, FALSE);
  g_assert_cmpstr (text, ==,
                   "{\"a\":\"quote \\\" \ufffd\",\"b\":null,\"c\":null,"
                   "\"d\":-9223372036854775808,\"e\":null,\"f\":true}");
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  printed = g_string_new (NULL);
  g_test_add_func ("/ctl-output/table", test_table);
  g_test_add_func ("/ctl-output/colours", test_colours);
  g_test_add_func ("/ctl-output/hostile-text", test_hostile_text);
  g_test_add_func ("/ctl-output/width", test_width);
  g_test_add_func ("/ctl-output/fields", test_fields);
  g_test_add_func ("/ctl-output/durations", test_durations);
  g_test_add_func ("/ctl-output/ages", test_ages);
  g_test_add_func ("/ctl-output/json-members", test_json_members);
  status = g_test_run ();
  g_string_free (printed, TRUE);
  return status;
}
