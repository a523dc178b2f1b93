/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * host-time - was the host's clock set?
 *
 * CLOCK_BOOTTIME is slewed together with CLOCK_REALTIME, counts a suspended host's time as well, and
 * is never set (clock_gettime(2)). So their distance changes when somebody sets the clock, and at no
 * other time.
 */

#include <stdint.h>

/* CLOCK_REALTIME minus CLOCK_BOOTTIME in ns, to within half of the closest of a few readings. */
int64_t host_real_minus_boot_ns (void);

/*
 * How far the clock was set forward between two results of host_real_minus_boot_ns(); 0 if by less
 * than those can be off.
 */
int64_t host_clock_step_ns (int64_t before_ns, int64_t after_ns);
