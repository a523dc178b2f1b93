/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * tiny-guest - a VM of a few instructions, whose clocks are read where a guest reads them
 *
 * What fails here ends the test: these are means, not subjects. All vCPUs run in the calling
 * thread, one at a time, and are stopped between calls.
 */

#include <stdbool.h>
#include <stdint.h>

#include "guest-code.h"

#define NS_PER_MS INT64_C (1000000)
#define NS_PER_S  INT64_C (1000000000)

/* arch/x86/include/asm/msr-index.h, arch/x86/include/uapi/asm/kvm_para.h */
#define MSR_TSC_ADJUST          0x3bu
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01u
#define KVM_PVCLOCK_ENABLED     1u
#define PVCLOCK_TSC_STABLE      1u

struct tiny_vcpu {
  int fd;
  struct kvm_run *run;
  struct guest_data *data; /* in the guest's memory */
};

/* Who gets the ioctls that QEMU would issue; returns like ioctl(2). */
typedef int (*tiny_ioctl) (int fd, unsigned long request, void *arg);

struct tiny_vm {
  int kvm_fd; /* the caller's */
  int fd;
  tiny_ioctl call;
  bool has_apic;
  uint32_t khz; /* of the TSC, of guest and host alike */
  size_t run_size;
  uint8_t *memory; /* GUEST_MEMORY_SIZE */
  int vcpu_count;
  struct tiny_vcpu vcpus[GUEST_VCPUS_MAX];
};

/* One reading of both clocks by the guest. */
struct tiny_sample {
  uint64_t tsc_ticks;       /* the guest's RDTSC */
  struct pvclock_page page; /* its pvclock page at that moment */
  uint64_t kvmclock_ns;     /* what both come to */
  uint64_t real_ns;         /* CLOCK_REALTIME at that RDTSC, placed by TSC offset and host TSC */
  uint64_t real_bound_ns;   /* real_ns is within this of the truth */
  uint64_t host_tsc_enter_ticks; /* the host's RDTSC before and after the guest ran */
  uint64_t host_tsc_leave_ticks;
};

/*
 * A VM with @vcpu_count vCPUs, their pvclock pages on. @call gets its ioctls, NULL is ioctl(2).
 * @has_apic: an in-kernel APIC in x2APIC mode. @vm holds no fds or memory yet; give them back with
 * tiny_vm_clear().
 */
void tiny_vm_init (struct tiny_vm *vm, int kvm_fd, int vcpu_count, bool has_apic, tiny_ioctl call);
void tiny_vm_clear (struct tiny_vm *vm);

/* One more vCPU, as KVM_CREATE_VCPU makes it: its pvclock page is off. Returns its index. */
int tiny_vm_add_vcpu (struct tiny_vm *vm);

/* The host turns on a vCPU's pvclock page. */
void tiny_vcpu_enable_pvclock (struct tiny_vm *vm, int index);
/* What the guest is to write to MSR_KVM_SYSTEM_TIME_NEW for that. */
uint64_t tiny_vcpu_pvclock_msr (int index);

/* One operation of guest-code.h. False if this KVM does not run the guest. */
bool tiny_vcpu_run (struct tiny_vm *vm, int index, const uint8_t *operation);

struct tiny_sample tiny_vcpu_read_clocks (struct tiny_vm *vm, int index);

/* MSRs, as the guest writes and reads them. */
void tiny_vcpu_write_msr (struct tiny_vm *vm, int index, uint32_t msr, uint64_t value);
uint64_t tiny_vcpu_read_msr (struct tiny_vm *vm, int index, uint32_t msr);

/* MSRs and the TSC offset, from outside, past whoever gets the VM's ioctls. */
void tiny_vcpu_set_msr (const struct tiny_vm *vm, int index, uint32_t msr, uint64_t value);
uint64_t tiny_vcpu_get_msr (const struct tiny_vm *vm, int index, uint32_t msr);
void tiny_vcpu_set_offset (const struct tiny_vm *vm, int index, uint64_t ofs_ticks);
uint64_t tiny_vcpu_get_offset (const struct tiny_vm *vm, int index);

/* KVM_GET_CLOCK and KVM_SET_CLOCK past whoever gets the VM's ioctls. @realtime_ns 0: flags 0. */
struct kvm_clock_data tiny_vm_get_clock (const struct tiny_vm *vm);
void tiny_vm_set_clock (const struct tiny_vm *vm, uint64_t clock_ns, uint64_t realtime_ns);

/* An ioctl that must not fail; @what names it. */
int tiny_must_ioctl (tiny_ioctl call, int fd, unsigned long request, void *arg, const char *what);

/* What @page says at @tsc_ticks of its vCPU. */
uint64_t pvclock_at (const struct pvclock_page *page, uint64_t tsc_ticks);

/* @ticks of either sign, in ns. */
int64_t ticks_to_ns (int64_t ticks, uint32_t khz);
