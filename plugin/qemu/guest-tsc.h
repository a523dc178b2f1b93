/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * guest-tsc - how KVM makes the guest's TSC of the host's, on this host
 *
 * guest TSC = S(host TSC) + KVM_VCPU_TSC_OFFSET, where S multiplies by a ratio if KVM scales. The
 * kernel does not tell the ratio, so it is worked out as set_tsc_khz() in arch/x86/kvm/x86.c does,
 * and then checked against a TSC that KVM reads for us. All vCPUs of a QEMU have one frequency.
 */

#include "clock-math.h"
#include "kvm-vm.h"

struct guest_tsc {
  uint32_t freq_khz; /* of the guest: KVM_GET_TSC_KHZ of the first vCPU */
  uint32_t host_khz; /* 0 if the kernel does not tell (before 5.18) */
  struct clock_scale scale;
  bool catchup; /* no scaling, and freq_khz too far from host_khz: KVM keeps to neither */
  bool drifts;  /* KVM moves the offset by itself: the host's TSC is unstable, no master clock */
  bool known;   /* a reading of MSR_IA32_TSC agreed with scale and the first vCPU's offset */
};

/* The two frequencies may differ this much before KVM scales: tsc_tolerance_ppm of module kvm. */
#define GUEST_TSC_TOLERANCE_PPM 250

/* Learn @tsc from @vm, which has at least one vCPU. 0, or -1 with errno. */
int guest_tsc_learn (const struct kvm_vm *vm, struct guest_tsc *tsc);
