/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * fixup-decision - may the guest's clocks be moved? Asked before the first write
 */

#include <stdbool.h>

#include "guest-tsc.h"
#include "helper-protocol.h"
#include "kvm-vm.h"

/* What is to be done, and what was learned on the way. */
struct fixup_plan {
  const struct helper_fixup *fixup; /* owned by helper-channel */
  const struct kvm_vm *vm;
  int64_t real_minus_boot_ns; /* of this host at the decision */
  int64_t theta_ns;           /* of the fix-up, and what the clock was set by until then */
  int64_t elapsed_ns;         /* of the blackout at the decision, ... */
  uint64_t tsc_ticks;         /* ... and the host's TSC at that time */
  struct guest_tsc tsc;       /* on this host */
  bool with_tsc;              /* false: a host has no master clock, move kvmclock alone */
};

/*
 * Judge @fixup for a KVM_SET_CLOCK {flags = 0, clock = @clock_ns} on @vm. @qemu_started_ns:
 * CLOCK_MONOTONIC at the start of this QEMU. Changes nothing that QEMU's own resume does not do as
 * well. Returns HELPER_REASON_NONE with @plan filled, or why not; with HELPER_REASON_IOCTL_FAILED,
 * errno says more. Whether this host really has a master clock may show only later.
 */
enum helper_reason fixup_decide (const struct helper_fixup *fixup, const struct kvm_vm *vm,
                                 uint64_t clock_ns, uint64_t qemu_started_ns,
                                 struct fixup_plan *plan);
