/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_DOMAIN "clockferry-peer"

#include "peer-dial.h"

#include "clock-record.h"
#include "error.h"
#include "identity.h"
#include "peer-stream.h"
#include "peer-tls.h"

#include <stdbool.h>

/* The largest record, and what D-Bus puts around it. */
#define MESSAGE_MAX_BYTES (CLOCK_RECORD_SIZE_MAX + 4096)

struct _PeerDial {
  GObject parent_instance;

  /* whom to dial */
  char *address;
  uint16_t port;
  char *pin;                /* NULL: anybody */
  PeerAuthority *authority; /* NULL: the pin is all */

  /* transport, outermost last; the connection that comes of it keeps both */
  GSocketConnection *socket;
  GTlsConnection *tls;
  char *shown_pin; /* NULL before the other end has shown its certificate */
};

G_DEFINE_FINAL_TYPE (PeerDial, peer_dial, G_TYPE_OBJECT)

/* internal methods */

/*
 * All that is asked of a certificate, with or without complaints of GIO about it: is it the key that
 * libvirt announced, and does the authority let it in, if there is one.
 */
static bool
dial_check_certificate (PeerDial *self, GTlsCertificate *certificate, GError **error)
{
  g_free (self->shown_pin);
  self->shown_pin = identity_pin (certificate, error);
  if (self->shown_pin == NULL)
    return false;
  if (self->pin != NULL && !g_str_equal (self->shown_pin, self->pin)) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_WRONG_KEY,
                 "its key is %s, and the domain's metadata says %s", self->shown_pin, self->pin);
    return false;
  }
  return self->authority == NULL ||
         peer_authority_check (self->authority, certificate, PEER_ROLE_SERVER, error);
}

/* callbacks and signals */

static gboolean
on_accept_certificate (GTlsConnection *tls, GTlsCertificate *certificate,
                       GTlsCertificateFlags complaints, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  /* GIO has no room for a reason here; on_handshake_done() finds it once more */
  return dial_check_certificate (user_data, certificate, &error);
}

/* the steps, each with the task of the whole */

static void
on_bus_ready (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  GDBusConnection *bus = g_dbus_connection_new_finish (result, &error);

  if (bus == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, bus, g_object_unref);
}

static void
on_handshake_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  PeerDial *self = g_task_get_source_object (task);
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (GError) tls_error = NULL;
  GError *error = NULL;
  GTlsCertificate *certificate;
  bool done = g_tls_connection_handshake_finish (G_TLS_CONNECTION (source), result, &tls_error);

  /*
   * Asked again even after success: with a certificate that some database vouches for, GIO would
   * not have asked on_accept_certificate().
   */
  certificate = g_tls_connection_get_peer_certificate (self->tls);
  if (certificate != NULL && !dial_check_certificate (self, certificate, &error)) {
    g_task_return_error (task, error);
    return;
  }
  if (!done) {
    g_task_return_error (task, g_steal_pointer (&tls_error));
    return;
  }
  if (certificate == NULL ||
      g_tls_connection_get_protocol_version (self->tls) != G_TLS_PROTOCOL_VERSION_TLS_1_3) {
    g_task_return_new_error (task, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE,
                             "it does not speak TLS 1.3 with a certificate");
    return;
  }

  stream = peer_stream_new (G_IO_STREAM (self->tls), MESSAGE_MAX_BYTES);
  g_dbus_connection_new (stream, NULL, G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING, NULL,
                         g_task_get_cancellable (task), on_bus_ready, g_object_ref (task));
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  PeerDial *self = g_task_get_source_object (task);
  GError *error = NULL;

  self->socket = g_socket_client_connect_finish (G_SOCKET_CLIENT (source), result, &error);
  if (self->socket == NULL) {
    g_task_return_error (task, error);
    return;
  }
  peer_stream_tune_socket (g_socket_connection_get_socket (self->socket));
  self->tls = peer_tls_new_client (self->socket, &error);
  if (self->tls == NULL) {
    g_task_return_error (task, error);
    return;
  }
  if (self->authority != NULL)
    g_tls_connection_set_certificate (self->tls, peer_authority_get_own (self->authority));
  g_signal_connect_object (self->tls, "accept-certificate", G_CALLBACK (on_accept_certificate),
                           self, 0);
  g_tls_connection_handshake_async (self->tls, G_PRIORITY_DEFAULT, g_task_get_cancellable (task),
                                    on_handshake_done, g_object_ref (task));
}

/* GObject */

static void
peer_dial_finalize (GObject *object)
{
  PeerDial *self = PEER_DIAL (object);

  g_clear_object (&self->tls);
  g_clear_object (&self->socket);
  g_clear_object (&self->authority);
  g_free (self->address);
  g_free (self->pin);
  g_free (self->shown_pin);
  G_OBJECT_CLASS (peer_dial_parent_class)->finalize (object);
}

static void
peer_dial_class_init (PeerDialClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = peer_dial_finalize;
}

static void
peer_dial_init (PeerDial *self)
{
}

/* public methods */

PeerDial *
peer_dial_new (const char *address, uint16_t port, const char *pin, PeerAuthority *authority)
{
  PeerDial *self = g_object_new (PEER_TYPE_DIAL, NULL);

  self->address = g_strdup (address);
  self->port = port;
  self->pin = g_strdup (pin);
  g_set_object (&self->authority, authority);
  return self;
}

void
peer_dial_async (PeerDial *self, GCancellable *cancellable, GAsyncReadyCallback callback,
                 gpointer user_data)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketConnectable) place = g_network_address_new (self->address, self->port);
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_return_if_fail (self->socket == NULL);

  g_task_set_source_tag (task, peer_dial_async);
  /* a connection that came all the same is the caller's to close: dropping it would block */
  g_task_set_check_cancellable (task, FALSE);
  g_socket_client_set_enable_proxy (client, FALSE);
  g_socket_client_connect_async (client, place, cancellable, on_connected, task);
}

GDBusConnection *
peer_dial_finish (PeerDial *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

const char *
peer_dial_get_aim (PeerDial *self)
{
  return self->socket == NULL ? "connect to" : "verify";
}

const char *
peer_dial_get_shown_pin (PeerDial *self)
{
  return self->shown_pin;
}
