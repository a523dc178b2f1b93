/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * kvm-clock-test - what KVM promises, and the helper builds on
 *
 * Modelled on what the kernel's selftests assert: kvm_clock_test, system_counter_offset_test and
 * tsc_msrs_test. The helper is not in it.
 */

#include <glib.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock-source.h"
#include "host-calls.h"
#include "kvm-cases.h"
#include "kvm-vm.h"
#include "tiny-guest.h"

/* KVM_SET_CLOCK reads CLOCK_REALTIME a little after the TSC that it counts from: by far less. */
#define SET_CLOCK_GAP_NS (1 * NS_PER_MS)
/* The width of the steps of MSR tests: no host is held up for so long between two of them. */
#define STEP_TICKS (1ull << 34)

struct set_clock {
  uint64_t clock_ns;
  int64_t realtime_ahead_ns; /* of now; 0: without KVM_CLOCK_REALTIME */
};

/* Each puts kvmclock somewhere else than the one before. */
static const struct set_clock set_clocks[] = {
  { .clock_ns = 0 },
  { .clock_ns = 180 * NS_PER_S },
  { .clock_ns = 0, .realtime_ahead_ns = 180 * NS_PER_S },
  { .clock_ns = 0, .realtime_ahead_ns = -180 * NS_PER_S },
  { .clock_ns = 180 * NS_PER_S, .realtime_ahead_ns = -180 * NS_PER_S },
};

static bool
lies_within (uint64_t value, uint64_t low, uint64_t high)
{
  return value >= low && value <= high;
}

/*
 * kvmclock goes on from what was set, advanced by the time since @realtime_ns if that has passed,
 * and the guest's reading lies between two of ours.
 */
static void
set_clock_once (struct tiny_vm *vm, const struct set_clock *set)
{
  struct pvclock_page page_before = tiny_vcpu_read_clocks (vm, 0).page;
  uint64_t start_ns = host_calls.clock_ns (CLOCK_REALTIME);
  uint64_t realtime_ns = set->realtime_ahead_ns != 0 ? start_ns + (uint64_t) set->realtime_ahead_ns
                                                     : 0;
  uint64_t credit_ns = set->realtime_ahead_ns < 0 ? (uint64_t) -set->realtime_ahead_ns : 0;
  struct kvm_clock_data before, after;
  struct tiny_sample sample;
  uint64_t end_ns;

  tiny_vm_set_clock (vm, set->clock_ns, realtime_ns);
  before = tiny_vm_get_clock (vm);
  end_ns = host_calls.clock_ns (CLOCK_REALTIME);
  sample = tiny_vcpu_read_clocks (vm, 0);
  after = tiny_vm_get_clock (vm);

  printf ("# set %" PRIu64 " s, realtime %+" PRId64 " s: guest %" PRIu64 " in [%" PRIu64
          ", %" PRIu64 "], flags %#x\n",
          set->clock_ns / (uint64_t) NS_PER_S, set->realtime_ahead_ns / NS_PER_S,
          sample.kvmclock_ns, (uint64_t) before.clock, (uint64_t) after.clock, after.flags);
  g_assert_true (clock_has_master (&before));
  g_assert_true (clock_has_master (&after));
  g_assert_true (lies_within (before.clock, set->clock_ns + credit_ns,
                              set->clock_ns + credit_ns + (end_ns - start_ns) + SET_CLOCK_GAP_NS));
  g_assert_true (lies_within (sample.kvmclock_ns, before.clock, after.clock));
  g_assert_cmpuint (sample.page.flags & PVCLOCK_TSC_STABLE, !=, 0);

  /* and would not, had KVM left the guest's page as it was */
  g_assert_false (
    lies_within (pvclock_at (&page_before, sample.tsc_ticks), before.clock, after.clock));
}

static void
check_set_clock (int kvm_fd)
{
  struct tiny_vm vm;

  tiny_vm_init (&vm, kvm_fd, 2, false, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (set_clocks); i++)
    set_clock_once (&vm, &set_clocks[i]);
  tiny_vm_clear (&vm);
}

/* The helper sets kvmclock first and derives the TSC from it: neither write may move the other. */
static void
check_independence (int kvm_fd)
{
  struct tiny_vm vm;
  struct kvm_clock_data before, after;
  struct tiny_sample sample;
  uint64_t ofs_ticks;

  tiny_vm_init (&vm, kvm_fd, 1, false, NULL);
  ofs_ticks = tiny_vcpu_get_offset (&vm, 0);
  tiny_vm_set_clock (&vm, 180 * NS_PER_S, 0);
  g_assert_cmphex (tiny_vcpu_get_offset (&vm, 0), ==, ofs_ticks);

  before = tiny_vm_get_clock (&vm);
  tiny_vcpu_set_offset (&vm, 0, ofs_ticks + vm.khz * 1000ull);
  sample = tiny_vcpu_read_clocks (&vm, 0);
  after = tiny_vm_get_clock (&vm);
  g_assert_true (clock_has_master (&before));
  g_assert_true (lies_within (sample.kvmclock_ns, before.clock, after.clock));
  g_assert_cmpuint (after.clock - before.clock, <, NS_PER_S);
  tiny_vm_clear (&vm);
}

static void
check_tsc_offset (int kvm_fd)
{
  static const int64_t offsets_ticks[] = { 0, 180 * NS_PER_S, -180 * NS_PER_S };
  struct tiny_vm vm;

  tiny_vm_init (&vm, kvm_fd, 1, false, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (offsets_ticks); i++) {
    uint64_t ofs_ticks = (uint64_t) offsets_ticks[i];
    struct tiny_sample sample;

    tiny_vcpu_set_offset (&vm, 0, ofs_ticks);
    g_assert_cmphex (tiny_vcpu_get_offset (&vm, 0), ==, ofs_ticks);
    sample = tiny_vcpu_read_clocks (&vm, 0);
    printf ("# offset %+" PRId64 ": guest %" PRIu64 " in [%" PRIu64 ", %" PRIu64 "]\n",
            offsets_ticks[i], sample.tsc_ticks, sample.host_tsc_enter_ticks + ofs_ticks,
            sample.host_tsc_leave_ticks + ofs_ticks);
    g_assert_cmpuint (sample.tsc_ticks - ofs_ticks - sample.host_tsc_enter_ticks, <=,
                      sample.host_tsc_leave_ticks - sample.host_tsc_enter_ticks);
    /* the three ranges do not overlap, so each reading belongs to its offset */
    g_assert_cmpuint (sample.host_tsc_leave_ticks - sample.host_tsc_enter_ticks, <, 180 * NS_PER_S);
  }
  tiny_vm_clear (&vm);
}

/* Both MSRs, read by guest and host, in whole steps. */
static void
expect_msrs (struct tiny_vm *vm, unsigned tsc_steps, int adjust_steps)
{
  uint64_t low = STEP_TICKS * tsc_steps;
  uint64_t high = low + STEP_TICKS / 2;
  uint64_t adjust = STEP_TICKS * (uint64_t) adjust_steps;

  g_assert_true (lies_within (tiny_vcpu_read_msr (vm, 0, MSR_TSC), low, high));
  g_assert_true (lies_within (tiny_vcpu_get_msr (vm, 0, MSR_TSC), low, high));
  g_assert_true (lies_within (tiny_vcpu_read_clocks (vm, 0).tsc_ticks, low, high));
  g_assert_true (lies_within (tiny_vcpu_read_msr (vm, 0, MSR_TSC_ADJUST) - adjust + STEP_TICKS / 2,
                              0, STEP_TICKS));
  g_assert_true (lies_within (tiny_vcpu_get_msr (vm, 0, MSR_TSC_ADJUST) - adjust + STEP_TICKS / 2,
                              0, STEP_TICKS));
}

/*
 * QEMU loads TSC_ADJUST together with the TSC, and may write it again while the guest is stopped:
 * that must not move what the helper has set. A guest's own writes move both.
 */
static void
check_tsc_msrs (int kvm_fd)
{
  struct tiny_vm vm;

  tiny_vm_init (&vm, kvm_fd, 1, false, NULL);
  tiny_vcpu_set_msr (&vm, 0, MSR_TSC, 0);
  expect_msrs (&vm, 0, 0);

  tiny_vcpu_write_msr (&vm, 0, MSR_TSC, 2 * STEP_TICKS);
  expect_msrs (&vm, 2, 2);
  tiny_vcpu_write_msr (&vm, 0, MSR_TSC_ADJUST, 3 * STEP_TICKS);
  expect_msrs (&vm, 3, 3);

  tiny_vcpu_set_msr (&vm, 0, MSR_TSC, 20 * STEP_TICKS);
  expect_msrs (&vm, 20, 3);
  tiny_vcpu_set_msr (&vm, 0, MSR_TSC_ADJUST, 7 * STEP_TICKS);
  expect_msrs (&vm, 20, 7);
  tiny_vcpu_set_msr (&vm, 0, MSR_TSC_ADJUST, 3 * STEP_TICKS);
  expect_msrs (&vm, 20, 3);

  tiny_vcpu_write_msr (&vm, 0, MSR_TSC_ADJUST, 4 * STEP_TICKS);
  expect_msrs (&vm, 21, 4);
  tiny_vcpu_write_msr (&vm, 0, MSR_TSC, 5 * STEP_TICKS);
  expect_msrs (&vm, 5, 4 - 16);
  tiny_vm_clear (&vm);
}

static const struct kvm_case cases[] = {
  { "set-clock", check_set_clock, .needs = KVM_ABILITY_MASTER_CLOCK },
  { "clocks-are-independent", check_independence, .needs = KVM_ABILITY_BOTH_CLOCKS },
  { "tsc-offset", check_tsc_offset, .needs = KVM_ABILITY_OFFSETS },
  { "tsc-msrs", check_tsc_msrs, .needs = KVM_ABILITY_OFFSETS },
};

int
main (void)
{
  return kvm_cases_run (cases, G_N_ELEMENTS (cases));
}
