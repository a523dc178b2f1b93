/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * kvm-vm - a VM's vCPUs, and the ioctls on them that the helper needs
 *
 * KVM has no call that lists a VM's vCPUs. The helper notes each one that QEMU creates, and before
 * use asks /proc/self/fd/N whether that fd still is what it was. It does not list /proc/self/fd:
 * libvirt's AppArmor profile denies opening that directory, while reading a link is not mediated
 * (security/apparmor/lsm.c has no inode_readlink hook).
 *
 * vCPU ioctls block while the vCPU runs. Use these only inside QEMU's own KVM_GET_CLOCK and
 * KVM_SET_CLOCK, which it issues with all vCPUs stopped.
 *
 * Functions returning int give 0, or -1 with errno set, as ioctl(2) does.
 */

#include <stdbool.h>
#include <stdint.h>

#include "clock-record.h"

#define MSR_TSC          0x10u
#define MSR_TSC_DEADLINE 0x6e0u
/* TLFS: bit 0 enables the page; clocksource "hyperv" of Windows and Linux guests */
#define MSR_HYPERV_REFERENCE_TSC 0x40000021u

struct kvm_vcpu_fd {
  uint32_t id;
  int fd;             /* owned by QEMU */
  bool has_ofs;       /* of kvm_vm_find_reading() alone: KVM has told ... */
  uint64_t ofs_ticks; /* ... the TSC offset, guest ticks */
};

struct kvm_vm {
  int fd; /* owned by QEMU */
  uint32_t vcpu_count;
  struct kvm_vcpu_fd vcpus[CLOCK_RECORD_VCPUS_MAX]; /* ascending ids */
};

/* KVM_CREATE_VCPU of @id on @vm_fd returned @vcpu_fd. Any thread. */
void kvm_vm_note_vcpu (int vm_fd, unsigned long id, int vcpu_fd);

/* Was @fd noted as a vCPU? */
bool kvm_vm_is_vcpu (int fd);

/*
 * Fill @vm with every vCPU of @vm_fd, parked ones included; KVM counts those too when it decides on
 * its master clock. No vCPUs (vcpu_count 0) if there are more than the array takes.
 */
void kvm_vm_find (int vm_fd, struct kvm_vm *vm);

/*
 * The same for one who will only read, and reads the TSC offsets at once: an fd of which KVM tells one
 * is a vCPU, without a look at its link, which costs as much again.
 */
void kvm_vm_find_reading (int vm_fd, struct kvm_vm *vm);

/*
 * Does this process have a vCPU that @vm, found just now, lacks? Nobody noted its KVM_CREATE_VCPU, so
 * QEMU made it by syscall(2), and the others alone must not be touched. Looks at all fds, but again
 * only if a vCPU was noted since it found nothing.
 */
bool kvm_vm_has_unseen_vcpus (const struct kvm_vm *vm);

/* The return value of KVM_CHECK_EXTENSION, 0 if it failed. */
int kvm_vm_capability (const struct kvm_vm *vm, long capability);

/* KVM_VCPU_TSC_OFFSET, guest ticks. */
int kvm_vcpu_get_tsc_offset (int vcpu_fd, uint64_t *ofs_ticks);
int kvm_vcpu_set_tsc_offset (int vcpu_fd, uint64_t ofs_ticks);
bool kvm_vcpu_has_tsc_offset (int vcpu_fd);

/* One MSR; an MSR that this KVM does not know is ENOENT. */
int kvm_vcpu_get_msr (int vcpu_fd, uint32_t index, uint64_t *value);
int kvm_vcpu_set_msr (int vcpu_fd, uint32_t index, uint64_t value);
