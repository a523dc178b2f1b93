/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "clock-offset.h"

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * peer-sampler - keeps comparing this host's clock with that of the peer on a connection
 *
 * Asks for the time many times at once, as one of many round trips meets no delay, and then a few
 * times a second for as long as it is not stopped. Samplers of one peer share what they find out, and
 * take turns.
 */

typedef struct PeerSampler PeerSampler;

/* The peer broke the protocol or is gone; nothing comes after it. @error is the callee's. */
typedef void (*PeerSamplerFailed) (GError *error, gpointer user_data);

/* One more comparison is in the estimate. */
typedef void (*PeerSamplerCompared) (gpointer user_data);

/*
 * Begin on @bus, whose peer must have accepted a claim; @peer as for peer_clock_acquire(). The
 * callbacks may stop the sampler.
 */
PeerSampler *peer_sampler_new (GDBusConnection *bus, const char *peer, PeerSamplerCompared compared,
                               PeerSamplerFailed failed, gpointer user_data);

/* Stop for good, without a callback. What was found out stays. */
void peer_sampler_stop (PeerSampler *self);

/* Stop and free. */
void peer_sampler_free (PeerSampler *self);

/*
 * How far this host's clock is ahead, now, of the peer's as it was when it was ahead of its
 * CLOCK_BOOTTIME by @remote_real_minus_boot_ns. False before the first comparison.
 */
bool peer_sampler_get_estimate (const PeerSampler *self, int64_t remote_real_minus_boot_ns,
                                ClockEstimate *estimate);

/* The shortest round trip so far in nanoseconds, 0 before the first comparison. */
uint64_t peer_sampler_get_round_trip_ns (const PeerSampler *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (PeerSampler, peer_sampler_free)
