/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * kvm-model-tsc - the TSC of a host, and what KVM makes of it for the guest
 *
 * The guest's is the host's, scaled if KVM scales, plus an offset per vCPU. Offsets that are written
 * alike make the vCPUs match, which the master clock needs. A deadline becomes a host time when it is
 * written, and stays that.
 */

#include "kvm-model.h"

/* TSC of host @index at true time @at_ns. */
uint64_t kvm_model_host_tsc (int index, uint64_t at_ns);

/* What RDTSC on @vcpu would read at true time @at_ns. */
uint64_t kvm_model_guest_tsc (int index, uint32_t vcpu, uint64_t at_ns);

/* What scaling cuts off that, in ticks: 0 to 1. */
double kvm_model_guest_tsc_fraction (int index, uint64_t at_ns);

/* Guest ticks per ns of true time. */
double kvm_model_guest_tsc_rate (int index);

/* As QEMU loads a VM: offsets written one by one, and the match KVM makes of that. */
void kvm_model_load_offsets (int index, const uint64_t *ofs_ticks);

/* The guest arms its TSC deadline on @vcpu; and is the timer that KVM made of it still right? */
void kvm_model_arm (int index, uint32_t vcpu, uint64_t deadline_ticks);
bool kvm_model_is_armed_right (int index, uint32_t vcpu);

/* For the model's other parts: */

uint64_t kvm_model_tsc_of_host (const struct kvm_model_host *host, uint64_t at_ns);

/* kvm_scale_tsc(): @ticks, or a frequency, of the host as the guest has it, without offset. */
uint64_t kvm_model_tsc_scale (const struct kvm_model_host *host, uint64_t ticks);

/* KVM_VCPU_TSC_OFFSET. */
void kvm_model_tsc_write_offset (struct kvm_model_host *host, struct kvm_model_vcpu *vcpu,
                                 uint64_t ofs_ticks);
