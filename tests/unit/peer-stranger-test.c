/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-fixture.h"

#include "error.h"
#include "names.h"

#include <string.h>

/*
 * A listener against clients that are not what they should be: strangers made of plain GIO.
 */

#define PEER_IFACE "org.clockferry1.Peer"

/* enough for a handshake, under the sanitizers too */
#define HANDSHAKE_MS 1000

/* strangers */

static void
on_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static GSocketConnection *
stranger_connect (guint16 port)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GError) error = NULL;
  GSocketConnection *connection;

  g_socket_client_set_enable_proxy (client, FALSE);
  connection = g_socket_client_connect_to_host (client, "127.0.0.1", port, NULL, &error);
  g_assert_no_error (error);
  return connection;
}

static gboolean
accept_anything (GTlsConnection *tls, GTlsCertificate *certificate, GTlsCertificateFlags errors,
                 gpointer user_data)
{
  return TRUE;
}

/* A client that trusts everybody, up to the end of its handshake. */
static GIOStream *
stranger_handshake (guint16 port)
{
  g_autoptr (GSocketConnection) connection = stranger_connect (port);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GIOStream *tls = g_tls_client_connection_new (G_IO_STREAM (connection), NULL, &error);

  g_assert_no_error (error);
  g_signal_connect (tls, "accept-certificate", G_CALLBACK (accept_anything), NULL);
  g_tls_connection_handshake_async (G_TLS_CONNECTION (tls), G_PRIORITY_DEFAULT, NULL, on_result,
                                    &result);
  wait_for (result != NULL);
  g_tls_connection_handshake_finish (G_TLS_CONNECTION (tls), result, &error);
  g_assert_no_error (error);
  return tls;
}

static GDBusConnection *
stranger_speak_dbus (guint16 port)
{
  g_autoptr (GIOStream) tls = stranger_handshake (port);
  g_autoptr (GError) error = NULL;
  GDBusConnection *bus =
    g_dbus_connection_new_sync (tls, NULL, G_DBUS_CONNECTION_FLAGS_NONE, NULL, NULL, &error);

  g_assert_no_error (error);
  return bus;
}

/* Returns: (transfer full) (nullable): the answer, or NULL with @error set */
static GVariant *
stranger_call (GDBusConnection *bus, const char *interface, const char *method, GVariant *arguments,
               GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  GVariant *reply;

  g_dbus_connection_call (bus, NULL, CLOCKFERRY_PEER_PATH, interface, method, arguments, NULL,
                          G_DBUS_CALL_FLAGS_NONE, SHORT_MS * 10, NULL, on_result, &result);
  wait_for (result != NULL);
  reply = g_dbus_connection_call_finish (bus, result, error);
  return reply;
}

/* Whether the other end has closed, reading away what it had to say. */
static void
stranger_wait_for_end (GIOStream *stream)
{
  guint8 buffer[256];

  for (;;) {
    g_autoptr (GAsyncResult) result = NULL;

    g_input_stream_read_async (g_io_stream_get_input_stream (stream), buffer, sizeof (buffer),
                               G_PRIORITY_DEFAULT, NULL, on_result, &result);
    wait_for (result != NULL);
    if (g_input_stream_read_finish (g_io_stream_get_input_stream (stream), result, NULL) <= 0)
      return;
  }
}

/* tests of a claim */

static void
test_second_claim (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection)
    bus = stranger_speak_dbus (peer_listener_get_port (fixture->listener));
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GVariant) again = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) record = peer_fixture_make_record (1, 1);

  reply = stranger_call (bus, PEER_IFACE, "Claim",
                         g_variant_new ("(sss)", DOMAIN, TICKET, MIGRATION), &error);
  g_assert_no_error (error);
  again = stranger_call (bus, PEER_IFACE, "Claim",
                         g_variant_new ("(sss)", OTHER_DOMAIN, OTHER_TICKET, MIGRATION), &error);
  g_assert_null (again);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_ALREADY_CLAIMED);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, OTHER_DOMAIN, record), ==, 0);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, DOMAIN, record), ==, 1);
}

/* It becomes part of journals and object paths: it must be of that form to the last digit. */
static void
test_bad_migration (PeerFixture *fixture, gconstpointer data)
{
  static const char *const bad[] = {
    "",
    "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a3",
    "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a399",
    "6FCB3E6B8F0C4F9A8A0F7C5D2E1B4A39",
    "6fcb3e6b-8f0c-4f9a-8a0f-7c5d2e1b4a",
    "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a3/",
    "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a3\n",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GDBusConnection)
      bus = stranger_speak_dbus (peer_listener_get_port (fixture->listener));
    g_autoptr (GVariant) reply = NULL;
    g_autoptr (GError) error = NULL;

    reply = stranger_call (bus, PEER_IFACE, "Claim",
                           g_variant_new ("(sss)", DOMAIN, TICKET, bad[i]), &error);
    g_assert_null (reply);
    g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
    wait_for (g_dbus_connection_is_closed (bus));
    g_assert_cmpuint (fixture->refusals->len, ==, i + 1);
  }
  g_assert_cmpuint (fixture->claims, ==, 0);
}

/* Who has no ticket does not even learn that. */
static void
test_bad_migration_and_ticket (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection)
    bus = stranger_speak_dbus (peer_listener_get_port (fixture->listener));
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;

  reply = stranger_call (bus, PEER_IFACE, "Claim",
                         g_variant_new ("(sss)", DOMAIN, OTHER_TICKET, ""), &error);
  g_assert_null (reply);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
}

static GVariant *
stranger_show_ticket (GDBusConnection *bus, const char *method, GError **error)
{
  return stranger_call (bus, PEER_IFACE, method,
                        g_str_equal (method, "Claim")
                          ? g_variant_new ("(sss)", DOMAIN, TICKET, MIGRATION)
                          : g_variant_new ("(ss)", DOMAIN, TICKET),
                        error);
}

/* Neither can be turned into the other, and a check is no way to records. */
static void
test_claim_and_check (PeerFixture *fixture, gconstpointer data)
{
  const char *const methods[][2] = { { "Claim", "Check" },
                                     { "Check", "Claim" },
                                     { "Check", "Check" } };
  g_autoptr (GBytes) record = peer_fixture_make_record (1, 1);

  for (gsize i = 0; i < G_N_ELEMENTS (methods); i++) {
    g_autoptr (GDBusConnection)
      bus = stranger_speak_dbus (peer_listener_get_port (fixture->listener));
    gboolean is_claim = g_str_equal (methods[i][0], "Claim");
    g_autoptr (GVariant) first = NULL;
    g_autoptr (GVariant) second = NULL;
    g_autoptr (GVariant) time = NULL;
    g_autoptr (GError) error = NULL;

    first = stranger_show_ticket (bus, methods[i][0], &error);
    g_assert_no_error (error);
    second = stranger_show_ticket (bus, methods[i][1], &error);
    g_assert_null (second);
    g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_ALREADY_CLAIMED);
    g_clear_error (&error);
    time = stranger_call (bus, PEER_IFACE, "Time", NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (peer_listener_push_record (fixture->listener, DOMAIN, record), ==, is_claim);
    g_assert_true (g_dbus_connection_close_sync (bus, NULL, &error));
    wait_for (fixture->departures == fixture->claims);
  }
  g_assert_cmpuint (fixture->claims, ==, 1);
  g_assert_cmpuint (fixture->refusals->len, ==, 0);
}

static void
test_check_without_ticket (PeerFixture *fixture, gconstpointer data)
{
  const char *const domains[] = { DOMAIN, "6c2c1d3e-7f5a-4b7e-9d0c-000000000000", "no uuid" };

  for (gsize i = 0; i < G_N_ELEMENTS (domains); i++) {
    g_autoptr (GDBusConnection)
      bus = stranger_speak_dbus (peer_listener_get_port (fixture->listener));
    g_autoptr (GVariant) reply = NULL;
    g_autoptr (GError) error = NULL;

    reply = stranger_call (bus, PEER_IFACE, "Check",
                           g_variant_new ("(ss)", domains[i], OTHER_TICKET), &error);
    g_assert_null (reply);
    g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
    wait_for (g_dbus_connection_is_closed (bus));
    wait_for (fixture->refusals->len == i + 1);
  }
}

static void
test_not_before_claim (PeerFixture *fixture, gconstpointer data)
{
  const char *const methods[] = { "Time", "Abandon" };

  for (gsize i = 0; i < G_N_ELEMENTS (methods); i++) {
    g_autoptr (GDBusConnection)
      bus = stranger_speak_dbus (peer_listener_get_port (fixture->listener));
    g_autoptr (GVariant) reply = NULL;
    g_autoptr (GError) error = NULL;

    g_ptr_array_set_size (fixture->refusals, 0);
    reply = stranger_call (bus, PEER_IFACE, methods[i], NULL, &error);
    g_assert_null (reply);
    g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
    wait_for (g_dbus_connection_is_closed (bus));
    peer_fixture_assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
  }
}

/* GDBus would answer these by itself. */
static void
test_standard_interfaces (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection)
    bus = stranger_speak_dbus (peer_listener_get_port (fixture->listener));
  const char *const calls[][2] = {
    { "org.freedesktop.DBus.Introspectable", "Introspect" },
    { "org.freedesktop.DBus.Peer", "Ping" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (calls); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GVariant) reply = stranger_call (bus, calls[i][0], calls[i][1], NULL, &error);

    g_assert_null (reply);
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  }
}

/* It is told at once, and not left to wait until it is thrown out. */
static void
test_other_version (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection)
    bus = stranger_speak_dbus (peer_listener_get_port (fixture->listener));
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = stranger_call (bus, "org.clockferry2.Peer", "Claim", NULL, &error);

  g_assert_null (reply);
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD);
}

/* tests of what comes instead of one */

static void
test_garbage (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GSocketConnection)
    connection = stranger_connect (peer_listener_get_port (fixture->listener));
  const char *garbage = "GET / HTTP/1.0\r\n\r\n";

  g_assert_true (
    g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (connection)), garbage,
                               strlen (garbage), NULL, NULL, NULL));
  stranger_wait_for_end (G_IO_STREAM (connection));
  g_assert_cmpuint (fixture->refusals->len, ==, 1);
}

static void
test_claim_deadline (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GSocketConnection) silent = NULL;
  g_autoptr (GIOStream) shy = NULL;
  guint16 port = peer_listener_get_port (fixture->listener);

  g_object_set (fixture->listener, "claim-ms", SHORT_MS, NULL);
  silent = stranger_connect (port);
  stranger_wait_for_end (G_IO_STREAM (silent));
  peer_fixture_assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_TIMED_OUT);

  g_ptr_array_set_size (fixture->refusals, 0);
  g_object_set (fixture->listener, "claim-ms", HANDSHAKE_MS, NULL);
  shy = stranger_handshake (port);
  stranger_wait_for_end (shy);
  peer_fixture_assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_TIMED_OUT);

  /* and who claimed in time may stay */
  peer_fixture_claim (fixture);
  for (guint i = 0; i < HANDSHAKE_MS / SETTLE_MS + 1; i++)
    wait_settle ();
  g_assert_no_error (fixture->closed);
}

static void
test_oversized_request (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GIOStream) tls = stranger_handshake (peer_listener_get_port (fixture->listener));
  /* a method call with a body of 64 MiB, which is never sent */
  const guint8 header[16] = { 'l', 1, 0, 1, 0, 0, 0, 4, 1 };

  g_assert_true (g_output_stream_write_all (g_io_stream_get_output_stream (tls), header,
                                            sizeof (header), NULL, NULL, NULL));
  stranger_wait_for_end (tls);
  wait_for (fixture->refusals->len > 0);
  g_assert_error ((GError *) fixture->refusals->pdata[0], CLOCKFERRY_ERROR,
                  CLOCKFERRY_ERROR_BAD_MESSAGE);
}

/* The rate is bounded for a peer with a ticket as well. */
static void
test_flood (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection)
    bus = stranger_speak_dbus (peer_listener_get_port (fixture->listener));
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;

  reply = stranger_call (bus, PEER_IFACE, "Claim",
                         g_variant_new ("(sss)", DOMAIN, TICKET, MIGRATION), &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 5000; i++)
    g_dbus_connection_call (bus, NULL, CLOCKFERRY_PEER_PATH, PEER_IFACE, "Time", NULL, NULL,
                            G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
  wait_for (fixture->departures == 1);
  wait_for (g_dbus_connection_is_closed (bus));
}

static void
test_too_many_strangers (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) crowd = g_ptr_array_new_with_free_func (g_object_unref);
  guint16 port = peer_listener_get_port (fixture->listener);

  for (guint i = 0; i <= PEER_LISTENER_STRANGERS_PER_ORIGIN; i++)
    g_ptr_array_add (crowd, stranger_connect (port));
  /* the one that kept us waiting the longest makes room */
  stranger_wait_for_end (crowd->pdata[0]);
  peer_fixture_assert_one_refusal (fixture, G_IO_ERROR, G_IO_ERROR_CLOSED);

  /* and as many as there are, so it is for a peer that has something to say */
  peer_fixture_claim (fixture);
  g_assert_cmpuint (fixture->refusals->len, ==, 2);
}

/* Somebody has read the ticket. */
static void
test_too_many_claims (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) crowd = g_ptr_array_new_with_free_func (g_object_unref);
  guint16 port = peer_listener_get_port (fixture->listener);
  g_autoptr (GDBusConnection) other = stranger_speak_dbus (port);
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) record = peer_fixture_make_record (1, 1);

  reply = stranger_call (other, PEER_IFACE, "Claim",
                         g_variant_new ("(sss)", OTHER_DOMAIN, OTHER_TICKET, MIGRATION), &error);
  g_assert_no_error (error);
  for (guint i = 0; i <= PEER_LISTENER_CLAIMED_PER_DOMAIN; i++) {
    g_autoptr (GVariant) claimed = NULL;

    g_ptr_array_add (crowd, stranger_speak_dbus (port));
    claimed = stranger_show_ticket (crowd->pdata[i], "Claim", &error);
    g_assert_no_error (error);
  }
  /* the oldest makes room, and no other domain's */
  wait_for (g_dbus_connection_is_closed (crowd->pdata[0]));
  peer_fixture_assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_FAILED);
  g_assert_cmpuint (fixture->departures, ==, 1);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, DOMAIN, record), ==,
                    PEER_LISTENER_CLAIMED_PER_DOMAIN);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, OTHER_DOMAIN, record), ==, 1);
}

/*
 * Strangers who say half a word each hold up the handshake of a peer with a ticket for a while, but
 * not for as long as that would wait.
 */
static void
test_stalled_handshakes (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) crowd = g_ptr_array_new_with_free_func (g_object_unref);
  guint16 port = peer_listener_get_port (fixture->listener);

  for (guint i = 0; i < PEER_LISTENER_STRANGERS_PER_ORIGIN - 1; i++) {
    GSocketConnection *connection = stranger_connect (port);

    g_ptr_array_add (crowd, connection);
    g_assert_cmpint (
      g_output_stream_write (g_io_stream_get_output_stream (G_IO_STREAM (connection)), "\x16", 1,
                             NULL, NULL),
      ==, 1);
  }
  wait_settle ();
  peer_fixture_claim (fixture);
  g_assert_cmpuint (fixture->claims, ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  peer_fixture_add_test ("second-claim", test_second_claim);
  peer_fixture_add_test ("bad-migration", test_bad_migration);
  peer_fixture_add_test ("bad-migration-and-ticket", test_bad_migration_and_ticket);
  peer_fixture_add_test ("claim-and-check", test_claim_and_check);
  peer_fixture_add_test ("check-without-ticket", test_check_without_ticket);
  peer_fixture_add_test ("not-before-claim", test_not_before_claim);
  peer_fixture_add_test ("standard-interfaces", test_standard_interfaces);
  peer_fixture_add_test ("other-version", test_other_version);
  peer_fixture_add_test ("garbage", test_garbage);
  peer_fixture_add_test ("claim-deadline", test_claim_deadline);
  peer_fixture_add_test ("oversized-request", test_oversized_request);
  peer_fixture_add_test ("flood", test_flood);
  peer_fixture_add_test ("too-many-strangers", test_too_many_strangers);
  peer_fixture_add_test ("too-many-claims", test_too_many_claims);
  peer_fixture_add_test ("stalled-handshakes", test_stalled_handshakes);
  return g_test_run ();
}
