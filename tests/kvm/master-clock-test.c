/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * master-clock-test - KVM's master clock, and what the offsets that the helper writes do to it
 *
 * KVM gives its master clock up when the offsets of two vCPUs differ, if only by a tick. Without
 * it, vCPUs read kvmclock through a value that they share, and the helper can not tell the TSC.
 */

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock-source.h"
#include "vm-hand-over.h"

#define VCPU_COUNT 3

#define TRANSIT_NS (100 * NS_PER_MS)
/*
 * Without master clock the helper reads CLOCK_REALTIME itself, and KVM each vCPU's kvmclock as it
 * enters the guest: a busy host may come between.
 */
#define LOOSE_MAX_NS     (5 * NS_PER_MS)
#define TIGHT_MAX_NS     100000
#define COHERENCE_MAX_NS 500

/* As the guest sees it in its pages, once each vCPU has been in there. */
static bool
has_master_clock (struct tiny_vm *vm)
{
  int stable_pages = 0;

  for (int i = 0; i < vm->vcpu_count; i++)
    stable_pages += (tiny_vcpu_read_clocks (vm, i).page.flags & PVCLOCK_TSC_STABLE) != 0;
  printf ("# stable pages: %d of %d, KVM flags %#x\n", stable_pages, vm->vcpu_count,
          tiny_vm_get_clock (vm).flags);
  g_assert_true (stable_pages == 0 || stable_pages == vm->vcpu_count);
  return stable_pages != 0;
}

static uint64_t
get_apart_ticks (const struct tiny_vm *vm, int index)
{
  return tiny_vcpu_get_offset (vm, index) - tiny_vcpu_get_offset (vm, 0);
}

/* Pause @source, be on a destination that is loaded with helper or without. */
static void
migrate (int kvm_fd, struct tiny_vm *source, struct vm_state *state, struct tiny_vm *stock,
         struct tiny_vm *destination)
{
  vm_hand_over_pause (source, state);
  g_usleep (TRANSIT_NS / 1000);
  vm_hand_over_load (stock, kvm_fd, state, NULL);
  vm_hand_over_load (destination, kvm_fd, state, vm_hand_over_ioctl);
}

static void
clear_all (struct vm_state *state, struct tiny_vm *source, struct tiny_vm *stock,
           struct tiny_vm *destination)
{
  vm_state_clear (state);
  tiny_vm_clear (destination);
  tiny_vm_clear (stock);
  tiny_vm_clear (source);
}

/* cases */

/* What the helper guards against: KVM's rule, without the helper. */
static void
check_one_tick (int kvm_fd)
{
  struct tiny_vm vm;
  uint64_t ofs_ticks;

  tiny_vm_init (&vm, kvm_fd, VCPU_COUNT, false, NULL);
  tiny_vm_set_clock (&vm, 0, 0);
  g_assert_true (has_master_clock (&vm));

  ofs_ticks = tiny_vcpu_get_offset (&vm, 0);
  tiny_vcpu_set_offset (&vm, 1, ofs_ticks + 1);
  tiny_vm_set_clock (&vm, 0, 0);
  g_assert_false (has_master_clock (&vm));

  /* equal again: KVM counts the vCPUs that follow the first to write a new offset */
  for (int i = 0; i < VCPU_COUNT; i++)
    tiny_vcpu_set_offset (&vm, i, ofs_ticks);
  tiny_vm_set_clock (&vm, 0, 0);
  g_assert_true (has_master_clock (&vm));
  tiny_vm_clear (&vm);
}

/* QEMU writes the vCPUs' TSCs one by one; where KVM does not join them, offsets are unequal. */
static void
check_loaded_unequal (int kvm_fd)
{
  struct tiny_vm source, stock, destination;
  struct vm_state state;
  g_autofree struct helper_report *report = NULL;

  vm_hand_over_begin (&source, kvm_fd, VCPU_COUNT, false);
  migrate (kvm_fd, &source, &state, &stock, &destination);
  tiny_vcpu_set_offset (&stock, 1, tiny_vcpu_get_offset (&stock, 0) + 1);
  tiny_vcpu_set_offset (&destination, 1, tiny_vcpu_get_offset (&destination, 0) + 1);
  report = vm_hand_over_resume_fixed (&destination, &state);
  tiny_vm_set_clock (&stock, state.clock_ns, 0);

  g_assert_cmphex (report->flags, ==, 0);
  g_assert_true (has_master_clock (&destination));
  g_assert_cmphex (get_apart_ticks (&destination, 1), ==, 0);
  g_assert_cmphex (get_apart_ticks (&destination, 2), ==, 0);
  g_assert_false (has_master_clock (&stock));
  g_assert_cmphex (get_apart_ticks (&stock, 1), ==, 1);
  clear_all (&state, &source, &stock, &destination);
}

/*
 * A guest may move its own TSC. That leaves KVM's count of vCPUs in step alone, and so the master
 * clock on; but the same offsets, written from outside, would put it off.
 */
static void
check_source_apart (int kvm_fd, uint64_t apart_ns, uint32_t expected_flag)
{
  struct tiny_vm source, stock, destination;
  struct tiny_sample before, after;
  struct vm_state state;
  struct clock_jump jump;
  uint64_t apart_ticks;
  g_autofree struct helper_report *report = NULL;

  vm_hand_over_begin (&source, kvm_fd, VCPU_COUNT, false);
  apart_ticks = apart_ns * source.khz / 1000000;
  tiny_vcpu_write_msr (&source, 1, MSR_TSC_ADJUST, apart_ticks);
  g_assert_true (has_master_clock (&source));
  g_assert_cmphex (get_apart_ticks (&source, 1), ==, apart_ticks);
  before = tiny_vcpu_read_clocks (&source, 1);
  migrate (kvm_fd, &source, &state, &stock, &destination);
  report = vm_hand_over_resume_fixed (&destination, &state);
  after = tiny_vcpu_read_clocks (&destination, 1);

  jump = clock_jump_between (&before, &after);
  printf ("# vCPU 1: kvmclock %+" PRId64 " ns, TSC %+" PRId64 " ns against it\n",
          jump.continuity_ns, jump.coherence_ns);
  g_assert_cmphex (state.message->record.flags, ==, CLOCK_RECORD_MASTER_CLOCK);
  g_assert_cmphex (report->flags, ==, expected_flag);
  g_assert_cmphex (get_apart_ticks (&destination, 2), ==, 0);
  /* Linux looks at this one, and warns if someone has been at it */
  g_assert_cmphex (tiny_vcpu_read_msr (&destination, 0, MSR_TSC_ADJUST), ==, 0);
  g_assert_cmphex (tiny_vcpu_read_msr (&destination, 1, MSR_TSC_ADJUST), ==, apart_ticks);
  if (expected_flag == HELPER_REPORT_OFFSETS_APART) {
    g_assert_cmphex (get_apart_ticks (&destination, 1), ==, apart_ticks);
    g_assert_false (has_master_clock (&destination));
    g_assert_cmpint (llabs (jump.continuity_ns), <, LOOSE_MAX_NS);
  } else {
    g_assert_cmphex (get_apart_ticks (&destination, 1), ==, 0);
    g_assert_true (has_master_clock (&destination));
    g_assert_cmpint (llabs (jump.continuity_ns), <, TIGHT_MAX_NS);
    /* all that the guest's vCPU 1 loses is what it was apart */
    g_assert_cmpint (llabs (jump.coherence_ns + (int64_t) apart_ns), <, COHERENCE_MAX_NS);
  }
  clear_all (&state, &source, &stock, &destination);
}

static void
check_source_apart_little (int kvm_fd)
{
  check_source_apart (kvm_fd, 3000, HELPER_REPORT_OFFSETS_JOINED);
}

static void
check_source_apart_far (int kvm_fd)
{
  check_source_apart (kvm_fd, 5 * NS_PER_S, HELPER_REPORT_OFFSETS_APART);
}

/* A source without master clock tells no TSC: kvmclock is advanced, the TSC is as QEMU loads it. */
static void
check_kvmclock_alone (int kvm_fd)
{
  struct tiny_vm source, stock, destination;
  struct tiny_sample before, after, after_stock;
  struct vm_state state;
  struct clock_jump jump, stock_jump;
  uint64_t ofs_ticks;
  g_autofree struct helper_report *report = NULL;

  vm_hand_over_begin (&source, kvm_fd, VCPU_COUNT, false);
  tiny_vcpu_set_offset (&source, 1, tiny_vcpu_get_offset (&source, 0) + 1);
  tiny_vm_set_clock (&source, 180 * NS_PER_S, 0);
  g_assert_false (has_master_clock (&source));
  before = tiny_vcpu_read_clocks (&source, 0);
  migrate (kvm_fd, &source, &state, &stock, &destination);
  ofs_ticks = tiny_vcpu_get_offset (&destination, 0);
  report = vm_hand_over_resume (&destination, &state);
  after = tiny_vcpu_read_clocks (&destination, 0);
  tiny_vm_set_clock (&stock, state.clock_ns, 0);
  after_stock = tiny_vcpu_read_clocks (&stock, 0);

  jump = clock_jump_between (&before, &after);
  stock_jump = clock_jump_between (&before, &after_stock);
  printf ("# kvmclock %+" PRId64 " ns, stock %+" PRId64 " ns\n", jump.continuity_ns,
          stock_jump.continuity_ns);
  g_assert_cmphex (state.message->record.flags, ==, 0);
  g_assert_cmpstr (helper_verdict_name (report->verdict), ==, "kvmclock-only");
  g_assert_cmpstr (helper_reason_name (report->reason), ==, "no-master-clock");
  g_assert_cmpint (llabs (jump.continuity_ns), <, LOOSE_MAX_NS);
  g_assert_cmpint (stock_jump.continuity_ns, <, -TRANSIT_NS / 2);
  g_assert_cmphex (tiny_vcpu_get_offset (&destination, 0), ==, ofs_ticks);
  clear_all (&state, &source, &stock, &destination);
}

static const struct kvm_case cases[] = {
  { "one-tick", check_one_tick, .needs = KVM_ABILITY_BOTH_CLOCKS },
  { "loaded-unequal", check_loaded_unequal, .needs = KVM_ABILITY_BOTH_CLOCKS },
  { "source-apart-little", check_source_apart_little, .needs = KVM_ABILITY_BOTH_CLOCKS },
  { "source-apart-far", check_source_apart_far, .needs = KVM_ABILITY_BOTH_CLOCKS },
  { "kvmclock-alone", check_kvmclock_alone, .needs = KVM_ABILITY_BOTH_CLOCKS },
};

int
main (void)
{
  return vm_hand_over_run_cases (cases, G_N_ELEMENTS (cases));
}
