/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * peer-clock - what all sessions with one peer have found out about its clock
 *
 * Clocks are of hosts, not of domains: hundreds of migrations from one host compare them no more often
 * than one does, and each knows what any of them has found. For the main thread alone.
 */

#include "clock-offset.h"

#include <glib.h>
#include <stdbool.h>

typedef struct PeerClock PeerClock;

/*
 * That of @peer, which names a host by its key and where it listens: who has proven to be the same
 * peer may share. Kept for as long as somebody has it.
 */
PeerClock *peer_clock_acquire (const char *peer);
void peer_clock_release (PeerClock *clock);

/* How many have it. */
guint peer_clock_get_users (const PeerClock *clock);

/*
 * Take in a plausible sample. False if it is the first of this clock to contradict those before
 * (clock_offset_add()).
 */
bool peer_clock_add (PeerClock *clock, const ClockSample *sample);

/* Whether it was compared often enough of late to meet a round trip without a delay. */
bool peer_clock_is_known (const PeerClock *clock);

const ClockOffset *peer_clock_get_offset (const PeerClock *clock);
