/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "clock-fixup.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>

#include "clock-source.h"
#include "host-calls.h"
#include "host-time.h"

/* An ioctl said no: note errno for the report. */
static enum helper_reason
failed (struct helper_report *report)
{
  report->failed_errno = errno;
  return HELPER_REASON_IOCTL_FAILED;
}

static int
clock_get (const struct kvm_vm *vm, struct kvm_clock_data *clock)
{
  *clock = (struct kvm_clock_data){ 0 };
  return host_calls.ioctl (vm->fd, KVM_GET_CLOCK, clock);
}

/* The vCPUs of @vm with their offsets as QEMU loaded them, to the report: the undo reads it there.
 */
static enum helper_reason
offsets_note (const struct kvm_vm *vm, struct helper_report *report)
{
  for (uint32_t i = 0; i < vm->vcpu_count; i++) {
    struct helper_report_vcpu *entry = &report->vcpus[i];

    *entry = (struct helper_report_vcpu){ .id = vm->vcpus[i].id };
    if (kvm_vcpu_get_tsc_offset (vm->vcpus[i].fd, &entry->ofs_before_ticks) < 0)
      return failed (report);
  }
  report->vcpu_count = vm->vcpu_count;
  return HELPER_REASON_NONE;
}

/*
 * Write an offset and see whether it took: a KVM without TSC offsetting of its own (kvm-pvm) and
 * guests with a protected TSC (TDX, SecureTSC) accept the attribute and drop it.
 */
static enum helper_reason
offset_write (int vcpu_fd, uint64_t ofs_ticks, uint64_t *readback_ticks,
              struct helper_report *report)
{
  if (kvm_vcpu_set_tsc_offset (vcpu_fd, ofs_ticks) < 0 ||
      kvm_vcpu_get_tsc_offset (vcpu_fd, readback_ticks) < 0)
    return failed (report);
  return *readback_ticks == ofs_ticks ? HELPER_REASON_NONE : HELPER_REASON_OFFSET_DROPPED;
}

/*
 * KVM decides on its master clock inside KVM_SET_CLOCK, and only if the offsets of all vCPUs match.
 * QEMU loads them one by one through MSR_IA32_TSC, so they may not: put all in step with the first.
 * Where they already match KVM takes this for no change.
 */
static enum helper_reason
offsets_align (const struct kvm_vm *vm, struct helper_report *report)
{
  for (uint32_t i = 0; i < vm->vcpu_count; i++) {
    uint64_t readback_ticks;
    enum helper_reason reason =
      offset_write (vm->vcpus[i].fd, report->vcpus[0].ofs_before_ticks, &readback_ticks, report);

    if (reason != HELPER_REASON_NONE)
      return reason;
  }
  return HELPER_REASON_NONE;
}

/*
 * KVM turns a TSC deadline into a host time when the guest arms it, and does not look again when
 * the offset moves (start_sw_tscdeadline() in arch/x86/kvm/lapic.c): write it anew. It reads as 0
 * with nothing armed, and not at all without the in-kernel APIC.
 */
static enum helper_reason
deadlines_rearm (const struct kvm_vm *vm, struct helper_report *report)
{
  for (uint32_t i = 0; i < vm->vcpu_count; i++) {
    int fd = vm->vcpus[i].fd;
    uint64_t deadline_ticks;

    if (kvm_vcpu_get_msr (fd, MSR_TSC_DEADLINE, &deadline_ticks) < 0 || deadline_ticks == 0)
      continue;
    if (kvm_vcpu_set_msr (fd, MSR_TSC_DEADLINE, deadline_ticks) < 0)
      return failed (report);
  }
  return HELPER_REASON_NONE;
}

/* Back to what QEMU loaded; kvmclock follows with QEMU's own ioctl. */
static void
offsets_restore (const struct kvm_vm *vm, struct helper_report *report)
{
  struct helper_report undo = { 0 }; /* keeps the errno that got us here */
  bool restored = true;

  for (uint32_t i = 0; i < report->vcpu_count; i++) {
    struct helper_report_vcpu *entry = &report->vcpus[i];

    if (offset_write (vm->vcpus[i].fd, entry->ofs_before_ticks, &entry->ofs_dest_ticks, &undo) !=
        HELPER_REASON_NONE)
      restored = false;
  }
  if (deadlines_rearm (vm, &undo) != HELPER_REASON_NONE)
    restored = false;
  if (!restored)
    report->flags |= HELPER_REPORT_UNDO_FAILED;
}

static void
report_clock (const struct fixup_plan *plan, const struct kvm_clock_data *clock, uint64_t host_ns,
              struct helper_report *report)
{
  const struct helper_fixup *fixup = plan->fixup;

  report->kvm_flags = clock->flags;
  report->guest_dest_ns = clock->clock;
  report->host_dest_ns = host_ns;
  report->tsc_dest_ticks = clock_has_master (clock) ? clock->host_tsc : 0;
  report->advance_ns = (int64_t) (clock->clock - fixup->record.guest_src_ns);
  report->residual_ns = clock_residual (fixup->record.guest_src_ns, fixup->record.host_src_ns,
                                        clock->clock, host_ns, plan->theta_ns);
}

/*
 * One KVM_SET_CLOCK with realtime, later by @shift_ns than the fix-up has it, and the KVM_GET_CLOCK
 * that shows where it went.
 */
static enum helper_reason
kvmclock_attempt (const struct fixup_plan *plan, int64_t shift_ns, struct helper_report *report)
{
  const struct helper_fixup *fixup = plan->fixup;
  struct kvm_clock_data clock = {
    .clock = fixup->record.guest_src_ns,
    .flags = KVM_CLOCK_REALTIME,
    .realtime = fixup->record.host_src_ns + (uint64_t) plan->theta_ns + (uint64_t) shift_ns,
  };

  report->attempts++;
  if (host_calls.ioctl (plan->vm->fd, KVM_SET_CLOCK, &clock) < 0 ||
      clock_get (plan->vm, &clock) < 0)
    return failed (report);
  report_clock (plan, &clock, clock_host_ns (&clock), report);
  return HELPER_REASON_NONE;
}

/*
 * Advance kvmclock by the blackout. KVM_SET_CLOCK reads CLOCK_REALTIME a little after the TSC that
 * it counts from, so kvmclock comes out ahead by that gap, which then is taken off. Its lasting
 * part goes away in the second attempt; what is left is chance, and an earlier attempt can not be
 * had again. So be picky for some attempts, then take one that is no worse than any before, and the
 * last in any case.
 */
static enum helper_reason
kvmclock_advance (const struct fixup_plan *plan, struct helper_report *report)
{
  int64_t best_ns = INT64_MAX;
  int64_t shift_ns = 0;

  for (uint32_t attempt = 1; attempt <= FIXUP_ATTEMPTS_MAX; attempt++) {
    enum helper_reason reason = kvmclock_attempt (plan, shift_ns, report);
    int64_t distance_ns;

    if (reason != HELPER_REASON_NONE)
      return reason;
    if (plan->with_tsc && (report->kvm_flags & CLOCK_FLAGS_MASTER) != CLOCK_FLAGS_MASTER)
      return HELPER_REASON_NO_MASTER_CLOCK;
    distance_ns = llabs (report->residual_ns);
    if (distance_ns < FIXUP_RESIDUAL_GOOD_NS ||
        (attempt >= FIXUP_ATTEMPTS_PICKY && distance_ns <= best_ns))
      break;
    if (distance_ns < best_ns)
      best_ns = distance_ns;
    shift_ns += report->residual_ns;
  }
  if (llabs (report->residual_ns) > FIXUP_RESIDUAL_MAX_NS || report->advance_ns < 0)
    return HELPER_REASON_CHECK_FAILED;
  return HELPER_REASON_NONE;
}

/*
 * ofs_src of the vCPU at @index of the VM. Offsets less than a second apart become the first
 * vCPU's, as KVM itself joins writes of MSR_IA32_TSC that lie so close (kvm_synchronize_tsc()):
 * unequal ones cost the guest its master clock. A vCPU that the source did not have goes with the
 * first.
 */
static uint64_t
offset_src (const struct fixup_plan *plan, uint32_t index, struct helper_report *report)
{
  const struct clock_record *record = &plan->fixup->record;
  const struct clock_record_vcpu *vcpu = clock_record_find_vcpu (record, plan->vm->vcpus[index].id);
  uint64_t first_ticks = record->vcpus[0].ofs_ticks;
  uint64_t second_ticks = (uint64_t) record->freq_khz * 1000;
  uint64_t ahead_ticks;

  if (vcpu == NULL || vcpu->ofs_ticks == first_ticks)
    return first_ticks;
  ahead_ticks = vcpu->ofs_ticks - first_ticks;
  if (ahead_ticks < second_ticks || -ahead_ticks < second_ticks) {
    report->flags |= HELPER_REPORT_OFFSETS_JOINED;
    return first_ticks;
  }
  report->flags |= HELPER_REPORT_OFFSETS_APART;
  return vcpu->ofs_ticks;
}

/* What takes ofs_src to ofs_dest, where the host's TSC is @tsc_ticks when kvmclock is @guest_ns. */
static uint64_t
offset_delta (const struct fixup_plan *plan, uint64_t tsc_ticks, uint64_t guest_ns)
{
  const struct clock_record *record = &plan->fixup->record;
  struct clock_pair src = {
    .tsc_ticks = record->tsc_src_ticks,
    .guest_ns = record->guest_src_ns,
    .scale = { .ratio = record->tsc_ratio, .frac_bits = record->tsc_frac_bits },
  };
  struct clock_pair dest = {
    .tsc_ticks = tsc_ticks,
    .guest_ns = guest_ns,
    .scale = plan->tsc.scale,
  };

  return clock_offset_delta (&src, &dest, record->freq_khz);
}

/*
 * QEMU has brought the TSC too, as it was at the pause, and it has run since QEMU loaded it: where the
 * record puts it now, it is ahead of that by the time from pause to load. Nothing else in the record
 * tells a TSC that is none of this guest's. Needs offsets_note().
 */
static enum helper_reason
tsc_judge (const struct fixup_plan *plan, const struct helper_report *report)
{
  const struct clock_record *record = &plan->fixup->record;
  uint64_t now_ns = record->guest_src_ns + (uint64_t) plan->elapsed_ns;
  uint64_t delta_ticks = offset_delta (plan, plan->tsc_ticks, now_ns);
  int64_t back_max_ticks = clock_ns_to_ticks (FIXUP_TSC_SLACK_NS, record->freq_khz);
  int64_t ahead_max_ticks = clock_ns_to_ticks (
    (int64_t) plan->fixup->max_advance_ns + FIXUP_TSC_SLACK_NS, record->freq_khz);
  struct helper_report unused = { 0 }; /* nothing is joined yet */

  for (uint32_t i = 0; i < plan->vm->vcpu_count; i++) {
    bool is_loaded = clock_record_find_vcpu (record, plan->vm->vcpus[i].id) != NULL;
    /* one that the source did not have goes with the first, whose TSC was loaded */
    uint64_t loaded_ticks = report->vcpus[is_loaded ? i : 0].ofs_before_ticks;
    int64_t ahead_ticks = (int64_t) (offset_src (plan, i, &unused) + delta_ticks - loaded_ticks);

    if (ahead_ticks < -back_max_ticks || ahead_ticks > ahead_max_ticks)
      return HELPER_REASON_TSC_MISMATCH;
  }
  return HELPER_REASON_NONE;
}

static enum helper_reason
tsc_advance (const struct fixup_plan *plan, struct helper_report *report)
{
  uint64_t delta_ticks = offset_delta (plan, report->tsc_dest_ticks, report->guest_dest_ns);

  for (uint32_t i = 0; i < plan->vm->vcpu_count; i++) {
    enum helper_reason reason = offset_write (plan->vm->vcpus[i].fd,
                                              offset_src (plan, i, report) + delta_ticks,
                                              &report->vcpus[i].ofs_dest_ticks, report);

    if (reason != HELPER_REASON_NONE)
      return reason;
  }
  return deadlines_rearm (plan->vm, report);
}

/*
 * Read both clocks once more, and see that each stands where the other says. vCPUs that are kept
 * apart cost the master clock, at the latest when they enter the guest: then there is no host TSC
 * to compare with.
 */
static enum helper_reason
promises_check (const struct fixup_plan *plan, struct helper_report *report)
{
  const struct clock_record *record = &plan->fixup->record;
  int64_t off_max_ticks = clock_ns_to_ticks (FIXUP_COHERENCE_MAX_NS, record->freq_khz);
  uint64_t guest_before_ns = report->guest_dest_ns;
  uint64_t expected_ticks, actual_ticks;
  struct kvm_clock_data clock;

  if (clock_get (plan->vm, &clock) < 0)
    return failed (report);
  if (clock.clock < guest_before_ns)
    return HELPER_REASON_CHECK_FAILED;
  /* set while we were at it: theta was of the time before, and the residual is of no worth */
  if (host_clock_step_ns (plan->real_minus_boot_ns, host_real_minus_boot_ns ()) != 0)
    return HELPER_REASON_CHECK_FAILED;
  if (!clock_has_master (&clock)) {
    report->kvm_flags = clock.flags;
    return (report->flags & HELPER_REPORT_OFFSETS_APART) != 0 ? HELPER_REASON_NONE
                                                              : HELPER_REASON_CHECK_FAILED;
  }

  report_clock (plan, &clock, clock.realtime, report);
  expected_ticks = clock_scale_ticks ((struct clock_scale){ .ratio = record->tsc_ratio,
                                                            .frac_bits = record->tsc_frac_bits },
                                      record->tsc_src_ticks) +
                   offset_src (plan, 0, report) +
                   (uint64_t) clock_ns_to_ticks (report->advance_ns, record->freq_khz);
  actual_ticks =
    clock_scale_ticks (plan->tsc.scale, clock.host_tsc) + report->vcpus[0].ofs_dest_ticks;
  if (llabs ((int64_t) (actual_ticks - expected_ticks)) > off_max_ticks ||
      llabs (report->residual_ns) > FIXUP_RESIDUAL_MAX_NS)
    return HELPER_REASON_CHECK_FAILED;
  return HELPER_REASON_NONE;
}

static enum helper_reason
both_advance (const struct fixup_plan *plan, struct helper_report *report)
{
  enum helper_reason reason = offsets_align (plan->vm, report);

  if (reason == HELPER_REASON_NONE)
    reason = kvmclock_advance (plan, report);
  if (reason == HELPER_REASON_NONE)
    reason = tsc_advance (plan, report);
  if (reason == HELPER_REASON_NONE)
    reason = promises_check (plan, report);
  return reason;
}

/* QEMU's own ioctl is next: whatever the attempt had credited or joined is no more. */
static bool
give_up (enum helper_reason reason, struct helper_report *report)
{
  report->reason = reason;
  report->advance_ns = 0;
  report->flags &= HELPER_REPORT_UNDO_FAILED;
  return false;
}

bool
clock_fixup_apply (const struct fixup_plan *plan, struct helper_report *report)
{
  enum helper_reason reason = offsets_note (plan->vm, report);
  struct fixup_plan kvmclock_plan = *plan;

  if (reason == HELPER_REASON_NONE && plan->with_tsc)
    reason = tsc_judge (plan, report);
  if (reason != HELPER_REASON_NONE)
    return give_up (reason, report);
  if (plan->with_tsc) {
    reason = both_advance (plan, report);
    if (reason == HELPER_REASON_NONE) {
      report->verdict = HELPER_VERDICT_FIXED;
      return true;
    }
    offsets_restore (plan->vm, report);
    if (reason != HELPER_REASON_NO_MASTER_CLOCK)
      return give_up (reason, report);
  }

  /* without a master clock on either host kvmclock is the only clock the guest can trust */
  kvmclock_plan.with_tsc = false;
  reason = kvmclock_advance (&kvmclock_plan, report);
  if (reason != HELPER_REASON_NONE)
    return give_up (reason, report);
  report->verdict = HELPER_VERDICT_KVMCLOCK_ONLY;
  report->reason = HELPER_REASON_NO_MASTER_CLOCK;
  return true;
}

void
clock_fixup_observe (const struct fixup_plan *plan, struct helper_report *report)
{
  struct kvm_clock_data clock;
  enum helper_reason reason = offsets_note (plan->vm, report);
  uint64_t delta_ticks;

  if (reason == HELPER_REASON_NONE && plan->with_tsc)
    reason = tsc_judge (plan, report);
  if (reason == HELPER_REASON_NONE && clock_get (plan->vm, &clock) < 0)
    reason = failed (report);
  if (reason != HELPER_REASON_NONE) {
    report->reason = reason;
    return;
  }
  report_clock (plan, &clock, clock_host_ns (&clock), report);
  report->verdict = HELPER_VERDICT_OBSERVED;

  /* kvmclock where it ought to be at that instant, instead of where QEMU put it */
  report->guest_dest_ns -= (uint64_t) report->residual_ns;
  report->advance_ns -= report->residual_ns;
  if (!plan->with_tsc || !clock_has_master (&clock)) {
    report->reason = HELPER_REASON_NO_MASTER_CLOCK;
    return;
  }
  report->reason = HELPER_REASON_OBSERVE_ONLY;
  delta_ticks = offset_delta (plan, report->tsc_dest_ticks, report->guest_dest_ns);
  for (uint32_t i = 0; i < plan->vm->vcpu_count; i++)
    report->vcpus[i].ofs_dest_ticks = offset_src (plan, i, report) + delta_ticks;
}
