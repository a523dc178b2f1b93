/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostile-peer.h"

#include <errno.h>
#include <sys/socket.h>

#include "names.h"

/* A daemon that does not answer is not waited for longer. */
#define PATIENCE_S 5

struct HostilePeer {
  GSocketConnection *connection;
  GIOStream *stream; /* what is written to: that, or TLS on it */
};

static gboolean
accept_anything (GTlsConnection *tls, GTlsCertificate *certificate, GTlsCertificateFlags errors,
                 gpointer user_data)
{
  return TRUE;
}

static gpointer
run_crowd (gpointer user_data)
{
  HostileCrowd *crowd = user_data;

  for (guint i = 0; !g_atomic_int_get (&crowd->is_over); i++) {
    guint host = i % crowd->addresses + (crowd->is_at_home ? 1 : 2);
    g_autofree char *address =
      g_strdup_printf ("127.0.%u.%u", host / 250, host % 250 + (host >= 250 ? 1 : 0));

    crowd->act (crowd, address);
    g_atomic_int_inc (&crowd->acts);
  }
  return NULL;
}

/* public functions */

HostilePeer *
hostile_peer_connect (const char *address, guint port)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketAddress) local = g_inet_socket_address_new_from_string (address, 0);
  g_autoptr (GSocketAddress) daemon = g_inet_socket_address_new_from_string ("127.0.0.1", port);
  g_autoptr (GSocketConnection) connection = NULL;
  HostilePeer *peer;

  g_socket_client_set_enable_proxy (client, FALSE);
  g_socket_client_set_local_address (client, local);
  g_socket_client_set_timeout (client, PATIENCE_S);
  connection = g_socket_client_connect (client, G_SOCKET_CONNECTABLE (daemon), NULL, NULL);
  if (connection == NULL)
    return NULL;
  peer = g_new0 (HostilePeer, 1);
  peer->connection = g_steal_pointer (&connection);
  peer->stream = g_object_ref (G_IO_STREAM (peer->connection));
  return peer;
}

void
hostile_peer_free (HostilePeer *peer)
{
  /* without a word, and without the time that the kernel keeps an orderly end for */
  const struct linger abruptly = { .l_onoff = 1 };
  int fd = g_socket_get_fd (g_socket_connection_get_socket (peer->connection));

  (void) setsockopt (fd, SOL_SOCKET, SO_LINGER, &abruptly, sizeof abruptly);
  (void) g_io_stream_close (G_IO_STREAM (peer->connection), NULL, NULL);
  g_object_unref (peer->stream);
  g_object_unref (peer->connection);
  g_free (peer);
}

gboolean
hostile_peer_shake_hands (HostilePeer *peer)
{
  GIOStream *tls = g_tls_client_connection_new (G_IO_STREAM (peer->connection), NULL, NULL);

  g_assert_nonnull (tls);
  g_signal_connect (tls, "accept-certificate", G_CALLBACK (accept_anything), NULL);
  if (!g_tls_connection_handshake (G_TLS_CONNECTION (tls), NULL, NULL)) {
    g_object_unref (tls);
    return FALSE;
  }
  g_object_unref (peer->stream);
  peer->stream = tls;
  return TRUE;
}

gboolean
hostile_peer_send (HostilePeer *peer, gconstpointer data, gsize size)
{
  return g_output_stream_write_all (g_io_stream_get_output_stream (peer->stream), data, size, NULL,
                                    NULL, NULL);
}

GBytes *
hostile_peer_make_call (const char *method, GVariant *arguments)
{
  g_autoptr (GDBusMessage) message =
    g_dbus_message_new_method_call (NULL, CLOCKFERRY_PEER_PATH, "org.clockferry1.Peer", method);
  g_autoptr (GError) error = NULL;
  guchar *blob;
  gsize size;

  g_dbus_message_set_serial (message, 1);
  if (arguments != NULL)
    g_dbus_message_set_body (message, arguments);
  blob = g_dbus_message_to_blob (message, &size, G_DBUS_CAPABILITY_FLAGS_NONE, &error);
  g_assert_no_error (error);
  return g_bytes_new_take (blob, size);
}

gboolean
hostile_peer_is_closed (HostilePeer *peer)
{
  char buffer[4096];
  int fd = g_socket_get_fd (g_socket_connection_get_socket (peer->connection));

  for (;;) {
    gssize got = recv (fd, buffer, sizeof buffer, MSG_DONTWAIT);

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
      return TRUE;
    if (got < 0 && errno == EAGAIN)
      return FALSE;
  }
}

void
hostile_crowd_start (HostileCrowd *crowd)
{
  g_queue_init (&crowd->held);
  crowd->thread = g_thread_new ("crowd", run_crowd, crowd);
}

guint
hostile_crowd_count (HostileCrowd *crowd)
{
  return (guint) g_atomic_int_get (&crowd->acts);
}

void
hostile_crowd_stop (HostileCrowd *crowd)
{
  g_atomic_int_set (&crowd->is_over, 1);
  g_thread_join (crowd->thread);
  g_queue_clear_full (&crowd->held, (GDestroyNotify) hostile_peer_free);
}

void
hostile_crowd_hold (HostileCrowd *crowd, HostilePeer *peer)
{
  g_queue_push_tail (&crowd->held, peer);
  if (crowd->held.length > crowd->held_max)
    hostile_peer_free (g_queue_pop_head (&crowd->held));
}
