/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * arrival - one incoming migration, from its announcement to its final report
 *
 * Finds the source's daemon by what libvirt brought in the metadata, claims the domain there, keeps
 * measuring the hosts' clock offset, turns the record into a fix-up for the helper, and says at the
 * end what became of the guest's clocks. Every step may fail; then the guest resumes as stock QEMU
 * would have it, and the report names the step.
 */

#include <gio/gio.h>

#include "domain-info.h"
#include "helper-link.h"
#include "host-context.h"

typedef struct Arrival Arrival;

/* The way of a record, in order. The last one that failed is what the final report names. */
typedef enum {
  ARRIVAL_STEP_NONE,
  ARRIVAL_STEP_LOOKUP,         /* libvirt tells what is arriving */
  ARRIVAL_STEP_HELPER,         /* the helper is in the new QEMU */
  ARRIVAL_STEP_SOURCE_ELEMENT, /* the metadata names the source's daemon */
  ARRIVAL_STEP_PEER,           /* that daemon answers, with the right key, and accepts the ticket */
  ARRIVAL_STEP_RECORD,         /* it sends a record of the paused guest */
  ARRIVAL_STEP_CLOCK_OFFSET,   /* the hosts' clock offset is known */
  ARRIVAL_STEP_FIXUP,          /* the helper applies it inside KVM_SET_CLOCK */
  ARRIVAL_STEP_COUNT,
} ArrivalStep;

typedef struct {
  /* A valid record came from the source; arrival_arm() when the guest can take it. */
  void (*record) (gpointer user_data);
  /* The guest stays at the source: the last record is void. */
  void (*withdrawn) (const char *reason, gpointer user_data);
} ArrivalCallbacks;

/*
 * Announce the incoming domain @uuid, to be handled by the settings as they are now. @is_found: it was
 * under way before this daemon was there, so that another may have told its helper what to do. @host
 * and @callbacks are borrowed and must outlive it.
 */
Arrival *arrival_new (const HostContext *host, const char *uuid, gboolean is_found,
                      const ArrivalCallbacks *callbacks, gpointer user_data);

/* Closes the connection to the source without a word: conclude first. */
void arrival_free (Arrival *arrival);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Arrival, arrival_free)

/*
 * Say that @step failed, in the journal and later in the final report. Stepping on is up to the
 * caller.
 */
void arrival_fail (Arrival *arrival, ArrivalStep step, const char *reason);

/* The same, that helper_link_new() failed with @error. */
void arrival_fail_link (Arrival *arrival, const GError *error);

/*
 * What libvirt knows of the domain: name it in the log, go by its policy, and claim it at its
 * source. Of one that is not KVM nothing is said from here on.
 */
void arrival_claim (Arrival *arrival, const DomainInfo *info);

/* Hand the newest record to the helper behind @link (may be NULL: it is missing). */
void arrival_arm (Arrival *arrival, HelperLink *link);

/* Take back from the helper behind @link (may be NULL) what it was told. @stands_still: it has not acted on
 * that, as libvirt says that the guest is paused; else it may have. */
void arrival_disarm (Arrival *arrival, HelperLink *link, gboolean stands_still);

/* The helper's word on what it did; @report is copied. */
void arrival_take_report (Arrival *arrival, const struct helper_report *report);

/*
 * Write the final report. Without a word of the helper that is "stock" where nothing else can have
 * come of it, and otherwise "unknown". @link is that to the helper, NULL without. @is_paused: libvirt left the
 * guest paused at its arrival.
 */
void arrival_conclude (Arrival *arrival, HelperLink *link, gboolean is_paused);

/* The migration failed on this host: say so, to the source as well. */
void arrival_abandon (Arrival *arrival);

/* "source-element" for instance. */
const char *arrival_step_name (ArrivalStep step);
