/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "migration-phase.h"

#include <libvirt/libvirt.h>

/* one function per group of phases */

/* The domain runs here. A record is taken at every pause, migration or not, and pushed at once: that
 * reaches a peer only when one has claimed the domain. */
static MigrationPhase
step_at_home (MigrationPhase phase, MigrationInput input, guint *actions)
{
  switch (input) {
  case MIGRATION_INPUT_LOCAL_RECORD:
    *actions = MIGRATION_ACTION_KEEP_RECORD | MIGRATION_ACTION_PUSH_RECORD;
    return phase;
  case MIGRATION_INPUT_CLAIMED:
    *actions = MIGRATION_ACTION_PUSH_RECORD;
    if (phase == MIGRATION_PHASE_PAUSED_OUT)
      *actions |= MIGRATION_ACTION_PAUSE_DEPARTURE; /* under the name that the claim gave it */
    return phase;
  case MIGRATION_INPUT_CLAIM_LOST:
    /* libvirt tells nothing of a migration that is given up before its pause, nor of any that fails
     * of a guest that stood still before */
    if (phase != MIGRATION_PHASE_PAUSED_OUT)
      *actions = MIGRATION_ACTION_SETTLE_DEPARTURE;
    return phase;
  case MIGRATION_INPUT_PAUSED_MIGRATED:
    if (phase != MIGRATION_PHASE_PAUSED_OUT)
      *actions = MIGRATION_ACTION_PAUSE_DEPARTURE;
    return MIGRATION_PHASE_PAUSED_OUT;
  case MIGRATION_INPUT_PAUSED:
    /* a post-copy that fails says so while the guest is paused for it */
    return phase == MIGRATION_PHASE_PAUSED_OUT ? phase : MIGRATION_PHASE_PAUSED;
  case MIGRATION_INPUT_RESUMED_MIGRATED:
    /* ADOPT, as SetMetadata was masked while the job ran */
    *actions = MIGRATION_ACTION_DROP_RECORD | MIGRATION_ACTION_ADOPT;
    /* From RUNNING it is the second RESUMED of a post-copy that ended here. From PAUSED: a migration
     * with --abort-on-error, which an I/O error ended. */
    *actions |= phase != MIGRATION_PHASE_RUNNING ? MIGRATION_ACTION_ROLL_BACK
                                                 : MIGRATION_ACTION_SETTLE_DEPARTURE;
    return MIGRATION_PHASE_RUNNING;
  case MIGRATION_INPUT_RESUMED_POSTCOPY:
    /* one that had failed was taken up again: only a destination is told so */
    *actions = MIGRATION_ACTION_DROP_RECORD | MIGRATION_ACTION_SETTLE_DEPARTURE |
               MIGRATION_ACTION_ADOPT;
    return MIGRATION_PHASE_RUNNING;
  case MIGRATION_INPUT_RESUMED:
    *actions = MIGRATION_ACTION_DROP_RECORD | MIGRATION_ACTION_SETTLE_DEPARTURE;
    return MIGRATION_PHASE_RUNNING;
  case MIGRATION_INPUT_STOPPED_MIGRATED:
    *actions = MIGRATION_ACTION_CONCLUDE_DEPARTURE | MIGRATION_ACTION_FORGET;
    return MIGRATION_PHASE_ABSENT;
  case MIGRATION_INPUT_STOPPED:
  case MIGRATION_INPUT_NOT_LISTED:
    *actions = MIGRATION_ACTION_CANCEL_DEPARTURE | MIGRATION_ACTION_FORGET;
    return MIGRATION_PHASE_ABSENT;
  case MIGRATION_INPUT_STARTED_MIGRATED:
    /* it left and its STOPPED was lost: what we know belongs to a QEMU that is gone */
    *actions = MIGRATION_ACTION_CANCEL_DEPARTURE | MIGRATION_ACTION_ANNOUNCE;
    return MIGRATION_PHASE_INCOMING;
  case MIGRATION_INPUT_STARTED:
    /* its STOPPED was lost: the record is of a QEMU that is gone */
    *actions = MIGRATION_ACTION_CANCEL_DEPARTURE | MIGRATION_ACTION_DROP_RECORD |
               MIGRATION_ACTION_ADOPT;
    return MIGRATION_PHASE_RUNNING;
  case MIGRATION_INPUT_LISTED:
  case MIGRATION_INPUT_POLICY_CHANGED:
    *actions = MIGRATION_ACTION_ADOPT;
    return phase;
  case MIGRATION_INPUT_NONE:
  case MIGRATION_INPUT_OTHER_QEMU:
  case MIGRATION_INPUT_REPORT:
  case MIGRATION_INPUT_RECORD:
  case MIGRATION_INPUT_WITHDRAWN:
  case MIGRATION_INPUT_COUNT:
    break;
  }
  return phase;
}

/* The domain is on its way here. */
static MigrationPhase
step_arriving (MigrationPhase phase, MigrationInput input, guint *actions)
{
  switch (input) {
  case MIGRATION_INPUT_RECORD:
    if (phase == MIGRATION_PHASE_REPORTED)
      return phase; /* the clocks run again: too late for another */
    *actions = MIGRATION_ACTION_ARM;
    return MIGRATION_PHASE_ARMED;
  case MIGRATION_INPUT_REPORT:
    *actions = MIGRATION_ACTION_KEEP_REPORT;
    return MIGRATION_PHASE_REPORTED;
  case MIGRATION_INPUT_WITHDRAWN:
    if (phase != MIGRATION_PHASE_ARMED)
      return phase;
    *actions = MIGRATION_ACTION_DISARM;
    return MIGRATION_PHASE_INCOMING;
  case MIGRATION_INPUT_RESUMED_MIGRATED:
  case MIGRATION_INPUT_RESUMED_POSTCOPY:
  case MIGRATION_INPUT_RESUMED:
    *actions = MIGRATION_ACTION_CONCLUDE_ARRIVAL | MIGRATION_ACTION_ADOPT;
    return MIGRATION_PHASE_RUNNING;
  case MIGRATION_INPUT_PAUSED:
    /* migrate --suspend, or paused by hand before: a later resume must behave as stock */
    *actions = MIGRATION_ACTION_DISARM | MIGRATION_ACTION_CONCLUDE_ARRIVAL | MIGRATION_ACTION_ADOPT;
    return MIGRATION_PHASE_PAUSED;
  case MIGRATION_INPUT_STOPPED:
  case MIGRATION_INPUT_STOPPED_MIGRATED:
  case MIGRATION_INPUT_NOT_LISTED:
    *actions = MIGRATION_ACTION_ABANDON_ARRIVAL | MIGRATION_ACTION_FORGET;
    return MIGRATION_PHASE_ABSENT;
  case MIGRATION_INPUT_STARTED:
    *actions = MIGRATION_ACTION_ABANDON_ARRIVAL | MIGRATION_ACTION_ADOPT;
    return MIGRATION_PHASE_RUNNING;
  case MIGRATION_INPUT_STARTED_MIGRATED:
    /* told twice, or it failed, its STOPPED was lost, and this is another attempt */
  case MIGRATION_INPUT_LISTED:
    /* events were lost: its end may be among them */
    *actions = MIGRATION_ACTION_LOOK;
    return phase;
  case MIGRATION_INPUT_OTHER_QEMU:
    *actions = MIGRATION_ACTION_ABANDON_ARRIVAL | MIGRATION_ACTION_ANNOUNCE;
    return MIGRATION_PHASE_INCOMING;
  case MIGRATION_INPUT_NONE:
  case MIGRATION_INPUT_PAUSED_MIGRATED:
  case MIGRATION_INPUT_POLICY_CHANGED: /* libvirt allows none while the migration runs */
  case MIGRATION_INPUT_LOCAL_RECORD:   /* QEMU asks for the clock when it is made, too */
  case MIGRATION_INPUT_CLAIMED:
  case MIGRATION_INPUT_CLAIM_LOST:
  case MIGRATION_INPUT_COUNT:
    break;
  }
  return phase;
}

static MigrationPhase
step_absent (MigrationInput input, guint *actions)
{
  switch (input) {
  case MIGRATION_INPUT_STARTED_MIGRATED:
    *actions = MIGRATION_ACTION_ANNOUNCE;
    return MIGRATION_PHASE_INCOMING;
  case MIGRATION_INPUT_LISTED:
  case MIGRATION_INPUT_STARTED:
  /* It runs here and its STARTED was lost. */
  case MIGRATION_INPUT_RESUMED:
  case MIGRATION_INPUT_RESUMED_MIGRATED:
  case MIGRATION_INPUT_RESUMED_POSTCOPY:
    *actions = MIGRATION_ACTION_ADOPT;
    return MIGRATION_PHASE_RUNNING;
  case MIGRATION_INPUT_PAUSED:
    *actions = MIGRATION_ACTION_ADOPT;
    return MIGRATION_PHASE_PAUSED;
  case MIGRATION_INPUT_PAUSED_MIGRATED:
    *actions = MIGRATION_ACTION_PAUSE_DEPARTURE | MIGRATION_ACTION_ADOPT;
    return MIGRATION_PHASE_PAUSED_OUT;
  case MIGRATION_INPUT_NONE:
  case MIGRATION_INPUT_NOT_LISTED:
  case MIGRATION_INPUT_STOPPED_MIGRATED:
  case MIGRATION_INPUT_STOPPED:
  case MIGRATION_INPUT_POLICY_CHANGED: /* of a domain that is shut off */
  case MIGRATION_INPUT_OTHER_QEMU:
  case MIGRATION_INPUT_LOCAL_RECORD:
  case MIGRATION_INPUT_REPORT:
  case MIGRATION_INPUT_CLAIMED:
  case MIGRATION_INPUT_CLAIM_LOST:
  case MIGRATION_INPUT_RECORD:
  case MIGRATION_INPUT_WITHDRAWN:
  case MIGRATION_INPUT_COUNT:
    break;
  }
  return MIGRATION_PHASE_ABSENT;
}

/* libvirt's details; those of a newer libvirt are like the plain ones */

static MigrationInput
input_from_started (int detail)
{
  switch (detail) {
  case VIR_DOMAIN_EVENT_STARTED_MIGRATED:
    return MIGRATION_INPUT_STARTED_MIGRATED;
  case VIR_DOMAIN_EVENT_STARTED_WAKEUP:
    return MIGRATION_INPUT_RESUMED; /* from suspend to RAM: the same QEMU goes on */
  default:
    return MIGRATION_INPUT_STARTED;
  }
}

static MigrationInput
input_from_resumed (int detail)
{
  switch (detail) {
  case VIR_DOMAIN_EVENT_RESUMED_MIGRATED:
    return MIGRATION_INPUT_RESUMED_MIGRATED;
  case VIR_DOMAIN_EVENT_RESUMED_POSTCOPY:
    return MIGRATION_INPUT_RESUMED_POSTCOPY;
  default:
    return MIGRATION_INPUT_RESUMED;
  }
}

/* public functions */

MigrationInput
migration_input_from_event (int event, int detail)
{
  switch (event) {
  case VIR_DOMAIN_EVENT_STARTED:
    return input_from_started (detail);
  case VIR_DOMAIN_EVENT_SUSPENDED:
    return detail == VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED ||
               detail == VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY
             ? MIGRATION_INPUT_PAUSED_MIGRATED
             : MIGRATION_INPUT_PAUSED;
  case VIR_DOMAIN_EVENT_RESUMED:
    return input_from_resumed (detail);
  case VIR_DOMAIN_EVENT_STOPPED:
    return detail == VIR_DOMAIN_EVENT_STOPPED_MIGRATED ? MIGRATION_INPUT_STOPPED_MIGRATED
                                                       : MIGRATION_INPUT_STOPPED;
  case VIR_DOMAIN_EVENT_CRASHED:
  default:
    /* CRASHED is followed by STOPPED when the VM is torn down; numbers of a newer libvirt and
     * DEFINED, UNDEFINED, SHUTDOWN, PMSUSPENDED say nothing about clocks */
    return MIGRATION_INPUT_NONE;
  }
}

MigrationPhase
migration_phase_step (MigrationPhase phase, MigrationInput input, guint *actions)
{
  *actions = 0;
  switch (phase) {
  case MIGRATION_PHASE_ABSENT:
    return step_absent (input, actions);
  case MIGRATION_PHASE_RUNNING:
  case MIGRATION_PHASE_PAUSED:
  case MIGRATION_PHASE_PAUSED_OUT:
    return step_at_home (phase, input, actions);
  case MIGRATION_PHASE_INCOMING:
  case MIGRATION_PHASE_ARMED:
  case MIGRATION_PHASE_REPORTED:
    return step_arriving (phase, input, actions);
  case MIGRATION_PHASE_COUNT:
    break;
  }
  g_return_val_if_reached (phase);
}

gboolean
migration_phase_is_at_home (MigrationPhase phase)
{
  return phase == MIGRATION_PHASE_RUNNING || phase == MIGRATION_PHASE_PAUSED ||
         phase == MIGRATION_PHASE_PAUSED_OUT;
}

const char *
migration_phase_name (MigrationPhase phase)
{
  static const char *const names[] = {
    "absent", "running", "paused", "paused-out", "incoming", "armed", "reported",
  };

  G_STATIC_ASSERT (G_N_ELEMENTS (names) == MIGRATION_PHASE_COUNT);
  g_return_val_if_fail ((guint) phase < MIGRATION_PHASE_COUNT, "unknown");
  return names[phase];
}
