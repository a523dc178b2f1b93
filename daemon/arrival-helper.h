/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * arrival-helper - what the helper of an arriving domain was told, what it said, and what is certain of it
 *
 * The link to it belongs to the guest, and comes with each call; NULL where there is none.
 */

#include "arrival-report.h"
#include "domain-policy.h"
#include "helper-link.h"

typedef struct {
  ArrivalFixup fixup;           /* what it was told last, for the report */
  gint64 fixup_sent_ns;         /* CLOCK_MONOTONIC */
  struct helper_report *report; /* NULL until it spoke */
  gboolean is_found; /* under way at this daemon's start: it may have a fix-up of another */
  gboolean may_move; /* it may have, or have had, what makes it move the guest's clocks */
} ArrivalHelper;

void arrival_helper_init (ArrivalHelper *helper, gboolean is_found);
void arrival_helper_clear (ArrivalHelper *helper);

/* Whether @fixup is of a new record, or its theta is known otherwise than the helper was told, or is not of
 * late. */
gboolean arrival_helper_needs (const ArrivalHelper *helper, const ArrivalFixup *fixup);

/* Send it @fixup, of which the record is referenced, by @terms; @is_trusted: as of HostClock=trust. FALSE with an
 * error of helper_link_send_fixup(). */
gboolean arrival_helper_send (ArrivalHelper *helper, HelperLink *link, const ArrivalFixup *fixup,
                              const ClockTerms *terms, gboolean is_trusted, GError **error);

/* The record of the fix-up is void: unless the helper has reported, nothing was made of it. */
void arrival_helper_drop_record (ArrivalHelper *helper);

/*
 * Take back what it was told, by this daemon or another. @stands_still: it has not acted on that, as libvirt
 * says that the guest is paused; else it may have. FALSE with an error of helper_link_send_withdraw().
 */
gboolean arrival_helper_withdraw (ArrivalHelper *helper, HelperLink *link, gboolean stands_still,
                                  GError **error);

/* It says what it did; @report is copied. */
void arrival_helper_take_report (ArrivalHelper *helper, const struct helper_report *report,
                                 const ClockTerms *terms);

/*
 * At the end: whether it is certain what it did, by its report or as it cannot have done a thing. A fix-up that it
 * has not read is taken back for that. @is_paused: the guest stands still, so that it will be read.
 */
gboolean arrival_helper_is_certain (ArrivalHelper *helper, HelperLink *link, gboolean is_paused);

/* A clause about one that was told what to do and did not report. */
const char *arrival_helper_describe_silence (HelperLink *link);

/* The same of one that arrival_helper_is_certain() said FALSE of. */
const char *arrival_helper_describe_doubt (const ArrivalHelper *helper, HelperLink *link,
                                           gboolean is_paused);
