/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migration-arrival-test - whole migrations as migration-phase-test.c has them, on the destination
 */

#include "migration-trace.h"

static const Trace destination_traces[] = {
  {
    "pre-copy",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (LOCAL_RECORD), INCOMING, 0 },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (REPORT), REPORTED, DO (KEEP_REPORT) },
      { INPUT (RECORD), REPORTED, 0 },
      { EVENT (DEFINED, UPDATED), REPORTED, 0 }, /* --persistent */
      { EVENT (RESUMED, MIGRATED), RUNNING, ARRIVE },
    },
  },
  {
    "post-copy",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (REPORT), REPORTED, DO (KEEP_REPORT) },
      { EVENT (RESUMED, POSTCOPY), RUNNING, ARRIVE },
      { EVENT (RESUMED, MIGRATED), RUNNING, GO_ON },
    },
  },
  {
    "post-copy-failed-and-recovered",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (REPORT), REPORTED, DO (KEEP_REPORT) },
      { EVENT (RESUMED, POSTCOPY), RUNNING, ARRIVE },
      { EVENT (RESUMED, POSTCOPY_FAILED), RUNNING, RUN },
      { EVENT (RESUMED, POSTCOPY), RUNNING, GO_ON },
      { EVENT (RESUMED, MIGRATED), RUNNING, GO_ON },
    },
  },
  {
    /* by hand; nothing was rolled back when it is taken up again */
    "post-copy-paused-and-failed",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { EVENT (RESUMED, POSTCOPY), RUNNING, ARRIVE },
      { EVENT (SUSPENDED, PAUSED), PAUSED, 0 },
      { EVENT (SUSPENDED, POSTCOPY_FAILED), PAUSED, 0 },
      { EVENT (RESUMED, POSTCOPY), RUNNING, GO_ON },
      { EVENT (RESUMED, MIGRATED), RUNNING, GO_ON },
    },
  },
  {
    /* or paused before */
    "suspend",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { EVENT (SUSPENDED, PAUSED), PAUSED, DO (DISARM) | ARRIVE },
      { INPUT (REPORT), PAUSED, 0 },
      { EVENT (RESUMED, UNPAUSED), RUNNING, RUN },
    },
  },
  {
    "prepare-failed",
    ABSENT,
    {
      { EVENT (STOPPED, FAILED), ABSENT, 0 },
    },
  },
  {
    "cancelled-before-the-pause",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { EVENT (STOPPED, FAILED), ABSENT, FAIL },
    },
  },
  {
    /* by autodestroy, as the connection that steered it dropped */
    "cancelled-after-the-pause",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (WITHDRAWN), INCOMING, DO (DISARM) },
      { INPUT (WITHDRAWN), INCOMING, 0 },
      { EVENT (STOPPED, DESTROYED), ABSENT, FAIL },
    },
  },
  {
    "failed-at-finish",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (REPORT), REPORTED, DO (KEEP_REPORT) },
      { INPUT (WITHDRAWN), REPORTED, 0 },
      { EVENT (STOPPED, FAILED), ABSENT, FAIL },
    },
  },
  {
    /* the daemon came up in mid-migration and sees the domain in libvirt's list first */
    "daemon-restarted",
    ABSENT,
    {
      { INPUT (LISTED), RUNNING, DO (ADOPT) },
      { EVENT (STARTED, MIGRATED), INCOMING, DO (CANCEL_DEPARTURE) | DO (ANNOUNCE) },
      { INPUT (LISTED), INCOMING, DO (LOOK) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (LISTED), ARMED, DO (LOOK) },
      { INPUT (NOT_LISTED), ABSENT, FAIL },
    },
  },
  {
    /* its end was missed, and told by libvirt when asked: by what the RESUMED would have been */
    "end-missed",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { INPUT (LISTED), ARMED, DO (LOOK) },
      { INPUT (RESUMED_MIGRATED), RUNNING, ARRIVE },
    },
  },
  {
    /* the first attempt failed, and its STOPPED was lost */
    "another-attempt",
    ABSENT,
    {
      { EVENT (STARTED, MIGRATED), INCOMING, DO (ANNOUNCE) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { EVENT (STARTED, MIGRATED), ARMED, DO (LOOK) },
      { INPUT (OTHER_QEMU), INCOMING, DO (ABANDON_ARRIVAL) | DO (ANNOUNCE) },
      { INPUT (RECORD), ARMED, DO (ARM) },
      { EVENT (RESUMED, MIGRATED), RUNNING, ARRIVE },
    },
  },
  {
    /* it left while libvirtd was restarting, and comes back */
    "returned",
    RUNNING,
    {
      { INPUT (LOCAL_RECORD), RUNNING, RECORD },
      { EVENT (STARTED, MIGRATED), INCOMING, DO (CANCEL_DEPARTURE) | DO (ANNOUNCE) },
      { EVENT (RESUMED, MIGRATED), RUNNING, ARRIVE },
    },
  },
};

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  migration_trace_add_tests ("destination", destination_traces, G_N_ELEMENTS (destination_traces));
  return g_test_run ();
}
