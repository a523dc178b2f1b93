/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * kvm-model - two hosts with a VM each, as far as KVM's clocks go
 *
 * True time runs in both and moves with every call. Each host has its own TSC, CLOCK_REALTIME and
 * kernel; the rules are those of arch/x86/kvm/x86.c. This file has the hosts and the ioctls,
 * kvm-model-tsc the TSC with scaling, offsets and deadlines, kvm-model-clock the kvmclock.
 * CLOCK_MONOTONIC is the machine's own, and some hours, as the helper really waits.
 */

#include <stdbool.h>
#include <stdint.h>

#define KVM_MODEL_VCPUS 8

struct kvm_model_vcpu {
  uint32_t id;
  uint64_t ofs_ticks;
  uint64_t deadline_ticks;    /* MSR_IA32_TSC_DEADLINE, 0 is none */
  double deadline_at_host_ns; /* true time at which it fires, fixed when it was written */
  uint64_t generation;
  bool has_pvclock;
  bool is_gone; /* its fd is something else by now */
};

struct kvm_model_host {
  /* what the host is */
  uint32_t host_khz;    /* as its kernel has calibrated the TSC */
  int32_t tsc_error_hz; /* what the TSC really runs at, less that */
  uint64_t tsc_at_zero_ticks;
  uint64_t real_at_zero_ns; /* CLOCK_REALTIME */
  int32_t real_slew_ppb;    /* how much too fast it runs, by NTP's doing */
  int64_t raw_at_zero_ns;   /* CLOCK_MONOTONIC_RAW, and the time asleep */
  uint32_t frac_bits;       /* 0: no TSC scaling */
  bool stable_tsc;          /* false: clocksource is not TSC, no master clock */
  bool drifting_tsc;   /* and the kernel calls it unstable: KVM works out offsets at each ioctl */
  bool old_kernel;     /* before 5.16 */
  bool old_vm_khz;     /* before 5.18: no KVM_GET_TSC_KHZ on the VM */
  bool drops_offsets;  /* kvm-pvm, TDX, SecureTSC */
  bool garbles_tsc;    /* MSR_IA32_TSC is not scale + offset */
  uint32_t gap_min_ns; /* between the samples of one KVM_SET_CLOCK */
  uint32_t gap_max_ns;
  int64_t realtime_step_ns; /* somebody sets the clock at each KVM_SET_CLOCK */
  int64_t kvmclock_step_ns; /* kvmclock moves by this with each offset written */
  bool loses_master;        /* and the master clock goes off */
  uint64_t fail_request;    /* this ioctl fails with EIO once fail_after more have passed */
  uint32_t fail_after;
  uint64_t hyperv_reference_tsc;

  /* its VM */
  uint32_t guest_khz; /* KVM_SET_TSC_KHZ: KVM scales if it is over 250 ppm from host_khz */
  uint32_t vcpu_count;
  struct kvm_model_vcpu vcpus[KVM_MODEL_VCPUS];
  uint64_t generation;
  uint64_t last_ofs_ticks;
  uint32_t matched_count;

  /* its kvmclock, by the names of struct kvm_arch */
  bool use_master;
  bool update_pending;       /* KVM_REQ_MASTERCLOCK_UPDATE */
  uint64_t master_cycle_now; /* ticks */
  int64_t master_kernel_ns;
  int64_t kvmclock_offset_ns;

  /* what was done to it */
  uint32_t set_clock_count;
  uint32_t set_offset_count;
  uint64_t clock_set_at_ns;  /* true time of the last KVM_SET_CLOCK */
  uint64_t clock_read_at_ns; /* and of the last KVM_GET_CLOCK, 0 is never */
  uint64_t paired_at_ns;     /* and of the one before the last offset was written */
};

extern struct kvm_model_host kvm_model_hosts[2];

/* Put the model in place of KVM, both hosts in good health with @vcpu_count vCPUs, and links to fds. */
void kvm_model_start (uint32_t vcpu_count, uint32_t seed);
void kvm_model_stop (void);

/* The same hosts as after a start, without the work of one. */
void kvm_model_reset (uint32_t vcpu_count, uint32_t seed);

/* The helper now lives on host @index. */
void kvm_model_move (int index);
int kvm_model_vm_fd (int index);

/* CLOCK_MONOTONIC is what it was @ns ago, some hours at most; with 0, now again. */
void kvm_model_set_monotonic_lag (uint64_t ns);

/* Let @ns of true time pass. */
void kvm_model_pass (uint64_t ns);
uint64_t kvm_model_now_ns (void);

/* One of @low_ns to @high_ns, by the model's dice. */
uint64_t kvm_model_chance_ns (uint32_t low_ns, uint32_t high_ns);

/* QEMU makes @vcpu by syscall(2): the helper is not told. Until it moves to another host. */
void kvm_model_hide_vcpu (int index, uint32_t vcpu);

/* The fd of @vcpu now is something else: it has another link, and knows no ioctl of a vCPU. */
void kvm_model_relink (int index, uint32_t vcpu, const char *target);
