/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fixup-decision.h"

#include <linux/kvm.h>

#include "host-calls.h"
#include "host-time.h"

/*
 * The blackout as CLOCK_REALTIME has it. In 128 bits: the record's times are only known to be
 * positive.
 */
static enum helper_reason
judge_elapsed (struct fixup_plan *plan, uint64_t qemu_started_ns)
{
  const struct helper_fixup *fixup = plan->fixup;
  uint64_t now_ns = host_calls.clock_ns (CLOCK_MONOTONIC);
  __int128 elapsed_ns =
    (__int128) host_calls.clock_ns (CLOCK_REALTIME) - plan->theta_ns - fixup->record.host_src_ns;
  __int128 age_ns = (__int128) now_ns - qemu_started_ns;

  if (elapsed_ns < 0)
    return HELPER_REASON_NEGATIVE_ELAPSED;
  if (elapsed_ns > fixup->max_advance_ns)
    return HELPER_REASON_MAX_ADVANCE;
  /* this QEMU was started to receive the guest, before the source paused it */
  if (elapsed_ns > age_ns + fixup->theta_bound_ns)
    return HELPER_REASON_LONGER_THAN_KNOWN;
  plan->elapsed_ns = (int64_t) elapsed_ns; /* HELPER_ADVANCE_MAX_NS at most */
  plan->tsc_ticks = host_calls.tsc_ticks ();
  return HELPER_REASON_NONE;
}

/* The daemon's word may be seconds old. */
static int64_t
theta_now_ns (const struct helper_fixup *fixup, int64_t real_minus_boot_ns)
{
  if ((fixup->flags & HELPER_FIXUP_CLOCK_TRUSTED) != 0)
    return fixup->theta_ns;
  /* unsigned, as nobody has checked what the sum of the two is */
  return (int64_t) ((uint64_t) fixup->theta_ns +
                    (uint64_t) host_clock_step_ns (fixup->real_minus_boot_ns, real_minus_boot_ns));
}

static bool
kernel_is_new_enough (const struct kvm_vm *vm)
{
  int flags = kvm_vm_capability (vm, KVM_CAP_ADJUST_CLOCK);

  return (flags & KVM_CLOCK_REALTIME) != 0 && (flags & KVM_CLOCK_HOST_TSC) != 0 &&
         kvm_vcpu_has_tsc_offset (vm->vcpus[0].fd);
}

static enum helper_reason
judge_tsc (const struct clock_record *record, const struct guest_tsc *tsc)
{
  if (tsc->catchup)
    return tsc->freq_khz > tsc->host_khz ? HELPER_REASON_TSC_CATCHUP : HELPER_REASON_FREQUENCY;
  if (clock_freq_distance_ppm (tsc->freq_khz, record->freq_khz) > GUEST_TSC_TOLERANCE_PPM)
    return HELPER_REASON_FREQUENCY;
  if (!tsc->known)
    return HELPER_REASON_TSC_OPAQUE;
  return HELPER_REASON_NONE;
}

/*
 * KVM_KVMCLOCK_CTRL fails with EINVAL on a vCPU without an active pvclock page. QEMU issues it on
 * every vCPU itself, right after KVM_SET_CLOCK. A guest with neither pvclock nor the Hyper-V
 * reference page checks its TSC against HPET or the ACPI timer, which do not count the blackout.
 */
static bool
guest_has_pvclock (const struct kvm_vm *vm)
{
  uint64_t reference_tsc = 0;

  for (uint32_t i = 0; i < vm->vcpu_count; i++) {
    if (host_calls.ioctl (vm->vcpus[i].fd, KVM_KVMCLOCK_CTRL, NULL) == 0)
      return true;
  }
  return kvm_vcpu_get_msr (vm->vcpus[0].fd, MSR_HYPERV_REFERENCE_TSC, &reference_tsc) == 0 &&
         (reference_tsc & 1) != 0;
}

enum helper_reason
fixup_decide (const struct helper_fixup *fixup, const struct kvm_vm *vm, uint64_t clock_ns,
              uint64_t qemu_started_ns, struct fixup_plan *plan)
{
  const struct clock_record *record = &fixup->record;
  enum helper_reason reason;

  *plan = (struct fixup_plan){ .fixup = fixup, .vm = vm };
  plan->real_minus_boot_ns = host_real_minus_boot_ns ();
  plan->theta_ns = theta_now_ns (fixup, plan->real_minus_boot_ns);
  if (record->guest_src_ns != clock_ns)
    return HELPER_REASON_CLOCK_MISMATCH;
  if (kvm_vm_has_unseen_vcpus (vm))
    return HELPER_REASON_UNSEEN_VCPUS;
  if (vm->vcpu_count == 0)
    return HELPER_REASON_NO_VCPUS;
  if (!kernel_is_new_enough (vm))
    return HELPER_REASON_KERNEL_TOO_OLD;
  reason = judge_elapsed (plan, qemu_started_ns);
  if (reason != HELPER_REASON_NONE)
    return reason;
  /* after the elapsed time, which says more of what went on */
  if (host_calls.clock_ns (CLOCK_MONOTONIC) > fixup->deadline_monotonic_ns)
    return HELPER_REASON_DEADLINE_PASSED;

  if ((record->flags & CLOCK_RECORD_TSC_CATCHUP) != 0)
    return HELPER_REASON_TSC_CATCHUP;
  if ((record->flags & CLOCK_RECORD_TSC_OPAQUE) != 0)
    return HELPER_REASON_TSC_OPAQUE;
  if (guest_tsc_learn (vm, &plan->tsc) < 0)
    return HELPER_REASON_IOCTL_FAILED;
  plan->with_tsc = (record->flags & CLOCK_RECORD_MASTER_CLOCK) != 0 && !plan->tsc.drifts;
  if (plan->with_tsc) {
    reason = judge_tsc (record, &plan->tsc);
    if (reason != HELPER_REASON_NONE)
      return reason;
  }

  if ((fixup->flags & HELPER_FIXUP_WITHOUT_PVCLOCK) == 0 && !guest_has_pvclock (vm))
    return HELPER_REASON_NO_PVCLOCK;
  return HELPER_REASON_NONE;
}
