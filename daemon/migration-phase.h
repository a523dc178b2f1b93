/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * migration-phase - the state machine of one domain on one host, without any doing
 *
 * libvirt's events are ambiguous on their own (SUSPENDED/MIGRATED and RESUMED/MIGRATED happen on both
 * hosts, and on a cancelled migration), may come twice, and may be lost while libvirtd restarts. What
 * they mean follows from the phase. A step has no side effects: it names the actions, guest.c does
 * them.
 */

#include <glib.h>

typedef enum {
  MIGRATION_PHASE_ABSENT,     /* does not run here, as far as is known */
  MIGRATION_PHASE_RUNNING,    /* lives here; may be leaving without our knowing */
  MIGRATION_PHASE_PAUSED,     /* stands still here, and not by a migration as far as libvirt says */
  MIGRATION_PHASE_PAUSED_OUT, /* vCPUs stopped during an outgoing job: not yet a commitment */
  MIGRATION_PHASE_INCOMING,   /* on its way here; no record yet */
  MIGRATION_PHASE_ARMED,      /* the helper here has a fix-up */
  MIGRATION_PHASE_REPORTED,   /* the helper said what it did; libvirt has not said RESUMED yet */
  MIGRATION_PHASE_COUNT,
} MigrationPhase;

typedef enum {
  MIGRATION_INPUT_NONE, /* an event that means nothing here */
  /* from libvirt */
  MIGRATION_INPUT_LISTED,           /* seen running when the watch was primed */
  MIGRATION_INPUT_NOT_LISTED,       /* known, and not seen then */
  MIGRATION_INPUT_STARTED,          /* booted, restored, reverted */
  MIGRATION_INPUT_STARTED_MIGRATED, /* end of Prepare on the destination */
  MIGRATION_INPUT_PAUSED_MIGRATED,  /* vCPUs stopped during an outgoing job */
  MIGRATION_INPUT_PAUSED,
  MIGRATION_INPUT_RESUMED_MIGRATED, /* it arrived, or stays: on the source, a migration failed */
  MIGRATION_INPUT_RESUMED_POSTCOPY, /* it runs here, and its memory is still on the way */
  MIGRATION_INPUT_RESUMED,
  MIGRATION_INPUT_STOPPED_MIGRATED,
  MIGRATION_INPUT_STOPPED,
  MIGRATION_INPUT_POLICY_CHANGED, /* the operator's, in the metadata */
  MIGRATION_INPUT_OTHER_QEMU,     /* what arrives is not what was announced; an answer to LOOK */
  /* from the helper of this host's QEMU */
  MIGRATION_INPUT_LOCAL_RECORD,
  MIGRATION_INPUT_REPORT,
  /* from the peer */
  MIGRATION_INPUT_CLAIMED,    /* on the source: a destination presented the ticket */
  MIGRATION_INPUT_CLAIM_LOST, /* on the source: and went away, for good as far as is known */
  MIGRATION_INPUT_RECORD,     /* on the destination */
  MIGRATION_INPUT_WITHDRAWN,  /* on the destination */
  MIGRATION_INPUT_COUNT,
} MigrationInput;

typedef enum {
  /* see that its helper is found and its metadata holds our source element; again does no harm */
  MIGRATION_ACTION_ADOPT = 1 << 0,
  MIGRATION_ACTION_FORGET = 1 << 1, /* let go of everything about the domain */
  /* source */
  MIGRATION_ACTION_KEEP_RECORD = 1 << 2,
  MIGRATION_ACTION_PUSH_RECORD = 1 << 3,
  MIGRATION_ACTION_DROP_RECORD = 1 << 4,
  MIGRATION_ACTION_ROLL_BACK = 1 << 5, /* tell the peer that the guest stays */
  MIGRATION_ACTION_CONCLUDE_DEPARTURE = 1 << 6,
  MIGRATION_ACTION_PAUSE_DEPARTURE = 1 << 7,
  MIGRATION_ACTION_SETTLE_DEPARTURE = 1 << 8, /* it ends, unless a peer has claimed it */
  MIGRATION_ACTION_CANCEL_DEPARTURE = 1 << 9, /* it ends, with the guest's life here */
  /* destination */
  MIGRATION_ACTION_ANNOUNCE = 1 << 10, /* tell the helper, find the peer, claim */
  MIGRATION_ACTION_ARM = 1 << 11,      /* hand the record to the helper */
  MIGRATION_ACTION_DISARM = 1 << 12,   /* take INCOMING and the fix-up back from the helper */
  MIGRATION_ACTION_KEEP_REPORT = 1 << 13,
  MIGRATION_ACTION_CONCLUDE_ARRIVAL = 1 << 14,
  MIGRATION_ACTION_ABANDON_ARRIVAL = 1 << 15,
  MIGRATION_ACTION_LOOK = 1 << 16, /* ask libvirt whether it still is on its way */
} MigrationAction;

/* What virDomainEventType @event with @detail means (include/libvirt/libvirt-domain.h). */
MigrationInput migration_input_from_event (int event, int detail);

/* The phase after @input in @phase; *@actions is what has to be done: of the source first, of the
 * destination next, the end of one arrival before the ANNOUNCE of another, ADOPT and FORGET last. */
MigrationPhase migration_phase_step (MigrationPhase phase, MigrationInput input, guint *actions);

/* Whether the domain lives here, running or not; else it is absent or on its way here. */
gboolean migration_phase_is_at_home (MigrationPhase phase);

const char *migration_phase_name (MigrationPhase phase);
