/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * guest-record - the last clock record of a guest that lives here, and who has it
 *
 * A record is taken at every pause, for a migration or not, and is void as soon as the guest runs
 * again; so it may outlast the migration that it was sent for, of a guest that was paused by hand.
 */

#include "departure.h"
#include "peer-listener.h"

typedef struct {
  GBytes *newest; /* NULL: none since the guest last ran */
  gboolean is_sent;
  char *obstacle; /* why there is none, NULL where that is not known */
} GuestRecord;

/* Take @newest over in place of what was there. It is not changed by anybody. */
void guest_record_keep (GuestRecord *record, GBytes *newest);

/* There is none of this pause, and @obstacle, a clause, is why; for now, as one may come all the same. */
void guest_record_miss (GuestRecord *record, const char *obstacle);

/* Send it, if there is one, to all peers of @listener that have claimed the domain @uuid. */
void guest_record_push (GuestRecord *record, PeerListener *listener, const char *uuid);

/* Whoever it was sent to went away, and the guest did not: the next one has to claim it anew. */
void guest_record_recall (GuestRecord *record);

/* The guest runs, or is gone. */
void guest_record_drop (GuestRecord *record);

/* What became of it so far; @had_helper: a helper of this guest's QEMU was connected; @is_observed: there is
 * none, and the observer is to watch it. */
DepartureRecord guest_record_describe (const GuestRecord *record, gboolean had_helper,
                                       gboolean is_observed);

/* "helper" or "observed": who gave it, NULL while there is none. */
const char *guest_record_get_source (const GuestRecord *record);
