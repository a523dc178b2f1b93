/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * kvm-model - two hosts with a VM each, as far as KVM's clocks go
 *
 * True time runs in both and moves with every call. Each host has its own TSC, CLOCK_REALTIME and
 * kernel; the rules are those of arch/x86/kvm/x86.c: the clock that KVM_SET_CLOCK counts from is sampled
 * before CLOCK_REALTIME, the master clock is decided there and needs matching offsets, a TSC deadline
 * becomes a host time when written. CLOCK_MONOTONIC is the machine's own, as the helper really waits.
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
};

struct kvm_model_host {
  /* what the host is */
  uint32_t host_khz;
  uint64_t tsc_at_zero_ticks;
  uint64_t real_at_zero_ns;
  uint32_t frac_bits;  /* 0: no TSC scaling */
  bool stable_tsc;     /* false: clocksource is not TSC, no master clock */
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
  uint32_t guest_khz;
  uint32_t vcpu_count;
  struct kvm_model_vcpu vcpus[KVM_MODEL_VCPUS];
  int64_t kvmclock_at_zero_ns;
  bool use_master;
  uint64_t generation;
  uint64_t last_ofs_ticks;
  uint32_t matched_count;

  /* what was done to it */
  uint32_t set_clock_count;
  uint32_t set_offset_count;
};

extern struct kvm_model_host kvm_model_hosts[2];

/* Put the model in place of KVM, both hosts in good health with @vcpu_count vCPUs, and links to fds. */
void kvm_model_start (uint32_t vcpu_count, uint32_t seed);
void kvm_model_stop (void);

/* The helper now lives on host @index. */
void kvm_model_move (int index);
int kvm_model_vm_fd (int index);

/* CLOCK_MONOTONIC is what it was @ns ago, or when the machine was started; with 0, now again. */
void kvm_model_set_monotonic_lag (uint64_t ns);

/* Let @ns of true time pass. */
void kvm_model_pass (uint64_t ns);
uint64_t kvm_model_now_ns (void);

/* As QEMU loads a VM: offsets written one by one, and the match KVM makes of that. */
void kvm_model_load_offsets (int index, const uint64_t *ofs_ticks);

/* The guest arms its TSC deadline on @vcpu; and is the timer that KVM made of it still right? */
void kvm_model_arm (int index, uint32_t vcpu, uint64_t deadline_ticks);
bool kvm_model_is_armed_right (int index, uint32_t vcpu);

/* The fd of @vcpu now is something else. */
void kvm_model_relink (int index, uint32_t vcpu, const char *target);

/* vCPUs enter the guest: KVM decides on its master clock anew. */
void kvm_model_enter (int index);

/* What the guest would read at true time @now_ns. */
uint64_t kvm_model_guest_tsc (int index, uint32_t vcpu, uint64_t now_ns);
uint64_t kvm_model_kvmclock (int index, uint64_t now_ns);
uint64_t kvm_model_realtime (int index, uint64_t now_ns);
