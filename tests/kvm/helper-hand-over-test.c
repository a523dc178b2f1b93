/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-hand-over-test - whole hand-overs, and the guest's clocks as the guest reads them
 *
 * Beside each hand-over with the helper there is one without, from the same pause: it must show the
 * error that the helper removes. Modelled on the pending selftest pvclock_migration_test: what the
 * source's pvclock page says of the destination's TSC is the time that the destination's page says.
 */

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock-record.h"
#include "clock-source.h"
#include "vm-hand-over.h"

#define VCPU_COUNT 2

/* Between pause and load, and between load and `cont`, which libvirt gives later. */
#define TRANSIT_NS (300 * NS_PER_MS)
#define FINISH_NS  (100 * NS_PER_MS)

/* What the helper's attempts may leave of kvmclock on a host that is disturbed in each of them. */
#define RESIDUAL_MAX_NS 100000
/* The guest's own reading against the report's */
#define READING_MAX_NS 2000
/* TSC against kvmclock: rounding of multipliers, and nothing else */
#define COHERENCE_MAX_NS 500
/* A host clock that NTP slews gets as far from the TSC in a blackout. */
#define SLEW_MAX_NS ((TRANSIT_NS + FINISH_NS) * 500 / 1000000)

#define TRAVELS           4
#define TRAVELS_MEASURED  20
#define BLACKOUT_FIRST_NS (50 * NS_PER_MS)
#define BLACKOUT_LAST_NS  (300 * NS_PER_MS)
#define MEASUREMENTS_DIR  "CLOCKFERRY_MEASUREMENTS"
#define MEASUREMENTS_FILE "kvm.csv"

static void
pause_for (int64_t ns)
{
  g_usleep ((gulong) (ns / 1000));
}

static void
read_all (struct tiny_vm *vm, struct tiny_sample *samples)
{
  for (int i = 0; i < vm->vcpu_count; i++)
    samples[i] = tiny_vcpu_read_clocks (vm, i);
}

static void
print_jump (const char *arm, int index, const struct clock_jump *jump)
{
  printf ("# %s, vCPU %d: kvmclock %+" PRId64 " ns (+-%" PRId64
          ") against CLOCK_REALTIME, TSC %+" PRId64 " ns against kvmclock\n",
          arm, index, jump->continuity_ns, jump->bound_ns, jump->coherence_ns);
}

static void
expect_no_jump (const struct clock_jump *jump, const struct helper_report *report)
{
  g_assert_cmpint (llabs (report->residual_ns), <, RESIDUAL_MAX_NS);
  g_assert_cmpint (llabs (jump->continuity_ns - report->residual_ns), <,
                   READING_MAX_NS + jump->bound_ns);
  g_assert_cmpint (llabs (jump->coherence_ns), <, COHERENCE_MAX_NS);
}

/* Stock QEMU: the guest lost the blackout, and its TSC ran from the load. Half of it would do. */
static void
expect_stock_jump (const struct clock_jump *jump, int64_t transit_ns, int64_t finish_ns)
{
  g_assert_cmpint (jump->continuity_ns, <, -(transit_ns + finish_ns) / 2);
  g_assert_cmpint (jump->coherence_ns, >, finish_ns / 2);
}

/* cases */

/* The record's pair of readings lies on the guest's own clock. */
static void
check_record (int kvm_fd)
{
  struct tiny_vm source;
  struct vm_state state;
  struct tiny_sample sample;
  const struct clock_record *record;
  int64_t off_ns;

  vm_hand_over_begin (&source, kvm_fd, VCPU_COUNT, false);
  tiny_vcpu_read_clocks (&source, 1);
  sample = tiny_vcpu_read_clocks (&source, 0);
  vm_hand_over_pause (&source, &state);
  record = &state.message->record;

  off_ns =
    (int64_t) (pvclock_at (&sample.page, record->tsc_src_ticks + record->vcpus[0].ofs_ticks) -
               record->guest_src_ns);
  printf ("# record: freq %u kHz, flags %#x, ratio %#" PRIx64 " >> %u, %+" PRId64
          " ns off the guest's page\n",
          record->freq_khz, record->flags, record->tsc_ratio, record->tsc_frac_bits, off_ns);
  g_assert_cmphex (record->flags, ==, CLOCK_RECORD_MASTER_CLOCK);
  g_assert_cmpuint (record->guest_src_ns, ==, state.clock_ns);
  g_assert_cmpuint (record->freq_khz, ==, source.khz);
  g_assert_cmpint (llabs (off_ns), <, COHERENCE_MAX_NS);
  g_assert_cmpuint (record->vcpu_count, ==, VCPU_COUNT);
  for (uint32_t i = 0; i < record->vcpu_count; i++) {
    g_assert_cmpuint (record->vcpus[i].id, ==, i);
    g_assert_cmphex (record->vcpus[i].ofs_ticks, ==, state.ofs_ticks[i]);
  }
  vm_state_clear (&state);
  tiny_vm_clear (&source);
}

static void
check_fixed (int kvm_fd)
{
  struct tiny_vm source, stock, destination;
  struct tiny_sample before[VCPU_COUNT], after[VCPU_COUNT], after_stock[VCPU_COUNT];
  struct vm_state state;
  g_autofree struct helper_report *report = NULL;

  vm_hand_over_begin (&source, kvm_fd, VCPU_COUNT, false);
  read_all (&source, before);
  vm_hand_over_pause (&source, &state);
  pause_for (TRANSIT_NS);
  vm_hand_over_load (&stock, kvm_fd, &state, NULL);
  vm_hand_over_load (&destination, kvm_fd, &state, vm_hand_over_ioctl);
  pause_for (FINISH_NS);
  report = vm_hand_over_resume_fixed (&destination, &state);
  read_all (&destination, after);
  tiny_vm_set_clock (&stock, state.clock_ns, 0);
  read_all (&stock, after_stock);

  g_assert_cmpint (report->advance_ns, >=, TRANSIT_NS + FINISH_NS - SLEW_MAX_NS);
  g_assert_cmphex (report->flags, ==, 0);
  for (int i = 0; i < VCPU_COUNT; i++) {
    struct clock_jump jump = clock_jump_between (&before[i], &after[i]);
    struct clock_jump stock_jump = clock_jump_between (&before[i], &after_stock[i]);
    uint64_t ofs_ticks = tiny_vcpu_get_offset (&destination, i);
    int64_t moved_ns = ticks_to_ns ((int64_t) (ofs_ticks - state.ofs_ticks[i]), destination.khz);

    print_jump ("clockferry", i, &jump);
    print_jump ("stock", i, &stock_jump);
    printf ("# vCPU %d: TSC %+" PRId64 " ns from where it would be on the source\n", i, moved_ns);
    expect_no_jump (&jump, report);
    expect_stock_jump (&stock_jump, TRANSIT_NS, FINISH_NS);
    g_assert_cmpint (llabs (moved_ns), <, RESIDUAL_MAX_NS + SLEW_MAX_NS);
    g_assert_cmphex (ofs_ticks, ==, report->vcpus[i].ofs_dest_ticks);
    g_assert_cmphex (ofs_ticks, ==, tiny_vcpu_get_offset (&destination, 0));
    g_assert_cmpuint (after[i].page.flags & PVCLOCK_TSC_STABLE, !=, 0);
  }
  vm_state_clear (&state);
  tiny_vm_clear (&destination);
  tiny_vm_clear (&stock);
  tiny_vm_clear (&source);
}

/* Both clocks or neither: where offsets do not take, the guest has what stock QEMU gives it. */
static void
check_left_as_stock (int kvm_fd)
{
  struct tiny_vm source, destination;
  struct tiny_sample before, after;
  struct vm_state state;
  struct clock_jump jump;
  g_autofree struct helper_report *report = NULL;

  vm_hand_over_begin (&source, kvm_fd, VCPU_COUNT, false);
  tiny_vcpu_read_clocks (&source, 1);
  before = tiny_vcpu_read_clocks (&source, 0);
  vm_hand_over_pause (&source, &state);
  pause_for (TRANSIT_NS);
  vm_hand_over_load (&destination, kvm_fd, &state, vm_hand_over_ioctl);
  report = vm_hand_over_resume (&destination, &state);
  after = tiny_vcpu_read_clocks (&destination, 0);

  jump = clock_jump_between (&before, &after);
  print_jump ("left as stock", 0, &jump);
  g_assert_cmpstr (helper_verdict_name (report->verdict), ==, "stock");
  g_assert_cmpstr (helper_reason_name (report->reason), ==, "offset-dropped");
  g_assert_cmphex (report->flags, ==, 0);
  g_assert_cmpint (jump.continuity_ns, <, -TRANSIT_NS / 2);
  for (uint32_t i = 0; i < report->vcpu_count; i++)
    g_assert_cmphex (tiny_vcpu_get_offset (&destination, (int) i), ==,
                     report->vcpus[i].ofs_before_ticks);
  vm_state_clear (&state);
  tiny_vm_clear (&destination);
  tiny_vm_clear (&source);
}

static void
measurement_append (GString *measurements, const char *arm, const struct clock_jump *jump)
{
  g_string_append_printf (measurements, "kvm,%s,coherence,%" PRId64 "\n", arm, jump->coherence_ns);
  g_string_append_printf (measurements, "kvm,%s,continuity,%" PRId64 "\n", arm,
                          jump->continuity_ns);
}

/* The guest in @source goes on in a VM that replaces it. */
static void
travel_once (int kvm_fd, struct tiny_vm *source, int64_t blackout_ns, GString *measurements)
{
  int64_t finish_ns = blackout_ns / 4;
  struct tiny_vm stock, destination;
  struct tiny_sample before = tiny_vcpu_read_clocks (source, 0);
  struct tiny_sample after, after_stock;
  struct clock_jump jump, stock_jump;
  struct vm_state state;
  g_autofree struct helper_report *report = NULL;

  vm_hand_over_pause (source, &state);
  pause_for (blackout_ns - finish_ns);
  vm_hand_over_load (&stock, kvm_fd, &state, NULL);
  vm_hand_over_load (&destination, kvm_fd, &state, vm_hand_over_ioctl);
  pause_for (finish_ns);
  report = vm_hand_over_resume_fixed (&destination, &state);
  after = tiny_vcpu_read_clocks (&destination, 0);
  tiny_vm_set_clock (&stock, state.clock_ns, 0);
  after_stock = tiny_vcpu_read_clocks (&stock, 0);

  jump = clock_jump_between (&before, &after);
  stock_jump = clock_jump_between (&before, &after_stock);
  print_jump ("clockferry", 0, &jump);
  print_jump ("stock", 0, &stock_jump);
  expect_no_jump (&jump, report);
  expect_stock_jump (&stock_jump, blackout_ns - finish_ns, finish_ns);
  measurement_append (measurements, "clockferry", &jump);
  measurement_append (measurements, "stock", &stock_jump);

  vm_state_clear (&state);
  tiny_vm_clear (&stock);
  tiny_vm_clear (source);
  *source = destination;
}

static void
check_travels_on (int kvm_fd)
{
  const char *directory = g_getenv (MEASUREMENTS_DIR);
  int travels = directory != NULL ? TRAVELS_MEASURED : TRAVELS;
  g_autoptr (GString) measurements = g_string_new ("suite,arm,quantity,ns\n");
  struct tiny_vm guest;

  vm_hand_over_begin (&guest, kvm_fd, VCPU_COUNT, false);
  for (int i = 0; i < travels; i++)
    travel_once (kvm_fd, &guest,
                 BLACKOUT_FIRST_NS + (BLACKOUT_LAST_NS - BLACKOUT_FIRST_NS) * i / (travels - 1),
                 measurements);
  tiny_vm_clear (&guest);

  if (directory != NULL) {
    g_autofree char *path = g_build_filename (directory, MEASUREMENTS_FILE, NULL);
    g_autoptr (GError) error = NULL;

    g_file_set_contents (path, measurements->str, (gssize) measurements->len, &error);
    g_assert_no_error (error);
  }
}

static const struct kvm_case cases[] = {
  { "record", check_record, .needs = KVM_ABILITY_MASTER_CLOCK },
  { "fixed", check_fixed, .needs = KVM_ABILITY_BOTH_CLOCKS },
  { "left-as-stock", check_left_as_stock, .needs = KVM_ABILITY_MASTER_CLOCK,
    .unless = KVM_ABILITY_OFFSETS },
  { "travels-on", check_travels_on, .needs = KVM_ABILITY_BOTH_CLOCKS },
};

int
main (void)
{
  return vm_hand_over_run_cases (cases, G_N_ELEMENTS (cases));
}
