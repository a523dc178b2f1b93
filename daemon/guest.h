/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * guest - one domain on this host: does what migration-phase decides
 *
 * Holds the link to the helper in its QEMU, its Adoption while it lives here, its last record while it
 * may leave, and its Arrival while it comes.
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

MigrationPhase guest_get_phase (const Guest *guest);

/* The secret that claims this guest, or NULL while there is none. Valid until the next input. */
const char *guest_get_ticket (const Guest *guest);
