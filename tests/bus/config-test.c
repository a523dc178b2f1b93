/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config-test - clockferryctl config --show, beside the real daemon and without it
 */

#include <json-glib/json-glib.h>
#include <string.h>

#include "bus-host.h"
#include "child-launcher.h"
#include "temp-folder.h"
#include "wait-until.h"

#define MAIN_FILE "clockferry.conf"
#define DROP_IN   MAIN_FILE ".d/test.conf"

typedef struct {
  BusHost *host;
  DaemonProcess *daemon; /* NULL: it does not run */

  /* the last run of the program */
  char *out;
  char *err;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->host = bus_host_new ();
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->daemon, daemon_process_stop);
  g_clear_pointer (&fixture->host, bus_host_free);
  g_free (fixture->out);
  g_free (fixture->err);
}

static void
write_settings (Fixture *fixture, const char *name, const char *settings)
{
  g_autofree char *text = g_strconcat ("[clockferry]\n", settings, NULL);
  g_autofree char *path = temp_folder_write (fixture->host->folder, name, text);
}

static char *
get_path (Fixture *fixture, const char *name)
{
  return g_build_filename (fixture->host->folder, name, NULL);
}

static void
on_said (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Fixture *fixture = user_data;
  g_autoptr (GError) error = NULL;

  g_subprocess_communicate_utf8_finish (G_SUBPROCESS (source), result, &fixture->out, &fixture->err,
                                        &error);
  g_assert_no_error (error);
}

/* Run clockferryctl @words, with --config of the fixture's main file; returns its exit status. */
static int
run (Fixture *fixture, const char *words)
{
  g_autoptr (GSubprocessLauncher)
    launcher = child_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autofree char *path = get_path (fixture, MAIN_FILE);
  g_autofree char *line =
    g_strdup_printf ("%s %s --config %s", g_getenv ("CLOCKFERRYCTL"), words, path);
  g_auto (GStrv) arguments = g_strsplit (line, " ", -1);
  g_autoptr (GSubprocess) program = NULL;
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&fixture->out, g_free);
  g_clear_pointer (&fixture->err, g_free);
  g_subprocess_launcher_setenv (launcher, "DBUS_SYSTEM_BUS_ADDRESS",
                                private_bus_get_address (fixture->host->bus), TRUE);
  program = g_subprocess_launcher_spawnv (launcher, (const char *const *) arguments, &error);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8_async (program, NULL, NULL, on_said, fixture);
  WAIT_UNTIL (fixture->err != NULL);
  g_test_message ("%s%s", fixture->out, fixture->err);
  g_assert_true (g_subprocess_get_if_exited (program));
  return g_subprocess_get_exit_status (program);
}

/* There is this row; "@" in @place is the fixture's folder. */
static void
assert_row (Fixture *fixture, const char *key, const char *value, const char *place)
{
  g_autoptr (GString) full_place = g_string_new (place);
  g_autofree char *folder = g_strconcat (fixture->host->folder, "/", NULL);
  g_autofree char *row = NULL;

  g_string_replace (full_place, "@", folder, 1);
  row = g_strdup_printf ("\n%s\t%s\t%s\n", key, value, full_place->str);
  g_assert_nonnull (strstr (fixture->out, row));
}

/* tests */

static void
test_table (Fixture *fixture, gconstpointer data)
{
  write_settings (fixture, MAIN_FILE, "Port=7\n\nPort=8\nMode=observe\n");
  write_settings (fixture, DROP_IN, "# more\nPort=9\nHostClock=trust\n");
  g_assert_cmpint (run (fixture, "config --show"), ==, 0);
  g_assert_cmpstr (fixture->err, ==, "");
  assert_row (fixture, "Port", "9", "@" DROP_IN ":3");
  assert_row (fixture, "HostClock", "trust", "@" DROP_IN ":4");
  assert_row (fixture, "Mode", "observe", "@" MAIN_FILE ":5");
  assert_row (fixture, "MaxAdvanceSec", "300", "default");
  assert_row (fixture, "Address", g_get_host_name (), "default");
  assert_row (fixture, "ListenAddress", "(every address)", "default");
  assert_row (fixture, "AllowedPeers", "(every host)", "default");
  /* nobody runs with anything else */
  g_assert_null (strstr (fixture->out, "The daemon"));
}

static void
test_json (Fixture *fixture, gconstpointer data)
{
  g_autofree char *main_file = get_path (fixture, MAIN_FILE);
  g_autofree char *drop_in = get_path (fixture, DROP_IN);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  JsonArray *settings;
  JsonObject *port, *listen, *overridden;

  write_settings (fixture, MAIN_FILE, "Port=7\n");
  write_settings (fixture, DROP_IN, "\nPort=9\n");
  g_assert_cmpint (run (fixture, "--json config --show"), ==, 0);
  g_assert_true (json_parser_load_from_data (parser, fixture->out, -1, &error));
  settings =
    json_object_get_array_member (json_node_get_object (json_parser_get_root (parser)), "settings");
  g_assert_cmpuint (json_array_get_length (settings), ==, 10);

  listen = json_array_get_object_element (settings, 1);
  g_assert_cmpstr (json_object_get_string_member (listen, "name"), ==, "ListenAddress");
  g_assert_true (json_object_get_null_member (listen, "value"));
  g_assert_cmpstr (json_object_get_string_member (listen, "origin"), ==, "default");
  g_assert_true (json_object_get_null_member (listen, "file"));
  g_assert_true (json_object_get_null_member (listen, "line"));
  g_assert_true (json_object_get_null_member (listen, "running_value"));

  port = json_array_get_object_element (settings, 2);
  g_assert_cmpstr (json_object_get_string_member (port, "name"), ==, "Port");
  g_assert_cmpstr (json_object_get_string_member (port, "value"), ==, "9");
  g_assert_cmpstr (json_object_get_string_member (port, "origin"), ==, "file");
  g_assert_cmpstr (json_object_get_string_member (port, "file"), ==, drop_in);
  g_assert_cmpint (json_object_get_int_member (port, "line"), ==, 3);
  g_assert_cmpstr (json_object_get_string_member (port, "takes"), ==, "restart");
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (port, "overridden")), ==,
                    1);
  overridden = json_array_get_object_element (json_object_get_array_member (port, "overridden"), 0);
  g_assert_cmpstr (json_object_get_string_member (overridden, "value"), ==, "7");
  g_assert_cmpstr (json_object_get_string_member (overridden, "file"), ==, main_file);
  g_assert_cmpint (json_object_get_int_member (overridden, "line"), ==, 2);
}

/* Said as the daemon would say it. */
static void
test_broken (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = get_path (fixture, DROP_IN);
  g_autofree char *said = g_strconcat ("clockferryctl config: ", path,
                                       ":2: there is no setting Mod; did you mean Mode?\n", NULL);

  write_settings (fixture, MAIN_FILE, "");
  write_settings (fixture, DROP_IN, "Mod=apply\n");
  g_assert_cmpint (run (fixture, "config --show"), ==, 1);
  g_assert_cmpstr (fixture->out, ==, "");
  g_assert_cmpstr (fixture->err, ==, said);
}

static void
test_wrong_use (Fixture *fixture, gconstpointer data)
{
  /* the file that is named is not there */
  g_assert_cmpint (run (fixture, "config --show"), ==, 1);
  g_assert_nonnull (strstr (fixture->err, MAIN_FILE));

  write_settings (fixture, MAIN_FILE, "");
  g_assert_cmpint (run (fixture, "config"), ==, 2);
  g_assert_nonnull (strstr (fixture->err, "--show"));
  g_assert_cmpint (run (fixture, "config --show Port"), ==, 2);
}

/* The files were changed after the daemon read them. */
static void
test_daemon_differs (Fixture *fixture, gconstpointer data)
{
  fixture->daemon = bus_host_start_daemon (fixture->host);
  WAIT_UNTIL (daemon_process_count (fixture->daemon, "libvirt-connected", NULL) == 1);
  g_assert_cmpint (run (fixture, "config --show"), ==, 0);
  g_assert_null (strstr (fixture->out, "The daemon"));

  write_settings (fixture, DROP_IN,
                  "Mode=observe\nHostClock=trust\nMaxAdvanceSec=7\nAddress=kvm1\n");
  g_assert_cmpint (run (fixture, "config --show"), ==, 0);
  assert_row (fixture, "Mode", "observe", "@" DROP_IN ":2");
  g_assert_nonnull (strstr (fixture->out, "runs with Mode=apply."));
  g_assert_nonnull (strstr (fixture->out, "runs with HostClock=auto."));
  g_assert_nonnull (strstr (fixture->out, "runs with MaxAdvanceSec=300."));
  g_assert_nonnull (strstr (fixture->out, "runs with Address=127.0.0.1. "));
  g_assert_null (strstr (fixture->out, "runs with Port"));

  /* a reload is enough for all but one */
  daemon_process_reload (fixture->daemon);
  WAIT_UNTIL (daemon_process_count (fixture->daemon, "settings-reloaded", NULL) == 1);
  g_assert_cmpint (run (fixture, "config --show"), ==, 0);
  g_assert_null (strstr (fixture->out, "systemctl reload"));
  g_assert_nonnull (strstr (fixture->out, "runs with Address=127.0.0.1. "));
  g_assert_nonnull (strstr (fixture->out, "systemctl restart clockferryd"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) g_test_add ("/config/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("table", test_table);
  ADD ("json", test_json);
  ADD ("broken", test_broken);
  ADD ("wrong-use", test_wrong_use);
  ADD ("daemon-differs", test_daemon_differs);
#undef ADD
  return g_test_run ();
}
