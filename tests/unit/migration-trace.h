/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * migration-trace - a migration as one host's libvirt tells it, for tests of migration-phase
 */

#include <libvirt/libvirt.h>

#include "migration-phase.h"

#define ABSENT     MIGRATION_PHASE_ABSENT
#define RUNNING    MIGRATION_PHASE_RUNNING
#define PAUSED     MIGRATION_PHASE_PAUSED
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

/* what often goes together */
#define RECORD (DO (KEEP_RECORD) | DO (PUSH_RECORD))
#define DEPART (DO (CONCLUDE_DEPARTURE) | DO (FORGET))
#define STAY   (DO (ROLL_BACK) | DO (DROP_RECORD) | DO (ADOPT))
#define ARRIVE (DO (CONCLUDE_ARRIVAL) | DO (ADOPT))
#define FAIL   (DO (ABANDON_ARRIVAL) | DO (FORGET))
#define RUN    (DO (DROP_RECORD) | DO (SETTLE_DEPARTURE))
#define GO_ON  (RUN | DO (ADOPT))
#define END    (DO (CANCEL_DEPARTURE) | DO (FORGET))

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

/* Two tests of each: all in order, and every event told twice. @traces must stay. */
void migration_trace_add_tests (const char *group, const Trace *traces, gsize count);
