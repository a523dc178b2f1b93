/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clock-record.h"
#include "error.h"
#include "identity.h"
#include "names.h"
#include "peer-listener.h"
#include "peer-session.h"

#include <glib/gstdio.h>
#include <stdbool.h>
#include <string.h>

/*
 * Listener and session talk to each other over real TLS on the loopback; where one of them must
 * misbehave, a stranger made of plain GIO takes its place.
 */

#define DOMAIN       "6c2c1d3e-7f5a-4b7e-9d0c-0123456789ab"
#define OTHER_DOMAIN "6c2c1d3e-7f5a-4b7e-9d0c-ba9876543210"
#define TICKET       "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER_TICKET "f0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define PEER_IFACE   "org.clockferry1.Peer"

#define PATIENCE_MS 20000
#define SHORT_MS    100
#define SETTLE_MS   50
/* enough for a handshake, under the sanitizers too */
#define HANDSHAKE_MS 1000

typedef struct {
  /* the source */
  GTlsCertificate *certificate;
  char *pin;
  PeerListener *listener;
  GBytes *record; /* pushed to whoever claims */
  guint claims;
  guint departures;
  GPtrArray *refusals; /* of GError */

  /* the destination */
  PeerSession *session;
  bool opened;
  GError *open_error;
  guint records;
  GBytes *last_record;
  char *withdrawn;
  GError *closed;
} Fixture;

/* waiting */

static gboolean
on_patience_over (gpointer user_data)
{
  g_error ("waited %d ms in vain", PATIENCE_MS);
  return G_SOURCE_REMOVE;
}

#define wait_for(condition)                                                                        \
  G_STMT_START                                                                                     \
  {                                                                                                \
    guint patience_id_ = g_timeout_add (PATIENCE_MS, on_patience_over, NULL);                      \
    while (!(condition))                                                                           \
      g_main_context_iteration (NULL, TRUE);                                                       \
    g_source_remove (patience_id_);                                                                \
  }                                                                                                \
  G_STMT_END

static gboolean
on_settled (gpointer user_data)
{
  *(bool *) user_data = true;
  return G_SOURCE_REMOVE;
}

/* Give what must not happen the time to happen. */
static void
settle (void)
{
  bool settled = false;

  g_timeout_add (SETTLE_MS, on_settled, &settled);
  wait_for (settled);
}

/* Drop the last reference but those of what is still under way, and see that these go as well. */
static void
wait_for_last_unref (gpointer object)
{
  gpointer weak = object;

  g_object_add_weak_pointer (object, &weak);
  g_object_unref (object);
  wait_for (weak == NULL);
}

static void
on_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

/* the source */

static const char *
look_up_ticket (const char *domain, gpointer user_data)
{
  if (g_str_equal (domain, DOMAIN))
    return TICKET;
  return g_str_equal (domain, OTHER_DOMAIN) ? OTHER_TICKET : NULL;
}

static void
on_claimed (PeerListener *listener, const char *domain, const char *address, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_assert_cmpstr (address, ==, "127.0.0.1");
  fixture->claims++;
  if (fixture->record != NULL)
    g_assert_cmpuint (peer_listener_push_record (listener, domain, fixture->record), ==,
                      fixture->claims - fixture->departures);
}

static void
on_gone (PeerListener *listener, const char *domain, const char *address, gpointer user_data)
{
  ((Fixture *) user_data)->departures++;
}

static void
on_refused (PeerListener *listener, const GError *error, gpointer user_data)
{
  g_ptr_array_add (((Fixture *) user_data)->refusals, g_error_copy (error));
}

static GTlsCertificate *
make_identity (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("clockferry-peer-XXXXXX", &error);
  g_autofree char *key_path = g_build_filename (dir, IDENTITY_KEY_FILE, NULL);
  g_autofree char *cert_path = g_build_filename (dir, IDENTITY_CERT_FILE, NULL);
  GTlsCertificate *certificate = identity_load (dir, &error);

  g_assert_no_error (error);
  g_unlink (key_path);
  g_unlink (cert_path);
  g_rmdir (dir);
  return certificate;
}

static void
fixture_set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->certificate = make_identity ();
  fixture->pin = identity_pin (fixture->certificate, &error);
  g_assert_no_error (error);
  fixture->refusals = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  fixture->listener = peer_listener_new (fixture->certificate, NULL, look_up_ticket, NULL);
  g_signal_connect (fixture->listener, "claimed", G_CALLBACK (on_claimed), fixture);
  g_signal_connect (fixture->listener, "gone", G_CALLBACK (on_gone), fixture);
  g_signal_connect (fixture->listener, "refused", G_CALLBACK (on_refused), fixture);
  g_assert_true (peer_listener_start (fixture->listener, "127.0.0.1", 0, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (peer_listener_get_port (fixture->listener), !=, 0);
}

static void
fixture_tear_down (Fixture *fixture, gconstpointer data)
{
  if (fixture->session != NULL)
    peer_session_close (fixture->session);
  peer_listener_stop (fixture->listener);
  if (fixture->session != NULL)
    wait_for_last_unref (fixture->session);
  wait_for_last_unref (fixture->listener);
  g_clear_pointer (&fixture->record, g_bytes_unref);
  g_clear_pointer (&fixture->last_record, g_bytes_unref);
  g_clear_error (&fixture->open_error);
  g_clear_error (&fixture->closed);
  g_ptr_array_unref (fixture->refusals);
  g_free (fixture->withdrawn);
  g_free (fixture->pin);
  g_object_unref (fixture->certificate);
}

/* the destination */

static void
on_record (PeerSession *session, GBytes *record, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_assert_true (fixture->opened);
  g_clear_pointer (&fixture->last_record, g_bytes_unref);
  fixture->last_record = g_bytes_ref (record);
  fixture->records++;
}

static void
on_withdrawn (PeerSession *session, const char *reason, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_assert_null (fixture->withdrawn);
  fixture->withdrawn = g_strdup (reason);
}

static void
on_closed (PeerSession *session, const GError *error, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_assert_null (fixture->closed);
  fixture->closed = g_error_copy (error);
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->opened = peer_session_open_finish (PEER_SESSION (source), result, &fixture->open_error);
  g_assert_true (fixture->opened == (fixture->open_error == NULL));
}

static void
fixture_open_session (Fixture *fixture, guint16 port, const char *domain, const char *ticket,
                      GCancellable *cancellable)
{
  const PeerAnnouncement announcement = {
    .address = "127.0.0.1",
    .port = port,
    .pin = fixture->pin,
    .domain = domain,
    .ticket = ticket,
  };

  fixture->session = peer_session_new (&announcement, NULL);
  g_signal_connect (fixture->session, "record", G_CALLBACK (on_record), fixture);
  g_signal_connect (fixture->session, "withdrawn", G_CALLBACK (on_withdrawn), fixture);
  g_signal_connect (fixture->session, "closed", G_CALLBACK (on_closed), fixture);
  peer_session_open_async (fixture->session, cancellable, on_opened, fixture);
}

static void
fixture_claim (Fixture *fixture)
{
  fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN, TICKET, NULL);
  wait_for (fixture->opened || fixture->open_error != NULL);
  g_assert_no_error (fixture->open_error);
}

static GBytes *
make_record (guint vcpus, guint64 guest_src_ns)
{
  gsize size = clock_record_size (vcpus);
  g_autofree struct clock_record *record = g_malloc0 (size);

  record->guest_src_ns = guest_src_ns;
  record->host_src_ns = 1700000000000000000;
  record->tsc_src_ticks = 12345;
  record->freq_khz = 2000000;
  record->flags = CLOCK_RECORD_MASTER_CLOCK;
  record->vcpu_count = vcpus;
  for (guint i = 0; i < vcpus; i++)
    record->vcpus[i] = (struct clock_record_vcpu){ .id = i, .ofs_ticks = ~(guint64) i };
  return g_bytes_new (record, size);
}

/* strangers */

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

static void
assert_one_refusal (Fixture *fixture, GQuark domain, int code)
{
  g_assert_cmpuint (fixture->refusals->len, ==, 1);
  g_assert_error ((GError *) fixture->refusals->pdata[0], domain, code);
  g_assert_nonnull (strstr (((GError *) fixture->refusals->pdata[0])->message, "127.0.0.1"));
}

/* tests of a claim */

static void
test_claim (Fixture *fixture, gconstpointer data)
{
  ClockEstimate estimate;

  fixture_claim (fixture);
  g_assert_cmpuint (fixture->claims, ==, 1);
  g_assert_cmpuint (peer_session_get_remote_clock (fixture->session)->max_error_us, <=,
                    HOST_CLOCK_MAX_ERROR_US);

  /* one host: the truth is zero */
  wait_for (peer_session_get_estimate (fixture->session, &estimate));
  g_assert_cmpuint (ABS (estimate.theta_ns), <=, estimate.bound_ns);
  g_assert_no_error (fixture->closed);
  g_assert_cmpuint (fixture->refusals->len, ==, 0);
}

static void
test_round_trip (Fixture *fixture, gconstpointer data)
{
  ClockEstimate estimate;
  guint64 round_trip_ns;

  fixture_claim (fixture);
  for (guint i = 0; i < 20; i++)
    settle ();
  g_assert_true (peer_session_get_estimate (fixture->session, &estimate));
  g_assert_cmpuint (ABS (estimate.theta_ns), <=, estimate.bound_ns);
  round_trip_ns = peer_session_get_round_trip_ns (fixture->session);
  g_assert_cmpuint (round_trip_ns, >, 0);
  g_test_message ("round trip %.1f us, theta %.1f us, bound %.1f us", (double) round_trip_ns / 1000,
                  (double) estimate.theta_ns / 1000, (double) estimate.bound_ns / 1000);
}

static void
test_wrong_ticket (Fixture *fixture, gconstpointer data)
{
  const char *const tickets[] = { OTHER_TICKET, "", "0", TICKET "0" };

  for (gsize i = 0; i < G_N_ELEMENTS (tickets); i++) {
    g_ptr_array_set_size (fixture->refusals, 0);
    fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN, tickets[i],
                          NULL);
    wait_for (fixture->open_error != NULL && fixture->refusals->len > 0);
    g_assert_error (fixture->open_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
    g_assert_null (strstr (fixture->open_error->message, "GDBus"));
    assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
    g_assert_cmpuint (fixture->claims, ==, 0);
    peer_session_close (fixture->session);
    g_clear_object (&fixture->session);
    g_clear_error (&fixture->open_error);
  }
}

/* Nobody can find out by asking which domains there are. */
static void
test_unknown_domain (Fixture *fixture, gconstpointer data)
{
  const char *const domains[] = { "6c2c1d3e-7f5a-4b7e-9d0c-000000000000", "", "no uuid" };
  g_autofree char *known = NULL;

  fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN, OTHER_TICKET,
                        NULL);
  wait_for (fixture->open_error != NULL);
  known = g_strdup (fixture->open_error->message);

  for (gsize i = 0; i < G_N_ELEMENTS (domains); i++) {
    peer_session_close (fixture->session);
    g_clear_object (&fixture->session);
    g_clear_error (&fixture->open_error);
    fixture_open_session (fixture, peer_listener_get_port (fixture->listener), domains[i], TICKET,
                          NULL);
    wait_for (fixture->open_error != NULL);
    g_assert_error (fixture->open_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
    g_assert_cmpstr (fixture->open_error->message, ==, known);
  }
}

static void
test_second_claim (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection)
    bus = stranger_speak_dbus (peer_listener_get_port (fixture->listener));
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GVariant) again = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) record = make_record (1, 1);

  reply = stranger_call (bus, PEER_IFACE, "Claim", g_variant_new ("(ss)", DOMAIN, TICKET), &error);
  g_assert_no_error (error);
  again = stranger_call (bus, PEER_IFACE, "Claim",
                         g_variant_new ("(ss)", OTHER_DOMAIN, OTHER_TICKET), &error);
  g_assert_null (again);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_ALREADY_CLAIMED);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, OTHER_DOMAIN, record), ==, 0);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, DOMAIN, record), ==, 1);
}

static void
test_time_before_claim (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection)
    bus = stranger_speak_dbus (peer_listener_get_port (fixture->listener));
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;

  reply = stranger_call (bus, PEER_IFACE, "Time", NULL, &error);
  g_assert_null (reply);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
  wait_for (g_dbus_connection_is_closed (bus));
  assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
}

/* GDBus would answer these by itself. */
static void
test_standard_interfaces (Fixture *fixture, gconstpointer data)
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

/* tests of records */

static void
test_record_before_claim (Fixture *fixture, gconstpointer data)
{
  fixture->record = make_record (4, 77);
  fixture_claim (fixture);
  wait_for (fixture->records > 0);
  g_assert_cmpuint (fixture->records, ==, 1);
  g_assert_true (g_bytes_equal (fixture->last_record, fixture->record));
}

static void
test_records_after_claim (Fixture *fixture, gconstpointer data)
{
  /* the largest there is, twice, and a small one: the last counts */
  g_autoptr (GBytes) large = make_record (CLOCK_RECORD_VCPUS_MAX, 1);
  g_autoptr (GBytes) small = make_record (1, 2);

  fixture_claim (fixture);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, DOMAIN, large), ==, 1);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, DOMAIN, large), ==, 1);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, DOMAIN, small), ==, 1);
  wait_for (fixture->records == 3);
  g_assert_true (g_bytes_equal (fixture->last_record, small));
}

static void
test_bad_record (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GBytes) good = make_record (2, 1);
  g_autoptr (GBytes) bad = g_bytes_new_from_bytes (good, 0, g_bytes_get_size (good) - 1);

  fixture_claim (fixture);
  peer_listener_push_record (fixture->listener, DOMAIN, bad);
  wait_for (fixture->closed != NULL);
  g_assert_error (fixture->closed, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
  g_assert_cmpuint (fixture->records, ==, 0);
  wait_for (fixture->departures == 1);
}

static void
test_withdrawn (Fixture *fixture, gconstpointer data)
{
  fixture->record = make_record (1, 1);
  fixture_claim (fixture);
  peer_listener_withdraw (fixture->listener, OTHER_DOMAIN, "other");
  peer_listener_withdraw (fixture->listener, DOMAIN, "rolled-back");
  wait_for (fixture->withdrawn != NULL);
  g_assert_cmpstr (fixture->withdrawn, ==, "rolled-back");
  g_assert_cmpuint (fixture->records, ==, 1);
  g_assert_no_error (fixture->closed);
}

/* tests of the end */

static void
test_listener_stops (Fixture *fixture, gconstpointer data)
{
  fixture_claim (fixture);
  peer_listener_stop (fixture->listener);
  g_assert_cmpuint (fixture->departures, ==, 1);
  wait_for (fixture->closed != NULL);
}

static void
test_release (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GBytes) record = make_record (1, 1);

  fixture_claim (fixture);
  /* what was pushed before still arrives */
  peer_listener_push_record (fixture->listener, DOMAIN, record);
  peer_listener_release (fixture->listener, OTHER_DOMAIN);
  g_assert_cmpuint (fixture->departures, ==, 0);
  peer_listener_release (fixture->listener, DOMAIN);
  g_assert_cmpuint (fixture->departures, ==, 1);
  wait_for (fixture->closed != NULL);
  g_assert_cmpuint (fixture->records, ==, 1);
}

static void
test_session_closes (Fixture *fixture, gconstpointer data)
{
  fixture_claim (fixture);
  peer_session_close (fixture->session);
  wait_for (fixture->departures == 1);
  settle ();
  g_assert_no_error (fixture->closed);
}

static void
test_close_while_opening (Fixture *fixture, gconstpointer data)
{
  fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN, TICKET, NULL);
  peer_session_close (fixture->session);
  wait_for (fixture->open_error != NULL);
  g_assert_error (fixture->open_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_no_error (fixture->closed);
}

static void
test_cancel_while_opening (Fixture *fixture, gconstpointer data)
{
  /* at every step of opening, or so */
  for (guint turns = 0; turns < 40; turns++) {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();

    fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN, TICKET,
                          cancellable);
    for (guint i = 0; i < turns && !fixture->opened; i++)
      g_main_context_iteration (NULL, TRUE);
    g_cancellable_cancel (cancellable);
    wait_for (fixture->opened || fixture->open_error != NULL);
    if (!fixture->opened)
      g_assert_error (fixture->open_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    peer_session_close (fixture->session);
    wait_for_last_unref (g_steal_pointer (&fixture->session));
    g_clear_error (&fixture->open_error);
    fixture->opened = false;
  }
}

/* tests of sources that are not what they should be */

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

/* A man in the middle, with a key of his own, never gets to see the ticket. */
static void
test_wrong_key (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GTlsCertificate) other = make_identity ();
  Impostor impostor = { 0 };

  impostor_start (&impostor, other);
  fixture_open_session (fixture, impostor.port, DOMAIN, TICKET, NULL);
  wait_for (fixture->open_error != NULL && impostor.ended > 0);
  g_assert_error (fixture->open_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_WRONG_KEY);
  g_assert_nonnull (strstr (fixture->open_error->message, fixture->pin));
  g_assert_cmpuint (impostor.heard_bytes, ==, 0);
  impostor_stop (&impostor);
}

/* The control of the test above: with the right key, that impostor does hear the ticket. */
static void
test_right_key_hears_claim (Fixture *fixture, gconstpointer data)
{
  Impostor impostor = { 0 };

  impostor_start (&impostor, fixture->certificate);
  fixture_open_session (fixture, impostor.port, DOMAIN, TICKET, NULL);
  wait_for (impostor.ended > 0);
  g_assert_cmpuint (impostor.heard_bytes, >, 0);
  impostor_stop (&impostor);
}

/* In a process of its own, as GnuTLS is told about versions once. Neither end goes on. */
static void
test_old_tls (Fixture *fixture, gconstpointer data)
{
  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed ();
    return;
  }
  g_setenv ("G_TLS_GNUTLS_PRIORITY", "NORMAL:-VERS-ALL:+VERS-TLS1.2", TRUE);
  fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN, TICKET, NULL);
  wait_for (fixture->open_error != NULL && fixture->refusals->len > 0);
  g_assert_error (fixture->open_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
  g_assert_nonnull (strstr (fixture->open_error->message, "TLS 1.3"));
  assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
}

static void
test_silent_source (Fixture *fixture, gconstpointer data)
{
  const PeerAnnouncement nobody = {
    .address = "127.0.0.1", .pin = fixture->pin, .domain = DOMAIN, .ticket = TICKET
  };
  PeerAnnouncement announcement = nobody;
  Impostor impostor = { 0 };
  g_autoptr (PeerSession) session = NULL;

  impostor_start (&impostor, NULL);
  announcement.port = impostor.port;
  session = peer_session_new (&announcement, NULL);
  g_object_set (session, "open-ms", SHORT_MS, NULL);
  peer_session_open_async (session, NULL, on_opened, fixture);
  wait_for (fixture->open_error != NULL);
  g_assert_error (fixture->open_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (fixture->open_error->message, "cannot verify 127.0.0.1"));
  impostor_stop (&impostor);
}

static void
test_no_source (Fixture *fixture, gconstpointer data)
{
  guint16 port = peer_listener_get_port (fixture->listener);

  peer_listener_stop (fixture->listener);
  fixture_open_session (fixture, port, DOMAIN, TICKET, NULL);
  wait_for (fixture->open_error != NULL);
  g_assert_error (fixture->open_error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
  g_assert_nonnull (strstr (fixture->open_error->message, "cannot connect to 127.0.0.1"));
}

/* tests of clients that are not what they should be */

static void
test_garbage (Fixture *fixture, gconstpointer data)
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
test_claim_deadline (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GSocketConnection) silent = NULL;
  g_autoptr (GIOStream) shy = NULL;
  guint16 port = peer_listener_get_port (fixture->listener);

  g_object_set (fixture->listener, "claim-ms", SHORT_MS, NULL);
  silent = stranger_connect (port);
  stranger_wait_for_end (G_IO_STREAM (silent));
  assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_TIMED_OUT);

  g_ptr_array_set_size (fixture->refusals, 0);
  g_object_set (fixture->listener, "claim-ms", HANDSHAKE_MS, NULL);
  shy = stranger_handshake (port);
  stranger_wait_for_end (shy);
  assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_TIMED_OUT);

  /* and who claimed in time may stay */
  fixture_claim (fixture);
  for (guint i = 0; i < HANDSHAKE_MS / SETTLE_MS + 1; i++)
    settle ();
  g_assert_no_error (fixture->closed);
}

static void
test_oversized_request (Fixture *fixture, gconstpointer data)
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
test_flood (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection)
    bus = stranger_speak_dbus (peer_listener_get_port (fixture->listener));
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;

  reply = stranger_call (bus, PEER_IFACE, "Claim", g_variant_new ("(ss)", DOMAIN, TICKET), &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 5000; i++)
    g_dbus_connection_call (bus, NULL, CLOCKFERRY_PEER_PATH, PEER_IFACE, "Time", NULL, NULL,
                            G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
  wait_for (fixture->departures == 1);
  wait_for (g_dbus_connection_is_closed (bus));
}

static void
test_too_many_strangers (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) crowd = g_ptr_array_new_with_free_func (g_object_unref);
  guint16 port = peer_listener_get_port (fixture->listener);

  for (guint i = 0; i <= PEER_LISTENER_STRANGERS_PER_ADDRESS; i++)
    g_ptr_array_add (crowd, stranger_connect (port));
  stranger_wait_for_end (crowd->pdata[PEER_LISTENER_STRANGERS_PER_ADDRESS]);
  assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_FAILED);

  /* as soon as one leaves, there is room again */
  g_ptr_array_remove_index (crowd, 0);
  wait_for (fixture->refusals->len == 2);
  fixture_claim (fixture);
}

/*
 * Strangers who say half a word each hold up the handshake of a peer with a ticket for a while, but
 * not for as long as that would wait.
 */
static void
test_stalled_handshakes (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) crowd = g_ptr_array_new_with_free_func (g_object_unref);
  guint16 port = peer_listener_get_port (fixture->listener);

  for (guint i = 0; i < PEER_LISTENER_STRANGERS_PER_ADDRESS - 1; i++) {
    GSocketConnection *connection = stranger_connect (port);

    g_ptr_array_add (crowd, connection);
    g_assert_cmpint (
      g_output_stream_write (g_io_stream_get_output_stream (G_IO_STREAM (connection)), "\x16", 1,
                             NULL, NULL),
      ==, 1);
  }
  settle ();
  fixture_claim (fixture);
  g_assert_cmpuint (fixture->claims, ==, 1);
}

static void
test_bad_addresses (Fixture *fixture, gconstpointer data)
{
  const char *const addresses[] = { "localhost", "", "127.0.0.1:80", "192.0.2.1" };

  for (gsize i = 0; i < G_N_ELEMENTS (addresses); i++) {
    g_autoptr (PeerListener)
      listener = peer_listener_new (fixture->certificate, NULL, look_up_ticket, NULL);
    g_autoptr (GError) error = NULL;

    g_assert_false (peer_listener_start (listener, addresses[i], 0, &error));
    g_assert_nonnull (error);
    g_assert_nonnull (strstr (error->message, addresses[i]));
  }
}

static void
test_port_in_use (Fixture *fixture, gconstpointer data)
{
  g_autoptr (PeerListener)
    listener = peer_listener_new (fixture->certificate, NULL, look_up_ticket, NULL);
  guint16 port = peer_listener_get_port (fixture->listener);
  g_autofree char *port_text = g_strdup_printf ("port %u", port);
  g_autoptr (GError) error = NULL;

  g_assert_false (peer_listener_start (listener, "127.0.0.1", port, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
  g_assert_nonnull (strstr (error->message, port_text));
}

static void
test_any_address (Fixture *fixture, gconstpointer data)
{
  g_autoptr (PeerListener)
    listener = peer_listener_new (fixture->certificate, NULL, look_up_ticket, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (peer_listener_start (listener, NULL, 0, &error));
  g_assert_no_error (error);
  fixture_open_session (fixture, peer_listener_get_port (listener), DOMAIN, TICKET, NULL);
  wait_for (fixture->opened || fixture->open_error != NULL);
  g_assert_no_error (fixture->open_error);
  peer_session_close (fixture->session);
  peer_listener_stop (listener);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  /* so that GDBus turns the answers that strangers get into our codes */
  (void) clockferry_error_quark ();
#define add(name, function)                                                                        \
  g_test_add ("/peer-channel/" name, Fixture, NULL, fixture_set_up, function, fixture_tear_down)
  add ("claim", test_claim);
  add ("round-trip", test_round_trip);
  add ("wrong-ticket", test_wrong_ticket);
  add ("unknown-domain", test_unknown_domain);
  add ("second-claim", test_second_claim);
  add ("time-before-claim", test_time_before_claim);
  add ("standard-interfaces", test_standard_interfaces);
  add ("record-before-claim", test_record_before_claim);
  add ("records-after-claim", test_records_after_claim);
  add ("bad-record", test_bad_record);
  add ("withdrawn", test_withdrawn);
  add ("listener-stops", test_listener_stops);
  add ("release", test_release);
  add ("session-closes", test_session_closes);
  add ("close-while-opening", test_close_while_opening);
  add ("cancel-while-opening", test_cancel_while_opening);
  add ("wrong-key", test_wrong_key);
  add ("right-key-hears-claim", test_right_key_hears_claim);
  add ("old-tls", test_old_tls);
  add ("silent-source", test_silent_source);
  add ("no-source", test_no_source);
  add ("garbage", test_garbage);
  add ("claim-deadline", test_claim_deadline);
  add ("oversized-request", test_oversized_request);
  add ("flood", test_flood);
  add ("too-many-strangers", test_too_many_strangers);
  add ("stalled-handshakes", test_stalled_handshakes);
  add ("bad-addresses", test_bad_addresses);
  add ("port-in-use", test_port_in_use);
  add ("any-address", test_any_address);
#undef add
  return g_test_run ();
}
