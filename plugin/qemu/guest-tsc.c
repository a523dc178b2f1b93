/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "guest-tsc.h"

#include <linux/kvm.h>

#include "host-calls.h"

/*
 * Does MSR_IA32_TSC, read by KVM between two of our own readings, lie between what @scale makes of
 * those? After some uptime this tells ratios apart that differ by parts in 10^9. A microsecond is
 * granted for TSCs of host CPUs that differ by a few ticks.
 */
static bool
scale_agrees (const struct guest_tsc *tsc, struct clock_scale scale, int vcpu_fd)
{
  uint64_t slack_ticks = tsc->freq_khz / 1000;
  uint64_t ofs_ticks, before_ticks, guest_ticks, after_ticks;

  if (kvm_vcpu_get_tsc_offset (vcpu_fd, &ofs_ticks) < 0)
    return false;
  before_ticks = host_calls.tsc_ticks ();
  if (kvm_vcpu_get_msr (vcpu_fd, MSR_TSC, &guest_ticks) < 0)
    return false;
  after_ticks = host_calls.tsc_ticks ();

  before_ticks = clock_scale_ticks (scale, before_ticks) + ofs_ticks - slack_ticks;
  after_ticks = clock_scale_ticks (scale, after_ticks) + ofs_ticks + slack_ticks;
  return guest_ticks - before_ticks <= after_ticks - before_ticks;
}

/*
 * On a host whose kernel has found the TSC unstable, KVM works out a vCPU's offset anew at each of
 * its ioctls, from the last TSC that the guest had or was given (kvm_arch_vcpu_load()): it never
 * reads the same twice, and one that is written does not stay. False if KVM does not tell offsets.
 */
static bool
learn_drift (int vcpu_fd, struct guest_tsc *tsc)
{
  uint64_t first_ticks, second_ticks;

  if (kvm_vcpu_get_tsc_offset (vcpu_fd, &first_ticks) < 0 ||
      kvm_vcpu_get_tsc_offset (vcpu_fd, &second_ticks) < 0)
    return false;
  tsc->drifts = first_ticks != second_ticks;
  return true;
}

int
guest_tsc_learn (const struct kvm_vm *vm, struct guest_tsc *tsc)
{
  int first_fd = vm->vcpus[0].fd;
  bool has_scaling = kvm_vm_capability (vm, KVM_CAP_TSC_CONTROL) > 0;
  struct clock_scale scaled = { 0 };
  int khz = host_calls.ioctl (first_fd, KVM_GET_TSC_KHZ, NULL);

  *tsc = (struct guest_tsc){ 0 };
  if (khz < 0)
    return -1;
  tsc->freq_khz = (uint32_t) khz;

  /* on the VM: the frequency that new vCPUs get, the host's, since QEMU sets no other */
  khz = host_calls.ioctl (vm->fd, KVM_GET_TSC_KHZ, NULL);
  tsc->host_khz = khz > 0 ? (uint32_t) khz : 0;

  if (tsc->host_khz != 0 && has_scaling)
    scaled = clock_scale_make (tsc->freq_khz, tsc->host_khz, host_calls.ratio_frac_bits ());
  if (tsc->host_khz != 0 && !has_scaling)
    tsc->catchup = clock_freq_distance_ppm (tsc->freq_khz, tsc->host_khz) > GUEST_TSC_TOLERANCE_PPM;

  if (!learn_drift (first_fd, tsc) || tsc->drifts)
    return 0;

  /* the tolerance is a module parameter: let the TSC say whether KVM scales */
  if (scale_agrees (tsc, tsc->scale, first_fd)) {
    tsc->known = true;
  } else if (scaled.frac_bits != 0 && scale_agrees (tsc, scaled, first_fd)) {
    tsc->scale = scaled;
    tsc->known = true;
  }
  return 0;
}
