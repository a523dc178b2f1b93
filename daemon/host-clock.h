/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * host-clock - this host's clocks, and what the kernel thinks of them
 */

/*
 * CLOCK_REALTIME, seen from CLOCK_BOOTTIME: that is slewed together with it, counts a suspended
 * host's time as well, and is never set (clock_gettime(2)).
 */
typedef struct {
  int64_t boottime_ns;
  int64_t realtime_ns; /* at boottime_ns, give or take slack_ns */
  int64_t slack_ns;    /* the two cannot be read at once */
} HostClockReading;

/* NTP_PHASE_LIMIT, include/linux/timex.h: from here on the kernel says that it knows nothing. */
#define HOST_CLOCK_MAX_ERROR_US 16000000

/* The state of CLOCK_REALTIME that an NTP client keeps in the kernel. */
typedef struct {
  bool synchronised;
  uint64_t max_error_us; /* the client's own estimate, aged by the kernel; at most the above */
} HostClockState;

int64_t host_clock_boottime_ns (void);
int64_t host_clock_monotonic_ns (void);

/* Read both clocks as close together as a few attempts allow. */
void host_clock_read (HostClockReading *reading);

/*
 * Ask adjtimex(2). Fails only where a sandbox forbids the call; @state then says "not
 * synchronised", so that a caller may go on with it.
 */
bool host_clock_read_state (HostClockState *state, GError **error) G_GNUC_WARN_UNUSED_RESULT;
