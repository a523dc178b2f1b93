/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch-test - LibvirtWatch by itself: what it passes on, and what its owner may do meanwhile
 */

#include "bus-host.h"
#include "libvirt-watch.h"
#include "names.h"
#include "wait-until.h"

typedef struct {
  BusHost *host;
  GDBusConnection *connection;
  LibvirtWatch *watch;

  /* what the callbacks saw */
  guint listed;
  guint listed_domains; /* the last time */
  guint lost;
  GString *events; /* "uuid event detail" or "uuid uri" each, with a newline */

  gboolean frees_when_listed;
  gboolean frees_at_event;
  gboolean frees_when_lost;
} Fixture;

static void
on_listed (GPtrArray *uuids, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->listed++;
  fixture->listed_domains = uuids->len;
  if (fixture->frees_when_listed)
    g_clear_pointer (&fixture->watch, libvirt_watch_free);
}

static void
on_event (const char *uuid, int event, int detail, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_string_append_printf (fixture->events, "%s %d %d\n", uuid, event, detail);
  if (fixture->frees_at_event)
    g_clear_pointer (&fixture->watch, libvirt_watch_free);
}

static void
on_metadata (const char *uuid, const char *uri, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_string_append_printf (fixture->events, "%s %s\n", uuid, uri);
}

static void
on_lost (const GError *error, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_assert_nonnull (error);
  g_test_message ("lost: %s", error->message);
  fixture->lost++;
  if (fixture->frees_when_lost)
    g_clear_pointer (&fixture->watch, libvirt_watch_free);
}

static const LibvirtWatchCallbacks callbacks = {
  .listed = on_listed,
  .event = on_event,
  .metadata = on_metadata,
  .lost = on_lost,
};

static void
start (Fixture *fixture)
{
  fixture->watch = libvirt_watch_new (fixture->connection, LIBVIRT_QEMU_PATH, &callbacks, fixture);
}

static void
set_up_host (Fixture *fixture, gconstpointer data)
{
  fixture->host = bus_host_new ();
  fixture->connection = private_bus_connect (fixture->host->bus);
  fixture->events = g_string_new (NULL);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  set_up_host (fixture, data);
  stand_in_libvirt_add_domain (fixture->host->libvirt, WEB, "web", 1);
  start (fixture);
  WAIT_UNTIL (fixture->listed == 1);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->watch, libvirt_watch_free);
  (void) g_dbus_connection_close_sync (fixture->connection, NULL, NULL);
  g_clear_object (&fixture->connection);
  g_clear_pointer (&fixture->host, bus_host_free);
  g_string_free (fixture->events, TRUE);
}

static void
emit (Fixture *fixture, const char *uuid, int event, int detail)
{
  g_assert_true (stand_in_libvirt_emit (fixture->host->libvirt, uuid, event, detail));
}

/* Let pass what was under way: a call to the bus itself is answered after it. */
static void
ask_the_bus (Fixture *fixture)
{
  g_autoptr (GVariant) reply = g_dbus_connection_call_sync (
    fixture->connection, "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId", NULL, NULL,
    G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);

  g_assert_nonnull (reply);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
test_events (Fixture *fixture, gconstpointer data)
{
  g_assert_cmpuint (fixture->listed_domains, ==, 1);
  emit (fixture, WEB, SUSPENDED_PAUSED);
  emit (fixture, OTHER, 99, -7);
  emit (fixture, WEB, RESUMED_UNPAUSED);
  WAIT_UNTIL (g_str_has_suffix (fixture->events->str, WEB " 4 0\n"));
  g_assert_cmpstr (fixture->events->str, ==, WEB " 3 0\n" OTHER " 99 -7\n" WEB " 4 0\n");
}

static void
test_metadata (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection) spoofer = private_bus_connect (fixture->host->bus);
  g_autofree char *path = g_strdelimit (g_strdup (LIBVIRT_QEMU_PATH "/domain/_" WEB), "-", '_');

  g_assert_true (g_dbus_connection_emit_signal (
    spoofer, g_dbus_connection_get_unique_name (fixture->connection), path, LIBVIRT_DOMAIN_IFACE,
    "MetadataChange", g_variant_new ("(is)", 2, "urn:spoofed"), NULL));
  g_assert_true (g_dbus_connection_flush_sync (spoofer, NULL, NULL));
  stand_in_libvirt_set_policy (fixture->host->libvirt, WEB, NULL);
  WAIT_UNTIL (fixture->events->len > 0);
  g_assert_cmpstr (fixture->events->str, ==, WEB " " CLOCKFERRY_POLICY_NS "\n");
}

/* Signals of the name's owner in the wrong form, and of others in the right one */
static void
test_foreign_signals (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection) spoofer = private_bus_connect (fixture->host->bus);
  g_autofree char *path = g_strdelimit (g_strdup (LIBVIRT_QEMU_PATH "/domain/_" WEB), "-", '_');
  const char *const paths[] = { LIBVIRT_QEMU_PATH, "/org/libvirt/LXC" };

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++) {
    g_assert_true (
      g_dbus_connection_emit_signal (spoofer, NULL, paths[i], LIBVIRT_CONNECT_IFACE, "DomainEvent",
                                     g_variant_new ("(oii)", path, STARTED_MIGRATED), NULL));
  }
  /* straight to us, past every match rule: the form that CVE-2024-34397 was about */
  g_assert_true (g_dbus_connection_emit_signal (
    spoofer, g_dbus_connection_get_unique_name (fixture->connection), LIBVIRT_QEMU_PATH,
    LIBVIRT_CONNECT_IFACE, "DomainEvent", g_variant_new ("(oii)", path, STARTED_MIGRATED), NULL));
  g_assert_true (g_dbus_connection_flush_sync (spoofer, NULL, NULL));
  emit (fixture, WEB, RESUMED_UNPAUSED);
  WAIT_UNTIL (fixture->events->len > 0);
  g_assert_cmpstr (fixture->events->str, ==, WEB " 4 0\n");
}

static void
test_new_owner (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  stand_in_libvirt_leave_bus (libvirt);
  WAIT_UNTIL (fixture->lost == 1);
  stand_in_libvirt_add_domain (libvirt, MAIL, "mail", 2);
  stand_in_libvirt_join_bus (libvirt);
  WAIT_UNTIL (fixture->listed >= 2 && fixture->listed_domains == 2);
  emit (fixture, WEB, RESUMED_UNPAUSED);
  WAIT_UNTIL (fixture->events->len > 0);
  g_assert_cmpuint (fixture->lost, ==, 1);
}

/* libvirt-dbus dies with our call in its hands. */
static void
test_dies_while_asked (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  stand_in_libvirt_hold (libvirt, "ListDomains");
  start (fixture);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "ListDomains", NULL) == 1);
  stand_in_libvirt_leave_bus (libvirt);
  stand_in_libvirt_join_bus (libvirt);
  WAIT_UNTIL (fixture->listed >= 1);
  emit (fixture, WEB, RESUMED_UNPAUSED);
  WAIT_UNTIL (fixture->events->len > 0);
}

static void
test_freed_when_listed (Fixture *fixture, gconstpointer data)
{
  fixture->frees_when_listed = TRUE;
  start (fixture);
  WAIT_UNTIL (fixture->watch == NULL);
  g_assert_cmpuint (fixture->listed, ==, 1);
}

static void
test_freed_at_event (Fixture *fixture, gconstpointer data)
{
  fixture->frees_at_event = TRUE;
  emit (fixture, WEB, RESUMED_UNPAUSED);
  emit (fixture, WEB, SUSPENDED_PAUSED);
  WAIT_UNTIL (fixture->watch == NULL);
  ask_the_bus (fixture);
  g_assert_cmpstr (fixture->events->str, ==, WEB " 4 0\n");
}

static void
test_freed_when_lost (Fixture *fixture, gconstpointer data)
{
  fixture->frees_when_lost = TRUE;
  stand_in_libvirt_leave_bus (fixture->host->libvirt);
  WAIT_UNTIL (fixture->watch == NULL);
}

static void
test_freed_while_asking (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  stand_in_libvirt_hold (libvirt, "ListDomains");
  start (fixture);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "ListDomains", NULL) == 1);
  g_clear_pointer (&fixture->watch, libvirt_watch_free);
  stand_in_libvirt_release (libvirt);
  ask_the_bus (fixture);
  g_assert_cmpuint (fixture->listed + fixture->lost, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, start_function, function)                                                        \
  g_test_add ("/watch/" path, Fixture, NULL, start_function, function, tear_down)
  ADD ("events", set_up, test_events);
  ADD ("metadata", set_up, test_metadata);
  ADD ("foreign-signals", set_up, test_foreign_signals);
  ADD ("new-owner", set_up, test_new_owner);
  ADD ("dies-while-asked", set_up_host, test_dies_while_asked);
  ADD ("freed/when-listed", set_up_host, test_freed_when_listed);
  ADD ("freed/at-event", set_up, test_freed_at_event);
  ADD ("freed/when-lost", set_up, test_freed_when_lost);
  ADD ("freed/while-asking", set_up_host, test_freed_while_asking);
#undef ADD
  return g_test_run ();
}
