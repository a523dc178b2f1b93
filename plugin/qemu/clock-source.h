/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * clock-source - the record of a guest's clocks at QEMU's KVM_GET_CLOCK
 */

#include <linux/kvm.h>
#include <stdbool.h>

#include "clock-record.h"
#include "helper-protocol.h"
#include "kvm-vm.h"

/*
 * The kernel fills these three only with the master clock in use: then kvmclock, CLOCK_REALTIME and
 * the host's TSC are one instant (Documentation/virt/kvm/api.rst, 4.29 KVM_GET_CLOCK).
 */
#define CLOCK_FLAGS_MASTER (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

static inline bool
clock_has_master (const struct kvm_clock_data *clock)
{
  return (clock->flags & CLOCK_FLAGS_MASTER) == CLOCK_FLAGS_MASTER;
}

/*
 * CLOCK_REALTIME of @clock in ns: the kernel's own, or, if it gave none, ours. In the latter case
 * call this right after KVM_GET_CLOCK.
 */
uint64_t clock_host_ns (const struct kvm_clock_data *clock);

/*
 * Fill @record, with room for all vCPUs of @vm, which kvm_vm_find_reading() has found, from @clock,
 * which KVM_GET_CLOCK has given at CLOCK_REALTIME @host_ns, which was ahead of CLOCK_BOOTTIME by
 * @real_minus_boot_ns. All vCPUs are stopped. HELPER_REASON_NONE, or why there is nothing to hand
 * over; with HELPER_REASON_IOCTL_FAILED, errno says more.
 */
enum helper_reason clock_source_fill (const struct kvm_vm *vm, const struct kvm_clock_data *clock,
                                      uint64_t host_ns, int64_t real_minus_boot_ns,
                                      struct clock_record *record);
