/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-fixture.h"

#include "error.h"

#include <string.h>

/*
 * A session against sources that are not what they should be: an impostor made of plain GIO, a
 * listener with old TLS, or nobody.
 */

/* the impostor */

typedef struct {
  GSocketService *service;
  GTlsCertificate *certificate; /* NULL: no TLS, and not a word */
  guint16 port;
  gsize heard_bytes; /* after decryption */
  guint ended;
} Impostor;

static void
on_impostor_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Impostor *impostor = user_data;
  gssize count = g_input_stream_read_finish (G_INPUT_STREAM (source), result, NULL);

  if (count > 0)
    impostor->heard_bytes += (gsize) count;
  impostor->ended++;
}

static gboolean
on_impostor_incoming (GSocketService *service, GSocketConnection *connection, GObject *source,
                      gpointer user_data)
{
  static guint8 buffer[4096];
  Impostor *impostor = user_data;
  g_autoptr (GIOStream) stream = g_object_ref (G_IO_STREAM (connection));

  if (impostor->certificate != NULL) {
    g_clear_object (&stream);
    stream = g_tls_server_connection_new (G_IO_STREAM (connection), impostor->certificate, NULL);
    g_assert_nonnull (stream);
  }
  /* the first read shakes hands; the pending operation keeps the stream */
  g_input_stream_read_async (g_io_stream_get_input_stream (stream), buffer, sizeof (buffer),
                             G_PRIORITY_DEFAULT, NULL, on_impostor_read, impostor);
  g_object_set_data_full (G_OBJECT (service), "stream", g_steal_pointer (&stream), g_object_unref);
  return TRUE;
}

static void
impostor_start (Impostor *impostor, GTlsCertificate *certificate)
{
  g_autoptr (GError) error = NULL;

  impostor->certificate = certificate;
  impostor->service = g_socket_service_new ();
  impostor->port =
    g_socket_listener_add_any_inet_port (G_SOCKET_LISTENER (impostor->service), NULL, &error);
  g_assert_no_error (error);
  g_signal_connect (impostor->service, "incoming", G_CALLBACK (on_impostor_incoming), impostor);
  g_socket_service_start (impostor->service);
}

static void
impostor_stop (Impostor *impostor)
{
  g_socket_service_stop (impostor->service);
  g_socket_listener_close (G_SOCKET_LISTENER (impostor->service));
  g_clear_object (&impostor->service);
}

/* tests of sources that are not what they should be */

/* A man in the middle, with a key of his own, never gets to see the ticket. */
static void
test_wrong_key (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GTlsCertificate) other = peer_fixture_make_identity ();
  Impostor impostor = { 0 };

  impostor_start (&impostor, other);
  peer_fixture_open_session (fixture, impostor.port, DOMAIN, TICKET, NULL);
  wait_for (fixture->open_error != NULL && impostor.ended > 0);
  g_assert_error (fixture->open_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_WRONG_KEY);
  g_assert_nonnull (strstr (fixture->open_error->message, fixture->pin));
  g_assert_cmpuint (impostor.heard_bytes, ==, 0);
  impostor_stop (&impostor);
}

/* The control of the test above: with the right key, that impostor does hear the ticket. */
static void
test_right_key_hears_claim (PeerFixture *fixture, gconstpointer data)
{
  Impostor impostor = { 0 };

  impostor_start (&impostor, fixture->certificate);
  peer_fixture_open_session (fixture, impostor.port, DOMAIN, TICKET, NULL);
  wait_for (impostor.ended > 0);
  g_assert_cmpuint (impostor.heard_bytes, >, 0);
  impostor_stop (&impostor);
}

/* In a process of its own, as GnuTLS is told about versions once. Neither end goes on. */
static void
test_old_tls (PeerFixture *fixture, gconstpointer data)
{
  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed ();
    return;
  }
  g_setenv ("G_TLS_GNUTLS_PRIORITY", "NORMAL:-VERS-ALL:+VERS-TLS1.2", TRUE);
  peer_fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN, TICKET,
                             NULL);
  wait_for (fixture->open_error != NULL && fixture->refusals->len > 0);
  g_assert_error (fixture->open_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
  g_assert_nonnull (strstr (fixture->open_error->message, "TLS 1.3"));
  peer_fixture_assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
}

static void
test_silent_source (PeerFixture *fixture, gconstpointer data)
{
  const PeerAnnouncement nobody = { .address = "127.0.0.1",
                                    .pin = fixture->pin,
                                    .domain = DOMAIN,
                                    .ticket = TICKET,
                                    .migration = MIGRATION };
  PeerAnnouncement announcement = nobody;
  Impostor impostor = { 0 };
  g_autoptr (PeerSession) session = NULL;

  impostor_start (&impostor, NULL);
  announcement.port = impostor.port;
  session = peer_session_new (&announcement, NULL);
  g_object_set (session, "open-ms", SHORT_MS, NULL);
  peer_session_open_async (session, NULL, peer_fixture_on_opened, fixture);
  wait_for (fixture->open_error != NULL);
  g_assert_error (fixture->open_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (fixture->open_error->message, "cannot verify 127.0.0.1"));
  impostor_stop (&impostor);
}

static void
test_no_source (PeerFixture *fixture, gconstpointer data)
{
  guint16 port = peer_listener_get_port (fixture->listener);

  peer_listener_stop (fixture->listener);
  peer_fixture_open_session (fixture, port, DOMAIN, TICKET, NULL);
  wait_for (fixture->open_error != NULL);
  g_assert_error (fixture->open_error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
  g_assert_nonnull (strstr (fixture->open_error->message, "cannot connect to 127.0.0.1"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  peer_fixture_add_test ("wrong-key", test_wrong_key);
  peer_fixture_add_test ("right-key-hears-claim", test_right_key_hears_claim);
  peer_fixture_add_test ("old-tls", test_old_tls);
  peer_fixture_add_test ("silent-source", test_silent_source);
  peer_fixture_add_test ("no-source", test_no_source);
  return g_test_run ();
}
