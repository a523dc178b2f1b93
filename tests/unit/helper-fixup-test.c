/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-fixup-test - whole hand-overs between two modelled hosts
 *
 * The helper's own objects, from QEMU's ioctl down, with the daemon's end on the real socket. The
 * yardstick is not the formula: it is the source's VM, had it run on, read at the same true time.
 */

#include <errno.h>
#include <glib.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock-events.h"
#include "helper-channel.h"
#include "helper-peer.h"
#include "host-calls.h"
#include "kvm-model.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull
#define SRC       0
#define DEST      1

struct fixture {
  int daemon;
  struct clock_record *record; /* of the last KVM_GET_CLOCK */
  struct helper_fixup *fixup;
};

/* QEMU on the destination was started @age_ns ago. */
static void
start_helper (uint64_t age_ns)
{
  struct helper_process process = { .home = "/nonexistent" };

  kvm_model_set_monotonic_lag (age_ns);
  clock_events_start (&process);
  kvm_model_set_monotonic_lag (0);
}

static void
start (struct fixture *fixture, uint32_t vcpu_count, uint32_t seed)
{

  kvm_model_start (vcpu_count, seed);
  helper_peer_start ();
  start_helper (3600 * NS_PER_S);
  fixture->daemon = helper_peer_connect ();
}

static void
set_up (struct fixture *fixture, gconstpointer unused)
{
  start (fixture, 3, 1);
}

static void
tear_down (struct fixture *fixture, gconstpointer unused)
{
  close (fixture->daemon);
  g_clear_pointer (&fixture->record, g_free);
  g_clear_pointer (&fixture->fixup, g_free);
  clock_events_stop ();
  helper_peer_stop ();
  kvm_model_stop ();
}

/* QEMU pauses the source: KVM_GET_CLOCK, and the record that comes of it. */
static void
pause_source (struct fixture *fixture)
{
  struct kvm_clock_data clock;
  struct helper_record *message;

  g_assert_cmpint (clock_events_ioctl (kvm_model_vm_fd (SRC), KVM_GET_CLOCK, &clock), ==, 0);
  message = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_RECORD);
  g_free (fixture->record);
  fixture->record = g_memdup2 (&message->record, clock_record_size (message->record.vcpu_count));
  g_assert_cmpuint (fixture->record->guest_src_ns, ==, clock.clock);
  g_free (message);
}

/* Pause, let @blackout_ns pass, be on the destination with a fix-up prepared. */
static void
blackout (struct fixture *fixture, uint64_t blackout_ns)
{
  pause_source (fixture);
  kvm_model_pass (blackout_ns);
  kvm_model_move (DEST);
  g_free (fixture->fixup);
  fixture->fixup = helper_peer_fixup (fixture->record);
}

/* QEMU resumes on the destination with KVM_SET_CLOCK {flags = 0, clock of the source}. */
static int
resume (struct fixture *fixture)
{
  struct kvm_clock_data clock = { .clock = fixture->record->guest_src_ns };

  return clock_events_ioctl (kvm_model_vm_fd (DEST), KVM_SET_CLOCK, &clock);
}

static struct helper_report *
hand_over (struct fixture *fixture)
{
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  g_assert_cmpint (resume (fixture), ==, 0);
  return helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
}

static void
expect_verdict (const struct helper_report *report, enum helper_verdict verdict,
                enum helper_reason reason)
{
  g_assert_cmpstr (helper_verdict_name (report->verdict), ==, helper_verdict_name (verdict));
  g_assert_cmpstr (helper_reason_name (report->reason), ==, helper_reason_name (reason));
}

static uint64_t
distance (uint64_t a, uint64_t b)
{
  return (uint64_t) llabs ((int64_t) (a - b));
}

/* Both clocks of @vcpu read on the destination as they would on the source at this very time. */
static void
expect_as_if_still_on_source (uint32_t vcpu, uint64_t tolerance_ns)
{
  uint64_t now_ns = kvm_model_now_ns ();
  uint64_t khz = kvm_model_hosts[SRC].guest_khz;
  uint64_t tsc_src = kvm_model_guest_tsc (SRC, vcpu, now_ns);
  uint64_t tsc_dest = kvm_model_guest_tsc (DEST, vcpu, now_ns);

  g_assert_cmpuint (distance (kvm_model_kvmclock (SRC, now_ns), kvm_model_kvmclock (DEST, now_ns)),
                    <=, tolerance_ns);
  g_assert_cmpuint (distance (tsc_src, tsc_dest), <=, tolerance_ns * khz / 1000000 + 2);
}

/* kvmclock where the source stopped it, as stock QEMU has it, and the offsets as QEMU loaded them. */
static void
expect_as_stock (const struct fixture *fixture, const struct kvm_model_host *before)
{
  const struct kvm_model_host *host = &kvm_model_hosts[DEST];
  uint64_t clock_ns = kvm_model_kvmclock (DEST, kvm_model_now_ns ());

  g_assert_cmpuint (distance (clock_ns, fixture->record->guest_src_ns), <, 100000);
  for (uint32_t i = 0; i < host->vcpu_count; i++)
    g_assert_cmphex (host->vcpus[i].ofs_ticks, ==, before->vcpus[i].ofs_ticks);
}

/* A hand-over that must come to @reason and leave everything as stock. */
static struct helper_report *
expect_stock (struct fixture *fixture, enum helper_reason reason)
{
  struct kvm_model_host before = kvm_model_hosts[DEST];
  struct helper_report *report = hand_over (fixture);

  expect_verdict (report, HELPER_VERDICT_STOCK, reason);
  expect_as_stock (fixture, &before);
  return report;
}

/* As above, decided before the first write. */
static void
expect_untouched (struct fixture *fixture, enum helper_reason reason)
{
  uint32_t writes = kvm_model_hosts[DEST].set_offset_count;
  struct helper_report *report = expect_stock (fixture, reason);

  g_assert_cmpuint (kvm_model_hosts[DEST].set_offset_count, ==, writes);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_clock_count, ==, 1);
  g_assert_cmpuint (report->attempts, ==, 0);
  g_free (report);
}

static void
test_fixed (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  blackout (fixture, 178 * NS_PER_MS);
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  expect_as_if_still_on_source (0, 100);
  g_assert_cmpint (llabs (report->residual_ns), <, 100);
  g_assert_cmpint (report->advance_ns, >=, (int64_t) (178 * NS_PER_MS));
  g_assert_cmpuint (report->vcpu_count, ==, 3);
  for (uint32_t i = 0; i < 3; i++) {
    g_assert_cmphex (report->vcpus[i].ofs_dest_ticks, ==, report->vcpus[0].ofs_dest_ticks);
    g_assert_cmphex (report->vcpus[i].ofs_dest_ticks, ==, kvm_model_hosts[DEST].vcpus[i].ofs_ticks);
  }
  kvm_model_enter (DEST);
  g_assert_true (kvm_model_hosts[DEST].use_master);
}

/* Random hosts: frequencies with and without scaling, both ratio widths, vCPU counts, blackouts. */
static void
test_random (void)
{
  for (uint32_t seed = 1; seed <= 300; seed++) {
    struct fixture fixture = { 0 };
    g_autoptr (GRand) dice = g_rand_new_with_seed (seed);
    struct kvm_model_host *src = &kvm_model_hosts[SRC];
    struct kvm_model_host *dest = &kvm_model_hosts[DEST];
    uint64_t offsets[2][KVM_MODEL_VCPUS];
    g_autofree struct helper_report *report = NULL;
    bool scaling = g_rand_boolean (dice);

    start (&fixture, (uint32_t) g_rand_int_range (dice, 1, KVM_MODEL_VCPUS + 1), seed);
    src->guest_khz = dest->guest_khz = (uint32_t) g_rand_int_range (dice, 1000000, 4000000);
    for (int index = 0; index < 2; index++) {
      struct kvm_model_host *host = &kvm_model_hosts[index];

      host->frac_bits = scaling ? (g_rand_boolean (dice) ? 48 : 32) : 0;
      host->host_khz = scaling ? (uint32_t) g_rand_int_range (dice, 1000000, 4000000)
                               : host->guest_khz;
      host->tsc_at_zero_ticks = (uint64_t) g_rand_int (dice) << g_rand_int_range (dice, 0, 24);
      offsets[index][0] = (uint64_t) g_rand_int (dice) << 32 | g_rand_int (dice);
      for (uint32_t i = 1; i < host->vcpu_count; i++)
        offsets[index][i] = offsets[index][0];
      kvm_model_load_offsets (index, offsets[index]);
    }
    kvm_model_enter (SRC);
    kvm_model_pass ((uint64_t) g_rand_int (dice) * 1000);

    blackout (&fixture, (uint64_t) g_rand_int_range (dice, 1, 290000) * NS_PER_MS);
    report = hand_over (&fixture);
    expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
    expect_as_if_still_on_source (0, 100 + 1000);
    kvm_model_enter (DEST);
    g_assert_true (dest->use_master);
    tear_down (&fixture, NULL);
  }
}

/* First remark of the thread: when the source's pair was read does not matter. */
static void
test_pair_any_time (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct clock_record *early = NULL;
  g_autofree struct helper_report *report = NULL;

  pause_source (fixture);
  early = g_memdup2 (fixture->record, clock_record_size (fixture->record->vcpu_count));
  kvm_model_pass (3 * NS_PER_S);
  blackout (fixture, 50 * NS_PER_MS);

  /* resume by the early pair: three seconds before QEMU's last KVM_GET_CLOCK */
  g_free (fixture->record);
  fixture->record = g_steal_pointer (&early);
  g_free (fixture->fixup);
  fixture->fixup = helper_peer_fixup (fixture->record);
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  expect_as_if_still_on_source (0, 100);
}

/* ... and doing it twice changes nothing. */
static void
test_twice (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *first = NULL;
  g_autofree struct helper_report *second = NULL;

  blackout (fixture, NS_PER_S);
  first = hand_over (fixture);
  kvm_model_pass (2 * NS_PER_S);
  second = hand_over (fixture);
  expect_verdict (second, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  expect_as_if_still_on_source (0, 100);
  g_assert_cmpuint (distance (first->vcpus[0].ofs_dest_ticks, second->vcpus[0].ofs_dest_ticks), <=,
                    200 * 2600000ull / 1000000 + 2);
}

/* Second remark: the blackout is in the TSC once, neither not at all nor twice. */
static void
test_credited_once (struct fixture *fixture, gconstpointer unused)
{
  uint64_t tsc_at_pause, tsc_at_resume, paused_ns;
  g_autofree struct helper_report *report = NULL;

  blackout (fixture, 10 * NS_PER_S);
  paused_ns = fixture->record->host_src_ns - kvm_model_realtime (SRC, 0);
  tsc_at_pause = kvm_model_guest_tsc (SRC, 0, paused_ns);
  report = hand_over (fixture);
  tsc_at_resume = kvm_model_guest_tsc (DEST, 0, paused_ns + 10 * NS_PER_S);
  g_assert_cmpuint (distance (tsc_at_resume - tsc_at_pause, 10 * 2600000000ull), <, 1000);
  g_assert_cmpuint (distance (kvm_model_kvmclock (DEST, paused_ns + 10 * NS_PER_S),
                              fixture->record->guest_src_ns + 10 * NS_PER_S),
                    <, 1000);
}

static void
test_used_once (struct fixture *fixture, gconstpointer unused)
{
  struct kvm_model_host after;

  blackout (fixture, NS_PER_S);
  g_free (hand_over (fixture));
  after = kvm_model_hosts[DEST];
  g_assert_cmpint (resume (fixture), ==, 0);
  helper_peer_expect_silence (fixture->daemon);
  expect_as_stock (fixture, &after);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_clock_count, ==, after.set_clock_count + 1);
}

static void
test_theta (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].real_at_zero_ns -= 700 * NS_PER_MS;
  blackout (fixture, 200 * NS_PER_MS);
  fixture->fixup->theta_ns = -(int64_t) (700 * NS_PER_MS);
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  expect_as_if_still_on_source (0, 100);
}

/* A host where the two samples of KVM_SET_CLOCK lie wildly apart: bounded, and still close. */
static void
test_noisy_gap (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].gap_max_ns = 40000;
  blackout (fixture, NS_PER_S);
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_cmpuint (report->attempts, <=, 8);
  g_assert_cmpuint (report->attempts, >=, 2);
  expect_as_if_still_on_source (0, 40000);
  /* the TSC goes by kvmclock, not by CLOCK_REALTIME: coherence does not suffer */
  g_assert_cmpuint (
    distance (kvm_model_kvmclock (DEST, 0) - kvm_model_kvmclock (SRC, 0),
              (kvm_model_guest_tsc (DEST, 0, 0) - kvm_model_guest_tsc (SRC, 0, 0)) * 10 / 26),
    <=, 2);
}

/* QEMU loaded unequal offsets: KVM has its master clock only after they are brought into step. */
static void
test_unequal_on_destination (struct fixture *fixture, gconstpointer unused)
{
  const uint64_t offsets[] = { 1000, 1001, 4000000 };
  g_autofree struct helper_report *report = NULL;

  kvm_model_load_offsets (DEST, offsets);
  blackout (fixture, NS_PER_S);
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_cmphex (report->vcpus[2].ofs_before_ticks, ==, 4000000);
  for (uint32_t i = 0; i < 3; i++)
    expect_as_if_still_on_source (i, 100);
  kvm_model_enter (DEST);
  g_assert_true (kvm_model_hosts[DEST].use_master);
}

static void
test_joined (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[SRC].vcpus[1].ofs_ticks += 2600000ull * 999;
  kvm_model_hosts[SRC].vcpus[2].ofs_ticks -= 2600000ull * 999;
  blackout (fixture, NS_PER_S);
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_cmphex (report->flags, ==, HELPER_REPORT_OFFSETS_JOINED);
  g_assert_cmphex (report->vcpus[1].ofs_dest_ticks, ==, report->vcpus[0].ofs_dest_ticks);
  g_assert_cmphex (report->vcpus[2].ofs_dest_ticks, ==, report->vcpus[0].ofs_dest_ticks);
  expect_as_if_still_on_source (0, 100);
}

static void
test_apart (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[SRC].vcpus[1].ofs_ticks += 2600000ull * 1000;
  kvm_model_hosts[SRC].vcpus[2].ofs_ticks -= 2600000ull * 1001;
  blackout (fixture, NS_PER_S);
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_cmphex (report->flags, ==, HELPER_REPORT_OFFSETS_APART);
  for (uint32_t i = 0; i < 3; i++)
    expect_as_if_still_on_source (i, 100);
}

/* A vCPU that the source did not have goes with the first. */
static void
test_new_vcpu (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  blackout (fixture, NS_PER_S);
  fixture->record->vcpu_count = 2;
  g_free (fixture->fixup);
  fixture->fixup = helper_peer_fixup (fixture->record);
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_cmphex (report->vcpus[2].ofs_dest_ticks, ==, report->vcpus[0].ofs_dest_ticks);
}

static void
test_deadline_rearmed (struct fixture *fixture, gconstpointer unused)
{
  uint64_t now_ticks;

  blackout (fixture, 5 * NS_PER_S);
  now_ticks = kvm_model_guest_tsc (SRC, 1, kvm_model_now_ns ());
  kvm_model_arm (DEST, 1, now_ticks + 3 * 2600000000ull);
  g_free (hand_over (fixture));
  g_assert_true (kvm_model_is_armed_right (DEST, 1));
  g_assert_cmpuint (kvm_model_hosts[DEST].vcpus[0].deadline_ticks, ==, 0);
}

static void
test_hyperv_guest (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].vcpus[0].has_pvclock = false;
  kvm_model_hosts[DEST].hyperv_reference_tsc = 0x12345001;
  blackout (fixture, NS_PER_S);
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
}

static void
test_no_pvclock (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].vcpus[0].has_pvclock = false;
  blackout (fixture, NS_PER_S);
  expect_untouched (fixture, HELPER_REASON_NO_PVCLOCK);
}

static void
test_no_pvclock_wanted (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].vcpus[0].has_pvclock = false;
  blackout (fixture, NS_PER_S);
  fixture->fixup->flags = HELPER_FIXUP_WITHOUT_PVCLOCK;
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
}

static void
expect_kvmclock_only (struct fixture *fixture)
{
  struct kvm_model_host before = kvm_model_hosts[DEST];
  g_autofree struct helper_report *report = NULL;
  uint64_t now_ns;

  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_KVMCLOCK_ONLY, HELPER_REASON_NO_MASTER_CLOCK);
  now_ns = kvm_model_now_ns ();
  g_assert_cmpuint (distance (kvm_model_kvmclock (SRC, now_ns), kvm_model_kvmclock (DEST, now_ns)),
                    <, 10000);
  for (uint32_t i = 0; i < 3; i++)
    g_assert_cmphex (kvm_model_hosts[DEST].vcpus[i].ofs_ticks, ==, before.vcpus[i].ofs_ticks);
}

static void
test_no_master_on_source (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[SRC].stable_tsc = false;
  kvm_model_enter (SRC);
  blackout (fixture, NS_PER_S);
  g_assert_cmphex (fixture->record->flags, ==, 0);
  expect_kvmclock_only (fixture);
}

static void
test_no_master_on_destination (struct fixture *fixture, gconstpointer unused)
{
  const uint64_t offsets[] = { 1000, 1001, 1002 };

  kvm_model_hosts[DEST].stable_tsc = false;
  kvm_model_load_offsets (DEST, offsets);
  blackout (fixture, NS_PER_S);
  expect_kvmclock_only (fixture);
}

/* The source's kernel has a master clock and does not tell where: neither clock. */
static void
test_old_kernel_on_source (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[SRC].old_kernel = true;
  blackout (fixture, NS_PER_S);
  g_assert_cmphex (fixture->record->flags, ==, CLOCK_RECORD_TSC_OPAQUE);
  expect_untouched (fixture, HELPER_REASON_TSC_OPAQUE);
}

static void
test_old_kernel_on_destination (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].old_kernel = true;
  blackout (fixture, NS_PER_S);
  expect_untouched (fixture, HELPER_REASON_KERNEL_TOO_OLD);
}

/* Kernels 5.16 and 5.17 do not tell the host's frequency: no harm without scaling. */
static void
test_old_vm_khz (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[SRC].old_vm_khz = kvm_model_hosts[DEST].old_vm_khz = true;
  blackout (fixture, NS_PER_S);
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  expect_as_if_still_on_source (0, 100);
}

static void
test_opaque_tsc (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].garbles_tsc = true;
  blackout (fixture, NS_PER_S);
  expect_untouched (fixture, HELPER_REASON_TSC_OPAQUE);
}

static void
test_opaque_tsc_on_source (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[SRC].garbles_tsc = true;
  blackout (fixture, NS_PER_S);
  g_assert_cmphex (fixture->record->flags, ==, CLOCK_RECORD_TSC_OPAQUE);
  expect_untouched (fixture, HELPER_REASON_TSC_OPAQUE);
}

static void
test_catchup_on_source (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[SRC].guest_khz = 3000000;
  kvm_model_hosts[DEST].guest_khz = kvm_model_hosts[DEST].host_khz = 3000000;
  blackout (fixture, NS_PER_S);
  g_assert_cmphex (fixture->record->flags & CLOCK_RECORD_TSC_CATCHUP, !=, 0);
  expect_untouched (fixture, HELPER_REASON_TSC_CATCHUP);
}

static void
test_catchup_on_destination (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].host_khz = 2000000;
  blackout (fixture, NS_PER_S);
  expect_untouched (fixture, HELPER_REASON_TSC_CATCHUP);
}

static void
test_frequency (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].host_khz = kvm_model_hosts[DEST].guest_khz = 2600651;
  blackout (fixture, NS_PER_S);
  expect_untouched (fixture, HELPER_REASON_FREQUENCY);
}

static void
test_frequency_within (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].host_khz = kvm_model_hosts[DEST].guest_khz = 2600650;
  blackout (fixture, NS_PER_S);
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  expect_as_if_still_on_source (0, 200);
}

static void
test_frequency_ignored (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].host_khz = 3000000;
  blackout (fixture, NS_PER_S);
  expect_untouched (fixture, HELPER_REASON_FREQUENCY);
}

static void
test_negative_elapsed (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].real_at_zero_ns -= 2 * NS_PER_S;
  blackout (fixture, NS_PER_S);
  expect_untouched (fixture, HELPER_REASON_NEGATIVE_ELAPSED);
}

static void
test_max_advance (struct fixture *fixture, gconstpointer unused)
{
  blackout (fixture, 301 * NS_PER_S);
  expect_untouched (fixture, HELPER_REASON_MAX_ADVANCE);
}

static void
test_longer_than_known (struct fixture *fixture, gconstpointer unused)
{
  blackout (fixture, 5 * NS_PER_S);
  start_helper (4 * NS_PER_S);
  expect_untouched (fixture, HELPER_REASON_LONGER_THAN_KNOWN);
}

static void
test_known_within_bound (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  blackout (fixture, 5 * NS_PER_S);
  start_helper (4 * NS_PER_S);
  fixture->fixup->theta_bound_ns = 1100 * NS_PER_MS;
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
}

static void
test_deadline_passed (struct fixture *fixture, gconstpointer unused)
{
  blackout (fixture, NS_PER_S);
  fixture->fixup->deadline_monotonic_ns = host_calls.clock_ns (CLOCK_MONOTONIC) - 1;
  expect_untouched (fixture, HELPER_REASON_DEADLINE_PASSED);
}

static void
test_clock_mismatch (struct fixture *fixture, gconstpointer unused)
{
  blackout (fixture, NS_PER_S);
  fixture->fixup->record.guest_src_ns++;
  expect_untouched (fixture, HELPER_REASON_CLOCK_MISMATCH);
}

static void
test_no_record (struct fixture *fixture, gconstpointer unused)
{
  struct kvm_model_host before = kvm_model_hosts[DEST];
  g_autofree struct helper_report *report = NULL;

  blackout (fixture, NS_PER_S);
  helper_peer_announce (fixture->daemon, host_calls.clock_ns (CLOCK_MONOTONIC) + NS_PER_S);
  g_assert_cmpint (resume (fixture), ==, 0);
  report = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
  expect_verdict (report, HELPER_VERDICT_STOCK, HELPER_REASON_NO_RECORD);
  expect_as_stock (fixture, &before);
  g_assert_cmpuint (report->waited_ns, >=, HELPER_WAIT_MAX_MS * NS_PER_MS);
  g_assert_cmpuint (report->spent_ns, >=, report->waited_ns);
}

static void
test_no_vcpus (struct fixture *fixture, gconstpointer unused)
{
  blackout (fixture, NS_PER_S);
  host_calls.fd_links = "/nonexistent";
  expect_untouched (fixture, HELPER_REASON_NO_VCPUS);
}

static void
test_patched_by_flag (struct fixture *fixture, gconstpointer unused)
{
  struct kvm_clock_data clock = { .flags = KVM_CLOCK_REALTIME };
  g_autofree struct helper_report *report = NULL;

  blackout (fixture, NS_PER_S);
  clock.clock = fixture->record->guest_src_ns;
  clock.realtime = fixture->record->host_src_ns;
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  g_assert_cmpint (clock_events_ioctl (kvm_model_vm_fd (DEST), KVM_SET_CLOCK, &clock), ==, 0);
  report = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
  expect_verdict (report, HELPER_VERDICT_STOCK, HELPER_REASON_PATCHED_QEMU);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_clock_count, ==, 1);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_offset_count, ==, 0);
}

static void
test_patched_by_attribute (struct fixture *fixture, gconstpointer unused)
{
  uint64_t ofs_ticks = kvm_model_hosts[DEST].vcpus[0].ofs_ticks;
  struct kvm_device_attr attr = { .addr = (uintptr_t) &ofs_ticks };

  blackout (fixture, NS_PER_S);
  g_assert_cmpint (clock_events_ioctl (kvm_model_vm_fd (DEST) + 1, KVM_SET_DEVICE_ATTR, &attr), ==,
                   0);
  expect_untouched (fixture, HELPER_REASON_PATCHED_QEMU);
}

/* kvm-pvm: found out after kvmclock was moved, and undone. */
static void
test_offset_dropped (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].drops_offsets = true;
  blackout (fixture, NS_PER_S);
  report = expect_stock (fixture, HELPER_REASON_OFFSET_DROPPED);
  g_assert_cmphex (report->flags, ==, 0);
}

/* Every ioctl of the fix-up fails once, one run each: everything is undone, deadlines included. */
static void
test_ioctl_fails (gconstpointer request)
{
  uint32_t stock_count = 0;
  bool fixed = false;

  for (uint32_t fail_after = 0; !fixed; fail_after++) {
    struct fixture fixture = { 0 };
    struct kvm_model_host before;
    g_autofree struct helper_report *report = NULL;

    start (&fixture, 3, 7);
    g_assert_cmpuint (fail_after, <, 100);
    blackout (&fixture, NS_PER_S);
    kvm_model_arm (DEST, 1, kvm_model_guest_tsc (DEST, 1, kvm_model_now_ns ()) + 26000000000);
    before = kvm_model_hosts[DEST];
    kvm_model_hosts[DEST].fail_request = (uint64_t) GPOINTER_TO_SIZE (request);
    kvm_model_hosts[DEST].fail_after = fail_after;
    report = hand_over (&fixture);
    fixed = report->verdict == HELPER_VERDICT_FIXED;
    g_assert_true (kvm_model_is_armed_right (DEST, 1));
    if (!fixed) {
      expect_as_stock (&fixture, &before);
      g_assert_cmphex (report->flags & HELPER_REPORT_UNDO_FAILED, ==, 0);
      if (report->reason == HELPER_REASON_IOCTL_FAILED)
        g_assert_cmpint (report->failed_errno, ==, EIO);
      stock_count++;
    }
    tear_down (&fixture, NULL);
  }
  g_assert_cmpuint (stock_count, >, 0);
}

/* Somebody sets CLOCK_REALTIME while we work: not what was promised, undone. */
static void
test_check_failed (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].realtime_step_ns = 20 * (int64_t) NS_PER_MS;
  blackout (fixture, NS_PER_S);
  g_free (expect_stock (fixture, HELPER_REASON_CHECK_FAILED));
}

/* The same where kvmclock is all there is. */
static void
test_check_failed_kvmclock_only (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].stable_tsc = false;
  test_check_failed (fixture, unused);
}

/* A kernel whose kvmclock moves when offsets are written, forwards or back. */
static void
test_kvmclock_moves (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].kvmclock_step_ns = 20000;
  blackout (fixture, NS_PER_S);
  g_free (expect_stock (fixture, HELPER_REASON_CHECK_FAILED));
}

static void
test_kvmclock_moves_back (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].kvmclock_step_ns = -(int64_t) NS_PER_MS;
  blackout (fixture, NS_PER_S);
  g_free (expect_stock (fixture, HELPER_REASON_CHECK_FAILED));
}

/* VCPUs that are kept apart leave nothing to compare with, but kvmclock itself. */
static void
test_kvmclock_moves_back_apart (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[SRC].vcpus[1].ofs_ticks += 2600000ull * 1000;
  test_kvmclock_moves_back (fixture, unused);
}

static void
test_master_lost (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].loses_master = true;
  blackout (fixture, NS_PER_S);
  g_free (expect_stock (fixture, HELPER_REASON_CHECK_FAILED));
}

static void
test_observe (struct fixture *fixture, gconstpointer unused)
{
  struct kvm_model_host before = kvm_model_hosts[DEST];
  g_autofree struct helper_report *observed = NULL;
  g_autofree struct helper_report *fixed = NULL;

  blackout (fixture, NS_PER_S);
  fixture->fixup->mode = HELPER_MODE_OBSERVE;
  observed = hand_over (fixture);
  expect_verdict (observed, HELPER_VERDICT_OBSERVED, HELPER_REASON_OBSERVE_ONLY);
  expect_as_stock (fixture, &before);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_clock_count, ==, 1);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_offset_count, ==, 0);
  g_assert_cmpint (observed->residual_ns, <, -(int64_t) NS_PER_S);

  fixture->fixup->mode = HELPER_MODE_APPLY;
  fixed = hand_over (fixture);
  expect_verdict (fixed, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  for (uint32_t i = 0; i < 3; i++)
    g_assert_cmpuint (distance (observed->vcpus[i].ofs_dest_ticks, fixed->vcpus[i].ofs_dest_ticks),
                      <, 100 * 26 / 10 + 2);
}

static void
test_observe_no_master (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].stable_tsc = false;
  blackout (fixture, NS_PER_S);
  fixture->fixup->mode = HELPER_MODE_OBSERVE;
  report = hand_over (fixture);
  expect_verdict (report, HELPER_VERDICT_OBSERVED, HELPER_REASON_NO_MASTER_CLOCK);
}

/* Pause and resume on one host with nobody announcing anything: stock, and not a word. */
static void
test_pause_resume (struct fixture *fixture, gconstpointer unused)
{
  struct kvm_model_host before = kvm_model_hosts[SRC];
  struct kvm_clock_data clock;

  pause_source (fixture);
  kvm_model_pass (NS_PER_S);
  clock = (struct kvm_clock_data){ .clock = fixture->record->guest_src_ns };
  g_assert_cmpint (clock_events_ioctl (kvm_model_vm_fd (SRC), KVM_SET_CLOCK, &clock), ==, 0);
  helper_peer_expect_silence (fixture->daemon);
  g_assert_cmpuint (kvm_model_hosts[SRC].set_clock_count, ==, before.set_clock_count + 1);
  g_assert_cmpuint (kvm_model_hosts[SRC].set_offset_count, ==, 0);
}

static void
test_withdrawn (struct fixture *fixture, gconstpointer unused)
{
  struct kvm_model_host before = kvm_model_hosts[DEST];
  struct helper_header withdraw;

  blackout (fixture, NS_PER_S);
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  helper_header_init (&withdraw, HELPER_MESSAGE_WITHDRAW, sizeof withdraw, helper_peer_domain);
  helper_peer_send (fixture->daemon, &withdraw, sizeof withdraw);
  g_assert_cmpint (resume (fixture), ==, 0);
  helper_peer_expect_silence (fixture->daemon);
  expect_as_stock (fixture, &before);
}

/* QEMU closed a vCPU's fd, and the number has become that of another vCPU, or of a file. */
static void
test_closed_vcpu (struct fixture *fixture, gconstpointer unused)
{
  kvm_model_relink (SRC, 1, "anon_inode:kvm-vcpu:22");
  pause_source (fixture);
  g_assert_cmpuint (fixture->record->vcpu_count, ==, 2);
  kvm_model_relink (SRC, 2, "socket:[4711]");
  pause_source (fixture);
  g_assert_cmpuint (fixture->record->vcpu_count, ==, 1);
  g_assert_cmpuint (fixture->record->vcpus[0].id, ==, 0);
}

static void
test_xen (struct fixture *fixture, gconstpointer unused)
{
  struct kvm_clock_data clock;

  kvm_model_hosts[SRC].fail_request = KVM_XEN_HVM_CONFIG;
  clock_events_ioctl (kvm_model_vm_fd (SRC), KVM_XEN_HVM_CONFIG, NULL);
  g_assert_cmpint (clock_events_ioctl (kvm_model_vm_fd (SRC), KVM_GET_CLOCK, &clock), ==, 0);
  helper_peer_expect_silence (fixture->daemon);
}

/* QEMU before 9.1 passes requests as int; errno is its own. */
static void
test_sign_extended (struct fixture *fixture, gconstpointer unused)
{
  struct kvm_clock_data clock;

  errno = EXDEV;
  g_assert_cmpint (
    clock_events_ioctl (kvm_model_vm_fd (SRC), (unsigned long) (int) KVM_GET_CLOCK, &clock), ==, 0);
  g_assert_cmpint (errno, ==, EXDEV);
  g_free (helper_peer_expect (fixture->daemon, HELPER_MESSAGE_RECORD));
}

/* QEMU's own ioctl fails: its value and errno arrive, and a report all the same. */
static void
test_own_ioctl_fails (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  blackout (fixture, NS_PER_S);
  fixture->fixup->record.guest_src_ns++;
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  kvm_model_hosts[DEST].fail_request = KVM_SET_CLOCK;
  errno = 0;
  g_assert_cmpint (resume (fixture), ==, -1);
  g_assert_cmpint (errno, ==, EIO);
  report = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
  expect_verdict (report, HELPER_VERDICT_STOCK, HELPER_REASON_CLOCK_MISMATCH);
}

static void
add (const char *path, void (*test) (struct fixture *, gconstpointer))
{
  g_test_add (path, struct fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  add ("/fixup/fixed", test_fixed);
  g_test_add_func ("/fixup/fixed/random", test_random);
  add ("/fixup/fixed/pair-any-time", test_pair_any_time);
  add ("/fixup/fixed/twice", test_twice);
  add ("/fixup/fixed/credited-once", test_credited_once);
  add ("/fixup/fixed/used-once", test_used_once);
  add ("/fixup/fixed/theta", test_theta);
  add ("/fixup/fixed/noisy-gap", test_noisy_gap);
  add ("/fixup/fixed/unequal-on-destination", test_unequal_on_destination);
  add ("/fixup/fixed/joined", test_joined);
  add ("/fixup/fixed/apart", test_apart);
  add ("/fixup/fixed/new-vcpu", test_new_vcpu);
  add ("/fixup/fixed/deadline-rearmed", test_deadline_rearmed);
  add ("/fixup/fixed/hyperv-guest", test_hyperv_guest);
  add ("/fixup/fixed/no-pvclock-wanted", test_no_pvclock_wanted);
  add ("/fixup/fixed/old-vm-khz", test_old_vm_khz);
  add ("/fixup/fixed/frequency-within", test_frequency_within);
  add ("/fixup/fixed/known-within-bound", test_known_within_bound);

  add ("/fixup/kvmclock-only/source", test_no_master_on_source);
  add ("/fixup/kvmclock-only/destination", test_no_master_on_destination);

  add ("/fixup/stock/no-pvclock", test_no_pvclock);
  add ("/fixup/stock/old-kernel-on-source", test_old_kernel_on_source);
  add ("/fixup/stock/old-kernel-on-destination", test_old_kernel_on_destination);
  add ("/fixup/stock/opaque-tsc", test_opaque_tsc);
  add ("/fixup/stock/opaque-tsc-on-source", test_opaque_tsc_on_source);
  add ("/fixup/stock/catchup-on-source", test_catchup_on_source);
  add ("/fixup/stock/catchup-on-destination", test_catchup_on_destination);
  add ("/fixup/stock/frequency", test_frequency);
  add ("/fixup/stock/frequency-ignored", test_frequency_ignored);
  add ("/fixup/stock/negative-elapsed", test_negative_elapsed);
  add ("/fixup/stock/max-advance", test_max_advance);
  add ("/fixup/stock/longer-than-known", test_longer_than_known);
  add ("/fixup/stock/deadline-passed", test_deadline_passed);
  add ("/fixup/stock/clock-mismatch", test_clock_mismatch);
  add ("/fixup/stock/no-record", test_no_record);
  add ("/fixup/stock/no-vcpus", test_no_vcpus);
  add ("/fixup/stock/patched-by-flag", test_patched_by_flag);
  add ("/fixup/stock/patched-by-attribute", test_patched_by_attribute);

  add ("/fixup/undone/offset-dropped", test_offset_dropped);
  add ("/fixup/undone/check-failed", test_check_failed);
  add ("/fixup/undone/check-failed/kvmclock-moves", test_kvmclock_moves);
  add ("/fixup/undone/check-failed/kvmclock-moves-back", test_kvmclock_moves_back);
  add ("/fixup/undone/check-failed/kvmclock-moves-back/apart", test_kvmclock_moves_back_apart);
  add ("/fixup/undone/check-failed/master-lost", test_master_lost);
  add ("/fixup/undone/check-failed/kvmclock-only", test_check_failed_kvmclock_only);
  g_test_add_data_func ("/fixup/undone/get-offset", GSIZE_TO_POINTER (KVM_GET_DEVICE_ATTR),
                        test_ioctl_fails);
  g_test_add_data_func ("/fixup/undone/set-offset", GSIZE_TO_POINTER (KVM_SET_DEVICE_ATTR),
                        test_ioctl_fails);
  g_test_add_data_func ("/fixup/undone/set-clock", GSIZE_TO_POINTER (KVM_SET_CLOCK),
                        test_ioctl_fails);
  g_test_add_data_func ("/fixup/undone/get-clock", GSIZE_TO_POINTER (KVM_GET_CLOCK),
                        test_ioctl_fails);
  g_test_add_data_func ("/fixup/undone/set-deadline", GSIZE_TO_POINTER (KVM_SET_MSRS),
                        test_ioctl_fails);

  add ("/fixup/observe", test_observe);
  add ("/fixup/observe/no-master-clock", test_observe_no_master);
  add ("/fixup/silent/pause-resume", test_pause_resume);
  add ("/fixup/silent/withdrawn", test_withdrawn);
  add ("/fixup/silent/xen", test_xen);
  add ("/fixup/record/closed-vcpu", test_closed_vcpu);
  add ("/fixup/ioctl/sign-extended", test_sign_extended);
  add ("/fixup/ioctl/own-fails", test_own_ioctl_fails);

  return g_test_run ();
}
