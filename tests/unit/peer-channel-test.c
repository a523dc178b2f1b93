/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-fixture.h"

#include "clock-record.h"
#include "error.h"

#include <string.h>

/* enough for a handshake, under the sanitizers too */
#define CHECK_MS 1000

/*
 * Listener and session talk to each other: claims, records, checks, and the end. Where one of them must
 * misbehave, see peer-impostor-test and peer-stranger-test.
 */

/* tests of a claim */

/* One host: the truth is zero, for a record of any time of this boot. */
static gboolean
is_estimated (PeerFixture *fixture, ClockEstimate *estimate)
{
  HostClockReading now;

  host_clock_read (&now);
  return peer_session_get_estimate (fixture->session, now.realtime_ns - now.boottime_ns, estimate);
}

static void
test_claim (PeerFixture *fixture, gconstpointer data)
{
  HostClockState remote;
  ClockEstimate estimate;

  peer_fixture_claim (fixture);
  g_assert_cmpuint (fixture->claims, ==, 1);
  peer_session_get_remote_clock (fixture->session, &remote);
  g_assert_cmpuint (remote.max_error_us, >, 0);
  g_assert_cmpuint (remote.max_error_us, <=, HOST_CLOCK_MAX_ERROR_US + 1000000);

  wait_for (is_estimated (fixture, &estimate));
  g_assert_cmpuint (ABS (estimate.theta_ns), <=, estimate.bound_ns);
  g_assert_no_error (fixture->closed);
  g_assert_cmpuint (fixture->refusals->len, ==, 0);
}

static void
test_round_trip (PeerFixture *fixture, gconstpointer data)
{
  ClockEstimate estimate;
  guint64 round_trip_ns;

  peer_fixture_claim (fixture);
  for (guint i = 0; i < 20; i++)
    wait_settle ();
  g_assert_true (is_estimated (fixture, &estimate));
  g_assert_cmpuint (ABS (estimate.theta_ns), <=, estimate.bound_ns);
  round_trip_ns = peer_session_get_round_trip_ns (fixture->session);
  g_assert_cmpuint (round_trip_ns, >, 0);
  g_test_message ("round trip %.1f us, theta %.1f us, bound %.1f us", (double) round_trip_ns / 1000,
                  (double) estimate.theta_ns / 1000, (double) estimate.bound_ns / 1000);
}

static void
test_wrong_ticket (PeerFixture *fixture, gconstpointer data)
{
  const char *const tickets[] = { OTHER_TICKET, "", "0", TICKET "0" };

  for (gsize i = 0; i < G_N_ELEMENTS (tickets); i++) {
    g_ptr_array_set_size (fixture->refusals, 0);
    peer_fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN,
                               tickets[i], NULL);
    wait_for (fixture->open_error != NULL && fixture->refusals->len > 0);
    g_assert_error (fixture->open_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
    g_assert_null (strstr (fixture->open_error->message, "GDBus"));
    peer_fixture_assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
    g_assert_cmpuint (fixture->claims, ==, 0);
    peer_session_close (fixture->session);
    g_clear_object (&fixture->session);
    g_clear_error (&fixture->open_error);
  }
}

/* Nobody can find out by asking which domains there are. */
static void
test_unknown_domain (PeerFixture *fixture, gconstpointer data)
{
  const char *const domains[] = { "6c2c1d3e-7f5a-4b7e-9d0c-000000000000", "", "no uuid" };
  g_autofree char *known = NULL;

  peer_fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN,
                             OTHER_TICKET, NULL);
  wait_for (fixture->open_error != NULL);
  known = g_strdup (fixture->open_error->message);

  for (gsize i = 0; i < G_N_ELEMENTS (domains); i++) {
    peer_session_close (fixture->session);
    g_clear_object (&fixture->session);
    g_clear_error (&fixture->open_error);
    peer_fixture_open_session (fixture, peer_listener_get_port (fixture->listener), domains[i],
                               TICKET, NULL);
    wait_for (fixture->open_error != NULL);
    g_assert_error (fixture->open_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
    g_assert_cmpstr (fixture->open_error->message, ==, known);
  }
}

/* tests of records */

static void
test_record_before_claim (PeerFixture *fixture, gconstpointer data)
{
  fixture->record = peer_fixture_make_record (4, 77);
  peer_fixture_claim (fixture);
  wait_for (fixture->records > 0);
  g_assert_cmpuint (fixture->records, ==, 1);
  g_assert_true (g_bytes_equal (fixture->last_record, fixture->record));
}

static void
test_records_after_claim (PeerFixture *fixture, gconstpointer data)
{
  /* the largest there is, twice, and a small one: the last counts */
  g_autoptr (GBytes) large = peer_fixture_make_record (CLOCK_RECORD_VCPUS_MAX, 1);
  g_autoptr (GBytes) small = peer_fixture_make_record (1, 2);

  peer_fixture_claim (fixture);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, DOMAIN, large), ==, 1);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, DOMAIN, large), ==, 1);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, DOMAIN, small), ==, 1);
  wait_for (fixture->records == 3);
  g_assert_true (g_bytes_equal (fixture->last_record, small));
}

static void
test_bad_record (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GBytes) good = peer_fixture_make_record (2, 1);
  g_autoptr (GBytes) bad = g_bytes_new_from_bytes (good, 0, g_bytes_get_size (good) - 1);

  peer_fixture_claim (fixture);
  peer_listener_push_record (fixture->listener, DOMAIN, bad);
  wait_for (fixture->closed != NULL);
  g_assert_error (fixture->closed, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
  g_assert_cmpuint (fixture->records, ==, 0);
  wait_for (fixture->departures == 1);
}

static void
test_withdrawn (PeerFixture *fixture, gconstpointer data)
{
  fixture->record = peer_fixture_make_record (1, 1);
  peer_fixture_claim (fixture);
  peer_listener_withdraw (fixture->listener, OTHER_DOMAIN, "other");
  peer_listener_withdraw (fixture->listener, DOMAIN, "rolled-back");
  wait_for (fixture->withdrawn != NULL);
  g_assert_cmpstr (fixture->withdrawn, ==, "rolled-back");
  g_assert_cmpuint (fixture->records, ==, 1);
  g_assert_no_error (fixture->closed);
}

/* tests of the end */

static void
test_listener_stops (PeerFixture *fixture, gconstpointer data)
{
  peer_fixture_claim (fixture);
  peer_listener_stop (fixture->listener);
  g_assert_cmpuint (fixture->departures, ==, 1);
  wait_for (fixture->closed != NULL);
}

static void
test_release (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GBytes) record = peer_fixture_make_record (1, 1);

  peer_fixture_claim (fixture);
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
test_session_closes (PeerFixture *fixture, gconstpointer data)
{
  peer_fixture_claim (fixture);
  peer_session_close (fixture->session);
  wait_for (fixture->departures == 1);
  wait_settle ();
  g_assert_no_error (fixture->closed);
}

static void
on_abandoned (PeerListener *listener, const char *domain, const char *migration, gpointer user_data)
{
  g_assert_cmpstr (domain, ==, DOMAIN);
  g_assert_cmpstr (migration, ==, MIGRATION);
  (*(guint *) user_data)++;
}

/* Told before the end, and once. */
static void
test_session_abandons (PeerFixture *fixture, gconstpointer data)
{
  guint abandoned = 0;

  g_signal_connect (fixture->listener, "abandoned", G_CALLBACK (on_abandoned), &abandoned);
  peer_fixture_claim (fixture);
  peer_session_abandon (fixture->session);
  peer_session_abandon (fixture->session);
  wait_for (fixture->departures == 1);
  g_assert_cmpuint (abandoned, ==, 1);
  wait_settle ();
  g_assert_no_error (fixture->closed);
  g_assert_cmpuint (fixture->refusals->len, ==, 0);
}

/* There is nobody to be told. */
static void
test_abandon_while_opening (PeerFixture *fixture, gconstpointer data)
{
  peer_fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN, TICKET,
                             NULL);
  peer_session_abandon (fixture->session);
  wait_for (fixture->open_error != NULL);
  g_assert_error (fixture->open_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_close_while_opening (PeerFixture *fixture, gconstpointer data)
{
  peer_fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN, TICKET,
                             NULL);
  peer_session_close (fixture->session);
  wait_for (fixture->open_error != NULL);
  g_assert_error (fixture->open_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_no_error (fixture->closed);
}

static void
test_cancel_while_opening (PeerFixture *fixture, gconstpointer data)
{
  /* at every step of opening, or so */
  for (guint turns = 0; turns < 40; turns++) {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();

    peer_fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN, TICKET,
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

/* tests of a check */

static void
test_check (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GBytes) record = peer_fixture_make_record (1, 1);
  HostClockState remote;
  ClockEstimate estimate;

  fixture->record = g_bytes_ref (record);
  peer_fixture_open_check (fixture, DOMAIN, TICKET);
  wait_for (fixture->opened || fixture->open_error != NULL);
  g_assert_no_error (fixture->open_error);
  wait_for (peer_session_get_present_estimate (fixture->session, &estimate));
  /* one host: the truth is zero */
  g_assert_cmpuint (ABS (estimate.theta_ns), <=, estimate.bound_ns);
  g_assert_cmpuint (peer_session_get_round_trip_ns (fixture->session), >, 0);
  peer_session_get_remote_clock (fixture->session, &remote);
  g_assert_cmpuint (remote.max_error_us, >, 0);

  /* the domain goes on its way, and whoever checks hears nothing of it */
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, DOMAIN, record), ==, 0);
  peer_listener_withdraw (fixture->listener, DOMAIN, "rolled-back");
  peer_listener_release (fixture->listener, DOMAIN);
  wait_settle ();
  g_assert_cmpuint (fixture->records, ==, 0);
  g_assert_null (fixture->withdrawn);
  g_assert_no_error (fixture->closed);

  peer_session_close (fixture->session);
  wait_settle ();
  g_assert_cmpuint (fixture->claims, ==, 0);
  g_assert_cmpuint (fixture->departures, ==, 0);
  g_assert_cmpuint (fixture->refusals->len, ==, 0);
}

static void
test_check_wrong_ticket (PeerFixture *fixture, gconstpointer data)
{
  peer_fixture_open_check (fixture, DOMAIN, OTHER_TICKET);
  wait_for (fixture->open_error != NULL && fixture->refusals->len > 0);
  g_assert_error (fixture->open_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
  g_assert_true (g_str_has_prefix (fixture->open_error->message,
                                   "cannot show the ticket of the domain to 127.0.0.1, port "));
  peer_fixture_assert_one_refusal (fixture, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
}

/* Who checks takes up room for no longer than any stranger, and nobody complains. */
static void
test_check_deadline (PeerFixture *fixture, gconstpointer data)
{
  g_object_set (fixture->listener, "claim-ms", CHECK_MS, NULL);
  peer_fixture_open_check (fixture, DOMAIN, TICKET);
  wait_for (fixture->opened || fixture->open_error != NULL);
  g_assert_no_error (fixture->open_error);
  wait_for (fixture->closed != NULL);
  g_assert_cmpuint (fixture->refusals->len, ==, 0);
  g_assert_cmpuint (fixture->departures, ==, 0);
}

/* A claim knows the source's CLOCK_REALTIME by the record alone. */
static void
test_claim_has_no_present (PeerFixture *fixture, gconstpointer data)
{
  ClockEstimate estimate;

  peer_fixture_claim (fixture);
  wait_for (is_estimated (fixture, &estimate));
  g_assert_false (peer_session_get_present_estimate (fixture->session, &estimate));
}

/* tests of the listener's address */

static void
test_bad_addresses (PeerFixture *fixture, gconstpointer data)
{
  const char *const addresses[] = { "localhost", "", "127.0.0.1:80", "192.0.2.1" };

  for (gsize i = 0; i < G_N_ELEMENTS (addresses); i++) {
    g_autoptr (PeerListener)
      listener = peer_listener_new (fixture->certificate, NULL, peer_fixture_look_up_ticket, NULL);
    g_autoptr (GError) error = NULL;

    g_assert_false (peer_listener_start (listener, addresses[i], 0, &error));
    g_assert_nonnull (error);
    g_assert_nonnull (strstr (error->message, addresses[i]));
  }
}

static void
test_port_in_use (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (PeerListener)
    listener = peer_listener_new (fixture->certificate, NULL, peer_fixture_look_up_ticket, NULL);
  guint16 port = peer_listener_get_port (fixture->listener);
  g_autofree char *port_text = g_strdup_printf ("port %u", port);
  g_autoptr (GError) error = NULL;

  g_assert_false (peer_listener_start (listener, "127.0.0.1", port, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
  g_assert_nonnull (strstr (error->message, port_text));
}

static void
test_any_address (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (PeerListener)
    listener = peer_listener_new (fixture->certificate, NULL, peer_fixture_look_up_ticket, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (peer_listener_start (listener, NULL, 0, &error));
  g_assert_no_error (error);
  peer_fixture_open_session (fixture, peer_listener_get_port (listener), DOMAIN, TICKET, NULL);
  wait_for (fixture->opened || fixture->open_error != NULL);
  g_assert_no_error (fixture->open_error);
  peer_session_close (fixture->session);
  peer_listener_stop (listener);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  peer_fixture_add_test ("claim", test_claim);
  peer_fixture_add_test ("round-trip", test_round_trip);
  peer_fixture_add_test ("wrong-ticket", test_wrong_ticket);
  peer_fixture_add_test ("unknown-domain", test_unknown_domain);
  peer_fixture_add_test ("record-before-claim", test_record_before_claim);
  peer_fixture_add_test ("records-after-claim", test_records_after_claim);
  peer_fixture_add_test ("bad-record", test_bad_record);
  peer_fixture_add_test ("withdrawn", test_withdrawn);
  peer_fixture_add_test ("listener-stops", test_listener_stops);
  peer_fixture_add_test ("release", test_release);
  peer_fixture_add_test ("session-closes", test_session_closes);
  peer_fixture_add_test ("session-abandons", test_session_abandons);
  peer_fixture_add_test ("abandon-while-opening", test_abandon_while_opening);
  peer_fixture_add_test ("close-while-opening", test_close_while_opening);
  peer_fixture_add_test ("cancel-while-opening", test_cancel_while_opening);
  peer_fixture_add_test ("check", test_check);
  peer_fixture_add_test ("check-wrong-ticket", test_check_wrong_ticket);
  peer_fixture_add_test ("check-deadline", test_check_deadline);
  peer_fixture_add_test ("claim-has-no-present", test_claim_has_no_present);
  peer_fixture_add_test ("bad-addresses", test_bad_addresses);
  peer_fixture_add_test ("port-in-use", test_port_in_use);
  peer_fixture_add_test ("any-address", test_any_address);
  return g_test_run ();
}
