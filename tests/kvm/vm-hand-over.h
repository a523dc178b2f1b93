/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * vm-hand-over - a VM handed over to another one of the same KVM, in the order of QEMU's ioctls
 *
 * The helper's own objects get the ioctls, and the daemon's end of its socket is here. Source and
 * destination are on one host, which lends a yardstick of its own: the guest's TSC has to come out
 * with the offset that it had.
 *
 * The helper knows the vCPUs of one VM at a time, as a QEMU has but one: pause a VM before the next
 * one is made with vm_hand_over_ioctl().
 */

#include <linux/kvm.h>

#include "helper-protocol.h"
#include "kvm-cases.h"
#include "tiny-guest.h"

/* For tiny_vm_init(): the helper stands between, as in a QEMU that has it. */
int vm_hand_over_ioctl (int fd, unsigned long request, void *arg);

/* kvm_cases_run() with a helper that lives in this process, and a daemon connected to it. */
int vm_hand_over_run_cases (const struct kvm_case *cases, size_t count);

/* A guest that has run for a while, for vm_hand_over_pause(). */
void vm_hand_over_begin (struct tiny_vm *vm, int kvm_fd, int vcpu_count, bool has_apic);

/* What QEMU migrates, and what the helper told the daemon at the pause. */
struct vm_state {
  int vcpu_count;
  bool has_apic;
  uint8_t *memory;
  uint64_t clock_ns;
  uint64_t tsc_ticks[GUEST_VCPUS_MAX];
  uint64_t tsc_adjust_ticks[GUEST_VCPUS_MAX];
  uint64_t ofs_ticks[GUEST_VCPUS_MAX]; /* not QEMU's to know: for comparison */
  struct kvm_lapic_state apics[GUEST_VCPUS_MAX];
  uint64_t deadline_ticks[GUEST_VCPUS_MAX];
  struct helper_record *message;
};

/* QEMU pauses @vm, whose ioctls go through vm_hand_over_ioctl(). Clear @state when done. */
void vm_hand_over_pause (struct tiny_vm *vm, struct vm_state *state);
void vm_state_clear (struct vm_state *state);

/* A VM as QEMU loads it; kvmclock comes with `cont`. @call as for tiny_vm_init(). */
void vm_hand_over_load (struct tiny_vm *vm, int kvm_fd, const struct vm_state *state,
                        tiny_ioctl call);

/* QEMU's `cont` on @vm, loaded with vm_hand_over_ioctl(). Free the report with g_free(). */
struct helper_report *vm_hand_over_resume (struct tiny_vm *vm, const struct vm_state *state);

/* The same, and the helper must have moved both clocks. */
struct helper_report *vm_hand_over_resume_fixed (struct tiny_vm *vm, const struct vm_state *state);

/* How far the guest's clocks have jumped from one reading to a later one. */
struct clock_jump {
  int64_t continuity_ns; /* kvmclock against CLOCK_REALTIME; behind is negative */
  int64_t coherence_ns;  /* TSC against kvmclock; TSC behind is negative */
  int64_t bound_ns;      /* of continuity_ns */
};

struct clock_jump clock_jump_between (const struct tiny_sample *before,
                                      const struct tiny_sample *after);
