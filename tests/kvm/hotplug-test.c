/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * hotplug-test - a vCPU that is plugged in after the fix-up is in step with the others
 *
 * KVM gives a new vCPU, and one whose TSC is set to 0, the offset that was last written from
 * outside (kvm_synchronize_tsc()): the helper's, as it goes by KVM's own attribute.
 */

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock-source.h"
#include "kvm-vm.h"
#include "vm-hand-over.h"

#define VCPU_COUNT 2

#define TRANSIT_NS       (100 * NS_PER_MS)
#define PVCLOCK_APART_NS 2

/* A guest that has come here by a hand-over with the helper. */
static void
arrive (int kvm_fd, struct tiny_vm *vm)
{
  struct tiny_vm source;
  struct vm_state state;

  vm_hand_over_begin (&source, kvm_fd, VCPU_COUNT, false);
  vm_hand_over_pause (&source, &state);
  g_usleep (TRANSIT_NS / 1000);
  vm_hand_over_load (vm, kvm_fd, &state, vm_hand_over_ioctl);
  g_free (vm_hand_over_resume_fixed (vm, &state));
  for (int i = 0; i < vm->vcpu_count; i++)
    tiny_vcpu_read_clocks (vm, i);
  vm_state_clear (&state);
  tiny_vm_clear (&source);
}

/* As the guest reads them: @index between two readings of vCPU 0, and kvmclock the same on both. */
static bool
is_in_step (struct tiny_vm *vm, int index)
{
  struct tiny_sample first = tiny_vcpu_read_clocks (vm, 0);
  struct tiny_sample middle = tiny_vcpu_read_clocks (vm, index);
  struct tiny_sample last = tiny_vcpu_read_clocks (vm, 0);
  uint64_t apart_ticks = tiny_vcpu_get_offset (vm, index) - tiny_vcpu_get_offset (vm, 0);
  int64_t pvclock_apart_ns = (int64_t) (pvclock_at (&middle.page, last.tsc_ticks + apart_ticks) -
                                        pvclock_at (&last.page, last.tsc_ticks));

  printf ("# vCPU %d: offset %+" PRId64 " ticks off vCPU 0's; TSC %+" PRId64 " of %" PRId64
          " ns between two readings there; kvmclock %+" PRId64 " ns off\n",
          index, (int64_t) apart_ticks,
          ticks_to_ns ((int64_t) (middle.tsc_ticks - first.tsc_ticks), vm->khz),
          ticks_to_ns ((int64_t) (last.tsc_ticks - first.tsc_ticks), vm->khz), pvclock_apart_ns);
  return apart_ticks == 0 &&
         middle.tsc_ticks - first.tsc_ticks < last.tsc_ticks - first.tsc_ticks &&
         llabs (pvclock_apart_ns) <= PVCLOCK_APART_NS;
}

static void
expect_master_clock (struct tiny_vm *vm)
{
  struct kvm_clock_data clock = tiny_vm_get_clock (vm);

  g_assert_true (clock_has_master (&clock));
  for (int i = 0; i < vm->vcpu_count; i++)
    g_assert_cmpuint (tiny_vcpu_read_clocks (vm, i).page.flags & PVCLOCK_TSC_STABLE, !=, 0);
}

/* What QEMU writes of a vCPU that it has just made: kvm_put_msrs() at KVM_PUT_FULL_STATE. */
static void
qemu_put_new_vcpu (struct tiny_vm *vm, int index)
{
  tiny_must_ioctl (vm->call, vm->vcpus[index].fd, KVM_SET_TSC_KHZ, (void *) (uintptr_t) vm->khz,
                   "KVM_SET_TSC_KHZ");
  tiny_vcpu_set_msr (vm, index, MSR_TSC_ADJUST, 0);
  tiny_vcpu_set_msr (vm, index, MSR_TSC, 0);
  tiny_vcpu_set_msr (vm, index, MSR_KVM_SYSTEM_TIME_NEW, 0);
}

static void
plug_in (struct tiny_vm *vm, bool as_qemu)
{
  int index = tiny_vm_add_vcpu (vm);

  if (as_qemu)
    qemu_put_new_vcpu (vm, index);
  tiny_vcpu_write_msr (vm, index, MSR_KVM_SYSTEM_TIME_NEW, tiny_vcpu_pvclock_msr (index));
}

/* cases */

static void
check_in_step (int kvm_fd, bool as_qemu)
{
  struct tiny_vm vm;
  struct vm_state state;

  arrive (kvm_fd, &vm);
  plug_in (&vm, as_qemu);
  g_assert_true (is_in_step (&vm, VCPU_COUNT));
  expect_master_clock (&vm);

  /* paused and resumed, as KVM decides on the master clock then too; and on with the next one */
  vm_hand_over_pause (&vm, &state);
  tiny_vm_set_clock (&vm, state.clock_ns, 0);
  g_assert_true (is_in_step (&vm, VCPU_COUNT));
  expect_master_clock (&vm);
  g_assert_cmphex (state.message->record.flags, ==, CLOCK_RECORD_MASTER_CLOCK);
  g_assert_cmpuint (state.message->record.vcpu_count, ==, VCPU_COUNT + 1);
  vm_state_clear (&state);
  tiny_vm_clear (&vm);
}

static void
check_created (int kvm_fd)
{
  check_in_step (kvm_fd, false);
}

static void
check_as_qemu (int kvm_fd)
{
  check_in_step (kvm_fd, true);
}

/* Had the TSC been moved as a guest moves its own, a new vCPU would be left behind. */
static void
check_control (int kvm_fd)
{
  struct tiny_vm vm;

  arrive (kvm_fd, &vm);
  for (int i = 0; i < VCPU_COUNT; i++)
    tiny_vcpu_write_msr (&vm, i, MSR_TSC_ADJUST, vm.khz * 5000ull);
  g_assert_true (is_in_step (&vm, 1));
  plug_in (&vm, true);
  g_assert_false (is_in_step (&vm, VCPU_COUNT));
  tiny_vm_clear (&vm);
}

static const struct kvm_case cases[] = {
  { "created", check_created, .needs = KVM_ABILITY_BOTH_CLOCKS },
  { "as-qemu", check_as_qemu, .needs = KVM_ABILITY_BOTH_CLOCKS },
  { "control", check_control, .needs = KVM_ABILITY_BOTH_CLOCKS },
};

int
main (void)
{
  return vm_hand_over_run_cases (cases, G_N_ELEMENTS (cases));
}
