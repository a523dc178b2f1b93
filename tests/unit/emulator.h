/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * emulator - emulator-program with the helper's own file preloaded, and the daemon's end of its
 * socket
 *
 * KVM is kvm-stand-in, preloaded last. Anything that goes wrong ends the test.
 */

#include <glib.h>

#include "helper-protocol.h"

typedef enum {
  EMULATOR_NEIGHBOUR_NONE,
  EMULATOR_NEIGHBOUR_BEFORE, /* of the helper, in LD_PRELOAD: it is called first */
  EMULATOR_NEIGHBOUR_BEHIND,
} EmulatorNeighbour;

typedef struct {
  gboolean without_helper;
  const char *past; /* the ioctls to be made by syscall(2), NULL for none */
  gboolean is_sandboxed;
  EmulatorNeighbour neighbour; /* where ioctl-neighbour is */
  const char *neighbour_does;  /* what ioctl-neighbour does, NULL without one */
} EmulatorTerms;

typedef struct Emulator Emulator;

/* Start it, and wait until its VM is there. */
Emulator *emulator_start (const EmulatorTerms *terms);

/* End it, in order if it still runs. */
void emulator_end (Emulator *emulator);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Emulator, emulator_end)

/* Its answer to a command, without the end of the line; NULL if it died of that. */
char *emulator_ask (Emulator *emulator, const char *command) G_GNUC_WARN_UNUSED_RESULT;

/* The signal that it died of. Waits for its end. */
int emulator_wait_for_signal (Emulator *emulator);

/* "pause", which must keep errno if @keeps_errno. Returns kvmclock in ns. */
guint64 emulator_pause (Emulator *emulator, gboolean keeps_errno);

/* "resume", likewise. */
void emulator_resume (Emulator *emulator, guint64 clock_ns, gboolean keeps_errno);

/* Connect as the daemon: 0, or the errno. */
int emulator_connect (Emulator *emulator);

/* To the helper: a fix-up of @record. Must be connected. */
void emulator_send_fixup (Emulator *emulator, const struct clock_record *record);

/*
 * What the helper has sent last, if it has sent anything; checked. NULL otherwise. Free with
 * g_free().
 */
gpointer emulator_take_last (Emulator *emulator);

/* Whether it has not read all that it was sent. */
gboolean emulator_is_unread (Emulator *emulator);
