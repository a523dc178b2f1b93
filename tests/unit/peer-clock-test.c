/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-clock.h"

#include "host-clock.h"

#define PEER     "pin 192.0.2.1 16520"
#define OTHER    "pin 192.0.2.2 16520"
#define AHEAD    G_GINT64_CONSTANT (5000000000)
#define ENOUGH   32
#define NS_PER_S G_GINT64_CONSTANT (1000000000)

/* An answer that came @age_ns ago, of a peer whose clock is @behind_ns behind ours. */
static bool
add (PeerClock *clock, int64_t age_ns, int64_t behind_ns)
{
  int64_t now_ns = host_clock_boottime_ns () - age_ns;
  ClockSample sample = {
    .sent_ns = now_ns - 1000,
    .remote_ns = now_ns - 500 - behind_ns,
    .received_ns = now_ns,
  };

  return peer_clock_add (clock, &sample);
}

static void
test_shared (void)
{
  PeerClock *clock = peer_clock_acquire (PEER);
  PeerClock *again = peer_clock_acquire (PEER);
  PeerClock *other = peer_clock_acquire (OTHER);

  g_assert_true (clock == again);
  g_assert_true (clock != other);
  g_assert_cmpuint (peer_clock_get_users (clock), ==, 2);
  g_assert_cmpuint (peer_clock_get_users (other), ==, 1);
  g_assert_true (add (clock, 0, AHEAD));
  g_assert_cmpuint (peer_clock_get_offset (again)->samples, ==, 1);
  g_assert_cmpuint (peer_clock_get_offset (other)->samples, ==, 0);
  peer_clock_release (clock);
  g_assert_cmpuint (peer_clock_get_offset (again)->samples, ==, 1);
  peer_clock_release (again);
  peer_clock_release (other);
}

/* Nobody had it meanwhile: the host may be another by now. */
static void
test_forgotten (void)
{
  PeerClock *clock = peer_clock_acquire (PEER);

  g_assert_true (add (clock, 0, AHEAD));
  peer_clock_release (clock);
  clock = peer_clock_acquire (PEER);
  g_assert_cmpuint (peer_clock_get_offset (clock)->samples, ==, 0);
  peer_clock_release (clock);
}

static void
test_known (void)
{
  PeerClock *clock = peer_clock_acquire (PEER);

  for (guint i = 0; i < ENOUGH; i++) {
    g_assert_false (peer_clock_is_known (clock));
    g_assert_true (add (clock, 0, AHEAD));
  }
  g_assert_true (peer_clock_is_known (clock));
  peer_clock_release (clock);
}

/* What was found long ago is not known well now: it takes as many again. */
static void
test_old (void)
{
  PeerClock *clock = peer_clock_acquire (PEER);

  for (guint i = 0; i < ENOUGH; i++)
    g_assert_true (add (clock, 6 * NS_PER_S, AHEAD));
  g_assert_false (peer_clock_is_known (clock));
  for (guint i = 0; i < ENOUGH; i++) {
    g_assert_false (peer_clock_is_known (clock));
    g_assert_true (add (clock, 0, AHEAD));
  }
  g_assert_true (peer_clock_is_known (clock));
  peer_clock_release (clock);
}

/* Said once, however often it jumps. */
static void
test_restless (void)
{
  PeerClock *clock = peer_clock_acquire (PEER);

  g_assert_true (add (clock, 0, AHEAD));
  g_assert_false (add (clock, 0, 2 * AHEAD));
  g_assert_true (add (clock, 0, AHEAD));
  g_assert_cmpuint (peer_clock_get_offset (clock)->samples, ==, 1);
  peer_clock_release (clock);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/peer-clock/shared", test_shared);
  g_test_add_func ("/peer-clock/forgotten", test_forgotten);
  g_test_add_func ("/peer-clock/known", test_known);
  g_test_add_func ("/peer-clock/old", test_old);
  g_test_add_func ("/peer-clock/restless", test_restless);
  return g_test_run ();
}
