/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * kvm-stand-in - what was done to the VM of a process in which that library answers for KVM
 */

struct kvm_stand_in_counts {
  unsigned int plain_sets;         /* KVM_SET_CLOCKs as QEMU makes them */
  unsigned int sets_with_realtime; /* and as the helper does */
  unsigned int offset_writes;
};

/* Is in the library that is preloaded: find it by dlsym(3). */
void kvm_stand_in_get_counts (struct kvm_stand_in_counts *counts);
