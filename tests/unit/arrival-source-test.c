/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arrival-source-test - when a destination asks the daemon of the source again, and when not
 *
 * The listener of that daemon runs here, and knows what a test lets it know.
 */

#include "arrival-source.h"

#include "error.h"
#include "identity.h"
#include "peer-fixture.h"

#include <string.h>

/* More than a second goes by until it asks again. */
#define SECOND_ATTEMPT_MS 1500

typedef struct {
  /* the source */
  GTlsCertificate *certificate;
  char *pin;
  PeerListener *listener;
  bool is_early;
  bool has_ticket;
  guint refusals;
  guint gone;

  /* the destination */
  ArrivalSource *source;
  guint claimed;
  guint records;
  guint lost;
  GError *lost_error; /* of the last time */
} Fixture;

/* the source */

static const char *
look_up_ticket (const char *domain, bool *is_early, gpointer user_data)
{
  Fixture *fixture = user_data;

  *is_early = fixture->is_early;
  return fixture->has_ticket ? TICKET : NULL;
}

static void
on_refused (PeerListener *listener, const GError *error, gpointer user_data)
{
  ((Fixture *) user_data)->refusals++;
}

static void
on_gone (PeerListener *listener, const char *domain, const char *migration, gpointer user_data)
{
  ((Fixture *) user_data)->gone++;
}

/* the destination */

static void
on_claimed (gpointer user_data)
{
  ((Fixture *) user_data)->claimed++;
}

static void
on_record (GBytes *record, gpointer user_data)
{
  ((Fixture *) user_data)->records++;
}

static void
on_withdrawn (const char *reason, gpointer user_data)
{
  g_assert_not_reached ();
}

static void
on_compared (gpointer user_data)
{
}

static void
on_lost (const GError *error, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_test_message ("%s", error->message);
  fixture->lost++;
  g_clear_error (&fixture->lost_error);
  fixture->lost_error = g_error_copy (error);
}

static const ArrivalSourceCallbacks callbacks = {
  .claimed = on_claimed,
  .record = on_record,
  .withdrawn = on_withdrawn,
  .compared = on_compared,
  .lost = on_lost,
};

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->certificate = peer_fixture_make_identity ();
  fixture->pin = identity_pin (fixture->certificate, &error);
  g_assert_no_error (error);
  fixture->has_ticket = true;
  fixture->listener = peer_listener_new (fixture->certificate, NULL, look_up_ticket, fixture);
  g_signal_connect (fixture->listener, "refused", G_CALLBACK (on_refused), fixture);
  g_signal_connect (fixture->listener, "gone", G_CALLBACK (on_gone), fixture);
  g_assert_true (peer_listener_start (fixture->listener, "127.0.0.1", 0, &error));
  g_assert_no_error (error);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->source, arrival_source_free);
  peer_listener_stop (fixture->listener);
  wait_for_last_unref (fixture->listener);
  g_clear_error (&fixture->lost_error);
  g_free (fixture->pin);
  g_object_unref (fixture->certificate);
}

static void
ask (Fixture *fixture)
{
  const SourceElement element = {
    .address = (char *) "127.0.0.1",
    .port = peer_listener_get_port (fixture->listener),
    .pin = fixture->pin,
    .ticket = (char *) TICKET,
  };

  fixture->source = arrival_source_new (&element, NULL, DOMAIN, MIGRATION, &callbacks, fixture);
}

static gboolean
on_time (gpointer user_data)
{
  *(bool *) user_data = true;
  return G_SOURCE_REMOVE;
}

static void
wait_for_second_attempt (void)
{
  bool is_over = false;

  g_timeout_add (SECOND_ATTEMPT_MS, on_time, &is_over);
  wait_for (is_over);
}

/* tests */

static void
test_wrong_ticket (Fixture *fixture, gconstpointer data)
{
  fixture->has_ticket = false;
  ask (fixture);
  wait_for (fixture->lost == 1);
  g_assert_error (fixture->lost_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
  fixture->has_ticket = true;
  wait_for_second_attempt ();
  g_assert_cmpuint (fixture->lost, ==, 1);
  g_assert_cmpuint (fixture->claimed, ==, 0);
}

/* It was just started, and has not heard from libvirt. */
static void
test_early (Fixture *fixture, gconstpointer data)
{
  fixture->has_ticket = false;
  fixture->is_early = true;
  ask (fixture);
  wait_for (fixture->lost == 2);
  g_assert_error (fixture->lost_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_YET);
  fixture->has_ticket = true;
  fixture->is_early = false;
  wait_for (fixture->claimed == 1);
}

/* What it knows already it gives away at once. */
static void
test_early_and_right (Fixture *fixture, gconstpointer data)
{
  fixture->is_early = true;
  ask (fixture);
  wait_for (fixture->claimed == 1);
  g_assert_cmpuint (fixture->lost, ==, 0);
}

/* It was so before, too. */
static void
test_restarted (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  uint16_t port = peer_listener_get_port (fixture->listener);

  ask (fixture);
  wait_for (fixture->claimed == 1);
  fixture->has_ticket = false;
  fixture->is_early = true;
  peer_listener_stop (fixture->listener);
  g_assert_true (peer_listener_start (fixture->listener, "127.0.0.1", port, &error));
  g_assert_no_error (error);
  wait_for (g_error_matches (fixture->lost_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_YET));
  fixture->has_ticket = true;
  fixture->is_early = false;
  wait_for (fixture->claimed == 2);
}

/* a host that all of another's guests go to */

typedef struct {
  PeerSession *sessions[PEER_LISTENER_CLAIMED_PER_ADDRESS];
  guint opened;
} Crowd;

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  (void) !peer_session_open_finish (PEER_SESSION (source), result, &error);
  g_assert_no_error (error);
  ((Crowd *) user_data)->opened++;
}

static PeerSession *
claim_another (Fixture *fixture, Crowd *crowd, guint number)
{
  g_autofree char *domain = g_strdup_printf ("6c2c1d3e-7f5a-4b7e-9d0c-%012u", number);
  const PeerAnnouncement announcement = {
    .address = "127.0.0.1",
    .port = peer_listener_get_port (fixture->listener),
    .pin = fixture->pin,
    .domain = domain,
    .ticket = TICKET,
    .migration = MIGRATION,
  };
  PeerSession *session = peer_session_new (&announcement, NULL);

  peer_session_open_async (session, NULL, on_opened, crowd);
  return session;
}

/* Few at a time, so that no handshake is in the way of another. */
static void
claim_all (Fixture *fixture, Crowd *crowd)
{
  const guint at_once = 3;

  for (guint i = 0; i < PEER_LISTENER_CLAIMED_PER_ADDRESS; i++) {
    crowd->sessions[i] = claim_another (fixture, crowd, i);
    wait_for (crowd->opened + at_once > i);
  }
  wait_for (crowd->opened == PEER_LISTENER_CLAIMED_PER_ADDRESS);
  g_assert_cmpuint (fixture->refusals, ==, 0);
}

static void
end_session (PeerSession *session)
{
  peer_session_close (session);
  wait_for_last_unref (session);
}

static void
end_all (Crowd *crowd)
{
  for (guint i = 0; i < PEER_LISTENER_CLAIMED_PER_ADDRESS; i++)
    end_session (crowd->sessions[i]);
}

/* One more than it takes from one address is told why it has to wait, and has its turn. */
static void
test_crowded (Fixture *fixture, gconstpointer data)
{
  Crowd crowd = { 0 };
  g_autoptr (GBytes) record = peer_fixture_make_record (1, 1);

  claim_all (fixture, &crowd);
  ask (fixture);
  wait_for (fixture->lost == 2);
  g_assert_error (fixture->lost_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_YET);
  g_assert_nonnull (strstr (fixture->lost_error->message, "too many connections of one address"));
  g_assert_cmpuint (fixture->claimed, ==, 0);
  g_assert_cmpuint (fixture->refusals, ==, 2);
  g_assert_cmpuint (fixture->gone, ==, 0);

  peer_session_close (crowd.sessions[0]);
  wait_for (fixture->claimed == 1);
  g_assert_cmpuint (peer_listener_push_record (fixture->listener, DOMAIN, record), ==, 1);
  wait_for (fixture->records == 1);
  end_all (&crowd);
}

/* One of them comes back before the source has noticed that it went: it has the place that was its own. */
static void
test_crowded_and_back (Fixture *fixture, gconstpointer data)
{
  Crowd crowd = { 0 };
  PeerSession *again;

  claim_all (fixture, &crowd);
  again = claim_another (fixture, &crowd, 5);
  wait_for (crowd.opened == PEER_LISTENER_CLAIMED_PER_ADDRESS + 1);
  g_assert_cmpuint (fixture->gone, ==, 1);
  end_session (again);
  end_all (&crowd);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function)                                                                        \
  g_test_add ("/arrival-source/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("wrong-ticket", test_wrong_ticket);
  ADD ("early", test_early);
  ADD ("early/right", test_early_and_right);
  ADD ("restarted", test_restarted);
  ADD ("crowded", test_crowded);
  ADD ("crowded/and-back", test_crowded_and_back);
#undef ADD
  return g_test_run ();
}
