/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * tsc-deadline-test - a timer that the guest armed before the migration comes when it was asked for
 *
 * KVM works a TSC deadline out to a host time when it is armed, or loaded, and does not look again
 * when the guest's TSC moves. The control moves the TSC alike and leaves the timer alone.
 */

#include <glib.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "kvm-vm.h"
#include "vm-hand-over.h"

/* From a deadline, or from entering the guest after it, to the guest's handler on a busy host */
#define LATE_MAX_NS (100 * NS_PER_MS)

struct timer_plan {
  int64_t delay_ns;   /* from arming to the deadline */
  int64_t transit_ns; /* from the pause to the load, of which the guest's TSC must not know */
  const uint8_t *wait;
};

/* When the guest's handler ran, in ns of the guest's TSC after the deadline and after its entry. */
struct timer_result {
  int64_t after_deadline_ns;
  int64_t after_entry_ns;
};

static void
source_arm (struct tiny_vm *source, int kvm_fd, int64_t delay_ns, struct vm_state *state)
{
  vm_hand_over_begin (source, kvm_fd, 1, true);
  source->vcpus[0].data->delay_ticks = (uint64_t) delay_ns * source->khz / 1000000;
  g_assert_true (tiny_vcpu_run (source, 0, guest_arm_timer));
  vm_hand_over_pause (source, state);
  g_assert_cmphex (state->deadline_ticks[0], ==, source->vcpus[0].data->deadline_ticks);
}

static struct timer_result
timer_await (struct tiny_vm *vm, const uint8_t *wait)
{
  const struct guest_data *data = vm->vcpus[0].data;
  uint64_t entry_ticks = tiny_vcpu_get_msr (vm, 0, MSR_TSC);
  struct timer_result result;

  g_assert_true (tiny_vcpu_run (vm, 0, wait));
  result.after_deadline_ns =
    ticks_to_ns ((int64_t) (data->fired_ticks - data->deadline_ticks), vm->khz);
  result.after_entry_ns = ticks_to_ns ((int64_t) (data->fired_ticks - entry_ticks), vm->khz);
  return result;
}

/* How late at all: a deadline that passed in the blackout can not be met before the guest runs. */
static int64_t
get_late_ns (const struct timer_result *result)
{
  return MIN (result->after_deadline_ns, result->after_entry_ns);
}

static void
helper_case (int kvm_fd, const struct timer_plan *plan, enum helper_verdict verdict)
{
  struct tiny_vm source, destination;
  struct vm_state state;
  struct timer_result result;
  g_autofree struct helper_report *report = NULL;

  source_arm (&source, kvm_fd, plan->delay_ns, &state);
  g_usleep ((gulong) plan->transit_ns / 1000);
  vm_hand_over_load (&destination, kvm_fd, &state, vm_hand_over_ioctl);
  report = vm_hand_over_resume (&destination, &state);
  g_assert_cmpuint (report->verdict, ==, verdict);
  result = timer_await (&destination, plan->wait);
  printf ("# with the helper: %" PRId64 " ns after the deadline, %" PRId64 " ns after entry\n",
          result.after_deadline_ns, result.after_entry_ns);
  g_assert_cmpint (result.after_deadline_ns, >=, 0);
  g_assert_cmpint (get_late_ns (&result), <, LATE_MAX_NS);
  vm_state_clear (&state);
  tiny_vm_clear (&destination);
  tiny_vm_clear (&source);
}

/* The offset that the helper would write: on one host, the one that the guest had. */
static void
control_case (int kvm_fd, const struct timer_plan *plan)
{
  struct tiny_vm source, destination;
  struct vm_state state;
  struct timer_result result;
  int64_t jump_ns;

  source_arm (&source, kvm_fd, plan->delay_ns, &state);
  g_usleep ((gulong) plan->transit_ns / 1000);
  vm_hand_over_load (&destination, kvm_fd, &state, NULL);
  jump_ns = ticks_to_ns ((int64_t) (state.ofs_ticks[0] - tiny_vcpu_get_offset (&destination, 0)),
                         destination.khz);
  tiny_vcpu_set_offset (&destination, 0, state.ofs_ticks[0]);
  result = timer_await (&destination, plan->wait);
  printf ("# without the rewrite: %" PRId64 " ns after the deadline, %" PRId64
          " ns after entry; the jump was %" PRId64 " ns\n",
          result.after_deadline_ns, result.after_entry_ns, jump_ns);
  g_assert_cmpint (jump_ns, >=, plan->transit_ns - NS_PER_MS);
  g_assert_cmpint (result.after_deadline_ns, >=, jump_ns - NS_PER_MS);
  g_assert_cmpint (result.after_deadline_ns, <, jump_ns + LATE_MAX_NS);
  g_assert_cmpint (get_late_ns (&result), >=, LATE_MAX_NS);
  vm_state_clear (&state);
  tiny_vm_clear (&destination);
  tiny_vm_clear (&source);
}

/* cases */

static void
check_ahead (int kvm_fd)
{
  static const struct timer_plan plan = { 700 * NS_PER_MS, 300 * NS_PER_MS, guest_wait_halted };

  helper_case (kvm_fd, &plan, HELPER_VERDICT_FIXED);
}

/*
 * Without HLT: with the VMX preemption timer KVM works the deadline out anew when a vCPU halts, or
 * moves to another processor, and the guest would be lucky.
 */
static void
check_ahead_control (int kvm_fd)
{
  static const struct timer_plan plan = { 700 * NS_PER_MS, 300 * NS_PER_MS, guest_wait_spinning };

  helper_case (kvm_fd, &plan, HELPER_VERDICT_FIXED);
  control_case (kvm_fd, &plan);
}

static void
check_passed (int kvm_fd)
{
  static const struct timer_plan plan = { 500 * NS_PER_MS, 650 * NS_PER_MS, guest_wait_spinning };

  helper_case (kvm_fd, &plan, HELPER_VERDICT_FIXED);
  control_case (kvm_fd, &plan);
}

/* Where offsets do not take, the helper has touched them and the timer all the same. */
static void
check_left_as_stock (int kvm_fd)
{
  static const struct timer_plan plan = { 400 * NS_PER_MS, 200 * NS_PER_MS, guest_wait_halted };

  helper_case (kvm_fd, &plan, HELPER_VERDICT_STOCK);
}

#define TIMER_AND_CLOCKS (KVM_ABILITY_BOTH_CLOCKS | KVM_ABILITY_DEADLINE)

static const struct kvm_case cases[] = {
  { "halted", check_ahead, .needs = TIMER_AND_CLOCKS },
  { "spinning", check_ahead_control, .needs = TIMER_AND_CLOCKS },
  { "passed-meanwhile", check_passed, .needs = TIMER_AND_CLOCKS },
  { "left-as-stock", check_left_as_stock, .needs = KVM_ABILITY_MASTER_CLOCK | KVM_ABILITY_DEADLINE,
    .unless = KVM_ABILITY_OFFSETS },
};

int
main (void)
{
  cpu_set_t first;

  CPU_ZERO (&first);
  CPU_SET (sched_getcpu (), &first);
  g_assert_cmpint (sched_setaffinity (0, sizeof first, &first), ==, 0);
  return vm_hand_over_run_cases (cases, G_N_ELEMENTS (cases));
}
