/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migration-walk-test - what must hold for every order of events, however odd
 *
 * Walks at random over all inputs; g_test_rand prints its seed, and --seed repeats a walk.
 */

#include "migration-phase.h"

#define WALKS        2000
#define WALK_STEPS   200
#define DO(action)   MIGRATION_ACTION_##action
#define ARRIVAL_ENDS (DO (CONCLUDE_ARRIVAL) | DO (ABANDON_ARRIVAL))

#define SOURCE_ACTIONS                                                                             \
  (DO (KEEP_RECORD) | DO (PUSH_RECORD) | DO (DROP_RECORD) | DO (ROLL_BACK) |                       \
   DO (CONCLUDE_DEPARTURE) | DO (SETTLE_DEPARTURE))
/* also where the guest was here without our knowing, and where it comes back without our having seen
 * it leave */
#define DEPARTURE_ACTIONS (DO (PAUSE_DEPARTURE) | DO (CANCEL_DEPARTURE))
#define DESTINATION_ACTIONS                                                                        \
  (DO (ANNOUNCE) | DO (ARM) | DO (DISARM) | DO (KEEP_REPORT) | DO (LOOK) | ARRIVAL_ENDS)

typedef struct {
  MigrationPhase phase;
  gboolean has_arrival; /* announced, and neither concluded nor abandoned */
} Walk;

static gboolean
is_arriving (MigrationPhase phase)
{
  return phase == MIGRATION_PHASE_INCOMING || phase == MIGRATION_PHASE_ARMED ||
         phase == MIGRATION_PHASE_REPORTED;
}

/* guest.c holds an Arrival exactly while the phase is one of those, and uses it without asking. */
static void
check_arrival (Walk *walk, MigrationPhase before, guint actions)
{
  guint ends = actions & ARRIVAL_ENDS;

  if (actions & (DO (ARM) | DO (DISARM) | DO (KEEP_REPORT) | DO (LOOK)))
    g_assert_true (walk->has_arrival);
  if (ends != 0) {
    g_assert_true (walk->has_arrival);
    g_assert_cmphex (ends, !=, ARRIVAL_ENDS);
    walk->has_arrival = FALSE;
  }
  if (actions & DO (ANNOUNCE)) {
    g_assert_false (walk->has_arrival);
    walk->has_arrival = TRUE;
  }
  g_assert_cmpint (walk->has_arrival, ==, is_arriving (walk->phase));
  g_assert_false (is_arriving (walk->phase) && migration_phase_is_at_home (walk->phase));
  /* once the helper has reported, its clocks run: nothing of it may be touched again */
  if (before == MIGRATION_PHASE_REPORTED)
    g_assert_cmphex (actions & DO (ARM), ==, 0);
}

static void
check_departure (MigrationPhase before, MigrationPhase after, MigrationInput input, guint actions)
{
  if (actions & SOURCE_ACTIONS)
    g_assert_true (migration_phase_is_at_home (before));
  if (actions & DO (PAUSE_DEPARTURE))
    g_assert_cmpint (after, ==, MIGRATION_PHASE_PAUSED_OUT);
  if (actions & DO (SETTLE_DEPARTURE)) {
    g_assert_true (migration_phase_is_at_home (after));
    g_assert_cmpint (after, !=, MIGRATION_PHASE_PAUSED_OUT);
  }
  /* whatever is under way ends with the guest's life here, and once */
  if (migration_phase_is_at_home (before) && !migration_phase_is_at_home (after))
    g_assert_true (!(actions & DO (CONCLUDE_DEPARTURE)) != !(actions & DO (CANCEL_DEPARTURE)));
  if (actions & DO (CANCEL_DEPARTURE))
    g_assert_true (migration_phase_is_at_home (before));
  if (actions & DO (ROLL_BACK)) {
    g_assert_cmpint (before, !=, MIGRATION_PHASE_RUNNING);
    g_assert_true (actions & DO (DROP_RECORD));
  }
  /* guest.c has a record to keep, or a report, only while that very input is handled */
  if (actions & DO (KEEP_RECORD))
    g_assert_cmpint (input, ==, MIGRATION_INPUT_LOCAL_RECORD);
  if (actions & DO (KEEP_REPORT))
    g_assert_cmpint (input, ==, MIGRATION_INPUT_REPORT);
  if (actions & DO (ARM))
    g_assert_cmpint (input, ==, MIGRATION_INPUT_RECORD);
  if (actions & DO (CONCLUDE_DEPARTURE))
    g_assert_true (actions & DO (FORGET));
}

static void
check_step (Walk *walk, MigrationPhase before, MigrationInput input, guint actions)
{
  gboolean left = before != MIGRATION_PHASE_ABSENT && walk->phase == MIGRATION_PHASE_ABSENT;

  g_assert_cmpint (walk->phase, >=, 0);
  g_assert_cmpint (walk->phase, <, MIGRATION_PHASE_COUNT);
  g_assert_cmphex (actions & ~(SOURCE_ACTIONS | DEPARTURE_ACTIONS | DESTINATION_ACTIONS |
                               DO (ADOPT) | DO (FORGET)),
                   ==, 0);
  g_assert_cmpint ((actions & DO (FORGET)) != 0, ==, left);
  if (walk->phase == MIGRATION_PHASE_ABSENT)
    g_assert_cmphex (actions & DO (ADOPT), ==, 0);
  if (before == MIGRATION_PHASE_ABSENT)
    g_assert_cmphex (actions & ~(DO (ADOPT) | DO (ANNOUNCE) | DO (PAUSE_DEPARTURE)), ==, 0);
  if (input == MIGRATION_INPUT_NONE) {
    g_assert_cmphex (actions, ==, 0);
    g_assert_cmpint (walk->phase, ==, before);
  }
  /* one host is never both ends of one migration */
  g_assert_false ((actions & SOURCE_ACTIONS) && (actions & DESTINATION_ACTIONS));
  check_departure (before, walk->phase, input, actions);
  check_arrival (walk, before, actions);
}

static void
step (Walk *walk, MigrationInput input)
{
  MigrationPhase before = walk->phase;
  guint actions = G_MAXUINT;

  walk->phase = migration_phase_step (before, input, &actions);
  check_step (walk, before, input, actions);
}

static void
test_random_walks (void)
{
  for (guint i = 0; i < WALKS; i++) {
    Walk walk = { .phase = MIGRATION_PHASE_ABSENT };

    for (guint j = 0; j < WALK_STEPS; j++)
      step (&walk, (MigrationInput) g_test_rand_int_range (0, MIGRATION_INPUT_COUNT));
  }
}

/* Every phase with every input, so that no rare pair depends on luck. */
static void
test_every_pair (void)
{
  for (guint phase = 0; phase < MIGRATION_PHASE_COUNT; phase++) {
    for (guint input = 0; input < MIGRATION_INPUT_COUNT; input++) {
      Walk walk = { .phase = (MigrationPhase) phase,
                    .has_arrival = is_arriving ((MigrationPhase) phase) };

      step (&walk, (MigrationInput) input);
    }
  }
}

/* Events of one migration shuffled: whatever the order, one arrival has one end. */
static void
test_shuffled_arrival (void)
{
  MigrationInput inputs[] = {
    MIGRATION_INPUT_STARTED_MIGRATED, MIGRATION_INPUT_RECORD,    MIGRATION_INPUT_RECORD,
    MIGRATION_INPUT_REPORT,           MIGRATION_INPUT_WITHDRAWN, MIGRATION_INPUT_RESUMED_MIGRATED,
    MIGRATION_INPUT_RESUMED_MIGRATED,
  };

  for (guint i = 0; i < WALKS; i++) {
    Walk walk = { .phase = MIGRATION_PHASE_ABSENT };

    for (guint j = G_N_ELEMENTS (inputs) - 1; j > 0; j--) {
      guint k = (guint) g_test_rand_int_range (0, (gint32) j + 1);
      MigrationInput swapped = inputs[j];

      inputs[j] = inputs[k];
      inputs[k] = swapped;
    }
    for (guint j = 0; j < G_N_ELEMENTS (inputs); j++)
      step (&walk, inputs[j]);
    g_assert_cmpint (walk.phase, !=, MIGRATION_PHASE_ABSENT);
    step (&walk, MIGRATION_INPUT_NOT_LISTED);
    g_assert_cmpint (walk.phase, ==, MIGRATION_PHASE_ABSENT);
  }
}

static void
test_names (void)
{
  g_assert_cmpstr (migration_phase_name (MIGRATION_PHASE_ABSENT), ==, "absent");
  g_assert_cmpstr (migration_phase_name (MIGRATION_PHASE_PAUSED), ==, "paused");
  g_assert_cmpstr (migration_phase_name (MIGRATION_PHASE_PAUSED_OUT), ==, "paused-out");
  g_assert_cmpstr (migration_phase_name (MIGRATION_PHASE_REPORTED), ==, "reported");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/migration-walk/random-walks", test_random_walks);
  g_test_add_func ("/migration-walk/every-pair", test_every_pair);
  g_test_add_func ("/migration-walk/shuffled-arrival", test_shuffled_arrival);
  g_test_add_func ("/migration-walk/names", test_names);
  return g_test_run ();
}
