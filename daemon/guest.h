/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * guest - one domain on this host: does what migration-phase decides
 *
 * Holds the link to the helper in its QEMU, its Adoption while it lives here, its last record and its
 * Departure while it may leave, and its Arrival while it comes.
 */

#include <gio/gio.h>

#include "host-context.h"
#include "migration-phase.h"

typedef struct Guest Guest;

/* A domain that is MIGRATION_PHASE_ABSENT until its first input. @host must outlive it. */
Guest *guest_new (const HostContext *host, const char *uuid);

void guest_free (Guest *guest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Guest, guest_free)

/* Something happened. The caller may free a guest that is ABSENT afterwards. */
void guest_input (Guest *guest, MigrationInput input);

/* On the source: a peer at @address presented the ticket for the migration @id, newly or again. */
void guest_claim (Guest *guest, const char *id, const char *address);

/* On the source: a peer that had claimed the guest for @id went away. */
void guest_lose_claim (Guest *guest, const char *id);

/* On the source: a peer that had claimed the guest for @id says that it does not come. */
void guest_give_up_claim (Guest *guest, const char *id);

MigrationPhase guest_get_phase (const Guest *guest);

/* What others are shown of it; all text borrowed, and valid until anything happens to it. */
typedef struct {
  const char *name; /* NULL until libvirt told */
  MigrationPhase phase;
  gboolean is_emulated; /* not KVM: QEMU keeps its clocks itself */
  const char *problem; /* why its clocks would not be handed over at a migration, NULL: they will */
  gboolean has_link;   /* to the helper in its QEMU */
  const char *policy;  /* what its own policy says, NULL without a valid one */
  const char *policy_problem; /* why that policy is ignored, NULL for none */
} GuestView;

/* HostContext's guest_changed is called whenever one of these may be another. */
void guest_get_view (const Guest *guest, GuestView *view);

/* It lives here, and libvirt has not said yet what it is, nor so what ticket its metadata has. Ends with
 * HostContext's guest_changed. */
gboolean guest_is_unheard (const Guest *guest);

/* The secret that claims this guest, or NULL while there is none. Valid until the next input. */
const char *guest_get_ticket (const Guest *guest);
