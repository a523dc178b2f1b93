/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * arrival-report - the final report of one migration, as a journal entry with fields
 */

#include <glib.h>

#include "clock-offset.h"
#include "domain-policy.h"
#include "event-log.h"
#include "helper-protocol.h"

/* What the helper was told to do; is_sent is FALSE when nothing could be sent. */
typedef struct {
  gboolean is_sent;
  ClockChoice choice;
  GBytes *record; /* the struct clock_record that was sent, owned */
} ArrivalFixup;

void arrival_fixup_clear (ArrivalFixup *fixup);

/* Add theta, its bound, which was used, and the source's side of the record to @entry. */
void arrival_report_add_fixup (EventEntry *entry, const ArrivalFixup *fixup);

/* Add the terms in force, and the @policy (text, NULL without one) that had a part in them. */
void arrival_report_add_terms (EventEntry *entry, const ClockTerms *terms, const char *policy);

/* Add what the helper measured and wrote, per-vCPU offsets included. */
void arrival_report_add_result (EventEntry *entry, const struct helper_report *report,
                                const ArrivalFixup *fixup);

/*
 * Log @entry, an EVENT_CLOCKS_APART, and free it: the clocks of this host and of @peer, the source of
 * the domain called @label, could not be taken for one. @choice says why, and how far apart they are.
 */
void arrival_report_log_apart (EventEntry *entry, const char *label, const char *peer,
                               const ClockChoice *choice);

/*
 * Log @entry, the final report on the domain called @label, and free it. @step is where it went wrong,
 * arrival_step_name(), and @reason a clause or a word.
 */
void arrival_report_log_unknown (EventEntry *entry, const char *label, const char *step,
                                 const char *reason);
void arrival_report_log_stock (EventEntry *entry, const char *label, const char *step,
                               const char *reason);
void arrival_report_log_paused (EventEntry *entry, const char *label, const char *step);

/* The same where the helper did something, or would have. */
void arrival_report_log_verdict (EventEntry *entry, const char *label,
                                 const struct helper_report *report, const ArrivalFixup *fixup);

/* The event that @verdict, an enum helper_verdict, is logged as. */
EventKind arrival_report_kind (guint32 verdict);
