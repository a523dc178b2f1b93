/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * departure-test - what is said of a migration that leaves, and under which id
 */

#include <string.h>

#include "departure.h"
#include "event-log.h"
#include "migration-id.h"
#include "peer-fixture.h"
#include "quiet-events.h"

#define UUID DOMAIN
#define ID   MIGRATION
#define ID_2 OTHER_MIGRATION
#define PEER "192.0.2.1"

/* does not pass by itself, as SHORT_MS does */
#define LONG_MS 3600000

typedef struct {
  PeerFixture peers;
  HostContext host; /* with the listener of these */
  Departure *departure;
  DepartureRecord record;
  guint losses;
  GString *tape; /* of all entries, as on_entry() writes them */
  char *id;      /* that it made up, NULL before */
} Fixture;

static DepartureRecord
on_get_record (gpointer user_data)
{
  return ((Fixture *) user_data)->record;
}

static const char *
on_get_obstacle (gpointer user_data)
{
  return NULL;
}

static const char *
on_get_source (gpointer user_data)
{
  DepartureRecord record = ((Fixture *) user_data)->record;

  return record == DEPARTURE_RECORD_SENT || record == DEPARTURE_RECORD_UNCLAIMED ? "observed"
                                                                                 : NULL;
}

static void
on_claim_lost (gpointer user_data)
{
  ((Fixture *) user_data)->losses++;
}

static const DepartureCallbacks callbacks = {
  .get_record = on_get_record,
  .get_obstacle = on_get_obstacle,
  .get_source = on_get_source,
  .claim_lost = on_claim_lost,
};

/* "claimed(1)", "paused(own,sent)": the event, whose id it has, and its RECORD. */
static void
on_entry (const EventEntry *entry, gpointer user_data)
{
  Fixture *fixture = user_data;
  const char *event = event_entry_get (entry, "CLOCKFERRY_EVENT");
  const char *id = event_entry_get (entry, "CLOCKFERRY_MIGRATION");
  const char *peer = event_entry_get (entry, "CLOCKFERRY_PEER");
  const char *record = event_entry_get (entry, "CLOCKFERRY_RECORD");
  const char *whose = g_str_equal (id, ID) ? "1" : g_str_equal (id, ID_2) ? "2" : "own";

  g_assert_true (migration_id_is_valid (id));
  g_assert_true (g_str_has_prefix (event, "departure-"));
  g_assert_cmpstr (event_entry_get (entry, "CLOCKFERRY_DOMAIN"), ==, UUID);
  g_assert_cmpstr (peer, ==, g_str_equal (whose, "own") ? NULL : PEER);
  if (g_str_equal (whose, "own")) {
    /* one migration has one */
    if (fixture->id != NULL)
      g_assert_cmpstr (id, ==, fixture->id);
    else
      fixture->id = g_strdup (id);
  }
  g_string_append_printf (fixture->tape, "%s%s(%s%s%s)", fixture->tape->len > 0 ? " " : "",
                          event + strlen ("departure-"), whose, record != NULL ? "," : "",
                          record != NULL ? record : "");
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  peer_fixture_set_up (&fixture->peers, NULL);
  fixture->host.listener = fixture->peers.listener;
  fixture->host.migration_observer = (EventObserver){ on_entry, fixture };
  fixture->departure = departure_new (&fixture->host, UUID, &callbacks, fixture);
  departure_set_patience (fixture->departure, LONG_MS, LONG_MS);
  fixture->record = DEPARTURE_RECORD_UNCLAIMED;
  fixture->tape = g_string_new (NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  departure_free (fixture->departure);
  g_string_free (fixture->tape, TRUE);
  g_free (fixture->id);
  peer_fixture_tear_down (&fixture->peers, NULL);
}

static void
assert_told (Fixture *fixture, const char *expected)
{
  g_assert_cmpstr (fixture->tape->str, ==, expected);
}

static void
claim (Fixture *fixture, const char *id)
{
  departure_claim (fixture->departure, id, PEER);
}

static void
test_done (Fixture *fixture, gconstpointer data)
{
  claim (fixture, ID);
  fixture->record = DEPARTURE_RECORD_SENT;
  departure_pause (fixture->departure);
  departure_pause (fixture->departure);
  departure_conclude (fixture->departure);
  assert_told (fixture, "claimed(1) paused(1,sent) done(1)");
  /* and that was that */
  departure_settle (fixture->departure);
  departure_cancel (fixture->departure, "late");
  departure_lose_claim (fixture->departure, ID);
  assert_told (fixture, "claimed(1) paused(1,sent) done(1)");
}

static void
test_unclaimed (Fixture *fixture, gconstpointer data)
{
  static const struct {
    DepartureRecord record;
    const char *told;
  } cases[] = {
    { DEPARTURE_RECORD_NO_HELPER, "paused(own,no-helper) unclaimed(own)" },
    { DEPARTURE_RECORD_NONE, "paused(own,none) unclaimed(own)" },
    { DEPARTURE_RECORD_UNSEEN, "paused(own,unseen) unclaimed(own)" },
    { DEPARTURE_RECORD_UNCLAIMED, "paused(own,unclaimed) unclaimed(own)" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_string_truncate (fixture->tape, 0);
    g_clear_pointer (&fixture->id, g_free);
    fixture->record = cases[i].record;
    departure_pause (fixture->departure);
    assert_told (fixture, "");
    departure_conclude (fixture->departure);
    assert_told (fixture, cases[i].told);
  }
}

/* Paused by hand before: libvirt tells of the end alone. */
static void
test_end_alone (Fixture *fixture, gconstpointer data)
{
  departure_conclude (fixture->departure);
  assert_told (fixture, "unclaimed(own)");
  g_clear_pointer (&fixture->id, g_free);
  departure_roll_back (fixture->departure);
  assert_told (fixture, "unclaimed(own) rolled-back(own)");
}

/* Not live: the pause is earlier than the claim, and both have the claim's id. */
static void
test_paused_before_claim (Fixture *fixture, gconstpointer data)
{
  departure_pause (fixture->departure);
  claim (fixture, ID);
  fixture->record = DEPARTURE_RECORD_SENT;
  departure_pause (fixture->departure);
  assert_told (fixture, "claimed(1) paused(1,sent)");
  departure_roll_back (fixture->departure);
  assert_told (fixture, "claimed(1) paused(1,sent) rolled-back(1)");
}

/* Nobody claimed for so long that the pause was told without: then that id is over. */
static void
test_late_claim (Fixture *fixture, gconstpointer data)
{
  departure_set_patience (fixture->departure, SHORT_MS, LONG_MS);
  departure_pause (fixture->departure);
  wait_for (fixture->tape->len > 0);
  assert_told (fixture, "paused(own,unclaimed)");
  claim (fixture, ID);
  departure_pause (fixture->departure);
  departure_conclude (fixture->departure);
  assert_told (fixture, "paused(own,unclaimed) cancelled(own) claimed(1) paused(1,unclaimed) "
                        "unclaimed(1)");
}

/* The destination's daemon was restarted, or it is another destination. */
static void
test_another_claim (Fixture *fixture, gconstpointer data)
{
  claim (fixture, ID);
  claim (fixture, ID_2);
  assert_told (fixture, "claimed(1) cancelled(1) claimed(2)");
  /* whose connection that was is of no interest any more */
  departure_set_patience (fixture->departure, LONG_MS, 0);
  departure_lose_claim (fixture->departure, ID);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (fixture->losses, ==, 0);
}

static void
test_reconnected (Fixture *fixture, gconstpointer data)
{
  claim (fixture, ID);
  departure_pause (fixture->departure);
  departure_lose_claim (fixture->departure, ID);
  claim (fixture, ID);
  departure_pause (fixture->departure);
  departure_conclude (fixture->departure);
  assert_told (fixture, "claimed(1) paused(1,unclaimed) claimed(1) unclaimed(1)");
}

static void
test_given_up (Fixture *fixture, gconstpointer data)
{
  departure_set_patience (fixture->departure, LONG_MS, SHORT_MS);
  claim (fixture, ID);
  departure_settle (fixture->departure);
  assert_told (fixture, "claimed(1)");
  departure_lose_claim (fixture->departure, ID);
  departure_settle (fixture->departure);
  assert_told (fixture, "claimed(1)");
  wait_for (fixture->losses == 1);
  assert_told (fixture, "claimed(1)");
  departure_settle (fixture->departure);
  assert_told (fixture, "claimed(1) cancelled(1)");
  /* it was not given up after all */
  claim (fixture, ID);
  departure_conclude (fixture->departure);
  assert_told (fixture, "claimed(1) cancelled(1) claimed(1) unclaimed(1)");
}

/* The peer said so: what goes away from here next is another migration. */
static void
test_given_up_by_peer (Fixture *fixture, gconstpointer data)
{
  claim (fixture, ID);
  departure_give_up_claim (fixture->departure, ID_2);
  departure_give_up_claim (fixture->departure, ID);
  departure_lose_claim (fixture->departure, ID);
  departure_settle (fixture->departure);
  assert_told (fixture, "claimed(1)");
  wait_for (fixture->losses == 1);
  departure_settle (fixture->departure);
  departure_conclude (fixture->departure);
  assert_told (fixture, "claimed(1) cancelled(1) unclaimed(own)");

  /* or it was another arrival that it gave up, and this one is lost as any is */
  claim (fixture, ID);
  departure_give_up_claim (fixture->departure, ID);
  claim (fixture, ID);
  departure_lose_claim (fixture->departure, ID);
  g_usleep (2 * DEPARTURE_GIVE_UP_MS * 1000);
  wait_settle ();
  g_assert_cmpuint (fixture->losses, ==, 1);
}

/* It came back before its old connection was found to be dead. */
static void
test_two_connections (Fixture *fixture, gconstpointer data)
{
  g_autoptr (PeerSession) old = NULL;

  departure_set_patience (fixture->departure, LONG_MS, SHORT_MS);
  peer_fixture_claim (&fixture->peers);
  claim (fixture, ID);
  old = g_steal_pointer (&fixture->peers.session);
  fixture->peers.opened = false;
  peer_fixture_claim (&fixture->peers);
  claim (fixture, ID);
  peer_session_close (old);
  wait_for (fixture->peers.departures == 1);
  departure_lose_claim (fixture->departure, ID);
  g_usleep (2 * SHORT_MS * 1000);
  wait_settle ();
  g_assert_cmpuint (fixture->losses, ==, 0);

  peer_session_close (fixture->peers.session);
  wait_for (fixture->peers.departures == 2);
  departure_lose_claim (fixture->departure, ID);
  wait_for (fixture->losses == 1);
}

/* The peer went away, and the guest left all the same: the connection between daemons was cut. */
static void
test_left_without_peer (Fixture *fixture, gconstpointer data)
{
  departure_set_patience (fixture->departure, LONG_MS, SHORT_MS);
  claim (fixture, ID);
  fixture->record = DEPARTURE_RECORD_SENT;
  departure_pause (fixture->departure);
  departure_lose_claim (fixture->departure, ID);
  wait_for (fixture->losses == 1);
  departure_conclude (fixture->departure);
  assert_told (fixture, "claimed(1) paused(1,sent) done(1)");
}

/* Resumed by hand in mid-migration. */
static void
test_resumed (Fixture *fixture, gconstpointer data)
{
  departure_pause (fixture->departure);
  departure_settle (fixture->departure);
  assert_told (fixture, "");
  departure_set_patience (fixture->departure, SHORT_MS, LONG_MS);
  departure_pause (fixture->departure);
  wait_for (fixture->tape->len > 0);
  departure_settle (fixture->departure);
  assert_told (fixture, "paused(own,unclaimed) cancelled(own)");

  g_string_truncate (fixture->tape, 0);
  claim (fixture, ID);
  departure_pause (fixture->departure);
  departure_settle (fixture->departure);
  departure_pause (fixture->departure);
  assert_told (fixture, "claimed(1) paused(1,unclaimed) paused(1,unclaimed)");
}

static void
test_cancelled (Fixture *fixture, gconstpointer data)
{
  departure_cancel (fixture->departure, "nothing was under way");
  assert_told (fixture, "");
  departure_pause (fixture->departure);
  departure_cancel (fixture->departure, "it ended");
  assert_told (fixture, "paused(own,unclaimed) cancelled(own)");
}

static void
test_forgotten (Fixture *fixture, gconstpointer data)
{
  departure_set_patience (fixture->departure, SHORT_MS, SHORT_MS);
  claim (fixture, ID);
  departure_lose_claim (fixture->departure, ID);
  departure_drop (fixture->departure, "nobody wants to know");
  departure_pause (fixture->departure);
  departure_drop (fixture->departure, "nobody wants to know");
  departure_cancel (fixture->departure, "nothing is under way");
  g_usleep (2 * SHORT_MS * 1000);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  /* what had begun ends, and the pause was not told yet */
  assert_told (fixture, "claimed(1) cancelled(1)");
  g_assert_cmpuint (fixture->losses, ==, 0);
}

/* Freed with both timers running, and without a word. */
static void
test_freed (Fixture *fixture, gconstpointer data)
{
  departure_set_patience (fixture->departure, SHORT_MS, SHORT_MS);
  departure_pause (fixture->departure);
  departure_free (fixture->departure);
  fixture->departure = departure_new (&fixture->host, UUID, &callbacks, fixture);
  departure_set_patience (fixture->departure, SHORT_MS, SHORT_MS);
  claim (fixture, ID);
  departure_lose_claim (fixture->departure, ID);
  departure_free (fixture->departure);
  fixture->departure = departure_new (&fixture->host, UUID, &callbacks, fixture);
  g_usleep (2 * SHORT_MS * 1000);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  assert_told (fixture, "claimed(1)");
  g_assert_cmpuint (fixture->losses, ==, 0);
}

static void
test_ids (void)
{
  g_autofree char *one = migration_id_make ();
  g_autofree char *two = migration_id_make ();

  g_assert_true (migration_id_is_valid (one));
  g_assert_true (migration_id_is_valid (two));
  g_assert_cmpstr (one, !=, two);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  quiet_events_begin ();

#define ADD(path, function)                                                                        \
  g_test_add ("/departure/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("done", test_done);
  ADD ("unclaimed", test_unclaimed);
  ADD ("end-alone", test_end_alone);
  ADD ("paused-before-claim", test_paused_before_claim);
  ADD ("late-claim", test_late_claim);
  ADD ("another-claim", test_another_claim);
  ADD ("reconnected", test_reconnected);
  ADD ("given-up", test_given_up);
  ADD ("given-up-by-peer", test_given_up_by_peer);
  ADD ("two-connections", test_two_connections);
  ADD ("left-without-peer", test_left_without_peer);
  ADD ("resumed", test_resumed);
  ADD ("cancelled", test_cancelled);
  ADD ("forgotten", test_forgotten);
  ADD ("freed", test_freed);
#undef ADD
  g_test_add_func ("/departure/ids", test_ids);
  return g_test_run ();
}
