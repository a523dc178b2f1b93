/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dial-turn.h"

#define PEER  "192.0.2.1 16520"
#define OTHER "192.0.2.2 16520"
#define CALLS (2 * DIAL_TURNS_MAX)

typedef struct {
  DialTurn *turns[CALLS];
  guint order[CALLS]; /* whose turn it became, in order */
  guint gone;
} Crowd;

typedef struct {
  Crowd *crowd;
  guint index;
} Caller;

static Caller callers[CALLS];

static void
on_go (gpointer user_data)
{
  Caller *caller = user_data;

  g_assert_cmpuint (caller->crowd->gone, <, CALLS);
  caller->crowd->order[caller->crowd->gone++] = caller->index;
}

static void
queue_all (Crowd *crowd)
{
  for (guint i = 0; i < CALLS; i++) {
    callers[i] = (Caller){ .crowd = crowd, .index = i };
    crowd->turns[i] = dial_turn_new (PEER, on_go, &callers[i]);
  }
}

static void
test_in_turn (void)
{
  Crowd crowd = { 0 };

  queue_all (&crowd);
  g_assert_cmpuint (crowd.gone, ==, DIAL_TURNS_MAX);
  for (guint i = 0; i < CALLS; i++) {
    g_assert_cmpuint (crowd.order[i], ==, i);
    dial_turn_end (crowd.turns[i]);
    g_assert_cmpuint (crowd.gone, ==, MIN (CALLS, DIAL_TURNS_MAX + i + 1));
  }
}

/* Who gave up while it waited is passed over, and takes nobody's turn away. */
static void
test_given_up (void)
{
  Crowd crowd = { 0 };

  queue_all (&crowd);
  dial_turn_end (crowd.turns[DIAL_TURNS_MAX]);
  g_assert_cmpuint (crowd.gone, ==, DIAL_TURNS_MAX);
  dial_turn_end (crowd.turns[0]);
  g_assert_cmpuint (crowd.gone, ==, DIAL_TURNS_MAX + 1);
  g_assert_cmpuint (crowd.order[DIAL_TURNS_MAX], ==, DIAL_TURNS_MAX + 1);
  for (guint i = 1; i < CALLS; i++) {
    if (i != DIAL_TURNS_MAX)
      dial_turn_end (crowd.turns[i]);
  }
  g_assert_cmpuint (crowd.gone, ==, CALLS - 1);
}

/* A host that does not answer holds up nobody who calls another. */
static void
test_other_peer (void)
{
  Crowd crowd = { 0 };
  Crowd other_crowd = { 0 };
  Caller other = { .crowd = &other_crowd };
  DialTurn *turn;

  queue_all (&crowd);
  turn = dial_turn_new (OTHER, on_go, &other);
  g_assert_cmpuint (other_crowd.gone, ==, 1);
  dial_turn_end (turn);
  for (guint i = 0; i < CALLS; i++)
    dial_turn_end (crowd.turns[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/dial-turn/in-turn", test_in_turn);
  g_test_add_func ("/dial-turn/given-up", test_given_up);
  g_test_add_func ("/dial-turn/other-peer", test_other_peer);
  return g_test_run ();
}
