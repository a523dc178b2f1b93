/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migration-phase-test - whole migrations, as traces of libvirt tell them, step by step
 *
 * The orders are those of real traces and of libvirt's source. The destination's are in
 * migration-arrival-test.c, what must hold for every order, sensible or not, in
 * migration-walk-test.c, and what libvirt's numbers mean in migration-input-test.c.
 */

#include "migration-trace.h"

static const Trace source_traces[] = {
  {
    "pre-copy",
    RUNNING,
    {
      { INPUT (CLAIMED), RUNNING, DO (PUSH_RECORD) },
      { INPUT (LOCAL_RECORD), RUNNING, RECORD },
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, DO (PAUSE_DEPARTURE) },
      { INPUT (LOCAL_RECORD), PAUSED_OUT, RECORD },
      { EVENT (STOPPED, MIGRATED), ABSENT, DEPART },
    },
  },
  {
    "not-live",
    RUNNING,
    {
      { INPUT (LOCAL_RECORD), RUNNING, RECORD },
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, DO (PAUSE_DEPARTURE) },
      { INPUT (CLAIMED), PAUSED_OUT, DO (PUSH_RECORD) | DO (PAUSE_DEPARTURE) },
      { INPUT (LOCAL_RECORD), PAUSED_OUT, RECORD },
      { INPUT (CLAIM_LOST), PAUSED_OUT, 0 },
      { EVENT (STOPPED, MIGRATED), ABSENT, DEPART },
    },
  },
  {
    "post-copy",
    RUNNING,
    {
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, DO (PAUSE_DEPARTURE) },
      { INPUT (LOCAL_RECORD), PAUSED_OUT, RECORD },
      { EVENT (SUSPENDED, POSTCOPY), PAUSED_OUT, 0 },
      { EVENT (STOPPED, MIGRATED), ABSENT, DEPART },
    },
  },
  {
    "post-copy-failed-and-recovered",
    RUNNING,
    {
      { EVENT (SUSPENDED, POSTCOPY), PAUSED_OUT, DO (PAUSE_DEPARTURE) },
      { EVENT (SUSPENDED, POSTCOPY_FAILED), PAUSED_OUT, 0 },
      { EVENT (SUSPENDED, POSTCOPY), PAUSED_OUT, 0 },
      { EVENT (STOPPED, MIGRATED), ABSENT, DEPART },
    },
  },
  {
    "post-copy-given-up",
    RUNNING,
    {
      { EVENT (SUSPENDED, POSTCOPY), PAUSED_OUT, DO (PAUSE_DEPARTURE) },
      { EVENT (SUSPENDED, POSTCOPY_FAILED), PAUSED_OUT, 0 },
      { EVENT (STOPPED, DESTROYED), ABSENT, END },
    },
  },
  {
    /* no SUSPENDED at the migration */
    "paused-before",
    RUNNING,
    {
      { INPUT (LOCAL_RECORD), RUNNING, RECORD },
      { EVENT (SUSPENDED, PAUSED), PAUSED, 0 },
      { INPUT (CLAIMED), PAUSED, DO (PUSH_RECORD) },
      { EVENT (STOPPED, MIGRATED), ABSENT, DEPART },
    },
  },
  {
    /* libvirt says nothing at all of the first, which failed, and no daemon saw the second */
    "paused-before-and-failed-and-left",
    RUNNING,
    {
      { INPUT (LOCAL_RECORD), RUNNING, RECORD },
      { EVENT (SUSPENDED, PAUSED), PAUSED, 0 },
      { INPUT (CLAIMED), PAUSED, DO (PUSH_RECORD) },
      { INPUT (CLAIM_LOST), PAUSED, DO (SETTLE_DEPARTURE) },
      { EVENT (STOPPED, MIGRATED), ABSENT, DEPART },
    },
  },
  {
    /* its record stands until it runs: another attempt needs it */
    "paused-before-and-cancelled",
    RUNNING,
    {
      { INPUT (LOCAL_RECORD), RUNNING, RECORD },
      { EVENT (SUSPENDED, PAUSED), PAUSED, 0 },
      { INPUT (CLAIMED), PAUSED, DO (PUSH_RECORD) },
      { INPUT (CLAIMED), PAUSED, DO (PUSH_RECORD) },
      { EVENT (RESUMED, UNPAUSED), RUNNING, RUN },
    },
  },
  {
    /* libvirt says nothing at all; the claim, and its end, are all that was seen */
    "cancelled-before-the-pause",
    RUNNING,
    {
      { INPUT (CLAIMED), RUNNING, DO (PUSH_RECORD) },
      { INPUT (CLAIM_LOST), RUNNING, DO (SETTLE_DEPARTURE) },
      { EVENT (SUSPENDED, PAUSED), PAUSED, 0 },
      { EVENT (RESUMED, UNPAUSED), RUNNING, RUN },
    },
  },
  {
    /* or Finish failed at the other end */
    "cancelled-after-the-pause",
    RUNNING,
    {
      { INPUT (CLAIMED), RUNNING, DO (PUSH_RECORD) },
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, DO (PAUSE_DEPARTURE) },
      { INPUT (LOCAL_RECORD), PAUSED_OUT, RECORD },
      { EVENT (RESUMED, MIGRATED), RUNNING, STAY },
    },
  },
  {
    /* --abort-on-error: the migration ends, and the guest is resumed, and may fail once more */
    "io-error",
    RUNNING,
    {
      { INPUT (CLAIMED), RUNNING, DO (PUSH_RECORD) },
      { INPUT (LOCAL_RECORD), RUNNING, RECORD },
      { EVENT (SUSPENDED, IOERROR), PAUSED, 0 },
      { EVENT (RESUMED, MIGRATED), RUNNING, STAY },
      { EVENT (SUSPENDED, IOERROR), PAUSED, 0 },
    },
  },
  {
    /* virsh suspend in mid-migration, or --timeout-suspend: no second SUSPENDED at the switch-over */
    "paused-meanwhile",
    RUNNING,
    {
      { INPUT (LOCAL_RECORD), RUNNING, RECORD },
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, DO (PAUSE_DEPARTURE) },
      { INPUT (LOCAL_RECORD), PAUSED_OUT, RECORD },
      { EVENT (STOPPED, MIGRATED), ABSENT, DEPART },
    },
  },
  {
    "paused-and-resumed-meanwhile",
    RUNNING,
    {
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, DO (PAUSE_DEPARTURE) },
      { INPUT (LOCAL_RECORD), PAUSED_OUT, RECORD },
      { EVENT (RESUMED, UNPAUSED), RUNNING, RUN },
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, DO (PAUSE_DEPARTURE) },
      { EVENT (STOPPED, MIGRATED), ABSENT, DEPART },
    },
  },
  {
    /* the network broke between Finish and Confirm: somebody has to decide by hand */
    "left-paused",
    RUNNING,
    {
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, DO (PAUSE_DEPARTURE) },
      { INPUT (LISTED), PAUSED_OUT, DO (ADOPT) },
      { EVENT (RESUMED, UNPAUSED), RUNNING, RUN },
    },
  },
};

static const Trace home_traces[] = {
  {
    "a-life",
    ABSENT,
    {
      { EVENT (STARTED, BOOTED), RUNNING, DO (ADOPT) },
      { EVENT (SUSPENDED, IOERROR), PAUSED, 0 },
      { EVENT (RESUMED, UNPAUSED), RUNNING, RUN },
      { INPUT (LISTED), RUNNING, DO (ADOPT) },
      { INPUT (POLICY_CHANGED), RUNNING, DO (ADOPT) },
      { EVENT (STOPPED, SHUTDOWN), ABSENT, END },
      { INPUT (POLICY_CHANGED), ABSENT, 0 },
    },
  },
  {
    "saved-and-restored",
    RUNNING,
    {
      { INPUT (LOCAL_RECORD), RUNNING, RECORD },
      { EVENT (SUSPENDED, PAUSED), PAUSED, 0 },
      { EVENT (STOPPED, SAVED), ABSENT, END },
      { EVENT (STARTED, RESTORED), RUNNING, DO (ADOPT) },
      { EVENT (SUSPENDED, RESTORED), PAUSED, 0 },
      { EVENT (RESUMED, UNPAUSED), RUNNING, RUN },
    },
  },
  {
    /* in the same QEMU, and in another */
    "reverted",
    RUNNING,
    {
      { INPUT (LOCAL_RECORD), RUNNING, RECORD },
      { EVENT (SUSPENDED, FROM_SNAPSHOT), PAUSED, 0 },
      { EVENT (RESUMED, FROM_SNAPSHOT), RUNNING, RUN },
      { EVENT (STOPPED, FROM_SNAPSHOT), ABSENT, END },
      { EVENT (STARTED, FROM_SNAPSHOT), RUNNING, DO (ADOPT) },
    },
  },
  {
    /* libvirt powers it off and on in one QEMU; a reset by the guest itself is no event at all */
    "rebooted",
    RUNNING,
    {
      { EVENT (SHUTDOWN, FINISHED), RUNNING, 0 },
      { INPUT (LOCAL_RECORD), RUNNING, RECORD },
      { EVENT (RESUMED, UNPAUSED), RUNNING, RUN },
    },
  },
  {
    "asleep-and-awake",
    RUNNING,
    {
      { EVENT (PMSUSPENDED, MEMORY), RUNNING, 0 },
      { EVENT (STARTED, WAKEUP), RUNNING, RUN },
    },
  },
  {
    /* what was taken of the QEMU before is void */
    "end-missed",
    RUNNING,
    {
      { INPUT (LOCAL_RECORD), RUNNING, RECORD },
      { EVENT (SUSPENDED, MIGRATED), PAUSED_OUT, DO (PAUSE_DEPARTURE) },
      { EVENT (STARTED, BOOTED), RUNNING, DO (CANCEL_DEPARTURE) | DO (DROP_RECORD) | DO (ADOPT) },
    },
  },
};

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  migration_trace_add_tests ("source", source_traces, G_N_ELEMENTS (source_traces));
  migration_trace_add_tests ("at-home", home_traces, G_N_ELEMENTS (home_traces));
  return g_test_run ();
}
