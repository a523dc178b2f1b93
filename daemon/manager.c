/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager.h"

#include "bus-service.h"
#include "error.h"
#include "event-log.h"
#include "guest.h"
#include "identity.h"
#include "libvirt-watch.h"
#include "names.h"
#include "peer-listener.h"
#include "refusal-log.h"

struct Manager {
  HostContext host;
  Settings *settings; /* borrowed */
  char *address;
  char *pin;
  RefusalLog *refusals;
  BusService *service;
  LibvirtWatch *watch;
  GHashTable *guests;      /* UUID -> Guest */
  GHashTable *unheard;     /* UUIDs of the first listing, which libvirt has yet to say more of */
  GHashTable *unconfirmed; /* UUIDs known when a priming began, and not heard of since */
};

/* guests */

static void
input (Manager *manager, const char *uuid, MigrationInput what)
{
  Guest *guest = g_hash_table_lookup (manager->guests, uuid);

  if (what == MIGRATION_INPUT_NONE)
    return;
  if (guest == NULL) {
    guest = guest_new (&manager->host, uuid);
    g_hash_table_insert (manager->guests, g_strdup (uuid), guest);
  }
  guest_input (guest, what);
  if (guest_get_phase (guest) == MIGRATION_PHASE_ABSENT)
    g_hash_table_remove (manager->guests, uuid);
}

/* libvirt */

static void
on_listing (gpointer user_data)
{
  Manager *manager = user_data;
  GHashTableIter known;
  gpointer uuid;

  g_hash_table_remove_all (manager->unconfirmed);
  g_hash_table_iter_init (&known, manager->guests);
  while (g_hash_table_iter_next (&known, &uuid, NULL))
    g_hash_table_add (manager->unconfirmed, g_strdup (uuid));
}

/* Of those that live here, the tickets in their metadata are not known yet. */
static void
note_unheard (Manager *manager, GPtrArray *uuids)
{
  for (guint i = 0; i < uuids->len; i++) {
    const char *uuid = g_ptr_array_index (uuids, i);
    const Guest *guest = g_hash_table_lookup (manager->guests, uuid);

    if (guest != NULL && guest_is_unheard (guest))
      g_hash_table_add (manager->unheard, g_strdup (uuid));
  }
}

static void
on_listed (GPtrArray *uuids, gpointer user_data)
{
  Manager *manager = user_data;
  GHashTableIter gone;
  gpointer uuid;
  EventEntry *entry = event_entry_new (EVENT_LIBVIRT_CONNECTED, NULL, NULL);

  event_entry_add_uint (entry, "CLOCKFERRY_DOMAINS", uuids->len);
  event_entry_log (entry, "following libvirt, with %u running domains", uuids->len);
  bus_service_set_libvirt_problem (manager->service, NULL);

  for (guint i = 0; i < uuids->len; i++)
    g_hash_table_remove (manager->unconfirmed, g_ptr_array_index (uuids, i));
  g_hash_table_iter_init (&gone, manager->unconfirmed);
  while (g_hash_table_iter_next (&gone, &uuid, NULL))
    input (manager, uuid, MIGRATION_INPUT_NOT_LISTED);
  for (guint i = 0; i < uuids->len; i++)
    input (manager, g_ptr_array_index (uuids, i), MIGRATION_INPUT_LISTED);
  if (!manager->host.has_listed)
    note_unheard (manager, uuids);
  manager->host.has_listed = TRUE;
}

static void
on_event (const char *uuid, int event, int detail, gpointer user_data)
{
  Manager *manager = user_data;

  g_debug ("domain %s: event %d, detail %d", uuid, event, detail);
  /* it may have come after libvirt answered ListDomains, and the answer after it */
  g_hash_table_remove (manager->unconfirmed, uuid);
  input (manager, uuid, migration_input_from_event (event, detail));
}

/* Our own element changes by our own doing. */
static void
on_metadata (const char *uuid, const char *uri, gpointer user_data)
{
  if (g_str_equal (uri, CLOCKFERRY_POLICY_NS))
    input (user_data, uuid, MIGRATION_INPUT_POLICY_CHANGED);
}

static void
on_lost (const GError *error, gpointer user_data)
{
  Manager *manager = user_data;

  bus_service_set_libvirt_problem (manager->service, error->message);
  event_entry_log (event_entry_new (EVENT_LIBVIRT_LOST, NULL, NULL),
                   "libvirt cannot be followed, migrations will be stock until it can: %s",
                   error->message);
}

static const LibvirtWatchCallbacks watch_callbacks = {
  .listing = on_listing,
  .listed = on_listed,
  .event = on_event,
  .metadata = on_metadata,
  .lost = on_lost,
};

/* peers */

static const char *
look_up_ticket (const char *domain, bool *is_early, gpointer user_data)
{
  Manager *manager = user_data;
  Guest *guest = g_hash_table_lookup (manager->guests, domain);

  *is_early = !manager->host.has_listed || g_hash_table_size (manager->unheard) > 0;
  return guest != NULL ? guest_get_ticket (guest) : NULL;
}

static void
on_claimed (PeerListener *listener, const char *domain, const char *migration, const char *address,
            gpointer user_data)
{
  Manager *manager = user_data;

  /* it is there: look_up_ticket() found it a moment ago */
  guest_claim (g_hash_table_lookup (manager->guests, domain), migration, address);
}

static void
on_gone (PeerListener *listener, const char *domain, const char *migration, gpointer user_data)
{
  Manager *manager = user_data;
  Guest *guest = g_hash_table_lookup (manager->guests, domain);

  if (guest != NULL)
    guest_lose_claim (guest, migration);
}

static void
on_abandoned (PeerListener *listener, const char *domain, const char *migration, gpointer user_data)
{
  Manager *manager = user_data;
  Guest *guest = g_hash_table_lookup (manager->guests, domain);

  if (guest != NULL)
    guest_give_up_claim (guest, migration);
}

static void
on_refused (PeerListener *listener, const GError *error, gpointer user_data)
{
  Manager *manager = user_data;

  refusal_log_take (manager->refusals, error->message);
}

/* the bus */

static void
on_migration_entry (const EventEntry *entry, gpointer user_data)
{
  Manager *manager = user_data;

  bus_service_take_entry (manager->service, entry);
}

static void
on_guest_changed (const char *uuid, gpointer user_data)
{
  Manager *manager = user_data;
  const Guest *guest = g_hash_table_lookup (manager->guests, uuid);
  GuestView view;

  if (!guest_is_unheard (guest))
    g_hash_table_remove (manager->unheard, uuid);
  guest_get_view (guest, &view);
  bus_service_set_domain (manager->service, uuid, &view);
}

static gboolean
on_reload (gpointer user_data, GError **error)
{
  return manager_reload (user_data, error);
}

/* settings */

static void
log_rejected (const GError *error)
{
  EventEntry *entry = event_entry_new (EVENT_SETTINGS_REJECTED, NULL, NULL);

  event_entry_add (entry, "CLOCKFERRY_REASON", error->message);
  event_entry_log (entry, "the settings stay as they were: %s", error->message);
}

/* @waiting: keys that wait for a restart, with spaces between, or empty. */
static void
log_reloaded (const Settings *settings, const char *waiting)
{
  EventEntry *entry = event_entry_new (EVENT_SETTINGS_RELOADED, NULL, NULL);
  g_autofree char *peers = settings_get_text (settings, "AllowedPeers");
  gboolean has_waiting = *waiting != '\0';

  event_entry_add (entry, "CLOCKFERRY_MODE", settings_mode_name (settings->mode));
  event_entry_add (entry, "CLOCKFERRY_HOST_CLOCK", host_clock_mode_name (settings->host_clock));
  event_entry_add_uint (entry, "CLOCKFERRY_MAX_ADVANCE_S", settings->max_advance_s);
  event_entry_add (entry, "CLOCKFERRY_ALLOWED_PEERS", peers);
  event_entry_add (entry, "CLOCKFERRY_RESTART_NEEDED", has_waiting ? waiting : NULL);
  event_entry_log (entry,
                   "the settings are in force from now on: Mode=%s, HostClock=%s, MaxAdvanceSec=%u"
                   "%s%s%s%s",
                   settings_mode_name (settings->mode), host_clock_mode_name (settings->host_clock),
                   settings->max_advance_s, peers != NULL ? ", AllowedPeers=" : "",
                   peers != NULL ? peers : "", has_waiting ? "; these wait for a restart: " : "",
                   waiting);
}

/* public functions */

Manager *
manager_new_with_folders (GDBusConnection *bus, Settings *settings, GTlsCertificate *identity,
                          const QemuFolders *folders, GError **error)
{
  g_autoptr (Manager) manager = g_new0 (Manager, 1);
  PeerAuthority *authority = NULL; /* owned by the host context */
  EventEntry *entry;

  manager->settings = settings;
  manager->refusals = refusal_log_new (0);
  manager->guests =
    g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) guest_free);
  manager->unheard = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  manager->unconfirmed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  manager->pin = identity_pin (identity, error);
  if (manager->pin == NULL)
    return NULL;
  if (settings->certificate_authority != NULL) {
    authority = peer_authority_new (settings->certificate_authority,
                                    (const char *const *) settings->allowed_peers, identity, error);
    if (authority == NULL)
      return NULL;
  }
  manager->address = g_strdup (settings->address != NULL ? settings->address : g_get_host_name ());
  manager->host = (HostContext){
    .bus = g_object_ref (bus),
    .driver_path = LIBVIRT_QEMU_PATH,
    .settings = settings,
    .address = manager->address,
    .pin = manager->pin,
    .folders = *folders,
    .authority = authority,
    .listener = peer_listener_new (identity, authority, look_up_ticket, manager),
    .observer = observer_link_new (folders->observer_socket),
    .migration_observer = { on_migration_entry, manager },
    .guest_changed = on_guest_changed,
    .user_data = manager,
  };
  /* all that can be asked for is there before the name is */
  manager->service = bus_service_new (bus, on_reload, manager);
  bus_service_set_address (manager->service, manager->address, settings->port, manager->pin);
  bus_service_set_settings (manager->service, settings);
  if (!bus_service_own_name (manager->service, error))
    return NULL;
  g_signal_connect (manager->host.listener, "claimed", G_CALLBACK (on_claimed), manager);
  g_signal_connect (manager->host.listener, "gone", G_CALLBACK (on_gone), manager);
  g_signal_connect (manager->host.listener, "abandoned", G_CALLBACK (on_abandoned), manager);
  g_signal_connect (manager->host.listener, "refused", G_CALLBACK (on_refused), manager);
  if (!peer_listener_start (manager->host.listener, settings->listen_address, settings->port,
                            error))
    return NULL;

  entry = event_entry_new (EVENT_DAEMON_READY, NULL, NULL);
  event_entry_add (entry, "CLOCKFERRY_ADDRESS", manager->address);
  event_entry_add_uint (entry, "CLOCKFERRY_PORT", settings->port);
  event_entry_add (entry, "CLOCKFERRY_PIN", manager->pin);
  event_entry_log (entry, "listening for peers as %s, port %u", manager->address,
                   (guint) settings->port);
  manager->watch = libvirt_watch_new (bus, manager->host.driver_path, &watch_callbacks, manager);
  return g_steal_pointer (&manager);
}

Manager *
manager_new (GDBusConnection *bus, Settings *settings, GTlsCertificate *identity, GError **error)
{
  const QemuFolders folders = { 0 };

  return manager_new_with_folders (bus, settings, identity, &folders, error);
}

gboolean
manager_reload (Manager *manager, GError **error)
{
  g_autoptr (GError) reload_error = NULL;
  g_auto (GStrv) waiting = settings_reload (manager->settings, &reload_error);
  g_autofree char *waiting_text = NULL;

  if (waiting == NULL) {
    log_rejected (reload_error);
    g_propagate_error (error, g_steal_pointer (&reload_error));
    return FALSE;
  }
  if (manager->host.authority != NULL)
    peer_authority_set_allowed_peers (manager->host.authority,
                                      (const char *const *) manager->settings->allowed_peers);
  bus_service_set_settings (manager->service, manager->settings);
  observer_link_ask_again (manager->host.observer);
  waiting_text = g_strjoinv (" ", waiting);
  log_reloaded (manager->settings, waiting_text);
  if (waiting[0] == NULL)
    return TRUE;
  g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NEEDS_RESTART,
               "these wait for systemctl restart clockferryd: %s; all else is in force",
               waiting_text);
  return FALSE;
}

void
manager_free (Manager *manager)
{
  g_clear_pointer (&manager->watch, libvirt_watch_free);
  if (manager->host.listener != NULL)
    g_signal_handlers_disconnect_by_data (manager->host.listener, manager);
  g_clear_pointer (&manager->guests, g_hash_table_unref);
  g_clear_pointer (&manager->host.observer, observer_link_free);
  g_clear_pointer (&manager->unheard, g_hash_table_unref);
  g_clear_pointer (&manager->unconfirmed, g_hash_table_unref);
  if (manager->host.listener != NULL)
    peer_listener_stop (manager->host.listener);
  g_clear_object (&manager->host.listener);
  g_clear_pointer (&manager->refusals, refusal_log_free);
  g_clear_pointer (&manager->service, bus_service_free);
  g_clear_object (&manager->host.authority);
  g_clear_object (&manager->host.bus);
  g_free (manager->address);
  g_free (manager->pin);
  g_free (manager);
}
