/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_DOMAIN "clockferry-peer"

#include "peer-connection.h"

#include "error.h"
#include "host-clock.h"
#include "migration-id.h"
#include "names.h"
#include "peer-bus.h"
#include "peer-stream.h"

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <string.h>

/* A Claim takes some 300 bytes, all else fewer. */
#define REQUEST_MAX_BYTES 4096

#define TICKET_LENGTH 64

struct _PeerConnection {
  GObject parent_instance;

  /* transport, outermost last */
  GSocketConnection *socket;
  GTlsConnection *tls;
  GDBusConnection *bus;
  BusPeer *skeleton;
  char *address;
  PeerAuthority *authority; /* NULL: the ticket is all */

  /* the claim */
  PeerTicketLookup lookup;
  gpointer lookup_data;
  char *domain;    /* NULL until claimed */
  char *migration; /* likewise */

  /* the way there */
  PeerPhase phase;
  GSource *first_bytes;
  gint64 shaking_since_us;
  guint deadline_id;
  GCancellable *cancellable; /* of the steps before the bus is up */
  bool closed;
};

enum {
  SIGNAL_ADVANCED,
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
  g_signal_emit (self, signals[SIGNAL_ADVANCED], 0);
}

static void
on_flushed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  /* whether the peer got the last words or not, it is over */
  (void) g_dbus_connection_flush_finish (G_DBUS_CONNECTION (source), result, NULL);
  g_dbus_connection_close (G_DBUS_CONNECTION (source), NULL, NULL, NULL);
}

/* End the connection and say why. Safe in every state, and only the first call counts. */
static void
connection_end (PeerConnection *self, const GError *reason)
{
  if (self->closed)
    return;
  self->closed = true;

  connection_drop_sources (self);
  /* without a bus, the step under way ends now and drops the last reference to the socket */
  g_cancellable_cancel (self->cancellable);
  if (self->skeleton != NULL) {
    g_signal_handlers_disconnect_by_data (self->skeleton, self);
    g_dbus_interface_skeleton_unexport (G_DBUS_INTERFACE_SKELETON (self->skeleton));
  }
  if (self->bus != NULL) {
    g_signal_handlers_disconnect_by_data (self->bus, self);
    if (!g_dbus_connection_is_closed (self->bus))
      g_dbus_connection_flush (self->bus, NULL, on_flushed, NULL);
  }
  g_signal_emit (self, signals[SIGNAL_CLOSED], 0, reason);
}

static void
connection_fail (PeerConnection *self, GError *error, const char *step)
{
  g_prefix_error (&error, "%s with %s failed: ", step, self->address);
  connection_end (self, error);
  g_error_free (error);
}

/*
 * The whole protection of the peer channel on the source's side. Takes the same time for every
 * ticket of the right length, known domain or not.
 */
static bool
ticket_is_right (const char *expected, const char *ticket)
{
  static const char nothing[TICKET_LENGTH + 1];
  bool known = expected != NULL && strlen (expected) == TICKET_LENGTH;

  if (strlen (ticket) != TICKET_LENGTH)
    return false;
  return gnutls_memcmp (known ? expected : nothing, ticket, TICKET_LENGTH) == 0 && known;
}

static char *
socket_describe_peer (GSocketConnection *socket)
{
  g_autoptr (GSocketAddress) address = g_socket_connection_get_remote_address (socket, NULL);

  /* the peer may be gone already; what follows notices */
  if (!G_IS_INET_SOCKET_ADDRESS (address))
    return g_strdup ("unknown");
  return g_inet_address_to_string (
    g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (address)));
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

static void
on_bus_closed (GDBusConnection *bus, gboolean vanished, GError *error, gpointer user_data)
{
  connection_end (user_data, error);
}

/*
 * Runs in GDBus's worker. GDBus by itself answers Introspect, Ping and Properties; a stranger gets
 * no answer but to Claim and Check, and a refusal to Time.
 */
static GDBusMessage *
filter_incoming (GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer user_data)
{
  if (!incoming)
    return message;
  if (g_dbus_message_get_message_type (message) == G_DBUS_MESSAGE_TYPE_METHOD_CALL &&
      g_strcmp0 (g_dbus_message_get_interface (message), bus_peer_interface_info ()->name) == 0)
    return message;
  g_object_unref (message);
  return NULL;
}

/* dbus methods */

/* Whether the stranger may have what it asks for; else @invocation was answered. */
static bool
connection_authorise (PeerConnection *self, GDBusMethodInvocation *invocation, const char *domain,
                      const char *ticket)
{
  g_autoptr (GError) error = NULL;
  const char *expected;

  if (self->phase != PEER_PHASE_STRANGER) {
    g_dbus_method_invocation_return_error (invocation, CLOCKFERRY_ERROR,
                                           CLOCKFERRY_ERROR_ALREADY_CLAIMED,
                                           "this connection serves another claim, or a check");
    return false;
  }

  expected = g_uuid_string_is_valid (domain) ? self->lookup (domain, self->lookup_data) : NULL;
  if (!ticket_is_right (expected, ticket)) {
    g_dbus_method_invocation_return_error (invocation, CLOCKFERRY_ERROR,
                                           CLOCKFERRY_ERROR_NOT_AUTHORIZED,
                                           "no such domain, or not its ticket");
    error = g_error_new (CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED,
                         "%s has no valid ticket", self->address);
    connection_end (self, error);
    return false;
  }
  return true;
}

static void
read_clock_state (HostClockState *clock)
{
  g_autoptr (GError) error = NULL;

  /* not fatal: without it the peer measures, which it can do anyway */
  if (!host_clock_read_state (clock, &error))
    g_warning ("%s", error->message);
}

/* To be asked of one with a ticket only, so that a stranger learns nothing by it. */
static bool
connection_accept_migration (PeerConnection *self, GDBusMethodInvocation *invocation,
                             const char *migration)
{
  g_autoptr (GError) error = NULL;

  if (migration_id_is_valid (migration))
    return true;
  error = g_error_new (CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE,
                       "the migration is not 32 lower-case hexadecimal digits");
  g_dbus_method_invocation_return_gerror (invocation, error);
  g_prefix_error (&error, "a claim by %s: ", self->address);
  connection_end (self, error);
  return false;
}

static gboolean
handle_claim (BusPeer *skeleton, GDBusMethodInvocation *invocation, const char *domain,
              const char *ticket, const char *migration, gpointer user_data)
{
  PeerConnection *self = user_data;
  HostClockState clock;

  if (!connection_authorise (self, invocation, domain, ticket) ||
      !connection_accept_migration (self, invocation, migration))
    return TRUE;
  g_clear_handle_id (&self->deadline_id, g_source_remove);
  self->domain = g_strdup (domain);
  self->migration = g_strdup (migration);
  read_clock_state (&clock);
  bus_peer_complete_claim (skeleton, invocation, clock.synchronised, clock.max_error_us);
  connection_advance (self, PEER_PHASE_CLAIMED);
  return TRUE;
}

/* The time for a claim goes on running, and ends this connection. */
static gboolean
handle_check (BusPeer *skeleton, GDBusMethodInvocation *invocation, const char *domain,
              const char *ticket, gpointer user_data)
{
  PeerConnection *self = user_data;
  HostClockReading now;
  HostClockState clock;

  if (!connection_authorise (self, invocation, domain, ticket))
    return TRUE;
  read_clock_state (&clock);
  host_clock_read (&now);
  bus_peer_complete_check (skeleton, invocation, clock.synchronised, clock.max_error_us,
                           now.realtime_ns - now.boottime_ns);
  connection_advance (self, PEER_PHASE_CHECKED);
  return TRUE;
}

static gboolean
handle_time (BusPeer *skeleton, GDBusMethodInvocation *invocation, gpointer user_data)
{
  PeerConnection *self = user_data;
  g_autoptr (GError) error = NULL;

  if (self->phase == PEER_PHASE_CLAIMED || self->phase == PEER_PHASE_CHECKED) {
    bus_peer_complete_time (skeleton, invocation, host_clock_boottime_ns ());
    return TRUE;
  }
  g_dbus_method_invocation_return_error (invocation, CLOCKFERRY_ERROR,
                                         CLOCKFERRY_ERROR_NOT_AUTHORIZED, "claim a domain first");
  error = g_error_new (CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED,
                       "%s asked for the time before it claimed a domain", self->address);
  connection_end (self, error);
  return TRUE;
}

/* the steps to a bus */

static bool
connection_open_bus (PeerConnection *self, GError **error)
{
  g_autoptr (GIOStream) stream = peer_stream_new (G_IO_STREAM (self->tls), REQUEST_MAX_BYTES);

  /*
   * No SASL: the ticket authorises the peer, and the pin has told the peer who we are. So this does
   * not block; its asynchronous form reads before it is done, and "closed" could come and go unseen.
   */
  self->bus = g_dbus_connection_new_sync (
    stream, NULL, G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING, NULL, NULL, error);
  if (self->bus == NULL)
    return false;
  g_dbus_connection_add_filter (self->bus, filter_incoming, NULL, NULL);
  g_signal_connect (self->bus, "closed", G_CALLBACK (on_bus_closed), self);
  self->skeleton = bus_peer_skeleton_new ();
  g_signal_connect (self->skeleton, "handle-claim", G_CALLBACK (handle_claim), self);
  g_signal_connect (self->skeleton, "handle-check", G_CALLBACK (handle_check), self);
  g_signal_connect (self->skeleton, "handle-time", G_CALLBACK (handle_time), self);
  if (!g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (self->skeleton), self->bus,
                                         CLOCKFERRY_PEER_PATH, error))
    return false;
  g_dbus_connection_start_message_processing (self->bus);
  return true;
}

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

  if (!connection_open_bus (self, &error)) {
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
  if (self->bus != NULL)
    g_signal_handlers_disconnect_by_data (self->bus, self);
  if (self->skeleton != NULL)
    g_signal_handlers_disconnect_by_data (self->skeleton, self);
  g_clear_object (&self->skeleton);
  g_clear_object (&self->bus);
  g_clear_object (&self->tls);
  g_clear_object (&self->authority);
  g_clear_object (&self->socket);
  g_clear_object (&self->cancellable);
  g_free (self->domain);
  g_free (self->migration);
  g_free (self->address);
  G_OBJECT_CLASS (peer_connection_parent_class)->finalize (object);
}

static void
peer_connection_class_init (PeerConnectionClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = peer_connection_finalize;

  signals[SIGNAL_ADVANCED] = g_signal_new ("advanced", PEER_TYPE_CONNECTION, G_SIGNAL_RUN_LAST, 0,
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
  self->address = socket_describe_peer (socket);
  self->lookup = lookup;
  self->lookup_data = lookup_data;
  return self;
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

  self->tls = G_TLS_CONNECTION (
    g_tls_server_connection_new (G_IO_STREAM (self->socket), certificate, &error));
  if (self->tls == NULL) {
    connection_fail (self, error, "setting up TLS");
    return;
  }
  if (g_set_object (&self->authority, authority))
    peer_authority_demand (authority, self->tls);
  self->shaking_since_us = g_get_monotonic_time ();
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
peer_connection_get_shaking_since_us (PeerConnection *self)
{
  return self->shaking_since_us;
}

const char *
peer_connection_get_domain (PeerConnection *self)
{
  return self->domain;
}

const char *
peer_connection_get_migration (PeerConnection *self)
{
  return self->migration;
}

const char *
peer_connection_get_address (PeerConnection *self)
{
  return self->address;
}

void
peer_connection_push_record (PeerConnection *self, GBytes *record)
{
  if (self->domain == NULL || self->closed)
    return;
  bus_peer_emit_record (self->skeleton, self->domain,
                        g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, record, TRUE));
}

void
peer_connection_withdraw (PeerConnection *self, const char *reason)
{
  if (self->domain == NULL || self->closed)
    return;
  bus_peer_emit_withdrawn (self->skeleton, self->domain, reason);
}

void
peer_connection_close (PeerConnection *self)
{
  g_autoptr (GError) error = g_error_new (G_IO_ERROR, G_IO_ERROR_CLOSED, "closed by this daemon");

  connection_end (self, error);
}
