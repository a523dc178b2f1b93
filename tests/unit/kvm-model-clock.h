/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * kvm-model-clock - kvmclock as mainline KVM computes it, and CLOCK_REALTIME
 *
 * With the master clock, kvmclock counts the TSC from a snapshot {master_cycle_now,
 * master_kernel_ns}: KVM_GET_CLOCK counts host ticks at the calibrated kHz (get_kvmclock()), the
 * guest counts its own ticks from its pvclock page at that kHz scaled (kvm_guest_time_update()).
 * Both rates are fixed-point and made of whole kHz, so the two part with the age of the snapshot
 * where KVM scales. Without the master clock kvmclock is CLOCK_MONOTONIC_RAW plus an offset, whose
 * rate is rounded once more (clocks_calc_mult_shift()): a new snapshot jumps by what had come
 * together.
 */

#include <linux/kvm.h>

#include "kvm-model.h"

/*
 * What KVM_GET_CLOCK would say at true time @at_ns; what the arithmetic cuts off that, in ns, 0 to 2;
 * and how many ns of it there are per ns of true time.
 */
uint64_t kvm_model_kvmclock (int index, uint64_t at_ns);
double kvm_model_kvmclock_fraction (int index, uint64_t at_ns);
double kvm_model_kvmclock_rate (int index);

/* What the guest would read from @vcpu's pvclock page at true time @at_ns. */
uint64_t kvm_model_page (int index, uint32_t vcpu, uint64_t at_ns);

/* CLOCK_REALTIME of the host. */
uint64_t kvm_model_realtime (int index, uint64_t at_ns);
double kvm_model_realtime_rate (int index);

/* VCPUs enter the guest: KVM decides on its master clock anew, if it has to. */
void kvm_model_enter (int index);

/* The VM is as if kvmclock had been set to @clock_ns now. */
void kvm_model_start_kvmclock (int index, uint64_t clock_ns);

/* For the model's other parts: */

/* Does the host, and the match of the offsets, allow a master clock? */
bool kvm_model_clock_can_master (const struct kvm_model_host *host);

/* KVM_GET_CLOCK, and KVM_SET_CLOCK, which takes its time: 0, or -1 with errno. */
int kvm_model_clock_get (int index, struct kvm_clock_data *clock);
int kvm_model_clock_set (int index, const struct kvm_clock_data *clock);
