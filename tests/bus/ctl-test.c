/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-test - the real clockferryctl beside daemons that hand a guest over
 *
 * Both daemons' Managers run here; what is on the bus is theirs.
 */

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <signal.h>
#include <string.h>

#include "ctl-process.h"
#include "event-tape.h"
#include "managed-pair.h"
#include "temp-folder.h"
#include "test-journal.h"
#include "wait-until.h"

#define POLICY(attributes)                                                                         \
  "<clockferry:policy xmlns:clockferry='https://clockferry.org/policy/1' " attributes "/>"

typedef struct {
  ManagedPair pair;
  CtlResult result;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  managed_pair_set_up (&fixture->pair, data);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  managed_pair_tear_down (&fixture->pair, data);
  ctl_result_clear (&fixture->result);
}

/* Run clockferryctl on @host. */
static void
run (Fixture *fixture, ManagedHost *host, const char *words)
{
  ctl_process_run (host->host->bus, words, &fixture->result);
}

static void
assert_said (Fixture *fixture, const char *text)
{
  if (strstr (fixture->result.out, text) == NULL)
    g_test_message ("not said: %s", text);
  g_assert_nonnull (strstr (fixture->result.out, text));
}

/* Run it with --json, which must work; returns what it printed. */
static JsonObject *
run_json (Fixture *fixture, ManagedHost *host, const char *words, JsonParser *parser)
{
  g_autofree char *line = g_strconcat (words, " --json", NULL);
  g_autoptr (GError) error = NULL;

  run (fixture, host, line);
  g_assert_cmpint (fixture->result.status, ==, 0);
  json_parser_load_from_data (parser, fixture->result.out, -1, &error);
  g_assert_no_error (error);
  return json_node_get_object (json_parser_get_root (parser));
}

/* WEB has gone from one host to the other. */
static void
migrate (Fixture *fixture)
{
  ManagedPair *pair = &fixture->pair;

  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  stand_in_libvirt_set_state (pair->dest->host->libvirt, WEB, STATE_RUNNING);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  managed_host_emit (pair->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
}

/* no daemon */

static void
test_not_running (Fixture *fixture, gconstpointer data)
{
  static const char *const commands[] = { "list", "monitor" };
  ManagedHost *host = fixture->pair.dest;

  g_clear_pointer (&host->manager, manager_free);
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++) {
    run (fixture, host, commands[i]);
    g_assert_cmpint (fixture->result.status, ==, 1);
    g_assert_cmpstr (fixture->result.out, ==, "");
    g_assert_nonnull (strstr (fixture->result.err, "systemctl enable --now clockferryd\n"));
  }
  run (fixture, host, "status");
  g_assert_cmpint (fixture->result.status, ==, 1);
  assert_said (fixture, "systemctl enable --now clockferryd\n");
  assert_said (fixture, "\n  Hook ");
  assert_said (fixture, "\n  Helper ");
}

/* status */

static void
test_status (Fixture *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;
  g_autofree char *port = g_strdup_printf ("127.0.0.1, port %u\n", pair->source->host->port);

  run (fixture, pair->source, "status");
  g_assert_cmpint (fixture->result.status, ==, 0);
  g_assert_cmpstr (fixture->result.err, ==, "");
  assert_said (fixture, "  Daemon          running, version ");
  assert_said (fixture, port);
  assert_said (fixture, "  libvirt         followed\n");
  assert_said (fixture, "Mode=apply HostClock=measure MaxAdvanceSec=300\n");
  assert_said (fixture, "1 domain, 1 ready");
  assert_said (fixture, "  Peers           none seen yet\n");
  assert_said (fixture, "  In flight       no migration\n");

  managed_pair_prepare (pair);
  run (fixture, pair->dest, "status");
  assert_said (fixture, "  In flight       web from 127.0.0.1: claimed, began ");
  run (fixture, pair->source, "status");
  assert_said (fixture, "  In flight       web to 127.0.0.1: claimed, began ");
}

static void
test_last_result (Fixture *fixture, gconstpointer data)
{
  migrate (fixture);
  run (fixture, fixture->pair.dest, "status");
  assert_said (fixture, "  In flight       no migration\n");
  assert_said (fixture, "  Last result     fixed: web from 127.0.0.1, ");
  assert_said (fixture, "  Peers           127.0.0.1, ");
  run (fixture, fixture->pair.source, "status");
  assert_said (fixture, "  Last result     sent: web to 127.0.0.1, ");
  assert_said (fixture, "0 domains, 0 ready");
}

static void
test_status_json (Fixture *fixture, gconstpointer data)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *status, *daemon, *domains, *last, *peer;

  migrate (fixture);
  status = run_json (fixture, fixture->pair.dest, "status", parser);
  daemon = json_object_get_object_member (status, "daemon");
  domains = json_object_get_object_member (status, "domains");
  last = json_object_get_object_member (status, "last");
  peer = json_array_get_object_element (json_object_get_array_member (status, "peers"), 0);

  g_assert_true (json_object_get_boolean_member (daemon, "running"));
  g_assert_cmpint (json_object_get_int_member (daemon, "port"), ==, fixture->pair.dest->host->port);
  /* it runs in this process */
  g_assert_cmpint (json_object_get_int_member (daemon, "pid"), ==, getpid ());
  g_assert_cmpint (json_object_get_int_member (daemon, "started_us"), <=, g_get_real_time ());
  g_assert_cmpint (json_object_get_int_member (daemon, "started_us"), >,
                   g_get_real_time () - G_GINT64_CONSTANT (600) * G_USEC_PER_SEC);
  g_assert_cmpint (json_object_get_int_member (domains, "known"), ==, 1);
  g_assert_cmpstr (json_object_get_string_member (last, "result"), ==, "fixed");
  g_assert_cmpstr (json_object_get_string_member (last, "domain"), ==, WEB);
  g_assert_cmpint (json_object_get_int_member (last, "advance_ns"), ==, 178000000);
  g_assert_cmpint (json_object_get_int_member (last, "residual_ns"), ==, -42);
  g_assert_cmpstr (json_object_get_string_member (peer, "address"), ==, "127.0.0.1");
  g_assert_false (json_object_get_null_member (peer, "theta_bound_ns"));
}

/* list */

static void
test_list (Fixture *fixture, gconstpointer data)
{
  ManagedHost *host = fixture->pair.source;
  StandInLibvirt *libvirt = host->host->libvirt;

  run (fixture, host, "list");
  g_assert_cmpint (fixture->result.status, ==, 0);
  assert_said (fixture, "\nweb\t" WEB "\trunning\tfixed\t-\n");

  stand_in_libvirt_set_policy (libvirt, WEB, POLICY ("mode='observe'"));
  bus_host_boot_and_wait (host->host, MAIL, "mail", ID_OF (2));
  WAIT_UNTIL (event_tape_count ("domain-not-ready") == 1);
  run (fixture, host, "list");
  assert_said (fixture, "\nweb\t" WEB "\trunning\tobserved\tby its policy\n");
  assert_said (fixture, "\nmail\t" MAIL "\trunning\tstock\t");

  run (fixture, fixture->pair.dest, "list");
  g_assert_cmpint (fixture->result.status, ==, 0);
  g_assert_cmpstr (fixture->result.out, ==, "");
  g_assert_nonnull (strstr (fixture->result.err, "No domain runs here"));
}

static void
test_list_emulated (Fixture *fixture, gconstpointer data)
{
  ManagedHost *host = fixture->pair.dest;
  StandInLibvirt *libvirt = host->host->libvirt;
  g_autoptr (JsonParser) parser = json_parser_new ();
  JsonObject *domain;

  stand_in_libvirt_add_domain (libvirt, MAIL, "mail", ID_OF (1));
  stand_in_libvirt_set_type (libvirt, MAIL, "qemu");
  g_assert_true (stand_in_libvirt_emit (libvirt, MAIL, STARTED_BOOTED));
  bus_host_boot_and_wait (host->host, OTHER, "other", ID_OF (2));
  run (fixture, host, "list");
  assert_said (fixture, "\nmail\t" MAIL "\trunning\temulated\t");

  domain = json_array_get_object_element (
    json_object_get_array_member (run_json (fixture, host, "list", parser), "domains"), 0);
  g_assert_cmpstr (json_object_get_string_member (domain, "next_migration"), ==, "emulated");
  g_assert_true (json_object_get_boolean_member (domain, "emulated"));
  g_assert_false (json_object_get_boolean_member (domain, "ready"));
}

/* monitor */

/* It has subscribed when it knows of what is under way. */
static CtlProcess *
start_monitor (Fixture *fixture, ManagedHost *host, const char *words)
{
  CtlProcess *monitor;

  managed_pair_prepare (&fixture->pair);
  monitor = ctl_process_start (host->host->bus, words);
  WAIT_UNTIL (ctl_process_count (monitor, "claimed") == 1);
  return monitor;
}

static void
finish_migration (Fixture *fixture)
{
  ManagedPair *pair = &fixture->pair;

  managed_pair_pass_record (pair, 1000);
  stand_in_libvirt_set_state (pair->dest->host->libvirt, WEB, STATE_RUNNING);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
}

static void
test_monitor (Fixture *fixture, gconstpointer data)
{
  CtlProcess *monitor = start_monitor (fixture, fixture->pair.dest, "monitor");
  g_auto (GStrv) columns = NULL;

  finish_migration (fixture);
  WAIT_UNTIL (ctl_process_count (monitor, "\tdone\t") == 1);
  g_assert_cmpuint (ctl_process_count (monitor, "\tarmed\t"), >=, 1);
  columns = g_strsplit (ctl_process_get (monitor, "\tdone\t"), "\t", -1);
  g_assert_cmpuint (g_strv_length (columns), ==, 6);
  g_assert_cmpuint (strlen (columns[0]), ==, strlen ("05:09:18.123"));
  g_assert_cmpmem (columns[1], strlen (columns[1]),
                   event_tape_get ("migration-fixed", "CLOCKFERRY_MIGRATION"), 8);
  g_assert_cmpstr (columns[2], ==, "web");
  g_assert_cmpstr (columns[3], ==, "arriving");
  g_assert_nonnull (strstr (columns[5], "advanced by 178.000 ms"));
  g_assert_cmpint (ctl_process_end (monitor, SIGINT), ==, 0);
}

static void
test_monitor_json (Fixture *fixture, gconstpointer data)
{
  CtlProcess *monitor = start_monitor (fixture, fixture->pair.dest, "monitor --json");
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  JsonObject *line;

  finish_migration (fixture);
  WAIT_UNTIL (ctl_process_count (monitor, "\"event\":\"end\"") == 1);
  json_parser_load_from_data (parser, ctl_process_get (monitor, "\"phase\":\"done\""), -1, &error);
  g_assert_no_error (error);
  line = json_node_get_object (json_parser_get_root (parser));
  g_assert_cmpstr (json_object_get_string_member (line, "event"), ==, "phase");
  g_assert_cmpstr (json_object_get_string_member (line, "migration"), ==,
                   event_tape_get ("migration-fixed", "CLOCKFERRY_MIGRATION"));
  g_assert_cmpint (json_object_get_int_member (line, "time_us"), <=, g_get_real_time ());

  json_parser_load_from_data (parser, ctl_process_get (monitor, "\"event\":\"end\""), -1, &error);
  g_assert_no_error (error);
  line =
    json_object_get_object_member (json_node_get_object (json_parser_get_root (parser)), "report");
  g_assert_cmpstr (json_object_get_string_member (line, "verdict"), ==, "fixed");
  g_assert_cmpint (json_object_get_int_member (line, "advance_ns"), ==, 178000000);
  g_assert_cmpint (ctl_process_end (monitor, SIGTERM), ==, 0);
}

/* Daemon and libvirt go and come back. */
static void
test_monitor_survives (Fixture *fixture, gconstpointer data)
{
  ManagedHost *host = fixture->pair.dest;
  CtlProcess *monitor = start_monitor (fixture, host, "monitor");
  g_autofree struct helper_incoming *incoming = NULL;

  stand_in_libvirt_leave_bus (host->host->libvirt);
  WAIT_UNTIL (ctl_process_count (monitor, "libvirt is not followed") == 1);
  stand_in_libvirt_join_bus (host->host->libvirt);
  WAIT_UNTIL (ctl_process_count (monitor, "libvirt is followed") >= 1);

  g_clear_pointer (&host->manager, manager_free);
  WAIT_UNTIL (ctl_process_count (monitor, "clockferryd has ended") == 1);
  managed_host_start_daemon (host);
  WAIT_UNTIL (ctl_process_count (monitor, "clockferryd runs") == 1);
  incoming = managed_pair_expect (&fixture->pair, HELPER_MESSAGE_INCOMING);
  finish_migration (fixture);
  WAIT_UNTIL (ctl_process_count (monitor, "\tdone\t") == 1);
  g_assert_cmpuint (ctl_process_count (monitor, "clockferryd has ended"), ==, 1);
  g_assert_cmpint (ctl_process_end (monitor, SIGTERM), ==, 0);
}

static void
test_monitor_without_bus (Fixture *fixture, gconstpointer data)
{
  CtlProcess *monitor = start_monitor (fixture, fixture->pair.dest, "monitor");

  g_clear_pointer (&fixture->pair.dest->manager, manager_free);
  bus_host_end_bus (fixture->pair.dest->host);
  /* a signal that it does not get any more */
  g_assert_cmpint (ctl_process_end (monitor, SIGWINCH), ==, 1);
}

/* metrics */

static void
check_metrics (const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) checker = g_subprocess_new (
    G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE, &error, METRICS_CHECK, NULL);

  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (checker, text, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_successful (checker));
}

static void
test_metrics (Fixture *fixture, gconstpointer data)
{
  ManagedHost *host = fixture->pair.source;
  g_autoptr (TestJournal) journal = test_journal_new ();
  g_autofree char *path = g_build_filename (host->host->folder, "clockferry.prom", NULL);
  g_autofree char *words = NULL;
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  GStatBuf status;

  test_journal_add_fixed (journal, g_get_real_time (), "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39", "web");
  words = g_strdup_printf ("metrics --journal %s", test_journal_write (journal));
  run (fixture, host, words);
  g_assert_cmpint (fixture->result.status, ==, 0);
  check_metrics (fixture->result.out);
  assert_said (fixture, "\nclockferry_up 1\n");
  assert_said (fixture, "\nclockferry_libvirt_connected 1\n");
  assert_said (fixture, "\nclockferry_domains{state=\"ready\"} 1\n");
  assert_said (fixture, "\nclockferry_domains_without_helper 0\n");
  assert_said (fixture, "\nclockferry_migrations_in_flight{direction=\"arriving\"} 0\n");

  /* as if it had been there, readable by nobody */
  g_assert_true (g_file_set_contents_full (path, "old", 3, G_FILE_SET_CONTENTS_NONE, 0600, &error));
  g_clear_pointer (&words, g_free);
  words = g_strdup_printf ("metrics --journal %s --output %s", test_journal_write (journal), path);
  run (fixture, host, words);
  g_assert_cmpint (fixture->result.status, ==, 0);
  g_assert_cmpstr (fixture->result.out, ==, "");
  g_assert_cmpint (g_stat (path, &status), ==, 0);
  g_assert_cmpint (status.st_mode & 07777, ==, 0644);
  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  check_metrics (text);
}

/* Then that is what is to be told. */
static void
test_metrics_not_running (Fixture *fixture, gconstpointer data)
{
  ManagedHost *host = fixture->pair.dest;
  g_autoptr (TestJournal) journal = test_journal_new ();
  g_autofree char *words = NULL;

  test_journal_add_fixed (journal, g_get_real_time (), "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39", "web");
  words = g_strdup_printf ("metrics --journal %s", test_journal_write (journal));
  g_clear_pointer (&host->manager, manager_free);
  run (fixture, host, words);
  g_assert_cmpint (fixture->result.status, ==, 0);
  check_metrics (fixture->result.out);
  assert_said (fixture, "\nclockferry_up 0\n");
  assert_said (fixture, "result=\"fixed\"} 1\n");
  g_assert_null (strstr (fixture->result.out, "clockferry_domains"));
}

/* A domain that never migrated is none that nobody knows. */
static void
test_history_of_running_domain (Fixture *fixture, gconstpointer data)
{
  ManagedHost *host = fixture->pair.source;
  g_autoptr (TestJournal) journal = test_journal_new ();
  g_autofree char *known = NULL;
  g_autofree char *unknown = NULL;
  const char *path;

  test_journal_add (journal, g_get_real_time (), "MESSAGE", "nothing of ours", NULL);
  path = test_journal_write (journal);
  known = g_strdup_printf ("history --domain web --journal %s", path);
  unknown = g_strdup_printf ("history --domain nobody --journal %s", path);
  run (fixture, host, known);
  g_assert_cmpint (fixture->result.status, ==, 0);
  run (fixture, host, unknown);
  g_assert_cmpint (fixture->result.status, ==, 2);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  event_tape_start ();

#define ADD(path, function) g_test_add ("/ctl/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("not-running", test_not_running);
  ADD ("status/screen", test_status);
  ADD ("status/last-result", test_last_result);
  ADD ("status/json", test_status_json);
  ADD ("list/ready", test_list);
  ADD ("list/emulated", test_list_emulated);
  ADD ("monitor/migration", test_monitor);
  ADD ("monitor/json", test_monitor_json);
  ADD ("monitor/survives", test_monitor_survives);
  ADD ("monitor/without-bus", test_monitor_without_bus);
  ADD ("metrics/file", test_metrics);
  ADD ("metrics/not-running", test_metrics_not_running);
  ADD ("history-of-running-domain", test_history_of_running_domain);
#undef ADD
  return g_test_run ();
}
