/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-program-test - the real clockferryctl with a journal of the test's, and no daemon
 */

#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "temp-folder.h"
#include "test-journal.h"

#define T0 (G_GINT64_CONSTANT (1795384000) * G_USEC_PER_SEC)

#define ID_FIXED "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39"
#define ID_STOCK "c0000000000000000000000000000001"
#define ID_SENT  "d0000000000000000000000000000001"

/* What a shell, gnuplot or XML would make something else of. */
#define ODD_NAME "o'brien \\ \"x\" `touch boom` $(touch boom) <b> '; system('touch boom') #"

typedef struct {
  TestJournal *file;
  const char *path; /* of the journal */
  char *folder;     /* the program's current one */

  /* the last run */
  int status;
  char *out;
  char *err;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->file = test_journal_new ();
  test_journal_add_fixed (fixture->file, T0, ID_FIXED, ODD_NAME);
  test_journal_add_end (fixture->file, T0 + G_USEC_PER_SEC, ID_STOCK, "migration-stock", "stock",
                        "no-record");
  test_journal_add_end (fixture->file, T0 + 2 * G_USEC_PER_SEC, ID_SENT, "departure-done", "", "");
  fixture->path = test_journal_write (fixture->file);
  fixture->folder = temp_folder_make ();
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  test_journal_free (fixture->file);
  temp_folder_remove (fixture->folder);
  g_free (fixture->out);
  g_free (fixture->err);
}

/* Run clockferryctl with the words of @line. */
static void
run_in (Fixture *fixture, const char *line, const char *search_path)
{
  g_auto (GStrv) words = g_strsplit (line, " ", -1);
  g_autoptr (GPtrArray) arguments = g_ptr_array_new ();
  g_autofree char *shown = NULL;
  g_autoptr (GSubprocessLauncher) launcher =
    g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autoptr (GSubprocess) program = NULL;
  g_autoptr (GError) error = NULL;

  g_ptr_array_add (arguments, (gpointer) g_getenv ("CLOCKFERRYCTL"));
  for (char **word = words; *word != NULL; word++) {
    if (**word != '\0')
      g_ptr_array_add (arguments, *word);
  }
  g_ptr_array_add (arguments, NULL);
  g_clear_pointer (&fixture->out, g_free);
  g_clear_pointer (&fixture->err, g_free);
  g_subprocess_launcher_set_cwd (launcher, fixture->folder);
  g_subprocess_launcher_setenv (launcher, "DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent",
                                TRUE);
  g_subprocess_launcher_setenv (launcher, "TZ", "UTC", TRUE);
  if (search_path != NULL)
    g_subprocess_launcher_setenv (launcher, "PATH", search_path, TRUE);
  program = g_subprocess_launcher_spawnv (launcher, (const char *const *) arguments->pdata, &error);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (program, NULL, NULL, &fixture->out, &fixture->err, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_if_exited (program));
  fixture->status = g_subprocess_get_exit_status (program);
  shown = g_utf8_make_valid (line, -1);
  g_test_message ("%s: %d\n%s%s", shown, fixture->status, fixture->out, fixture->err);
}

static void
run (Fixture *fixture, const char *line)
{
  run_in (fixture, line, NULL);
}

/* The same with the test's journal. */
static void
run_with_journal (Fixture *fixture, const char *line)
{
  g_autofree char *whole = g_strdup_printf ("%s --journal %s", line, fixture->path);

  run (fixture, whole);
}

static void
assert_done (Fixture *fixture)
{
  g_assert_cmpstr (fixture->err, ==, "");
  g_assert_cmpint (fixture->status, ==, 0);
}

/* One line that has @text in it, and nothing on stdout. */
static void
assert_failed (Fixture *fixture, int status, const char *text)
{
  const char *end = strchr (fixture->err, '\n');

  g_assert_cmpint (fixture->status, ==, status);
  g_assert_cmpstr (fixture->out, ==, "");
  g_assert_nonnull (end);
  g_assert_cmpstr (end, ==, "\n");
  g_assert_true (g_str_has_prefix (fixture->err, "clockferryctl"));
  g_assert_nonnull (strstr (fixture->err, text));
}

static JsonObject *
get_migration (JsonParser *parser, Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  JsonArray *migrations;

  json_parser_load_from_data (parser, fixture->out, -1, &error);
  g_assert_no_error (error);
  migrations = json_object_get_array_member (json_node_get_object (json_parser_get_root (parser)),
                                             "migrations");
  g_assert_cmpuint (json_array_get_length (migrations), ==, 1);
  return json_array_get_object_element (migrations, 0);
}

/* help and wrong use */

static void
test_help (Fixture *fixture, gconstpointer data)
{
  static const char *const asking[] = { "--help", "-h", "help", "--json help" };

  for (gsize i = 0; i < G_N_ELEMENTS (asking); i++) {
    run (fixture, asking[i]);
    assert_done (fixture);
    g_assert_nonnull (strstr (fixture->out, "\n  history   "));
  }
  run (fixture, "history --help");
  assert_done (fixture);
  g_assert_nonnull (strstr (fixture->out, "--since"));
  g_assert_nonnull (strstr (fixture->out, "--no-color"));
  run (fixture, "help history");
  assert_done (fixture);
  g_assert_nonnull (strstr (fixture->out, "--since"));
  run (fixture, "history --version");
  assert_done (fixture);
  g_assert_true (g_str_has_prefix (fixture->out, "clockferryctl "));
}

static void
test_no_command (Fixture *fixture, gconstpointer data)
{
  run (fixture, "");
  g_assert_cmpint (fixture->status, ==, 2);
  g_assert_cmpstr (fixture->out, ==, "");
  g_assert_nonnull (strstr (fixture->err, "\n  history   "));
}

static void
test_wrong_use (Fixture *fixture, gconstpointer data)
{
  static const struct {
    const char *line;
    const char *text;
  } cases[] = {
    { "bogus", "bogus" },
    { "--bogus history", "--bogus" },
    { "history --bogus", "--help" },
    { "history web", "clockferryctl history [OPTION…]" },
    { "history --limit many", "--limit" },
    { "history --limit -1", "--limit" },
    { "history --since soon", "YYYY-MM-DD" },
    { "history --since today --until yesterday", "--until" },
    { "history --domain nobody", "nobody" },
    { "show", "show [OPTION…] ID|last" },
    { "show " ID_FIXED " " ID_STOCK, "ID|last" },
    { "show 6f", "6f" },
    { "show 12345678", "12345678" },
    { "list web", "clockferryctl list [OPTION…]" },
    { "plot", "--history" },
    { "plot --history last", "--history" },
    { "plot last --since today", "--history" },
    { "plot last --output x.gif", ".svg" },
    { "plot --history --domain nobody", "nobody" },
    { "metrics --json --output x.prom", "--output" },
    { "check list\xff", "UTF-8" }, /* not looked for in the journal, as "list" says here */
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    if (strstr (cases[i].line, "list") != NULL || strstr (cases[i].line, "bogus") != NULL)
      run (fixture, cases[i].line);
    else
      run_with_journal (fixture, cases[i].line);
    assert_failed (fixture, 2, cases[i].text);
  }
}

static void
test_cannot (Fixture *fixture, gconstpointer data)
{
  static const char *const of_the_bus[] = { "list", "monitor", "metrics" };

  for (gsize i = 0; i < G_N_ELEMENTS (of_the_bus); i++) {
    run (fixture, of_the_bus[i]);
    assert_failed (fixture, 1, "system bus");
  }
  run (fixture, "history --journal /nonexistent/x.journal");
  assert_failed (fixture, 1, "/nonexistent/x.journal");
}

/* history and show */

static void
test_history (Fixture *fixture, gconstpointer data)
{
  g_auto (GStrv) lines = NULL;

  run_with_journal (fixture, "history");
  assert_done (fixture);
  lines = g_strsplit (fixture->out, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, 5);
  g_assert_cmpstr (lines[1], ==,
                   "2026-11-22 21:46:40\t6fcb3e6b\t" ODD_NAME
                   "\tfrom hv1.example.org\t415 ms\tfixed\t-");
  g_assert_cmpstr (lines[2], ==,
                   "2026-11-22 21:46:41\tc0000000\tweb\tarriving\t-\tstock\tno-record");
  g_assert_cmpstr (lines[3], ==, "2026-11-22 21:46:42\td0000000\tweb\tleaving\t-\tsent\t-");
  g_assert_null (strchr (fixture->out, '\033'));

  run_with_journal (fixture, "history --until 2026-11-21");
  g_assert_cmpint (fixture->status, ==, 0);
  g_assert_cmpstr (fixture->out, ==, "");
  run_with_journal (fixture, "history --until 2026-11-21 --json");
  assert_done (fixture);
  g_assert_nonnull (strstr (fixture->out, "\"migrations\" : []"));
}

static void
test_history_json (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *migration;

  run_with_journal (fixture, "history --json --limit 1");
  assert_done (fixture);
  migration = get_migration (parser, fixture);
  g_assert_cmpstr (json_object_get_string_member (migration, "migration"), ==, ID_SENT);
  g_assert_cmpstr (json_object_get_string_member (migration, "direction"), ==, "leaving");
  g_assert_cmpstr (json_object_get_string_member (migration, "result"), ==, "sent");
  g_assert_cmpint (json_object_get_int_member (migration, "time_us"), ==, T0 + 2 * G_USEC_PER_SEC);
  g_assert_true (json_object_get_null_member (migration, "verdict"));
  g_assert_true (json_object_get_null_member (migration, "advance_ns"));
}

static void
test_show (Fixture *fixture, gconstpointer data)
{
  run_with_journal (fixture, "show 6FCB3");
  assert_done (fixture);
  g_assert_nonnull (strstr (fixture->out, "Migration " ID_FIXED "\n"));
  g_assert_nonnull (strstr (fixture->out, ODD_NAME "\n"));
  g_assert_nonnull (strstr (fixture->out, "+1.25 ms, within ± 4.30 ms, measured"));
  g_assert_nonnull (strstr (fixture->out, "by the helper in the source's QEMU\n"));
  g_assert_nonnull (
    strstr (fixture->out, "kvmclock\t83421.123456789 s\t83421.538580288 s\t0.415123499 s\n"));
  g_assert_nonnull (strstr (fixture->out, "\t0.415123456 s\n"));
  g_assert_nonnull (
    strstr (fixture->out, "\n0\t-216894921087651\t-98990323796295\t-98990000000000\n"));
  g_assert_nonnull (strstr (fixture->out, "\n2\t-\t5\t-98990000000000\n"));
  g_assert_nonnull (strstr (fixture->out, "\t+2.70 s\tarrival-armed\thas a record\n"));

  run_with_journal (fixture, "show c0000");
  assert_done (fixture);
  g_assert_nonnull (strstr (fixture->out, "no-record"));
  g_assert_nonnull (strstr (fixture->out, "clockferryctl check --peer"));
}

static void
test_show_json (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *migration, *vcpu;

  run_with_journal (fixture, "show --json " ID_FIXED);
  assert_done (fixture);
  migration = get_migration (parser, fixture);
  g_assert_cmpstr (json_object_get_string_member (migration, "domain_name"), ==, ODD_NAME);
  g_assert_cmpint (json_object_get_int_member (migration, "blackout_ns"), ==, 415123456);
  g_assert_cmpint (json_object_get_int_member (migration, "theta_bound_ns"), ==, 4300000);
  g_assert_cmpint (json_object_get_int_member (migration, "tsc_dest_ticks"), ==, 99894921087651);
  g_assert_true (json_object_get_null_member (migration, "errno"));
  vcpu = json_array_get_object_element (json_object_get_array_member (migration, "offsets"), 1);
  g_assert_cmpint (json_object_get_int_member (vcpu, "vcpu"), ==, 2);
  g_assert_true (json_object_get_null_member (vcpu, "source_ticks"));
  g_assert_cmpint (json_object_get_int_member (vcpu, "after_ticks"), ==, -98990000000000);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (migration, "events")), ==,
                    4);
}

/* plot */

static char *
read_picture (Fixture *fixture, const char *name, gsize *size)
{
  g_autofree char *path = g_build_filename (fixture->folder, name, NULL);
  g_autoptr (GError) error = NULL;
  char *content = NULL;

  g_file_get_contents (path, &content, size, &error);
  g_assert_no_error (error);
  return content;
}

static void
test_plot_migration (Fixture *fixture, gconstpointer data)
{
  g_autofree char *svg = NULL;
  g_autofree char *png = NULL;
  g_autofree char *boom = g_build_filename (fixture->folder, "boom", NULL);
  gsize size = 0;

  run_with_journal (fixture, "plot 6fcb");
  assert_done (fixture);
  g_assert_nonnull (strstr (fixture->out, "clockferry-6fcb3e6b.svg"));
  svg = read_picture (fixture, "clockferry-6fcb3e6b.svg", &size);
  g_assert_nonnull (strstr (svg, "</svg>"));
  g_assert_nonnull (strstr (svg, "blackout 415 ms"));
  g_assert_nonnull (strstr (svg, "+43 ns, ± 4.30 ms"));
  /* QEMU had loaded an offset of 323796295 ticks less, at 2.6 GHz */
  g_assert_nonnull (strstr (svg, "-125 ms"));
  g_assert_nonnull (strstr (svg, "`touch boom` $(touch boom) &lt;b> '; system('touch boom')"));
  g_assert_false (g_file_test (boom, G_FILE_TEST_EXISTS));

  run_with_journal (fixture, "plot 6fcb --output it's.PNG --json");
  assert_done (fixture);
  g_assert_nonnull (strstr (fixture->out, "\"file\" : \"it's.PNG\""));
  png = read_picture (fixture, "it's.PNG", &size);
  g_assert_cmpuint (size, >, 1000);
  g_assert_cmpmem (png, 8, "\x89PNG\r\n\x1a\n", 8);
}

static void
test_plot_history (Fixture *fixture, gconstpointer data)
{
  g_autofree char *svg = NULL;

  run_with_journal (fixture, "plot --history --output h.svg");
  assert_done (fixture);
  svg = read_picture (fixture, "h.svg", NULL);
  g_assert_nonnull (strstr (svg, ">fixed<"));
  g_assert_nonnull (strstr (svg, ">blackout not known<"));
  g_assert_null (strstr (svg, ">observed<"));

  /* two arrived, and the third, which left, is not drawn */
  run_with_journal (fixture, "plot --history --output h.svg --json");
  assert_done (fixture);
  g_assert_nonnull (strstr (fixture->out, "\"migrations\" : 2"));
}

static void
test_plot_cannot (Fixture *fixture, gconstpointer data)
{
  g_autofree char *without_gnuplot = g_strdup_printf ("plot 6fcb --journal %s", fixture->path);

  run_with_journal (fixture, "plot c000");
  assert_failed (fixture, 1, "no-record");
  run_with_journal (fixture, "plot d000");
  assert_failed (fixture, 1, "d0000000");
  run_with_journal (fixture, "plot --history --until 2026-11-21");
  assert_failed (fixture, 1, "that time");
  run_with_journal (fixture, "plot 6fcb --output /nonexistent/x.svg");
  assert_failed (fixture, 1, "/nonexistent/x.svg: No such file");
  run_in (fixture, without_gnuplot, "/nonexistent");
  assert_failed (fixture, 1, "gnuplot-nox");
}

/* With figures that others of its kind do not have: they would not show what was handed over. */
static void
test_unknown (Fixture *fixture, gconstpointer data)
{
  g_autoptr (TestJournal) file = test_journal_new ();
  g_autofree char *show = NULL;
  g_autofree char *json = NULL;
  g_autofree char *plot = NULL;

  test_journal_add (file, T0, "EVENT", "migration-unknown", "MIGRATION", ID_STOCK, "DOMAIN",
                    TEST_WEB, "DOMAIN_NAME", "web", "VERDICT", "unknown", "STEP", "fixup", "REASON",
                    "the helper did not report", "THETA_NS", "0", "THETA_BOUND_NS", "1000",
                    "HOST_SRC_NS", "1000", "HOST_DEST_NS", "2000", "MESSAGE", "ended", NULL);
  show = g_strdup_printf ("show last --journal %s", test_journal_write (file));
  json = g_strconcat (show, " --json", NULL);
  plot = g_strdup_printf ("plot last --journal %s", test_journal_write (file));

  run (fixture, show);
  assert_done (fixture);
  g_assert_nonnull (strstr (fixture->out, "either both right or both as stock QEMU"));
  g_assert_nonnull (strstr (fixture->out, "chronyc"));
  run (fixture, json);
  assert_done (fixture);
  g_assert_nonnull (strstr (fixture->out, "\"result\" : \"unknown\""));
  run (fixture, plot);
  assert_failed (fixture, 1, "the helper did not report");
}

/* Values that no clock ever had, as far as they are believed. */
static void
test_extremes (Fixture *fixture, gconstpointer data)
{
  static const char *const lines[] = {
    "show last",      "show last --json", "history",
    "history --json", "plot last",        "plot --history --json"
  };
  g_autoptr (TestJournal) file = test_journal_new ();
  const char *path;

  test_journal_add (file, T0, "EVENT", "migration-fixed", "MIGRATION", ID_STOCK, "DOMAIN", TEST_WEB,
                    "DOMAIN_NAME", "web", "VERDICT", "fixed", "ADVANCE_NS", "4611686018427387904",
                    "RESIDUAL_NS", "-4611686018427387904", "THETA_NS", "0", "THETA_BOUND_NS",
                    "31535999999999999", "HOST_SRC_NS", "-1", "HOST_DEST_NS", "4611686018427387903",
                    "GUEST_SRC_NS", "4611686018427387904", "GUEST_DEST_NS", "-4611686018427387904",
                    "TSC_SRC_TICKS", "18446744073709551615", "TSC_DEST_TICKS", "1", "FREQ_KHZ", "1",
                    "ERRNO", "4611686018427387904", "SPENT_NS", "4611686018427387904", "WAITED_NS",
                    "-4611686018427387904", "OFFSETS",
                    "0:-:-9223372036854775808:9223372036854775807", "MESSAGE", "odd", NULL);
  path = test_journal_write (file);
  for (gsize i = 0; i < G_N_ELEMENTS (lines); i++) {
    g_autofree char *line = g_strdup_printf ("%s --journal %s", lines[i], path);

    run (fixture, line);
    assert_done (fixture);
  }
  g_assert_nonnull (strstr (fixture->out, "\"migrations\" : 1"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function)                                                                        \
  g_test_add ("/ctl-program/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("help", test_help);
  ADD ("no-command", test_no_command);
  ADD ("wrong-use", test_wrong_use);
  ADD ("cannot", test_cannot);
  ADD ("history", test_history);
  ADD ("history-json", test_history_json);
  ADD ("show", test_show);
  ADD ("show-json", test_show_json);
  ADD ("plot/migration", test_plot_migration);
  ADD ("plot/history", test_plot_history);
  ADD ("plot/cannot", test_plot_cannot);
  ADD ("unknown", test_unknown);
  ADD ("extremes", test_extremes);
#undef ADD
  return g_test_run ();
}
