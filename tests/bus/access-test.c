/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * access-test - who may do what on the bus, by the policy file that is installed and by the daemon
 * itself
 *
 * Connects as several users: skipped unless it is run as root.
 */

#include <string.h>
#include <unistd.h>

#include "bus-service.h"
#include "error.h"
#include "event-tape.h"
#include "names.h"
#include "private-bus.h"
#include "temp-folder.h"
#include "wait-until.h"

#define PROPERTIES_IFACE "org.freedesktop.DBus.Properties"

/* In place of those that the policy names, which need not exist where this is run. dbus-daemon
 * wants users and groups that exist: these are everywhere, each in a group of the same number. */
#define DAEMON_UID   1
#define STRANGER_UID 2
#define READER_UID   65534

typedef struct {
  char *folder;
  PrivateBus *bus;
  GDBusConnection *connection; /* the daemon's */
  BusService *service;
  guint reloads;
  GDBusConnection *root;
  GDBusConnection *reader;
  GDBusConnection *stranger;
} Fixture;

static gboolean
on_reload (gpointer user_data, GError **error)
{
  ((Fixture *) user_data)->reloads++;
  return TRUE;
}

static char *
replace (const char *text, const char *from, const char *to)
{
  g_auto (GStrv) parts = g_strsplit (text, from, -1);

  g_assert_cmpuint (g_strv_length (parts), >, 1);
  return g_strjoinv (to, parts);
}

/* The policy file that is installed, for users and groups that are there. */
static char *
write_policy (const char *folder)
{
  g_autofree char *text = NULL;
  g_autofree char *with_user = NULL;
  g_autofree char *with_group = NULL;
  g_autoptr (GError) error = NULL;

  g_file_get_contents (g_getenv ("BUS_POLICY"), &text, NULL, &error);
  g_assert_no_error (error);
  with_user = replace (text, "user=\"clockferry\"", "user=\"" G_STRINGIFY (DAEMON_UID) "\"");
  with_group = replace (with_user, "group=\"libvirt\"", "group=\"" G_STRINGIFY (READER_UID) "\"");
  return temp_folder_write (folder, "policy.conf", with_group);
}

static void
set_up (Fixture *fixture, gconstpointer is_strict)
{
  g_autofree char *policy = NULL;

  event_tape_clear ();
  if (geteuid () != 0)
    return;
  fixture->folder = temp_folder_make ();
  policy = write_policy (fixture->folder);
  fixture->bus = GPOINTER_TO_INT (is_strict) ? private_bus_start_strict (policy)
                                             : private_bus_start ();
  fixture->connection = private_bus_connect_as (fixture->bus, DAEMON_UID);
  fixture->service = bus_service_new (fixture->connection, on_reload, fixture);
  fixture->root = private_bus_connect (fixture->bus);
  fixture->reader = private_bus_connect_as (fixture->bus, READER_UID);
  fixture->stranger = private_bus_connect_as (fixture->bus, STRANGER_UID);
}

static void
close_connection (GDBusConnection *connection)
{
  (void) g_dbus_connection_close_sync (connection, NULL, NULL);
  g_object_unref (connection);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->stranger, close_connection);
  g_clear_pointer (&fixture->reader, close_connection);
  g_clear_pointer (&fixture->root, close_connection);
  g_clear_pointer (&fixture->service, bus_service_free);
  g_clear_pointer (&fixture->connection, close_connection);
  g_clear_pointer (&fixture->bus, private_bus_end);
  g_clear_pointer (&fixture->folder, temp_folder_remove);
}

static gboolean
skip_unless_root (void)
{
  if (geteuid () == 0)
    return FALSE;
  g_test_skip ("needs root, to connect as other users");
  return TRUE;
}

static void
own_name (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (bus_service_own_name (fixture->service, &error));
  g_assert_no_error (error);
}

static void
on_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

/* The service answers from this very main context. @parameters may be NULL. */
static gboolean
call (GDBusConnection *client, const char *path, const char *interface, const char *method,
      GVariant *parameters, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GVariant) reply = NULL;

  g_dbus_connection_call (client, CLOCKFERRY_BUS_NAME, path, interface, method, parameters, NULL,
                          G_DBUS_CALL_FLAGS_NONE, -1, NULL, on_result, &result);
  WAIT_UNTIL (result != NULL);
  reply = g_dbus_connection_call_finish (client, result, error);
  return reply != NULL;
}

/* By whom a call was let through, or was not. */
static void
assert_denied_by_bus (GDBusConnection *client, const char *path, const char *interface,
                      const char *method, GVariant *parameters)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (call (client, path, interface, method, parameters, &error));
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED);
  g_assert_nonnull (strstr (error->message, "Rejected send message"));
}

static void
assert_allowed (GDBusConnection *client, const char *path, const char *interface,
                const char *method, GVariant *parameters)
{
  g_autoptr (GError) error = NULL;

  call (client, path, interface, method, parameters, &error);
  g_assert_no_error (error);
}

typedef void (*Judgement) (GDBusConnection *client, const char *path, const char *interface,
                           const char *method, GVariant *parameters);

static void
try_to_read (GDBusConnection *client, Judgement judge)
{
  judge (client, CLOCKFERRY_BUS_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
         NULL);
  judge (client, CLOCKFERRY_MANAGER_PATH, PROPERTIES_IFACE, "Get",
         g_variant_new ("(ss)", CLOCKFERRY_MANAGER_IFACE, "ClockMaxErrorUs"));
  judge (client, CLOCKFERRY_MANAGER_PATH, PROPERTIES_IFACE, "GetAll",
         g_variant_new ("(s)", CLOCKFERRY_MANAGER_IFACE));
  judge (client, CLOCKFERRY_MANAGER_PATH, "org.freedesktop.DBus.Introspectable", "Introspect",
         NULL);
  judge (client, CLOCKFERRY_MANAGER_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL);
}

static void
test_reading (Fixture *fixture, gconstpointer data)
{
  if (skip_unless_root ())
    return;
  own_name (fixture);
  try_to_read (fixture->root, assert_allowed);
  try_to_read (fixture->reader, assert_allowed);
  try_to_read (fixture->stranger, assert_denied_by_bus);
}

static void
test_changing (Fixture *fixture, gconstpointer data)
{
  if (skip_unless_root ())
    return;
  own_name (fixture);
  assert_denied_by_bus (fixture->stranger, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE,
                        "Reload", NULL);
  assert_denied_by_bus (fixture->reader, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE,
                        "Reload", NULL);
  assert_denied_by_bus (
    fixture->reader, CLOCKFERRY_MANAGER_PATH, PROPERTIES_IFACE, "Set",
    g_variant_new ("(ssv)", CLOCKFERRY_MANAGER_IFACE, "Mode", g_variant_new_string ("observe")));
  g_assert_cmpuint (fixture->reloads, ==, 0);
  assert_allowed (fixture->root, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, "Reload", NULL);
  g_assert_cmpuint (fixture->reloads, ==, 1);
}

/* Where the bus lets everything through, the daemon still does not. */
static void
test_lax_policy (Fixture *fixture, gconstpointer data)
{
  GDBusConnection *const clients[] = { fixture->stranger, fixture->reader };

  if (skip_unless_root ())
    return;
  own_name (fixture);
  for (gsize i = 0; i < G_N_ELEMENTS (clients); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (
      call (clients[i], CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, "Reload", NULL, &error));
    g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED);
    g_assert_nonnull (strstr (error->message, "only root"));
  }
  g_assert_cmpuint (fixture->reloads, ==, 0);
  assert_allowed (fixture->root, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, "Reload", NULL);
  g_assert_cmpuint (fixture->reloads, ==, 1);
}

/* The caller is gone before it is known who that was: it counts for nobody. */
static void
test_caller_gone (Fixture *fixture, gconstpointer data)
{
  if (skip_unless_root ())
    return;
  own_name (fixture);
  g_dbus_connection_call (fixture->root, CLOCKFERRY_BUS_NAME, CLOCKFERRY_MANAGER_PATH,
                          CLOCKFERRY_MANAGER_IFACE, "Reload", NULL, NULL, G_DBUS_CALL_FLAGS_NONE,
                          -1, NULL, NULL, NULL);
  g_assert_true (g_dbus_connection_flush_sync (fixture->root, NULL, NULL));
  g_clear_pointer (&fixture->root, close_connection);
  fixture->root = private_bus_connect (fixture->bus);
  assert_allowed (fixture->root, CLOCKFERRY_MANAGER_PATH, "org.freedesktop.DBus.Peer", "Ping",
                  NULL);
  assert_allowed (fixture->root, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, "Reload", NULL);
  g_assert_cmpuint (fixture->reloads, ==, 1);
}

/* Guests come first: a daemon that the bus does not know goes on, and says so. */
static void
test_name_refused (Fixture *fixture, gconstpointer data)
{
  g_autoptr (BusService) service = NULL;
  g_autoptr (GError) error = NULL;

  if (skip_unless_root ())
    return;
  service = bus_service_new (fixture->root, on_reload, fixture);
  g_assert_true (bus_service_own_name (service, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (event_tape_count ("bus-name-refused"), ==, 1);
  g_assert_nonnull (
    strstr (event_tape_get ("bus-name-refused", "CLOCKFERRY_REASON"), "not allowed to own"));
}

static void
test_name_taken (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection) connection = NULL;
  g_autoptr (BusService) service = NULL;
  g_autofree char *process = g_strdup_printf ("process %d", getpid ());
  g_autoptr (GError) error = NULL;

  if (skip_unless_root ())
    return;
  own_name (fixture);
  connection = private_bus_connect_as (fixture->bus, DAEMON_UID);
  service = bus_service_new (connection, on_reload, fixture);
  g_assert_false (bus_service_own_name (service, &error));
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, process));
  g_assert_cmpuint (event_tape_count ("bus-name-refused"), ==, 0);

  /* the first one ends in order, and there is room */
  g_clear_pointer (&fixture->service, bus_service_free);
  g_assert_true (g_dbus_connection_flush_sync (fixture->connection, NULL, NULL));
  g_clear_error (&error);
  g_assert_true (bus_service_own_name (service, &error));
  g_assert_no_error (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  event_tape_start ();

#define ADD(path, is_strict, function)                                                             \
  g_test_add ("/access/" path, Fixture, GINT_TO_POINTER (is_strict), set_up, function, tear_down)
  ADD ("reading", TRUE, test_reading);
  ADD ("changing", TRUE, test_changing);
  ADD ("lax-policy", FALSE, test_lax_policy);
  ADD ("caller-gone", FALSE, test_caller_gone);
  ADD ("name-refused", TRUE, test_name_refused);
  ADD ("name-taken", TRUE, test_name_taken);
#undef ADD
  return g_test_run ();
}
