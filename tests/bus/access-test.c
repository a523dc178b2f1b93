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
#include "bus-users.h"
#include "error.h"
#include "event-tape.h"
#include "names.h"

#define PROPERTIES_IFACE "org.freedesktop.DBus.Properties"

typedef struct {
  BusUsers *users;
  BusService *service;
  guint reloads;
} Fixture;

static gboolean
on_reload (gpointer user_data, GError **error)
{
  ((Fixture *) user_data)->reloads++;
  return TRUE;
}

static void
set_up (Fixture *fixture, gconstpointer is_strict)
{
  event_tape_clear ();
  if (geteuid () != 0)
    return;
  fixture->users = bus_users_new (GPOINTER_TO_INT (is_strict), NULL);
  fixture->service = bus_service_new (fixture->users->daemon, on_reload, fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->service, bus_service_free);
  g_clear_pointer (&fixture->users, bus_users_free);
}

static void
own_name (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (bus_service_own_name (fixture->service, &error));
  g_assert_no_error (error);
}

/* Whether @client gets an answer. @parameters may be NULL. */
static gboolean
call (GDBusConnection *client, const char *path, const char *interface, const char *method,
      GVariant *parameters, GError **error)
{
  g_autoptr (GVariant) reply =
    bus_users_call (client, CLOCKFERRY_BUS_NAME, path, interface, method, parameters, error);

  return reply != NULL;
}

/* By whom a call was let through, or was not. */
static void
assert_denied_by_bus (GDBusConnection *client, const char *path, const char *interface,
                      const char *method, GVariant *parameters)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (call (client, path, interface, method, parameters, &error));
  g_assert_true (bus_users_is_denied (error));
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
  if (bus_users_skip ())
    return;
  own_name (fixture);
  try_to_read (fixture->users->root, assert_allowed);
  try_to_read (fixture->users->reader, assert_allowed);
  try_to_read (fixture->users->stranger, assert_denied_by_bus);
}

static void
test_changing (Fixture *fixture, gconstpointer data)
{
  if (bus_users_skip ())
    return;
  own_name (fixture);
  assert_denied_by_bus (fixture->users->stranger, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE,
                        "Reload", NULL);
  assert_denied_by_bus (fixture->users->reader, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE,
                        "Reload", NULL);
  assert_denied_by_bus (
    fixture->users->reader, CLOCKFERRY_MANAGER_PATH, PROPERTIES_IFACE, "Set",
    g_variant_new ("(ssv)", CLOCKFERRY_MANAGER_IFACE, "Mode", g_variant_new_string ("observe")));
  g_assert_cmpuint (fixture->reloads, ==, 0);
  assert_allowed (fixture->users->root, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, "Reload",
                  NULL);
  g_assert_cmpuint (fixture->reloads, ==, 1);
}

/* Where the bus lets everything through, the daemon still does not. */
static void
test_lax_policy (Fixture *fixture, gconstpointer data)
{
  if (bus_users_skip ())
    return;
  GDBusConnection *const clients[] = { fixture->users->stranger, fixture->users->reader };

  own_name (fixture);
  for (gsize i = 0; i < G_N_ELEMENTS (clients); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (
      call (clients[i], CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, "Reload", NULL, &error));
    g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED);
    g_assert_nonnull (strstr (error->message, "only root"));
  }
  g_assert_cmpuint (fixture->reloads, ==, 0);
  assert_allowed (fixture->users->root, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, "Reload",
                  NULL);
  g_assert_cmpuint (fixture->reloads, ==, 1);
}

/* The caller is gone before it is known who that was: it counts for nobody. */
static void
test_caller_gone (Fixture *fixture, gconstpointer data)
{
  if (bus_users_skip ())
    return;
  own_name (fixture);
  g_dbus_connection_call (fixture->users->root, CLOCKFERRY_BUS_NAME, CLOCKFERRY_MANAGER_PATH,
                          CLOCKFERRY_MANAGER_IFACE, "Reload", NULL, NULL, G_DBUS_CALL_FLAGS_NONE,
                          -1, NULL, NULL, NULL);
  g_assert_true (g_dbus_connection_flush_sync (fixture->users->root, NULL, NULL));
  bus_users_close (fixture->users->root);
  fixture->users->root = private_bus_connect (fixture->users->bus);
  assert_allowed (fixture->users->root, CLOCKFERRY_MANAGER_PATH, "org.freedesktop.DBus.Peer",
                  "Ping", NULL);
  assert_allowed (fixture->users->root, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, "Reload",
                  NULL);
  g_assert_cmpuint (fixture->reloads, ==, 1);
}

/* The name is for the daemon's user alone. Guests come first: a daemon that the bus does not know goes on,
 * and says so. */
static void
test_name_refused (Fixture *fixture, gconstpointer data)
{
  if (bus_users_skip ())
    return;
  GDBusConnection *const others[] = { fixture->users->root, fixture->users->reader,
                                      fixture->users->stranger };

  for (gsize i = 0; i < G_N_ELEMENTS (others); i++) {
    g_autoptr (BusService) service = bus_service_new (others[i], on_reload, fixture);
    g_autoptr (GError) error = NULL;

    g_assert_true (bus_service_own_name (service, &error));
    g_assert_no_error (error);
    g_assert_cmpuint (event_tape_count ("bus-name-refused"), ==, i + 1);
    g_assert_nonnull (
      strstr (event_tape_get ("bus-name-refused", "CLOCKFERRY_REASON"), "not allowed to own"));
  }
}

static void
test_name_taken (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection) connection = NULL;
  g_autoptr (BusService) service = NULL;
  g_autofree char *process = g_strdup_printf ("process %d", getpid ());
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;

  if (bus_users_skip ())
    return;
  own_name (fixture);
  connection = bus_users_connect_daemon (fixture->users);
  service = bus_service_new (connection, on_reload, fixture);
  g_assert_false (bus_service_own_name (service, &error));
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, process));
  g_assert_cmpuint (event_tape_count ("bus-name-refused"), ==, 0);

  /* the first one ends in order, and there is room: once the bus has read so, and with it a later question */
  g_clear_pointer (&fixture->service, bus_service_free);
  g_clear_error (&error);
  reply = bus_users_call (fixture->users->daemon, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                          "org.freedesktop.DBus", "GetId", NULL, &error);
  g_assert_no_error (error);
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
