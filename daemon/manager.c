/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager.h"

#include "event-log.h"
#include "guest.h"
#include "identity.h"
#include "libvirt-watch.h"
#include "names.h"
#include "peer-listener.h"

struct Manager {
  HostContext host;
  char *address;
  char *pin;
  LibvirtWatch *watch;
  GHashTable *guests;      /* UUID -> Guest */
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

static void
on_listed (GPtrArray *uuids, gpointer user_data)
{
  Manager *manager = user_data;
  GHashTableIter gone;
  gpointer uuid;
  EventEntry *entry = event_entry_new (EVENT_LIBVIRT_CONNECTED, NULL, NULL);

  event_entry_add_uint (entry, "CLOCKFERRY_DOMAINS", uuids->len);
  event_entry_log (entry, "following libvirt, with %u running domains", uuids->len);

  for (guint i = 0; i < uuids->len; i++)
    g_hash_table_remove (manager->unconfirmed, g_ptr_array_index (uuids, i));
  g_hash_table_iter_init (&gone, manager->unconfirmed);
  while (g_hash_table_iter_next (&gone, &uuid, NULL))
    input (manager, uuid, MIGRATION_INPUT_NOT_LISTED);
  for (guint i = 0; i < uuids->len; i++)
    input (manager, g_ptr_array_index (uuids, i), MIGRATION_INPUT_LISTED);
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
look_up_ticket (const char *domain, gpointer user_data)
{
  Manager *manager = user_data;
  Guest *guest = g_hash_table_lookup (manager->guests, domain);

  return guest != NULL ? guest_get_ticket (guest) : NULL;
}

static void
on_claimed (PeerListener *listener, const char *domain, const char *address, gpointer user_data)
{
  EventEntry *entry = event_entry_new (EVENT_DEPARTURE_CLAIMED, domain, NULL);

  event_entry_add (entry, "CLOCKFERRY_PEER", address);
  event_entry_log (entry, "the daemon at %s claimed the clock record of domain %s", address,
                   domain);
  input (user_data, domain, MIGRATION_INPUT_CLAIMED);
}

static void
on_refused (PeerListener *listener, const GError *error, gpointer user_data)
{
  event_entry_log (event_entry_new (EVENT_PEER_REFUSED, NULL, NULL), "a client was refused: %s",
                   error->message);
}

/* public functions */

Manager *
manager_new_with_folders (GDBusConnection *bus, const Settings *settings, GTlsCertificate *identity,
                          const QemuFolders *folders, GError **error)
{
  g_autoptr (Manager) manager = g_new0 (Manager, 1);
  PeerAuthority *authority = NULL; /* owned by the host context */
  EventEntry *entry;

  manager->guests =
    g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) guest_free);
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
  };
  g_signal_connect (manager->host.listener, "claimed", G_CALLBACK (on_claimed), manager);
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
manager_new (GDBusConnection *bus, const Settings *settings, GTlsCertificate *identity,
             GError **error)
{
  const QemuFolders folders = { 0 };

  return manager_new_with_folders (bus, settings, identity, &folders, error);
}

void
manager_free (Manager *manager)
{
  g_clear_pointer (&manager->watch, libvirt_watch_free);
  if (manager->host.listener != NULL)
    g_signal_handlers_disconnect_by_data (manager->host.listener, manager);
  g_clear_pointer (&manager->guests, g_hash_table_unref);
  g_clear_pointer (&manager->unconfirmed, g_hash_table_unref);
  if (manager->host.listener != NULL)
    peer_listener_stop (manager->host.listener);
  g_clear_object (&manager->host.listener);
  g_clear_object (&manager->host.authority);
  g_clear_object (&manager->host.bus);
  g_free (manager->address);
  g_free (manager->pin);
  g_free (manager);
}
