/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tls-echo.h"

#include "host-clock.h"
#include "peer-stream.h"

struct TlsEcho {
  GTlsCertificate *certificate;
  GSocketListener *listener;
  GThread *thread;
  GIOStream *client;
};

static gboolean
on_accept_certificate (GTlsConnection *tls, GTlsCertificate *certificate,
                       GTlsCertificateFlags errors, gpointer user_data)
{
  return TRUE;
}

static gpointer
serve (gpointer user_data)
{
  TlsEcho *echo = user_data;
  g_autoptr (GSocketConnection)
    socket = g_socket_listener_accept (echo->listener, NULL, NULL, NULL);
  g_autoptr (GIOStream) tls = NULL;
  g_autoptr (GError) error = NULL;
  char message[TLS_ECHO_BYTES];
  gsize got = 0;

  g_assert_nonnull (socket);
  peer_stream_tune_socket (g_socket_connection_get_socket (socket));
  tls = g_tls_server_connection_new (G_IO_STREAM (socket), echo->certificate, &error);
  g_assert_no_error (error);
  while (g_input_stream_read_all (g_io_stream_get_input_stream (tls), message, sizeof message, &got,
                                  NULL, NULL) &&
         got == sizeof message &&
         g_output_stream_write_all (g_io_stream_get_output_stream (tls), message, sizeof message,
                                    NULL, NULL, NULL))
    continue;
  return NULL;
}

static void
connect_client (TlsEcho *echo, guint16 port)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketConnection) socket = NULL;
  g_autoptr (GError) error = NULL;

  g_socket_client_set_enable_proxy (client, FALSE);
  socket = g_socket_client_connect_to_host (client, "127.0.0.1", port, NULL, &error);
  g_assert_no_error (error);
  peer_stream_tune_socket (g_socket_connection_get_socket (socket));
  echo->client = g_tls_client_connection_new (G_IO_STREAM (socket), NULL, &error);
  g_assert_no_error (error);
  g_signal_connect (echo->client, "accept-certificate", G_CALLBACK (on_accept_certificate), NULL);
  g_tls_connection_handshake (G_TLS_CONNECTION (echo->client), NULL, &error);
  g_assert_no_error (error);
}

/* public functions */

TlsEcho *
tls_echo_new (GTlsCertificate *certificate)
{
  TlsEcho *echo = g_new0 (TlsEcho, 1);
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GSocketAddress) given = NULL;
  g_autoptr (GError) error = NULL;

  echo->certificate = g_object_ref (certificate);
  echo->listener = g_socket_listener_new ();
  g_socket_listener_add_address (echo->listener, any, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP,
                                 NULL, &given, &error);
  g_assert_no_error (error);
  echo->thread = g_thread_new ("tls-echo", serve, echo);
  connect_client (echo, g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (given)));
  return echo;
}

void
tls_echo_free (TlsEcho *echo)
{
  (void) g_io_stream_close (echo->client, NULL, NULL);
  g_object_unref (echo->client);
  g_thread_join (echo->thread);
  g_object_unref (echo->listener);
  g_object_unref (echo->certificate);
  g_free (echo);
}

void
tls_echo_run (TlsEcho *echo, guint count, GArray *delays_ms)
{
  GInputStream *input = g_io_stream_get_input_stream (echo->client);
  GOutputStream *output = g_io_stream_get_output_stream (echo->client);
  char message[TLS_ECHO_BYTES] = { 0 };
  gint64 start_ns = host_clock_monotonic_ns ();
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < count; i++) {
    g_output_stream_write_all (output, message, sizeof message, NULL, NULL, &error);
    g_assert_no_error (error);
  }
  for (guint i = 0; i < count; i++) {
    gsize got = 0;
    double delay_ms;

    g_input_stream_read_all (input, message, sizeof message, &got, NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (got, ==, sizeof message);
    delay_ms = (double) (host_clock_monotonic_ns () - start_ns) / 1e6;
    g_array_append_val (delays_ms, delay_ms);
  }
}
