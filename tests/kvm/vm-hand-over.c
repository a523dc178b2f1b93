/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vm-hand-over.h"

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock-events.h"
#include "helper-peer.h"
#include "kvm-vm.h"

/* Where a guest's clocks are as it begins */
#define UPTIME_NS (1000 * NS_PER_S)

static int daemon_fd;

static void
helper_start (void)
{
  struct helper_process process = { 0 };

  helper_peer_start ();
  process.home = helper_peer_directory ();
  memcpy (process.domain, helper_peer_domain, sizeof process.domain);
  clock_events_start (&process);
  daemon_fd = helper_peer_connect ();
}

static void
helper_stop (void)
{
  close (daemon_fd);
  clock_events_stop ();
  helper_peer_stop ();
}

/* public functions */

int
vm_hand_over_ioctl (int fd, unsigned long request, void *arg)
{
  return clock_events_ioctl (fd, request, arg);
}

int
vm_hand_over_run_cases (const struct kvm_case *cases, size_t count)
{
  int status;

  helper_start ();
  status = kvm_cases_run (cases, count);
  helper_stop ();
  return status;
}

/*
 * KVM takes a TSC written within a second of where the VM's TSC is already for an attempt to put
 * vCPUs in step, and gives it that one instead (kvm_synchronize_tsc()). A new VM is at 0, so what
 * is loaded there must be older.
 */
void
vm_hand_over_begin (struct tiny_vm *vm, int kvm_fd, int vcpu_count, bool has_apic)
{
  tiny_vm_init (vm, kvm_fd, vcpu_count, has_apic, vm_hand_over_ioctl);
  for (int i = 0; i < vcpu_count; i++)
    tiny_vcpu_set_msr (vm, i, MSR_TSC, (uint64_t) UPTIME_NS / 1000000 * vm->khz);
  tiny_vm_set_clock (vm, UPTIME_NS, 0);
}

void
vm_hand_over_pause (struct tiny_vm *vm, struct vm_state *state)
{
  struct kvm_clock_data clock = { 0 };

  *state = (struct vm_state){ .vcpu_count = vm->vcpu_count, .has_apic = vm->has_apic };
  for (int i = 0; i < vm->vcpu_count; i++)
    state->tsc_ticks[i] = tiny_vcpu_get_msr (vm, i, MSR_TSC);
  tiny_must_ioctl (vm->call, vm->fd, KVM_GET_CLOCK, &clock, "KVM_GET_CLOCK");
  state->message = helper_peer_expect (daemon_fd, HELPER_MESSAGE_RECORD);
  state->clock_ns = clock.clock;

  for (int i = 0; i < vm->vcpu_count; i++) {
    state->ofs_ticks[i] = tiny_vcpu_get_offset (vm, i);
    state->tsc_adjust_ticks[i] = tiny_vcpu_get_msr (vm, i, MSR_TSC_ADJUST);
    if (!vm->has_apic)
      continue;
    tiny_must_ioctl (vm->call, vm->vcpus[i].fd, KVM_GET_LAPIC, &state->apics[i], "KVM_GET_LAPIC");
    state->deadline_ticks[i] = tiny_vcpu_get_msr (vm, i, MSR_TSC_DEADLINE);
  }
  state->memory = g_memdup2 (vm->memory, GUEST_MEMORY_SIZE);
}

void
vm_state_clear (struct vm_state *state)
{
  g_clear_pointer (&state->message, g_free);
  g_clear_pointer (&state->memory, g_free);
}

/* kvm_arch_put_registers() of QEMU: the APIC before the TSC, the timer's deadline last. */
void
vm_hand_over_load (struct tiny_vm *vm, int kvm_fd, const struct vm_state *state, tiny_ioctl call)
{
  tiny_vm_init (vm, kvm_fd, state->vcpu_count, state->has_apic, call);
  memcpy (vm->memory, state->memory, GUEST_MEMORY_SIZE);
  for (int i = 0; i < vm->vcpu_count; i++) {
    struct kvm_lapic_state apic = state->apics[i];

    if (vm->has_apic)
      tiny_must_ioctl (vm->call, vm->vcpus[i].fd, KVM_SET_LAPIC, &apic, "KVM_SET_LAPIC");
    tiny_vcpu_set_msr (vm, i, MSR_TSC_ADJUST, state->tsc_adjust_ticks[i]);
    tiny_vcpu_set_msr (vm, i, MSR_TSC, state->tsc_ticks[i]);
    if (vm->has_apic)
      tiny_vcpu_set_msr (vm, i, MSR_TSC_DEADLINE, state->deadline_ticks[i]);
  }
}

struct helper_report *
vm_hand_over_resume (struct tiny_vm *vm, const struct vm_state *state)
{
  g_autofree struct helper_fixup *fixup = helper_peer_fixup (&state->message->record);
  struct kvm_clock_data clock = { .clock = state->clock_ns };
  struct helper_report *report;

  helper_peer_send (daemon_fd, fixup, fixup->header.length);
  tiny_must_ioctl (vm->call, vm->fd, KVM_SET_CLOCK, &clock, "KVM_SET_CLOCK");
  report = helper_peer_expect (daemon_fd, HELPER_MESSAGE_REPORT);
  printf ("# report: %s (%s), flags %#x, advance %" PRId64 " ns, residual %" PRId64
          " ns, %u attempts, %" PRIu64 " ns spent, KVM flags %#x\n",
          helper_verdict_name (report->verdict), helper_reason_name (report->reason), report->flags,
          report->advance_ns, report->residual_ns, report->attempts, report->spent_ns,
          report->kvm_flags);
  return report;
}

struct helper_report *
vm_hand_over_resume_fixed (struct tiny_vm *vm, const struct vm_state *state)
{
  struct helper_report *report = vm_hand_over_resume (vm, state);

  g_assert_cmpstr (helper_verdict_name (report->verdict), ==, "fixed");
  return report;
}

struct clock_jump
clock_jump_between (const struct tiny_sample *before, const struct tiny_sample *after)
{
  return (struct clock_jump){
    .continuity_ns =
      (int64_t) ((after->kvmclock_ns - before->kvmclock_ns) - (after->real_ns - before->real_ns)),
    /* what the page of then says of the TSC of now */
    .coherence_ns = (int64_t) (pvclock_at (&before->page, after->tsc_ticks) - after->kvmclock_ns),
    .bound_ns = (int64_t) (before->real_bound_ns + after->real_bound_ns),
  };
}
