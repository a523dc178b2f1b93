/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * clock-sight - what clock-watch.bpf.c tells of one KVM_GET_CLOCK that it saw return
 *
 * Through the ring buffer comes a clock_sight_head, then one clock_sight_vcpu for each vCPU of the VM,
 * in KVM's order. Those of one sight have one number. Sights of several processes may be mixed, and
 * when the ring buffer is full, some of a sight may be missing.
 *
 * Kernel and user space of one machine: integers are in its byte order.
 */

#include <linux/types.h>

enum clock_sight_kind {
  CLOCK_SIGHT_HEAD = 1,
  CLOCK_SIGHT_VCPU = 2,
};

/* More than CLOCK_RECORD_VCPUS_MAX are not even looked at. */
#define CLOCK_SIGHT_VCPUS_MAX 4096

/* What QEMU was given could not be read back from its memory. */
#define CLOCK_SIGHT_UNREADABLE (1u << 0)
/* There are more vCPUs than CLOCK_SIGHT_VCPUS_MAX; none follows. */
#define CLOCK_SIGHT_TOO_MANY (1u << 1)

/* Of each process that is watched, in the map by which that is told; 0: never asked. */
struct clock_sight_budget {
  __u64 filled_ns; /* CLOCK_MONOTONIC */
  __u64 credit_ns;
};

struct clock_sight_head {
  __u32 kind; /* CLOCK_SIGHT_HEAD */
  __u32 pid;  /* the process, in the initial PID namespace */
  __u64 number;
  __u64 guest_ns; /* these three and kvm_flags: struct kvm_clock_data, as KVM filled it in */
  __u64 host_ns;
  __u64 tsc_ticks;
  __u64 boot_ns;    /* CLOCK_BOOTTIME right after */
  __u64 tai_ns;     /* CLOCK_TAI at boot_ns; 0 where the kernel does not tell it (before 6.1) */
  __u32 kvm_flags;  /* KVM_CLOCK_* */
  __u32 host_khz;   /* KVM_GET_TSC_KHZ of the VM: the frequency that new vCPUs get */
  __u32 vcpu_count; /* as many clock_sight_vcpu follow */
  __u32 flags;      /* CLOCK_SIGHT_UNREADABLE, CLOCK_SIGHT_TOO_MANY */
};

/* KVM moves its TSC by itself. */
#define CLOCK_SIGHT_VCPU_CATCHUP (1u << 0)
/* The processor keeps its TSC, and KVM's idea of it means nothing. */
#define CLOCK_SIGHT_VCPU_PROTECTED (1u << 1)
/* It was not found, and nothing is known of it. */
#define CLOCK_SIGHT_VCPU_MISSING (1u << 2)

struct clock_sight_vcpu {
  __u32 kind; /* CLOCK_SIGHT_VCPU */
  __u32 id;
  __u64 number;
  __u64 ofs_ticks; /* KVM_VCPU_TSC_OFFSET */
  __u64 ratio;     /* TSC scaling: 2^48 (VMX) or 2^32 (SVM) is 1 */
  __u32 freq_khz;  /* KVM_GET_TSC_KHZ */
  __u32 flags;     /* CLOCK_SIGHT_VCPU_* */
};

_Static_assert(sizeof (struct clock_sight_head) == 72, "both sides lay it out alike");
_Static_assert(sizeof (struct clock_sight_vcpu) == 40, "both sides lay it out alike");
