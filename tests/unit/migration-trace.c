/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "migration-trace.h"

/* A step's phase and actions are the test; whoever has none has ended. */
static gboolean
is_end (const Step *step)
{
  return step->event == 0 && step->phase == ABSENT && step->actions == 0;
}

static MigrationInput
get_input (const Step *step)
{
  return step->event < 0 ? step->input
                         : migration_input_from_event (step->event, step->event_detail);
}

static void
test_trace (gconstpointer data)
{
  const Trace *trace = data;
  MigrationPhase phase = trace->from;

  for (guint i = 0; i < STEPS_MAX && !is_end (&trace->steps[i]); i++) {
    const Step *step = &trace->steps[i];
    guint actions = G_MAXUINT;

    phase = migration_phase_step (phase, get_input (step), &actions);
    g_test_message ("step %u: %s, actions %#x", i, migration_phase_name (phase), actions);
    g_assert_cmpstr (migration_phase_name (phase), ==, migration_phase_name (step->phase));
    g_assert_cmphex (actions, ==, step->actions);
  }
}

/* What is told to people and to other parties must not come twice because an event did. */
static void
test_trace_twice (gconstpointer data)
{
  const guint once = DO (ANNOUNCE) | DO (CONCLUDE_ARRIVAL) | DO (ABANDON_ARRIVAL) |
                     DO (CONCLUDE_DEPARTURE) | DO (ROLL_BACK) | DO (FORGET) | DO (DISARM) |
                     DO (KEEP_REPORT);
  const Trace *trace = data;
  MigrationPhase phase = trace->from;

  for (guint i = 0; i < STEPS_MAX && !is_end (&trace->steps[i]); i++) {
    const Step *step = &trace->steps[i];
    guint actions = 0;
    guint again = 0;

    phase = migration_phase_step (phase, get_input (step), &actions);
    phase = migration_phase_step (phase, get_input (step), &again);
    /* a helper that reports twice is taken at its last word, and no answer comes twice */
    if (step->event < 0 &&
        (step->input == MIGRATION_INPUT_REPORT || step->input == MIGRATION_INPUT_OTHER_QEMU))
      continue;
    g_assert_cmphex (actions & again & once, ==, 0);
    g_assert_cmpstr (migration_phase_name (phase), ==, migration_phase_name (step->phase));
  }
}

/* public functions */

void
migration_trace_add_tests (const char *group, const Trace *traces, gsize count)
{
  for (gsize i = 0; i < count; i++) {
    g_autofree char *once = g_strdup_printf ("/migration-phase/%s/%s", group, traces[i].name);
    g_autofree char *twice =
      g_strdup_printf ("/migration-phase/twice/%s/%s", group, traces[i].name);

    g_test_add_data_func (once, &traces[i], test_trace);
    g_test_add_data_func (twice, &traces[i], test_trace_twice);
  }
}
