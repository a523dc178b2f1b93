/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_DOMAIN "clockferry-peer"

#include "peer-connection.h"

#include "error.h"
#include "peer-origin.h"
#include "peer-stream.h"
#include "peer-tls.h"

#include <stdbool.h>

struct _PeerConnection {
  GObject parent_instance;

  /* transport, outermost last */
  GSocketConnection *socket;
  GTlsConnection *tls;
  PeerService *service; /* NULL until the peer is encrypted */
  char *address;
  char *origin;
  PeerAuthority *authority; /* NULL: the ticket is all */

  /* what the service gets */
  PeerTicketLookup lookup;
  gpointer lookup_data;
  PeerClaimGate gate; /* or NULL */
  gpointer gate_data;

  /* the way there */
  PeerPhase phase;
  gint64 phase_since_us; /* g_get_monotonic_time() */
  GSource *first_bytes;
  guint deadline_id;
  GCancellable *cancellable; /* of the handshake */
  bool closed;
};

enum {
  SIGNAL_ADVANCED,
  SIGNAL_ABANDONED,
  SIGNAL_CLOSED,
  SIGNAL_COUNT,
};

static guint signals[SIGNAL_COUNT];

G_DEFINE_FINAL_TYPE (PeerConnection, peer_connection, G_TYPE_OBJECT)

/* internal methods */

static void
connection_drop_sources (PeerConnection *self)
{
  if (self->first_bytes != NULL)
    g_source_destroy (self->first_bytes);
  g_clear_pointer (&self->first_bytes, g_source_unref);
  g_clear_handle_id (&self->deadline_id, g_source_remove);
}

static void
connection_advance (PeerConnection *self, PeerPhase phase)
{
  self->phase = phase;
  self->phase_since_us = g_get_monotonic_time ();
  g_signal_emit (self, signals[SIGNAL_ADVANCED], 0);
}

/* End the connection and say why. Safe in every state, and only the first call counts. */
static void
connection_end (PeerConnection *self, const GError *reason)
{
  if (self->closed)
    return;
  self->closed = true;

  connection_drop_sources (self);
  /* a handshake under way ends now and drops the last reference to the socket */
  g_cancellable_cancel (self->cancellable);
  if (self->service != NULL)
    peer_service_stop (self->service);
  g_signal_emit (self, signals[SIGNAL_CLOSED], 0, reason);
}

static void
connection_fail (PeerConnection *self, GError *error, const char *step)
{
  g_prefix_error (&error, "%s with %s failed: ", step, self->address);
  connection_end (self, error);
  g_error_free (error);
}

static void
connection_note_peer (PeerConnection *self)
{
  g_autoptr (GSocketAddress) address = g_socket_connection_get_remote_address (self->socket, NULL);
  GInetAddress *inet_address;

  /* the peer may be gone already; what follows notices */
  if (!G_IS_INET_SOCKET_ADDRESS (address)) {
    self->address = g_strdup ("unknown");
    self->origin = g_strdup (self->address);
    return;
  }
  inet_address = g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (address));
  self->address = g_inet_address_to_string (inet_address);
  self->origin = peer_origin_describe (inet_address);
}

/* callbacks and signals */

static gboolean
on_deadline (gpointer user_data)
{
  PeerConnection *self = user_data;
  g_autoptr (GError) error = NULL;

  self->deadline_id = 0;
  error = g_error_new (CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_TIMED_OUT, "%s claimed no domain in time",
                       self->address);
  connection_end (self, error);
  return G_SOURCE_REMOVE;
}

static gboolean
on_first_bytes (GSocket *socket, GIOCondition condition, gpointer user_data)
{
  PeerConnection *self = user_data;

  g_clear_pointer (&self->first_bytes, g_source_unref);
  connection_advance (self, PEER_PHASE_READY);
  return G_SOURCE_REMOVE;
}

/* service callbacks */

static const char *
on_find_obstacle (gpointer user_data)
{
  PeerConnection *self = user_data;

  return self->gate != NULL ? self->gate (self, self->gate_data) : NULL;
}

static void
on_claimed (gpointer user_data)
{
  PeerConnection *self = user_data;

  g_clear_handle_id (&self->deadline_id, g_source_remove);
  connection_advance (self, PEER_PHASE_CLAIMED);
}

/* The time for a claim goes on running, and ends this connection. */
static void
on_checked (gpointer user_data)
{
  connection_advance (user_data, PEER_PHASE_CHECKED);
}

static void
on_abandoned (gpointer user_data)
{
  /* whoever hears of it may close it */
  g_autoptr (PeerConnection) self = g_object_ref (user_data);
  g_autoptr (GError)
    error = g_error_new (G_IO_ERROR, G_IO_ERROR_CLOSED, "closed by its peer's abandoning");

  g_signal_emit (self, signals[SIGNAL_ABANDONED], 0);
  connection_end (self, error);
}

static void
on_ended (const GError *error, gpointer user_data)
{
  connection_end (user_data, error);
}

static const PeerServiceCallbacks service_callbacks = {
  .find_obstacle = on_find_obstacle,
  .claimed = on_claimed,
  .checked = on_checked,
  .abandoned = on_abandoned,
  .ended = on_ended,
};

/* the steps to a service */

static void
on_handshake_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (PeerConnection) self = user_data;
  g_autoptr (GError) tls_error = NULL;
  GError *error = NULL;
  GTlsCertificate *certificate;
  bool done = g_tls_connection_handshake_finish (G_TLS_CONNECTION (source), result, &tls_error);

  if (self->closed)
    return;
  /* asked even after success, so that nobody comes in by resuming a session; after a failure it may
   * have been the reason */
  certificate = g_tls_connection_get_peer_certificate (self->tls);
  if (self->authority != NULL && (done || certificate != NULL) &&
      !peer_authority_check (self->authority, certificate, PEER_ROLE_CLIENT, &error)) {
    connection_fail (self, error, "TLS handshake");
    return;
  }
  if (!done) {
    connection_fail (self, g_steal_pointer (&tls_error), "TLS handshake");
    return;
  }
  if (g_tls_connection_get_protocol_version (self->tls) != G_TLS_PROTOCOL_VERSION_TLS_1_3) {
    connection_fail (self,
                     g_error_new (CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE,
                                  "the peer does not speak TLS 1.3"),
                     "TLS handshake");
    return;
  }

  self->service = peer_service_new (G_IO_STREAM (self->tls), self->address, self->lookup,
                                    self->lookup_data, &service_callbacks, self, &error);
  if (self->service == NULL) {
    connection_fail (self, error, "setting up D-Bus");
    return;
  }
  connection_advance (self, PEER_PHASE_STRANGER);
}

/* GObject */

static void
peer_connection_finalize (GObject *object)
{
  PeerConnection *self = PEER_CONNECTION (object);

  connection_drop_sources (self);
  g_clear_pointer (&self->service, peer_service_free);
  g_clear_object (&self->tls);
  g_clear_object (&self->authority);
  g_clear_object (&self->socket);
  g_clear_object (&self->cancellable);
  g_free (self->origin);
  g_free (self->address);
  G_OBJECT_CLASS (peer_connection_parent_class)->finalize (object);
}

static void
peer_connection_class_init (PeerConnectionClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = peer_connection_finalize;

  signals[SIGNAL_ADVANCED] = g_signal_new ("advanced", PEER_TYPE_CONNECTION, G_SIGNAL_RUN_LAST, 0,
                                           NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_ABANDONED] = g_signal_new ("abandoned", PEER_TYPE_CONNECTION, G_SIGNAL_RUN_LAST, 0,
                                            NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_CLOSED] = g_signal_new ("closed", PEER_TYPE_CONNECTION, G_SIGNAL_RUN_LAST, 0, NULL,
                                         NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
peer_connection_init (PeerConnection *self)
{
  self->cancellable = g_cancellable_new ();
}

/* public methods */

PeerConnection *
peer_connection_new (GSocketConnection *socket, PeerTicketLookup lookup, gpointer lookup_data)
{
  PeerConnection *self = g_object_new (PEER_TYPE_CONNECTION, NULL);

  self->socket = g_object_ref (socket);
  connection_note_peer (self);
  self->phase_since_us = g_get_monotonic_time ();
  self->lookup = lookup;
  self->lookup_data = lookup_data;
  return self;
}

void
peer_connection_set_gate (PeerConnection *self, PeerClaimGate gate, gpointer user_data)
{
  self->gate = gate;
  self->gate_data = user_data;
}

void
peer_connection_start (PeerConnection *self, guint claim_ms)
{
  GSocket *socket = g_socket_connection_get_socket (self->socket);

  g_return_if_fail (self->deadline_id == 0);

  peer_stream_tune_socket (socket);
  self->deadline_id = g_timeout_add (claim_ms, on_deadline, self);
  self->first_bytes = g_socket_create_source (socket, G_IO_IN, NULL);
  g_source_set_callback (self->first_bytes, G_SOURCE_FUNC (on_first_bytes), self, NULL);
  g_source_attach (self->first_bytes, NULL);
}

void
peer_connection_shake_hands (PeerConnection *self, GTlsCertificate *certificate,
                             PeerAuthority *authority)
{
  GError *error = NULL;

  g_return_if_fail (self->phase == PEER_PHASE_READY && !self->closed);

  self->tls = peer_tls_new_server (self->socket, certificate, &error);
  if (self->tls == NULL) {
    connection_fail (self, error, "setting up TLS");
    return;
  }
  if (g_set_object (&self->authority, authority))
    peer_authority_demand (authority, self->tls);
  g_tls_connection_handshake_async (self->tls, G_PRIORITY_DEFAULT, self->cancellable,
                                    on_handshake_done, g_object_ref (self));
  connection_advance (self, PEER_PHASE_SHAKING);
}

PeerPhase
peer_connection_get_phase (PeerConnection *self)
{
  return self->phase;
}

gint64
peer_connection_get_phase_since_us (PeerConnection *self)
{
  return self->phase_since_us;
}

bool
peer_connection_has_spoken (PeerConnection *self)
{
  return self->phase != PEER_PHASE_SILENT ||
         g_socket_condition_check (g_socket_connection_get_socket (self->socket), G_IO_IN) != 0;
}

const char *
peer_connection_get_domain (PeerConnection *self)
{
  return self->service != NULL ? peer_service_get_domain (self->service) : NULL;
}

const char *
peer_connection_get_migration (PeerConnection *self)
{
  return self->service != NULL ? peer_service_get_migration (self->service) : NULL;
}

const char *
peer_connection_get_address (PeerConnection *self)
{
  return self->address;
}

const char *
peer_connection_get_origin (PeerConnection *self)
{
  return self->origin;
}

void
peer_connection_push_record (PeerConnection *self, GBytes *record)
{
  if (self->service != NULL)
    peer_service_push_record (self->service, record);
}

void
peer_connection_withdraw (PeerConnection *self, const char *reason)
{
  if (self->service != NULL)
    peer_service_withdraw (self->service, reason);
}

void
peer_connection_close (PeerConnection *self, const char *why)
{
  g_autoptr (GError) error = g_error_new (G_IO_ERROR, G_IO_ERROR_CLOSED,
                                          "closed the connection of %s: %s", self->address, why);

  connection_end (self, error);
}
