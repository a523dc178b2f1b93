/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * guest-outgoing - a guest that may leave: its last record, and its Departure, as migration-phase decides
 */

#include "departure.h"
#include "guest-facts.h"
#include "guest-record.h"
#include "host-context.h"
#include "migration-phase.h"

typedef struct GuestOutgoing GuestOutgoing;

/* What the guest has to do. None of these may free it. */
typedef struct {
  /* Whether there is a link to the helper in its QEMU; and whether there is or was one. */
  gboolean (*has_link) (gpointer user_data);
  gboolean (*had_link) (gpointer user_data);
  /* Whether it runs, as far as libvirt has said. */
  gboolean (*is_running) (gpointer user_data);
  /* The observer saw its QEMU ask KVM_GET_CLOCK: an offer for KEEP_RECORD. @record is checked, @size bytes,
   * borrowed. */
  void (*observed) (const struct clock_record *record, gsize size, gpointer user_data);
  /* guest_outgoing_get_observer_problem() tells else. */
  void (*observer_changed) (gpointer user_data);
  /* As of DepartureCallbacks. */
  void (*claim_lost) (gpointer user_data);
} GuestOutgoingCallbacks;

/* @host, @facts and @callbacks are borrowed and must outlive it. */
GuestOutgoing *guest_outgoing_new (const HostContext *host, const char *uuid,
                                   const GuestFacts *facts, const GuestOutgoingCallbacks *callbacks,
                                   gpointer user_data);

/* Forget first, or whoever has claimed it stays connected. */
void guest_outgoing_free (GuestOutgoing *outgoing);

/* Libvirt told more of the domain: the facts are others. */
void guest_outgoing_take_facts (GuestOutgoing *outgoing);

/* That life of the domain here is over, and what is to be said of its departure was said. */
void guest_outgoing_forget (GuestOutgoing *outgoing);

/* There is no record of this pause, and @obstacle, a clause, is why. */
void guest_outgoing_miss_record (GuestOutgoing *outgoing, const char *obstacle);
gboolean guest_outgoing_has_record (const GuestOutgoing *outgoing);

/* The claims of peers: departure.h. */
void guest_outgoing_claim (GuestOutgoing *outgoing, const char *id, const char *address);
void guest_outgoing_lose_claim (GuestOutgoing *outgoing, const char *id);
void guest_outgoing_give_up_claim (GuestOutgoing *outgoing, const char *id);

/*
 * Its QEMU has no helper: have it observed while it leaves; again does no harm. FALSE on a host where nothing
 * observes. Until guest_outgoing_forget(), or until it has one.
 */
gboolean guest_outgoing_observe (GuestOutgoing *outgoing);
void guest_outgoing_stop_observing (GuestOutgoing *outgoing);

/* While it is: guest_observer_get_problem(). */
const char *guest_outgoing_get_observer_problem (const GuestOutgoing *outgoing, gboolean *is_known);

/* Take now what the observer has already written. */
void guest_outgoing_drain_observer (GuestOutgoing *outgoing);

/* Do those of the MigrationActions @actions, decided on @input, that are of the source. @offered is the record of
 * KEEP_RECORD: the helper's while there is a link, otherwise the observer's. */
void guest_outgoing_perform (GuestOutgoing *outgoing, guint actions, MigrationInput input,
                             GBytes *offered);
