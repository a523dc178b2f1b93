/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-service.h"

#include "bus-migrations.h"
#include "bus-prose.h"
#include "clock-offset.h"
#include "error.h"
#include "names.h"
#include "peers-seen.h"

/* of the D-Bus specification, RequestName */
#define NAME_FLAG_DO_NOT_QUEUE 4
#define NAME_REPLY_EXISTS      3

struct BusService {
  GDBusConnection *bus;
  GDBusObjectManagerServer *server;
  BusManager *manager;
  GHashTable *domains; /* UUID -> BusDomain */
  BusMigrations *migrations;
  PeersSeen *peers;
  gboolean has_name;
};

static const char *
or_empty (const char *text)
{
  return text != NULL ? text : "";
}

/* the bus itself */

static GVariant *
call_bus (BusService *service, const char *method, GVariant *parameters, GError **error)
{
  return g_dbus_connection_call_sync (
    service->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", method,
    parameters, G_VARIANT_TYPE ("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, error);
}

static void
set_taken_error (BusService *service, GError **error)
{
  g_autoptr (GVariant) reply = call_bus (service, "GetConnectionUnixProcessID",
                                         g_variant_new ("(s)", CLOCKFERRY_BUS_NAME), NULL);
  g_autofree char *owner = g_strdup ("another process");
  guint32 pid;

  if (reply != NULL) {
    g_variant_get (reply, "(u)", &pid);
    g_free (owner);
    owner = g_strdup_printf ("process %u", pid);
  }
  g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_FAILED,
               "another clockferryd runs on this host: %s has the name %s on the system bus; end "
               "that one first",
               owner, CLOCKFERRY_BUS_NAME);
}

static void
say_refused (GError *error)
{
  EventEntry *entry = event_entry_new (EVENT_BUS_NAME_REFUSED, NULL, NULL);

  g_dbus_error_strip_remote_error (error);
  event_entry_add (entry, "CLOCKFERRY_REASON", error->message);
  event_entry_log (entry,
                   "the system bus does not let the daemon have the name %s, so clockferryctl will "
                   "not find it: %s; is the bus policy of this version installed, and was the bus "
                   "told (systemctl reload dbus)? Then restart clockferryd",
                   CLOCKFERRY_BUS_NAME, error->message);
}

/* domains */

static char *
make_domain_path (const char *uuid)
{
  g_autofree char *base = g_strdelimit (g_strdup (uuid), "-", '_');

  return g_strconcat (CLOCKFERRY_DOMAIN_PATH, base, NULL);
}

static void
show_domain (BusDomain *domain, const GuestView *view)
{
  bus_domain_set_name (domain, or_empty (view->name));
  bus_domain_set_phase (domain, migration_phase_name (view->phase));
  bus_domain_set_emulated (domain, view->is_emulated);
  bus_domain_set_ready (domain, view->problem == NULL);
  bus_domain_set_problem (domain, or_empty (view->problem));
  bus_domain_set_helper_connected (domain, view->has_link);
  bus_domain_set_policy (domain, or_empty (view->policy));
  bus_domain_set_policy_problem (domain, or_empty (view->policy_problem));
}

static void
add_domain (BusService *service, const char *uuid, const GuestView *view)
{
  g_autofree char *path = make_domain_path (uuid);
  g_autoptr (GDBusObjectSkeleton) object = g_dbus_object_skeleton_new (path);
  BusDomain *domain = g_object_new (
    bus_prose_derive (BUS_TYPE_DOMAIN_SKELETON, CLOCKFERRY_DOMAIN_IFACE), "uuid", uuid, NULL);

  show_domain (domain, view);
  g_dbus_object_skeleton_add_interface (object, G_DBUS_INTERFACE_SKELETON (domain));
  g_dbus_object_manager_server_export (service->server, object);
  g_hash_table_insert (service->domains, g_strdup (uuid), domain);
}

static void
remove_domain (BusService *service, const char *uuid)
{
  g_autofree char *path = make_domain_path (uuid);

  g_dbus_object_manager_server_unexport (service->server, path);
  g_hash_table_remove (service->domains, uuid);
}

/* peers */

/* A peer was dealt with where it claimed or was claimed from, and where its clock was compared. */
static void
note_peer (BusService *service, const EventEntry *entry, gint64 realtime_us)
{
  EventKind kind = event_entry_get_kind (entry);
  const char *address = event_entry_get (entry, "CLOCKFERRY_PEER");
  const char *theta = event_entry_get (entry, "CLOCKFERRY_THETA_NS");
  const char *bound = event_entry_get (entry, "CLOCKFERRY_THETA_BOUND_NS");

  if (address == NULL)
    return;
  if (theta != NULL && bound != NULL) {
    guint64 bound_ns = g_ascii_strtoull (bound, NULL, 10);

    peers_seen_measure (service->peers, address, realtime_us, g_ascii_strtoll (theta, NULL, 10),
                        bound_ns < CLOCK_BOUND_UNKNOWN_NS ? bound_ns : PEERS_SEEN_UNKNOWN);
  } else if (kind == EVENT_DEPARTURE_CLAIMED || kind == EVENT_ARRIVAL_CLAIMED) {
    peers_seen_note (service->peers, address, realtime_us);
  } else {
    return;
  }
  bus_manager_set_peers (service->manager, peers_seen_to_variant (service->peers));
}

/* public functions */

BusService *
bus_service_new (GDBusConnection *bus, BusManagerReload reload, gpointer user_data)
{
  BusService *service = g_new0 (BusService, 1);
  g_autoptr (GDBusObjectSkeleton) object = g_dbus_object_skeleton_new (CLOCKFERRY_MANAGER_PATH);

  service->bus = g_object_ref (bus);
  service->server = g_dbus_object_manager_server_new (CLOCKFERRY_BUS_PATH);
  service->manager = bus_manager_live_new (reload, user_data);
  service->domains = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_object_unref);
  service->migrations = bus_migrations_new (service->server);
  service->peers = peers_seen_new ();
  bus_manager_set_peers (service->manager, peers_seen_to_variant (service->peers));
  bus_service_set_libvirt_problem (service, "it was not reached yet");
  g_dbus_object_skeleton_add_interface (object, G_DBUS_INTERFACE_SKELETON (service->manager));
  g_dbus_object_manager_server_export (service->server, object);
  g_dbus_object_manager_server_set_connection (service->server, bus);
  return service;
}

void
bus_service_free (BusService *service)
{
  bus_manager_live_stop (service->manager);
  g_dbus_object_manager_server_set_connection (service->server, NULL);
  /* nobody waits for the answer */
  if (service->has_name)
    g_dbus_connection_call (service->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                            "org.freedesktop.DBus", "ReleaseName",
                            g_variant_new ("(s)", CLOCKFERRY_BUS_NAME), NULL,
                            G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
  bus_migrations_free (service->migrations);
  peers_seen_free (service->peers);
  g_hash_table_unref (service->domains);
  g_object_unref (service->manager);
  g_object_unref (service->server);
  g_object_unref (service->bus);
  g_free (service);
}

gboolean
bus_service_own_name (BusService *service, GError **error)
{
  g_autoptr (GError) bus_error = NULL;
  g_autoptr (GVariant) reply = call_bus (
    service, "RequestName",
    g_variant_new ("(su)", CLOCKFERRY_BUS_NAME, (guint32) NAME_FLAG_DO_NOT_QUEUE), &bus_error);
  guint32 answer = 0;

  if (reply == NULL) {
    say_refused (bus_error);
    return TRUE;
  }
  g_variant_get (reply, "(u)", &answer);
  if (answer == NAME_REPLY_EXISTS) {
    set_taken_error (service, error);
    return FALSE;
  }
  service->has_name = TRUE;
  return TRUE;
}

void
bus_service_set_address (BusService *service, const char *address, guint16 port, const char *pin)
{
  bus_manager_set_address (service->manager, address);
  bus_manager_set_port (service->manager, port);
  bus_manager_set_pin (service->manager, pin);
}

void
bus_service_set_settings (BusService *service, const Settings *settings)
{
  bus_manager_set_mode (service->manager, settings_mode_name (settings->mode));
  bus_manager_set_host_clock (service->manager, host_clock_mode_name (settings->host_clock));
  bus_manager_set_max_advance_sec (service->manager, settings->max_advance_s);
}

void
bus_service_set_libvirt_problem (BusService *service, const char *problem)
{
  bus_manager_set_libvirt_connected (service->manager, problem == NULL);
  bus_manager_set_libvirt_problem (service->manager, or_empty (problem));
}

void
bus_service_set_domain (BusService *service, const char *uuid, const GuestView *view)
{
  BusDomain *domain = g_hash_table_lookup (service->domains, uuid);

  if (domain != NULL && view->phase == MIGRATION_PHASE_ABSENT)
    remove_domain (service, uuid);
  else if (domain != NULL)
    show_domain (domain, view);
  else if (view->phase != MIGRATION_PHASE_ABSENT)
    add_domain (service, uuid, view);
}

void
bus_service_take_entry (BusService *service, const EventEntry *entry)
{
  gint64 now_us = g_get_real_time ();

  bus_migrations_take (service->migrations, entry, now_us);
  note_peer (service, entry, now_us);
}
