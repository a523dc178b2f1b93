/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-fixup-test - hand-overs that are fixed: both clocks, or kvmclock alone
 */

#include <glib.h>
#include <stdlib.h>

#include "hand-over.h"
#include "helper-peer.h"

static void
test_fixed (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  hand_over_blackout (fixture, 178 * NS_PER_MS);
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  hand_over_expect_continuous (0, 100);
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

/* QEMU loads the TSC of the pause. */
static void
load_saved_tsc (uint64_t saved_at_ns)
{
  uint64_t host_ticks = kvm_model_host_tsc (DEST, kvm_model_now_ns ());
  uint64_t scaled_ticks = kvm_model_tsc_scale (&kvm_model_hosts[DEST], host_ticks);
  uint64_t offsets[KVM_MODEL_VCPUS];

  for (uint32_t i = 0; i < KVM_MODEL_VCPUS; i++)
    offsets[i] = kvm_model_guest_tsc (SRC, 0, saved_at_ns) - scaled_ticks;
  kvm_model_load_offsets (DEST, offsets);
}

/* Random hosts: frequencies with and without scaling, both ratio widths, vCPU counts, blackouts. */
static void
test_random (void)
{
  for (uint32_t seed = 1; seed <= 300; seed++) {
    struct hand_over fixture = { 0 };
    g_autoptr (GRand) dice = g_rand_new_with_seed (seed);
    struct kvm_model_host *src = &kvm_model_hosts[SRC];
    struct kvm_model_host *dest = &kvm_model_hosts[DEST];
    uint64_t offsets[KVM_MODEL_VCPUS];
    g_autofree struct helper_report *report = NULL;
    bool scaling = g_rand_boolean (dice);
    uint64_t saved_at_ns;

    hand_over_start (&fixture, (uint32_t) g_rand_int_range (dice, 1, KVM_MODEL_VCPUS + 1), seed);
    src->guest_khz = dest->guest_khz = (uint32_t) g_rand_int_range (dice, 1000000, 4000000);
    for (int index = 0; index < 2; index++) {
      struct kvm_model_host *host = &kvm_model_hosts[index];

      host->frac_bits = scaling ? (g_rand_boolean (dice) ? 48 : 32) : 0;
      host->host_khz = scaling ? (uint32_t) g_rand_int_range (dice, 1000000, 4000000)
                               : host->guest_khz;
      host->tsc_at_zero_ticks = (uint64_t) g_rand_int (dice) << g_rand_int_range (dice, 0, 24);
    }
    offsets[0] = (uint64_t) g_rand_int (dice) << 32 | g_rand_int (dice);
    for (uint32_t i = 1; i < src->vcpu_count; i++)
      offsets[i] = offsets[0];
    kvm_model_load_offsets (SRC, offsets);
    kvm_model_enter (SRC);
    kvm_model_pass ((uint64_t) g_rand_int (dice) * 1000);

    saved_at_ns = kvm_model_now_ns ();
    hand_over_blackout (&fixture, (uint64_t) g_rand_int_range (dice, 1, 290000) * NS_PER_MS);
    load_saved_tsc (saved_at_ns);
    report = hand_over_finish (&fixture);
    hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
    hand_over_expect_continuous (0, 100 + 1000);
    kvm_model_enter (DEST);
    g_assert_true (dest->use_master);
    hand_over_tear_down (&fixture, NULL);
  }
}

/* First remark of the thread: when the source's pair was read does not matter. */
static void
test_pair_any_time (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct clock_record *early = NULL;
  g_autofree struct helper_report *report = NULL;

  hand_over_pause (fixture);
  early = g_memdup2 (fixture->record, clock_record_size (fixture->record->vcpu_count));
  kvm_model_pass (3 * NS_PER_S);
  hand_over_blackout (fixture, 50 * NS_PER_MS);

  /* resume by the early pair: three seconds before QEMU's last KVM_GET_CLOCK */
  g_free (fixture->record);
  fixture->record = g_steal_pointer (&early);
  hand_over_prepare (fixture);
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  hand_over_expect_continuous (0, 100);
}

/* ... and doing it twice changes nothing. */
static void
test_twice (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *first = NULL;
  g_autofree struct helper_report *second = NULL;

  hand_over_blackout (fixture, NS_PER_S);
  first = hand_over_finish (fixture);
  kvm_model_pass (2 * NS_PER_S);
  second = hand_over_finish (fixture);
  hand_over_expect_verdict (second, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  hand_over_expect_continuous (0, 100);
  g_assert_cmpuint (
    hand_over_distance (first->vcpus[0].ofs_dest_ticks, second->vcpus[0].ofs_dest_ticks), <=,
    200 * 2600000ull / 1000000 + 2);
}

/* Second remark: the blackout is in the TSC once, neither not at all nor twice. */
static void
test_credited_once (struct hand_over *fixture, gconstpointer unused)
{
  uint64_t tsc_at_pause, tsc_at_resume, paused_ns;
  g_autofree struct helper_report *report = NULL;

  hand_over_blackout (fixture, 10 * NS_PER_S);
  paused_ns = fixture->record->host_src_ns - kvm_model_realtime (SRC, 0);
  tsc_at_pause = kvm_model_guest_tsc (SRC, 0, paused_ns);
  report = hand_over_finish (fixture);
  tsc_at_resume = kvm_model_guest_tsc (DEST, 0, paused_ns + 10 * NS_PER_S);
  g_assert_cmpuint (hand_over_distance (tsc_at_resume - tsc_at_pause, 10 * 2600000000ull), <, 1000);
  g_assert_cmpuint (hand_over_distance (kvm_model_kvmclock (DEST, paused_ns + 10 * NS_PER_S),
                                        fixture->record->guest_src_ns + 10 * NS_PER_S),
                    <, 1000);
}

static void
test_used_once (struct hand_over *fixture, gconstpointer unused)
{
  struct kvm_model_host after;

  hand_over_blackout (fixture, NS_PER_S);
  g_free (hand_over_finish (fixture));
  after = kvm_model_hosts[DEST];
  g_assert_cmpint (hand_over_resume (fixture), ==, 0);
  helper_peer_expect_silence (fixture->daemon);
  hand_over_expect_as_stock (fixture, &after);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_clock_count, ==, after.set_clock_count + 1);
}

static void
test_theta (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].real_at_zero_ns -= 700 * NS_PER_MS;
  hand_over_blackout (fixture, 200 * NS_PER_MS);
  fixture->fixup->theta_ns = -(int64_t) (700 * NS_PER_MS);
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  hand_over_expect_continuous (0, 100);
}

/* Somebody sets the destination's clock after the daemon had its say of it. */
static void
test_clock_set_meanwhile (struct hand_over *fixture, gconstpointer unused)
{
  const int64_t steps_ns[] = { 2 * NS_PER_S, -(int64_t) (2 * NS_PER_S), 200000 };

  for (gsize i = 0; i < G_N_ELEMENTS (steps_ns); i++) {
    g_autofree struct helper_report *report = NULL;

    kvm_model_move (SRC);
    hand_over_blackout (fixture, 200 * NS_PER_MS);
    fixture->fixup->theta_ns = (int64_t) (kvm_model_realtime (DEST, kvm_model_now_ns ()) -
                                          kvm_model_realtime (SRC, kvm_model_now_ns ()));
    kvm_model_hosts[DEST].real_at_zero_ns += (uint64_t) steps_ns[i];
    report = hand_over_finish (fixture);
    hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
    g_assert_cmpint (llabs (report->theta_ns - fixture->fixup->theta_ns - steps_ns[i]), <, 100);
    hand_over_expect_continuous (0, 200);
  }
}

/* A clock that is right by definition was set right: the guest's goes by it. */
static void
test_trusted_clock_set (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  hand_over_blackout (fixture, 200 * NS_PER_MS);
  fixture->fixup->flags = HELPER_FIXUP_CLOCK_TRUSTED;
  kvm_model_hosts[DEST].real_at_zero_ns += 2 * NS_PER_S;
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_cmpint (report->theta_ns, ==, 0);
  g_assert_cmpint (report->advance_ns, >=, (int64_t) (2200 * NS_PER_MS));
  g_assert_cmpint (report->advance_ns, <, (int64_t) (2201 * NS_PER_MS));
}

/* The record says when it was made on a clock that nobody sets. */
static void
test_record_has_boot_time (struct hand_over *fixture, gconstpointer unused)
{
  uint64_t real_minus_boot_ns;

  kvm_model_hosts[SRC].real_at_zero_ns += 5 * NS_PER_S;
  hand_over_pause (fixture);
  real_minus_boot_ns = fixture->record->host_src_ns - fixture->record->boot_src_ns;
  g_assert_cmpuint (hand_over_distance (real_minus_boot_ns, kvm_model_hosts[SRC].real_at_zero_ns),
                    <, 100);
}

/* A host where the two samples of KVM_SET_CLOCK lie wildly apart: bounded, and still close. */
static void
test_noisy_gap (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;
  int64_t ahead_ns, ahead_ticks;

  kvm_model_hosts[DEST].gap_max_ns = 40000;
  hand_over_blackout (fixture, NS_PER_S);
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_cmpuint (report->attempts, <=, 8);
  g_assert_cmpuint (report->attempts, >=, 2);
  hand_over_expect_continuous (0, 40000);
  /* the TSC goes by kvmclock, not by CLOCK_REALTIME: coherence does not suffer */
  ahead_ns = (int64_t) (kvm_model_kvmclock (DEST, 0) - kvm_model_kvmclock (SRC, 0));
  ahead_ticks = (int64_t) (kvm_model_guest_tsc (DEST, 0, 0) - kvm_model_guest_tsc (SRC, 0, 0));
  g_assert_cmpint (llabs (ahead_ns - ahead_ticks * 10 / 26), <=, 2);
}

/* QEMU loaded unequal offsets: KVM has its master clock only after they are brought into step. */
static void
test_unequal_on_destination (struct hand_over *fixture, gconstpointer unused)
{
  const uint64_t loaded_ticks = kvm_model_hosts[DEST].vcpus[0].ofs_ticks;
  const uint64_t offsets[] = { loaded_ticks, loaded_ticks + 1, loaded_ticks + 4000000 };
  g_autofree struct helper_report *report = NULL;

  kvm_model_load_offsets (DEST, offsets);
  hand_over_blackout (fixture, NS_PER_S);
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_cmphex (report->vcpus[2].ofs_before_ticks, ==, offsets[2]);
  for (uint32_t i = 0; i < 3; i++)
    hand_over_expect_continuous (i, 100);
  kvm_model_enter (DEST);
  g_assert_true (kvm_model_hosts[DEST].use_master);
}

static void
test_joined (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[SRC].vcpus[1].ofs_ticks += 2600000ull * 999;
  kvm_model_hosts[SRC].vcpus[2].ofs_ticks -= 2600000ull * 999;
  hand_over_blackout (fixture, NS_PER_S);
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_cmphex (report->flags, ==, HELPER_REPORT_OFFSETS_JOINED);
  g_assert_cmphex (report->vcpus[1].ofs_dest_ticks, ==, report->vcpus[0].ofs_dest_ticks);
  g_assert_cmphex (report->vcpus[2].ofs_dest_ticks, ==, report->vcpus[0].ofs_dest_ticks);
  hand_over_expect_continuous (0, 100);
}

static void
test_apart (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[SRC].vcpus[1].ofs_ticks += 2600000ull * 1000;
  kvm_model_hosts[SRC].vcpus[2].ofs_ticks -= 2600000ull * 1001;
  hand_over_blackout (fixture, NS_PER_S);
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_cmphex (report->flags, ==, HELPER_REPORT_OFFSETS_APART);
  for (uint32_t i = 0; i < 3; i++)
    hand_over_expect_continuous (i, 100);
}

/* A vCPU that the source did not have goes with the first. */
static void
test_new_vcpu (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  hand_over_blackout (fixture, NS_PER_S);
  fixture->record->vcpu_count = 2;
  hand_over_prepare (fixture);
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_cmphex (report->vcpus[2].ofs_dest_ticks, ==, report->vcpus[0].ofs_dest_ticks);
}

static void
test_deadline_rearmed (struct hand_over *fixture, gconstpointer unused)
{
  uint64_t now_ticks;

  hand_over_blackout (fixture, 5 * NS_PER_S);
  now_ticks = kvm_model_guest_tsc (SRC, 1, kvm_model_now_ns ());
  kvm_model_arm (DEST, 1, now_ticks + 3 * 2600000000ull);
  g_free (hand_over_finish (fixture));
  g_assert_true (kvm_model_is_armed_right (DEST, 1));
  g_assert_cmpuint (kvm_model_hosts[DEST].vcpus[0].deadline_ticks, ==, 0);
}

static void
test_hyperv_guest (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].vcpus[0].has_pvclock = false;
  kvm_model_hosts[DEST].hyperv_reference_tsc = 0x12345001;
  hand_over_blackout (fixture, NS_PER_S);
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
}

static void
test_no_pvclock_wanted (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].vcpus[0].has_pvclock = false;
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->flags = HELPER_FIXUP_WITHOUT_PVCLOCK;
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
}

static void
expect_kvmclock_only (struct hand_over *fixture)
{
  struct kvm_model_host before = kvm_model_hosts[DEST];
  g_autofree struct helper_report *report = NULL;
  uint64_t now_ns;

  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_KVMCLOCK_ONLY, HELPER_REASON_NO_MASTER_CLOCK);
  now_ns = kvm_model_now_ns ();
  g_assert_cmpuint (
    hand_over_distance (kvm_model_kvmclock (SRC, now_ns), kvm_model_kvmclock (DEST, now_ns)), <,
    10000);
  for (uint32_t i = 0; i < 3; i++)
    g_assert_cmphex (kvm_model_hosts[DEST].vcpus[i].ofs_ticks, ==, before.vcpus[i].ofs_ticks);
}

static void
test_no_master_on_source (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[SRC].stable_tsc = false;
  kvm_model_enter (SRC);
  hand_over_blackout (fixture, NS_PER_S);
  g_assert_cmphex (fixture->record->flags, ==, 0);
  expect_kvmclock_only (fixture);
}

static void
test_no_master_on_destination (struct hand_over *fixture, gconstpointer unused)
{
  const uint64_t loaded_ticks = kvm_model_hosts[DEST].vcpus[0].ofs_ticks;
  const uint64_t offsets[] = { loaded_ticks, loaded_ticks + 1, loaded_ticks + 2 };

  kvm_model_hosts[DEST].stable_tsc = false;
  kvm_model_load_offsets (DEST, offsets);
  hand_over_blackout (fixture, NS_PER_S);
  expect_kvmclock_only (fixture);
}

/* KVM works out offsets there by itself: none is written. */
static void
test_drifting_on_destination (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;
  uint64_t now_ns;

  kvm_model_hosts[DEST].stable_tsc = false;
  kvm_model_hosts[DEST].drifting_tsc = true;
  hand_over_blackout (fixture, NS_PER_S);
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_KVMCLOCK_ONLY, HELPER_REASON_NO_MASTER_CLOCK);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_offset_count, ==, 0);
  now_ns = kvm_model_now_ns ();
  g_assert_cmpuint (
    hand_over_distance (kvm_model_kvmclock (SRC, now_ns), kvm_model_kvmclock (DEST, now_ns)), <,
    10000);
}

/* Kernels 5.16 and 5.17 do not tell the host's frequency: no harm without scaling. */
static void
test_old_vm_khz (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[SRC].old_vm_khz = kvm_model_hosts[DEST].old_vm_khz = true;
  hand_over_blackout (fixture, NS_PER_S);
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  hand_over_expect_continuous (0, 100);
}

static void
test_frequency_within (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].host_khz = kvm_model_hosts[DEST].guest_khz = 2600650;
  hand_over_blackout (fixture, NS_PER_S);
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  hand_over_expect_continuous (0, 200);
}

static void
test_known_within_bound (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  hand_over_blackout (fixture, 5 * NS_PER_S);
  hand_over_start_helper (4 * NS_PER_S);
  fixture->fixup->theta_bound_ns = 1100 * NS_PER_MS;
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  hand_over_add ("/fixup/fixed", test_fixed);
  g_test_add_func ("/fixup/fixed/random", test_random);
  hand_over_add ("/fixup/fixed/pair-any-time", test_pair_any_time);
  hand_over_add ("/fixup/fixed/twice", test_twice);
  hand_over_add ("/fixup/fixed/credited-once", test_credited_once);
  hand_over_add ("/fixup/fixed/used-once", test_used_once);
  hand_over_add ("/fixup/fixed/theta", test_theta);
  hand_over_add ("/fixup/fixed/clock-set-meanwhile", test_clock_set_meanwhile);
  hand_over_add ("/fixup/fixed/clock-set-meanwhile/trusted", test_trusted_clock_set);
  hand_over_add ("/fixup/record-has-boot-time", test_record_has_boot_time);
  hand_over_add ("/fixup/fixed/noisy-gap", test_noisy_gap);
  hand_over_add ("/fixup/fixed/unequal-on-destination", test_unequal_on_destination);
  hand_over_add ("/fixup/fixed/joined", test_joined);
  hand_over_add ("/fixup/fixed/apart", test_apart);
  hand_over_add ("/fixup/fixed/new-vcpu", test_new_vcpu);
  hand_over_add ("/fixup/fixed/deadline-rearmed", test_deadline_rearmed);
  hand_over_add ("/fixup/fixed/hyperv-guest", test_hyperv_guest);
  hand_over_add ("/fixup/fixed/no-pvclock-wanted", test_no_pvclock_wanted);
  hand_over_add ("/fixup/fixed/old-vm-khz", test_old_vm_khz);
  hand_over_add ("/fixup/fixed/frequency-within", test_frequency_within);
  hand_over_add ("/fixup/fixed/known-within-bound", test_known_within_bound);
  hand_over_add ("/fixup/kvmclock-only/source", test_no_master_on_source);
  hand_over_add ("/fixup/kvmclock-only/destination", test_no_master_on_destination);
  hand_over_add ("/fixup/kvmclock-only/destination/drifting", test_drifting_on_destination);

  return g_test_run ();
}
