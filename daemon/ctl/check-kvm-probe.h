/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * check-kvm-probe - what the KVM of this host can do with a guest's clocks, by trying it
 *
 * Makes a VM with one vCPU that never runs, does on it what the helper does inside QEMU, and lets
 * it go again. No other VM notices.
 */

#include <glib.h>

typedef struct {
  int open_errno;          /* of opening the device; 0, or all that follows is not valid */
  const char *failed_call; /* the ioctl that failed, a constant, or NULL */
  int call_errno;          /* of that */

  guint offered_clock_flags; /* KVM_CHECK_EXTENSION (KVM_CAP_ADJUST_CLOCK) */
  guint clock_flags;         /* of KVM_GET_CLOCK, after a KVM_SET_CLOCK */
  gboolean has_tsc_offset;   /* the attribute KVM_VCPU_TSC_OFFSET */
  gboolean keeps_tsc_offset; /* what is written to it can be read back */
  guint tsc_khz;             /* of a vCPU as it is made: the host's */
  gboolean has_vm_tsc_khz;   /* KVM tells the host's frequency, Linux 5.18 */
  gboolean has_scaling;      /* KVM_CAP_TSC_CONTROL */
} KvmProbe;

/* Try @device, "/dev/kvm". */
void kvm_probe_run (const char *device, KvmProbe *probe);
