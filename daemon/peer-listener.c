/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-listener.h"

#include "error.h"
#include "peer-crowd.h"
#include "peer-room.h"

struct _PeerListener {
  GObject parent_instance;

  /* what every connection gets */
  GTlsCertificate *certificate;
  PeerAuthority *authority; /* or NULL */
  PeerTicketLookup lookup;
  gpointer lookup_data;
  guint claim_ms;

  GSocketService *service; /* NULL while not listening */
  uint16_t port;

  guint make_room_id; /* for the next handshake, while there is none */

  PeerRoom room;
};

enum {
  PROP_0,
  PROP_CLAIM_MS,
};

enum {
  SIGNAL_CLAIMED,
  SIGNAL_GONE,
  SIGNAL_ABANDONED,
  SIGNAL_REFUSED,
  SIGNAL_COUNT,
};

static guint signals[SIGNAL_COUNT];

G_DEFINE_FINAL_TYPE (PeerListener, peer_listener, G_TYPE_OBJECT)

/* callbacks and signals */
static gboolean on_make_room (gpointer user_data);

/* internal methods */

/*
 * The connections that serve @domain, each with a reference of its own: sending to one may find it
 * closed, and takes it off the queue then.
 */
static GPtrArray *
list_claimants (PeerListener *self, const char *domain)
{
  GPtrArray *claimants = g_ptr_array_new_with_free_func (g_object_unref);

  for (GList *l = self->room.claimed.head; l != NULL; l = l->next) {
    if (g_str_equal (peer_connection_get_domain (l->data), domain))
      g_ptr_array_add (claimants, g_object_ref (l->data));
  }
  return claimants;
}

static void
close_all (GQueue *connections)
{
  PeerConnection *connection;

  /* "closed" takes it off the queue */
  while ((connection = g_queue_peek_head (connections)) != NULL)
    peer_connection_close (connection, "this daemon takes no more");
}

/* How long a handshake may take while @ready others wait for theirs: so that none waits for more than
 * PEER_LISTENER_READY_MS. */
static gint64
get_handshake_ms (guint ready)
{
  return MIN (PEER_LISTENER_HANDSHAKE_MS,
              PEER_LISTENER_READY_MS * PEER_LISTENER_HANDSHAKES_MAX / ready);
}

/* Let those who wait for their handshake have it. */
static void
shake_next_hands (PeerListener *self)
{
  while (self->service != NULL) {
    PeerConnection *next = peer_crowd_find_lonely (&self->room.strangers, PEER_PHASE_READY);
    PeerConnection *slowest;
    gint64 left_ms;

    g_clear_handle_id (&self->make_room_id, g_source_remove);
    if (next == NULL)
      return;
    if (peer_crowd_count_in (&self->room.strangers, PEER_PHASE_SHAKING) <
        PEER_LISTENER_HANDSHAKES_MAX) {
      peer_connection_shake_hands (next, self->certificate, self->authority);
      continue;
    }
    slowest = peer_crowd_find_crowded (&self->room.strangers, PEER_PHASE_SHAKING);
    left_ms = get_handshake_ms (peer_crowd_count_in (&self->room.strangers, PEER_PHASE_READY)) -
              (g_get_monotonic_time () - peer_connection_get_phase_since_us (slowest)) / 1000;
    if (left_ms > 0) {
      self->make_room_id = g_timeout_add ((guint) left_ms, on_make_room, self);
      return;
    }
    /* comes back here from on_connection_closed() */
    peer_connection_close (slowest, "its TLS handshake took long, and others waited");
  }
}

/* callbacks and signals */

static gboolean
on_make_room (gpointer user_data)
{
  PeerListener *self = user_data;

  self->make_room_id = 0;
  shake_next_hands (self);
  return G_SOURCE_REMOVE;
}

static void
on_refused (const GError *error, gpointer user_data)
{
  g_signal_emit (user_data, signals[SIGNAL_REFUSED], 0, error);
}

/* PeerClaimGate */
static const char *
on_claim (PeerConnection *connection, gpointer user_data)
{
  PeerListener *self = user_data;

  return peer_room_make_for_claim (&self->room, connection);
}

static void
on_connection_advanced (PeerConnection *connection, gpointer user_data)
{
  PeerListener *self = user_data;

  switch (peer_connection_get_phase (connection)) {
  case PEER_PHASE_READY:
  case PEER_PHASE_STRANGER:
    shake_next_hands (self);
    break;
  case PEER_PHASE_CLAIMED:
    g_queue_remove (&self->room.strangers, connection);
    g_queue_push_tail (&self->room.claimed, connection);
    g_signal_emit (self, signals[SIGNAL_CLAIMED], 0, peer_connection_get_domain (connection),
                   peer_connection_get_migration (connection),
                   peer_connection_get_address (connection));
    break;
  case PEER_PHASE_SILENT:
  case PEER_PHASE_SHAKING:
  case PEER_PHASE_CHECKED:
    break;
  }
}

static void
on_connection_abandoned (PeerConnection *connection, gpointer user_data)
{
  g_signal_emit (user_data, signals[SIGNAL_ABANDONED], 0, peer_connection_get_domain (connection),
                 peer_connection_get_migration (connection));
}

static void
on_connection_closed (PeerConnection *connection, const GError *error, gpointer user_data)
{
  PeerListener *self = user_data;
  g_autoptr (PeerConnection) owned = connection;

  if (g_queue_remove (&self->room.strangers, connection)) {
    /* a check is over when it is over */
    if (peer_connection_get_phase (connection) != PEER_PHASE_CHECKED)
      g_signal_emit (self, signals[SIGNAL_REFUSED], 0, error);
    shake_next_hands (self);
  } else if (g_queue_remove (&self->room.claimed, connection)) {
    g_signal_emit (self, signals[SIGNAL_GONE], 0, peer_connection_get_domain (connection),
                   peer_connection_get_migration (connection));
  }
}

static gboolean
on_incoming (GSocketService *service, GSocketConnection *socket, GObject *source,
             gpointer user_data)
{
  PeerListener *self = user_data;
  PeerConnection *connection = peer_connection_new (socket, self->lookup, self->lookup_data);

  if (!peer_room_make_for_stranger (&self->room, connection)) {
    (void) g_io_stream_close (G_IO_STREAM (socket), NULL, NULL);
    g_object_unref (connection);
    return TRUE;
  }

  g_queue_push_tail (&self->room.strangers, connection);
  g_signal_connect_object (connection, "advanced", G_CALLBACK (on_connection_advanced), self, 0);
  g_signal_connect_object (connection, "abandoned", G_CALLBACK (on_connection_abandoned), self, 0);
  g_signal_connect_object (connection, "closed", G_CALLBACK (on_connection_closed), self, 0);
  peer_connection_set_gate (connection, on_claim, self);
  peer_connection_start (connection, self->claim_ms);
  return TRUE;
}

/* GObject */

static void
peer_listener_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  PeerListener *self = PEER_LISTENER (object);

  switch (id) {
  case PROP_CLAIM_MS:
    self->claim_ms = g_value_get_uint (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
peer_listener_dispose (GObject *object)
{
  PeerListener *self = PEER_LISTENER (object);

  peer_listener_stop (self);
  g_clear_object (&self->certificate);
  g_clear_object (&self->authority);
  G_OBJECT_CLASS (peer_listener_parent_class)->dispose (object);
}

static void
peer_listener_class_init (PeerListenerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->set_property = peer_listener_set_property;
  object_class->dispose = peer_listener_dispose;

  g_object_class_install_property (
    object_class, PROP_CLAIM_MS,
    g_param_spec_uint ("claim-ms", NULL, NULL, 1, G_MAXINT, PEER_LISTENER_CLAIM_MS,
                       G_PARAM_WRITABLE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS));

  signals[SIGNAL_CLAIMED] = g_signal_new ("claimed", PEER_TYPE_LISTENER, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 3, G_TYPE_STRING, G_TYPE_STRING,
                                          G_TYPE_STRING);
  signals[SIGNAL_GONE] = g_signal_new ("gone", PEER_TYPE_LISTENER, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                       NULL, G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_STRING);
  signals[SIGNAL_ABANDONED] = g_signal_new ("abandoned", PEER_TYPE_LISTENER, G_SIGNAL_RUN_LAST, 0,
                                            NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_STRING,
                                            G_TYPE_STRING);
  signals[SIGNAL_REFUSED] = g_signal_new ("refused", PEER_TYPE_LISTENER, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
peer_listener_init (PeerListener *self)
{
  peer_room_init (&self->room, on_refused, self);
}

/* public methods */

PeerListener *
peer_listener_new (GTlsCertificate *certificate, PeerAuthority *authority, PeerTicketLookup lookup,
                   gpointer lookup_data)
{
  PeerListener *self = g_object_new (PEER_TYPE_LISTENER, NULL);

  self->certificate = g_object_ref (certificate);
  g_set_object (&self->authority, authority);
  self->lookup = lookup;
  self->lookup_data = lookup_data;
  return self;
}

bool
peer_listener_start (PeerListener *self, const char *address, uint16_t port, GError **error)
{
  g_autoptr (GSocketService) service = g_socket_service_new ();
  GSocketListener *listener = G_SOCKET_LISTENER (service);
  g_autoptr (GSocketAddress) wanted = NULL;
  g_autoptr (GSocketAddress) effective = NULL;
  uint16_t wanted_port = port;

  g_return_val_if_fail (self->service == NULL, false);
  g_return_val_if_fail (error == NULL || *error == NULL, false);

  /* GSocketListener's ten would not outlast one iteration of a busy main loop */
  g_socket_listener_set_backlog (listener, PEER_LISTENER_STRANGERS_MAX);
  if (address != NULL) {
    wanted = g_inet_socket_address_new_from_string (address, port);
    if (wanted == NULL) {
      g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_FAILED,
                   "cannot listen for other hosts: \"%s\" is not an IP address", address);
      return false;
    }
    if (g_socket_listener_add_address (listener, wanted, G_SOCKET_TYPE_STREAM,
                                       G_SOCKET_PROTOCOL_TCP, NULL, &effective, error))
      port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (effective));
    else
      port = 0;
  } else if (port == 0) {
    port = g_socket_listener_add_any_inet_port (listener, NULL, error);
  } else if (!g_socket_listener_add_inet_port (listener, port, NULL, error)) {
    port = 0;
  }
  if (port == 0) {
    g_prefix_error (error, "cannot listen for other hosts at %s, port %u: ",
                    address == NULL ? "any address" : address, wanted_port);
    return false;
  }

  g_signal_connect_object (service, "incoming", G_CALLBACK (on_incoming), self, 0);
  g_socket_service_start (service);
  self->service = g_steal_pointer (&service);
  self->port = port;
  return true;
}

void
peer_listener_stop (PeerListener *self)
{
  if (self->service != NULL) {
    g_socket_service_stop (self->service);
    g_socket_listener_close (G_SOCKET_LISTENER (self->service));
    g_clear_object (&self->service);
    self->port = 0;
  }
  g_clear_handle_id (&self->make_room_id, g_source_remove);
  close_all (&self->room.strangers);
  close_all (&self->room.claimed);
}

uint16_t
peer_listener_get_port (PeerListener *self)
{
  return self->port;
}

bool
peer_listener_has_claim (PeerListener *self, const char *domain, const char *migration)
{
  for (GList *l = self->room.claimed.head; l != NULL; l = l->next) {
    if (g_str_equal (peer_connection_get_domain (l->data), domain) &&
        g_str_equal (peer_connection_get_migration (l->data), migration))
      return true;
  }
  return false;
}

guint
peer_listener_push_record (PeerListener *self, const char *domain, GBytes *record)
{
  g_autoptr (GPtrArray) claimants = list_claimants (self, domain);

  for (guint i = 0; i < claimants->len; i++)
    peer_connection_push_record (claimants->pdata[i], record);
  return claimants->len;
}

void
peer_listener_withdraw (PeerListener *self, const char *domain, const char *reason)
{
  g_autoptr (GPtrArray) claimants = list_claimants (self, domain);

  for (guint i = 0; i < claimants->len; i++)
    peer_connection_withdraw (claimants->pdata[i], reason);
}

void
peer_listener_release (PeerListener *self, const char *domain)
{
  g_autoptr (GPtrArray) claimants = list_claimants (self, domain);

  for (guint i = 0; i < claimants->len; i++)
    peer_connection_close (claimants->pdata[i], "the domain is no longer here");
}
