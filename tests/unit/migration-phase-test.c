/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migration-phase-test - whole migrations, as traces of libvirt tell them, step by step
 *
 * The orders are those of real traces and of libvirt's source; what must hold for every order,
 * sensible or not, is in migration-walk-test.c.
 */

#include <libvirt/libvirt.h>

#include "migration-phase.h"

#define ABSENT     MIGRATION_PHASE_ABSENT
#define RUNNING    MIGRATION_PHASE_RUNNING
#define PAUSED_OUT MIGRATION_PHASE_PAUSED_OUT
#define INCOMING   MIGRATION_PHASE_INCOMING
#define ARMED      MIGRATION_PHASE_ARMED
#define REPORTED   MIGRATION_PHASE_REPORTED

#define DO(action) MIGRATION_ACTION_##action

/* a lifecycle event of libvirt, or what helper and peer say */
#define EVENT(type, detail)                                                                        \
  .event = VIR_DOMAIN_EVENT_##type, .event_detail = VIR_DOMAIN_EVENT_##type##_##detail,            \
  .input = MIGRATION_INPUT_NONE
#define INPUT(name) .event = -1, .input = MIGRATION_INPUT_##name

typedef struct {
  int event; /* -1: input tells */
  int event_detail;
  MigrationInput input;
  MigrationPhase phase; /* afterwards */
  guint actions;
} Step;

#define STEPS_MAX 8

typedef struct {
  const char *name;
  MigrationPhase from;
  Step steps[STEPS_MAX]; /* ends with the first that has no event and no input */
} Trace;

static const Trace traces[] = {
  {
    "source/pre-copy",
    RUNNING,
    {
      { INPUT (CLAIMED), RUNNING, DO (PUSH_RECORD) },
      { INPUT (LOCAL_RECORD), RUNNING, DO (KEEP_RECORD) | DO (PUSH_RECORD) },
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, 0 },
      { INPUT (LOCAL_RECORD), PAUSED_OUT, DO (KEEP_RECORD) | DO (PUSH_RECORD) },
      { EVENT (STOPPED, MIGRATED), ABSENT, DO (CONCLUDE_DEPARTURE) | DO (FORGET) },
    },
  },
  {
    "source/not-live",
    RUNNING,
    {
      { INPUT (LOCAL_RECORD), RUNNING, DO (KEEP_RECORD) | DO (PUSH_RECORD) },
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, 0 },
      { INPUT (CLAIMED), PAUSED_OUT, DO (PUSH_RECORD) },
      { INPUT (LOCAL_RECORD), PAUSED_OUT, DO (KEEP_RECORD) | DO (PUSH_RECORD) },
      { EVENT (STOPPED, MIGRATED), ABSENT, DO (CONCLUDE_DEPARTURE) | DO (FORGET) },
    },
  },
  {
    "source/post-copy",
    RUNNING,
    {
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, 0 },
      { INPUT (LOCAL_RECORD), PAUSED_OUT, DO (KEEP_RECORD) | DO (PUSH_RECORD) },
      { EVENT (SUSPENDED, POSTCOPY), PAUSED_OUT, 0 },
      { EVENT (STOPPED, MIGRATED), ABSENT, DO (CONCLUDE_DEPARTURE) | DO (FORGET) },
    },
  },
  {
    "source/post-copy-paused-late",
    RUNNING,
    {
      { EVENT (SUSPENDED, POSTCOPY), PAUSED_OUT, 0 },
      { EVENT (SUSPENDED, POSTCOPY_FAILED), PAUSED_OUT, 0 },
      { EVENT (SUSPENDED, POSTCOPY), PAUSED_OUT, 0 },
      { EVENT (STOPPED, MIGRATED), ABSENT, DO (CONCLUDE_DEPARTURE) | DO (FORGET) },
    },
  },
  {
    /* paused by hand beforehand: no SUSPENDED at the migration */
    "source/paused-before",
    RUNNING,
    {
      { INPUT (LOCAL_RECORD), RUNNING, DO (KEEP_RECORD) | DO (PUSH_RECORD) },
      { EVENT (SUSPENDED, PAUSED), RUNNING, 0 },
      { INPUT (CLAIMED), RUNNING, DO (PUSH_RECORD) },
      { EVENT (STOPPED, MIGRATED), ABSENT, DO (CONCLUDE_DEPARTURE) | DO (FORGET) },
    },
  },
  {
    /* libvirt says nothing at all; the claim is all that was seen */
    "source/cancelled-before-the-pause",
    RUNNING,
    {
      { INPUT (CLAIMED), RUNNING, DO (PUSH_RECORD) },
      { EVENT (SUSPENDED, PAUSED), RUNNING, 0 },
      { EVENT (RESUMED, UNPAUSED), RUNNING, DO (DROP_RECORD) },
    },
  },
  {
    "source/cancelled-after-the-pause",
    RUNNING,
    {
      { INPUT (CLAIMED), RUNNING, DO (PUSH_RECORD) },
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, 0 },
      { INPUT (LOCAL_RECORD), PAUSED_OUT, DO (KEEP_RECORD) | DO (PUSH_RECORD) },
      { EVENT (RESUMED, MIGRATED), RUNNING, DO (ROLL_BACK) | DO (DROP_RECORD) | DO (ADOPT) },
    },
  },
  {
    /* virsh suspend and resume in mid-migration look like a switch-over at first */
    "source/paused-by-hand-meanwhile",
    RUNNING,
    {
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, 0 },
      { INPUT (LOCAL_RECORD), PAUSED_OUT, DO (KEEP_RECORD) | DO (PUSH_RECORD) },
      { EVENT (RESUMED, UNPAUSED), RUNNING, DO (DROP_RECORD) },
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, 0 },
      { EVENT (STOPPED, MIGRATED), ABSENT, DO (CONCLUDE_DEPARTURE) | DO (FORGET) },
    },
  },
  {
    "destination/pre-copy",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (LOCAL_RECORD), INCOMING, 0 },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (REPORT), REPORTED, DO (KEEP_REPORT) },
      { INPUT (RECORD), REPORTED, 0 },
      { EVENT (RESUMED, MIGRATED), RUNNING, DO (CONCLUDE_ARRIVAL) | DO (ADOPT) },
    },
  },
  {
    "destination/post-copy",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (REPORT), REPORTED, DO (KEEP_REPORT) },
      { EVENT (RESUMED, POSTCOPY), RUNNING, DO (CONCLUDE_ARRIVAL) | DO (ADOPT) },
      { EVENT (RESUMED, MIGRATED), RUNNING, DO (ADOPT) },
    },
  },
  {
    "destination/post-copy-failed",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (REPORT), REPORTED, DO (KEEP_REPORT) },
      { EVENT (RESUMED, POSTCOPY), RUNNING, DO (CONCLUDE_ARRIVAL) | DO (ADOPT) },
      { EVENT (RESUMED, POSTCOPY_FAILED), RUNNING, DO (DROP_RECORD) },
      { EVENT (RESUMED, POSTCOPY), RUNNING, DO (ADOPT) },
    },
  },
  {
    "destination/suspend",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { EVENT (SUSPENDED, PAUSED), RUNNING, DO (DISARM) | DO (CONCLUDE_ARRIVAL) | DO (ADOPT) },
      { INPUT (REPORT), RUNNING, 0 },
      { EVENT (RESUMED, UNPAUSED), RUNNING, DO (DROP_RECORD) },
    },
  },
  {
    "destination/cancelled-before-the-pause",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { EVENT (STOPPED, FAILED), ABSENT, DO (ABANDON_ARRIVAL) | DO (FORGET) },
    },
  },
  {
    "destination/cancelled-after-the-pause",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (WITHDRAWN), INCOMING, DO (DISARM) },
      { INPUT (WITHDRAWN), INCOMING, 0 },
      { EVENT (STOPPED, DESTROYED), ABSENT, DO (ABANDON_ARRIVAL) | DO (FORGET) },
    },
  },
  {
    "destination/failed-at-finish",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (REPORT), REPORTED, DO (KEEP_REPORT) },
      { INPUT (WITHDRAWN), REPORTED, 0 },
      { EVENT (STOPPED, FAILED), ABSENT, DO (ABANDON_ARRIVAL) | DO (FORGET) },
    },
  },
  {
    /* the daemon came up in mid-migration and sees the domain in libvirt's list first */
    "destination/daemon-restarted",
    ABSENT,
    {
      { INPUT (LISTED), RUNNING, DO (ADOPT) },
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (LISTED), INCOMING, 0 },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (NOT_LISTED), ABSENT, DO (ABANDON_ARRIVAL) | DO (FORGET) },
    },
  },
  {
    /* it left while libvirtd was restarting, and comes back */
    "destination/returned",
    RUNNING,
    {
      { INPUT (LOCAL_RECORD), RUNNING, DO (KEEP_RECORD) | DO (PUSH_RECORD) },
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { EVENT (RESUMED, MIGRATED), RUNNING, DO (CONCLUDE_ARRIVAL) | DO (ADOPT) },
    },
  },
  {
    "at-home/a-life",
    ABSENT,
    {
      { EVENT (STARTED, BOOTED), RUNNING, DO (ADOPT) },
      { EVENT (SUSPENDED, IOERROR), RUNNING, 0 },
      { EVENT (RESUMED, UNPAUSED), RUNNING, DO (DROP_RECORD) },
      { INPUT (LISTED), RUNNING, DO (ADOPT) },
      { EVENT (STOPPED, SHUTDOWN), ABSENT, DO (FORGET) },
      { EVENT (STARTED, RESTORED), RUNNING, DO (ADOPT) },
      { EVENT (STOPPED, SAVED), ABSENT, DO (FORGET) },
    },
  },
};

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
    /* a helper that reports twice is taken at its last word */
    if (step->event < 0 && step->input == MIGRATION_INPUT_REPORT)
      continue;
    g_assert_cmphex (actions & again & once, ==, 0);
    g_assert_cmpstr (migration_phase_name (phase), ==, migration_phase_name (step->phase));
  }
}

/* event numbers */

typedef struct {
  int event;
  int detail;
  MigrationInput input;
} EventMeaning;

static const EventMeaning meanings[] = {
  { 0, 0, MIGRATION_INPUT_NONE },    /* DEFINED */
  { 1, 0, MIGRATION_INPUT_NONE },    /* UNDEFINED */
  { 2, 0, MIGRATION_INPUT_STARTED }, /* BOOTED */
  { 2, 1, MIGRATION_INPUT_STARTED_MIGRATED },
  { 2, 2, MIGRATION_INPUT_STARTED }, /* RESTORED */
  { 2, 99, MIGRATION_INPUT_STARTED },
  { 3, 0, MIGRATION_INPUT_PAUSED },
  { 3, 1, MIGRATION_INPUT_PAUSED_MIGRATED },
  { 3, 2, MIGRATION_INPUT_PAUSED },          /* IOERROR */
  { 3, 7, MIGRATION_INPUT_PAUSED_MIGRATED }, /* POSTCOPY */
  { 3, 8, MIGRATION_INPUT_PAUSED },          /* POSTCOPY_FAILED */
  { 3, 99, MIGRATION_INPUT_PAUSED },
  { 4, 0, MIGRATION_INPUT_RESUMED },
  { 4, 1, MIGRATION_INPUT_RESUMED_MIGRATED },
  { 4, 2, MIGRATION_INPUT_RESUMED },          /* FROM_SNAPSHOT */
  { 4, 3, MIGRATION_INPUT_RESUMED_MIGRATED }, /* POSTCOPY */
  { 4, 4, MIGRATION_INPUT_RESUMED },          /* POSTCOPY_FAILED */
  { 4, 99, MIGRATION_INPUT_RESUMED },
  { 5, 0, MIGRATION_INPUT_STOPPED },
  { 5, 3, MIGRATION_INPUT_STOPPED_MIGRATED },
  { 5, 5, MIGRATION_INPUT_STOPPED }, /* FAILED */
  { 5, 99, MIGRATION_INPUT_STOPPED },
  { 6, 0, MIGRATION_INPUT_NONE }, /* SHUTDOWN: STOPPED follows */
  { 7, 0, MIGRATION_INPUT_NONE }, /* PMSUSPENDED */
  { 8, 0, MIGRATION_INPUT_NONE }, /* CRASHED: STOPPED follows */
  { 9, 1, MIGRATION_INPUT_NONE },
  { -1, 1, MIGRATION_INPUT_NONE },
  { G_MAXINT, G_MAXINT, MIGRATION_INPUT_NONE },
  { G_MININT, G_MININT, MIGRATION_INPUT_NONE },
  { 4, -1, MIGRATION_INPUT_RESUMED },
};

/* The numbers are libvirt's ABI: written out, so that a wrong constant in the code shows. */
static void
test_event_numbers (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (meanings); i++) {
    g_test_message ("event %d, detail %d", meanings[i].event, meanings[i].detail);
    g_assert_cmpint (migration_input_from_event (meanings[i].event, meanings[i].detail), ==,
                     meanings[i].input);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (traces); i++) {
    g_autofree char *once = g_strconcat ("/migration-phase/", traces[i].name, NULL);
    g_autofree char *twice = g_strconcat ("/migration-phase/twice/", traces[i].name, NULL);

    g_test_add_data_func (once, &traces[i], test_trace);
    g_test_add_data_func (twice, &traces[i], test_trace_twice);
  }
  g_test_add_func ("/migration-phase/event-numbers", test_event_numbers);
  return g_test_run ();
}
