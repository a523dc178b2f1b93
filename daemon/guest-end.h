/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * guest-end - the end of an arrival, held back until the guest's helper has reported
 *
 * QEMU tells of its resuming before it sets the guest's clock (vm_prepare_start() in its
 * softmmu/cpus.c), and libvirt's event can be here while the helper is still at that.
 */

#include "migration-phase.h"

/* It needs some milliseconds; this is for a host that is busy. Whoever has not read the fix-up by then gets
 * none. */
#define GUEST_END_PATIENCE_MS 5000

typedef struct {
  MigrationInput input; /* NONE while none is held, as a rule */
  guint overdue_id;
  void (*overdue) (gpointer user_data);
  gpointer user_data;
} GuestEnd;

/* None is held. @overdue: the one that is has been for too long, and is to be released. */
void guest_end_init (GuestEnd *end, void (*overdue) (gpointer user_data), gpointer user_data);

gboolean guest_end_is_held (const GuestEnd *end);

/* Hold @input, in place of what is held, and no longer than that was to be. */
void guest_end_hold (GuestEnd *end, MigrationInput input);

/* Hold none any longer: returns the one that was, or NONE. */
MigrationInput guest_end_release (GuestEnd *end);

/* Whether @input, in @phase and with a link to the helper, says that the guest arrived, and its report is to be
 * awaited. */
gboolean guest_end_is_to_hold (MigrationPhase phase, gboolean has_link, MigrationInput input);

/* Whether what is held comes first: @input is nothing that happens to a guest before it has arrived, or it would
 * mean that it did not. */
gboolean guest_end_precedes (MigrationInput input);

/* Whether the report of a guest whose end is held is still to come, after @input led to @phase. */
gboolean guest_end_is_awaited (MigrationPhase phase, MigrationInput input);
