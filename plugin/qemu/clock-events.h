/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * clock-events - what the helper does at each of QEMU's ioctls
 *
 * Any thread. Never fails by itself: the return value and errno are those of QEMU's ioctl, or 0
 * with errno untouched where the helper has done the ioctl's work.
 */

#include <stdbool.h>

#include "helper-process.h"

/* Start watching as @process; until then every ioctl is just passed on. */
void clock_events_start (const struct helper_process *process);

/* Stop, and forget everything: for tests. */
void clock_events_stop (void);

/*
 * QEMU calls ioctl (@fd, @request, @arg), not KVM_RUN. Not inlined by a build with LTO, since KVM_RUN
 * would then save the registers that this needs.
 */
__attribute__ ((noinline)) int clock_events_ioctl (int fd, unsigned long request, void *arg);
