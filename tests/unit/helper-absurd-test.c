/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-absurd-test - fix-ups with values that no daemon in its right mind sends
 *
 * A source that lies, or a daemon that was taken over, can send the helper anything. Whatever it is, the
 * guest resumes as stock QEMU has it, and KVM is written to by QEMU's own ioctl alone.
 */

#include <glib.h>
#include <string.h>

#include "hand-over.h"
#include "helper-peer.h"
#include "host-calls.h"

#define NS_PER_YEAR (365ll * 24 * 3600 * 1000000000)

/* 2200-01-01 */
#define YEAR_2200_NS 7258118400000000000ull

/* messages that are refused as such: the link ends, and the fix-up was never there */

typedef struct {
  const char *path;
  void (*spoil) (struct helper_fixup *fixup);
  enum helper_refusal refusal;
  enum clock_record_error detail;
} Refused;

static void
set_frequency_0 (struct helper_fixup *fixup)
{
  fixup->record.freq_khz = 0;
}

static void
set_frequency_max (struct helper_fixup *fixup)
{
  fixup->record.freq_khz = UINT32_MAX;
}

static void
set_5000_vcpus (struct helper_fixup *fixup)
{
  fixup->record.vcpu_count = 5000;
}

static void
set_no_vcpus (struct helper_fixup *fixup)
{
  fixup->record.vcpu_count = 0;
}

static void
set_vcpus_overflow (struct helper_fixup *fixup)
{
  fixup->record.vcpu_count = UINT32_MAX;
}

static void
set_same_vcpu_twice (struct helper_fixup *fixup)
{
  fixup->record.vcpus[1].id = fixup->record.vcpus[0].id;
}

static void
set_negative_guest (struct helper_fixup *fixup)
{
  fixup->record.guest_src_ns = (uint64_t) -1000;
}

static void
set_negative_host (struct helper_fixup *fixup)
{
  fixup->record.host_src_ns = (uint64_t) -1000;
}

static void
set_negative_boot (struct helper_fixup *fixup)
{
  fixup->record.boot_src_ns = (uint64_t) -1000;
}

static void
set_ratio_without_fraction (struct helper_fixup *fixup)
{
  fixup->record.tsc_ratio = UINT64_MAX;
  fixup->record.tsc_frac_bits = 0;
}

static void
set_fraction_of_200 (struct helper_fixup *fixup)
{
  fixup->record.tsc_ratio = 1;
  fixup->record.tsc_frac_bits = 200;
}

static void
set_all_flags (struct helper_fixup *fixup)
{
  fixup->record.flags = UINT32_MAX;
}

static void
set_theta_of_a_year (struct helper_fixup *fixup)
{
  fixup->theta_ns = NS_PER_YEAR + 1;
}

static void
set_theta_min (struct helper_fixup *fixup)
{
  fixup->theta_ns = INT64_MIN;
}

static void
set_negative_bound (struct helper_fixup *fixup)
{
  fixup->theta_bound_ns = (uint64_t) -1;
}

static void
set_advance_without_end (struct helper_fixup *fixup)
{
  fixup->max_advance_ns = UINT64_MAX;
}

static void
set_unknown_mode (struct helper_fixup *fixup)
{
  fixup->mode = 7;
}

static const Refused refused[] = {
  { "frequency-0", set_frequency_0, HELPER_REFUSAL_BAD_RECORD, CLOCK_RECORD_BAD_FREQ },
  { "frequency-max", set_frequency_max, HELPER_REFUSAL_BAD_RECORD, CLOCK_RECORD_BAD_FREQ },
  { "5000-vcpus", set_5000_vcpus, HELPER_REFUSAL_BAD_RECORD, CLOCK_RECORD_BAD_VCPUS },
  { "no-vcpus", set_no_vcpus, HELPER_REFUSAL_BAD_RECORD, CLOCK_RECORD_BAD_VCPUS },
  { "vcpus-overflow", set_vcpus_overflow, HELPER_REFUSAL_BAD_RECORD, CLOCK_RECORD_BAD_VCPUS },
  { "same-vcpu-twice", set_same_vcpu_twice, HELPER_REFUSAL_BAD_RECORD, CLOCK_RECORD_BAD_VCPUS },
  { "guest-negative", set_negative_guest, HELPER_REFUSAL_BAD_RECORD, CLOCK_RECORD_BAD_TIME },
  { "host-negative", set_negative_host, HELPER_REFUSAL_BAD_RECORD, CLOCK_RECORD_BAD_TIME },
  { "boot-negative", set_negative_boot, HELPER_REFUSAL_BAD_RECORD, CLOCK_RECORD_BAD_TIME },
  { "ratio", set_ratio_without_fraction, HELPER_REFUSAL_BAD_RECORD, CLOCK_RECORD_BAD_SCALE },
  { "fraction", set_fraction_of_200, HELPER_REFUSAL_BAD_RECORD, CLOCK_RECORD_BAD_SCALE },
  { "flags", set_all_flags, HELPER_REFUSAL_BAD_RECORD, CLOCK_RECORD_BAD_FLAGS },
  { "theta-of-a-year", set_theta_of_a_year, HELPER_REFUSAL_BAD_BODY },
  { "theta-min", set_theta_min, HELPER_REFUSAL_BAD_BODY },
  { "bound-negative", set_negative_bound, HELPER_REFUSAL_BAD_BODY },
  { "advance-without-end", set_advance_without_end, HELPER_REFUSAL_BAD_BODY },
  { "mode", set_unknown_mode, HELPER_REFUSAL_BAD_BODY },
};

static void
test_refused (gconstpointer data)
{
  const Refused *this = data;
  struct hand_over fixture = { 0 };
  struct kvm_model_host before;
  g_autofree struct helper_refused *answer = NULL;
  uint64_t guest_src_ns;
  gboolean is_closed = FALSE;

  hand_over_start (&fixture, 3, 1);
  hand_over_blackout (&fixture, NS_PER_S);
  before = kvm_model_hosts[DEST];
  guest_src_ns = fixture.record->guest_src_ns;
  this->spoil (fixture.fixup);
  helper_peer_send (fixture.daemon, fixture.fixup, fixture.fixup->header.length);
  g_assert_cmpint (hand_over_resume (&fixture), ==, 0);

  answer = helper_peer_expect (fixture.daemon, HELPER_MESSAGE_REFUSED);
  g_assert_cmpstr (helper_refusal_name (answer->refusal), ==, helper_refusal_name (this->refusal));
  if (this->refusal == HELPER_REFUSAL_BAD_RECORD)
    g_assert_cmpstr (clock_record_error_name (answer->detail), ==,
                     clock_record_error_name (this->detail));
  g_assert_null (helper_peer_receive (fixture.daemon, &is_closed));
  g_assert_true (is_closed);
  g_assert_cmpuint (guest_src_ns, ==, fixture.record->guest_src_ns);
  hand_over_expect_as_stock (&fixture, &before);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_offset_count, ==, before.set_offset_count);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_clock_count, ==, 1);
  hand_over_tear_down (&fixture, NULL);
}

/* records and times that are possible, and cannot be true: decided before the first write */

static void
test_recorded_in_2200 (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->record.host_src_ns = YEAR_2200_NS;
  hand_over_expect_untouched (fixture, HELPER_REASON_NEGATIVE_ELAPSED);
}

static void
test_recorded_in_1970 (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->record.host_src_ns = 1;
  hand_over_expect_untouched (fixture, HELPER_REASON_MAX_ADVANCE);
}

static void
test_recorded_at_the_end_of_time (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->record.host_src_ns = INT64_MAX;
  fixture->fixup->theta_ns = NS_PER_YEAR;
  hand_over_expect_untouched (fixture, HELPER_REASON_NEGATIVE_ELAPSED);
}

/* theta as far as it goes, in either direction, with the bound to go with it */
static void
test_clocks_a_year_apart (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->theta_ns = NS_PER_YEAR;
  fixture->fixup->theta_bound_ns = (uint64_t) NS_PER_YEAR;
  hand_over_expect_untouched (fixture, HELPER_REASON_NEGATIVE_ELAPSED);
}

static void
test_clocks_a_year_apart_backwards (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->theta_ns = -NS_PER_YEAR;
  fixture->fixup->theta_bound_ns = (uint64_t) NS_PER_YEAR;
  hand_over_expect_untouched (fixture, HELPER_REASON_MAX_ADVANCE);
}

/* A day is the most that a daemon may allow, and this QEMU has not run for as long. */
static void
test_a_day_ago (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->max_advance_ns = HELPER_ADVANCE_MAX_NS;
  fixture->fixup->record.host_src_ns -= 12 * 3600 * NS_PER_S;
  hand_over_expect_untouched (fixture, HELPER_REASON_LONGER_THAN_KNOWN);
}

static void
test_other_frequency (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->record.freq_khz = CLOCK_RECORD_FREQ_MAX_KHZ;
  hand_over_expect_untouched (fixture, HELPER_REASON_FREQUENCY);
}

/* An old record, kept by somebody: QEMU's clock is not that one any more. */
static void
test_old_record (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct clock_record *old = NULL;

  hand_over_pause (fixture);
  old = g_memdup2 (fixture->record, clock_record_size (fixture->record->vcpu_count));
  kvm_model_pass (NS_PER_S);
  hand_over_blackout (fixture, NS_PER_S);
  /* KVM's clock went on between the two, so they differ */
  g_assert_cmpuint (old->guest_src_ns, <, fixture->record->guest_src_ns);
  memcpy (&fixture->fixup->record, old, clock_record_size (old->vcpu_count));
  hand_over_expect_untouched (fixture, HELPER_REASON_CLOCK_MISMATCH);
}

/* The model's QEMU has loaded a TSC that is 11.5 s behind the record's. */
static void
test_tsc_ahead (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->record.tsc_src_ticks += 291 * 2600000000ull;
  hand_over_expect_untouched (fixture, HELPER_REASON_TSC_MISMATCH);
}

static void
test_tsc_behind (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->record.tsc_src_ticks -= 14 * 2600000000ull;
  hand_over_expect_untouched (fixture, HELPER_REASON_TSC_MISMATCH);
}

static void
test_tsc_half_way_round (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->record.tsc_src_ticks += 1ull << 63;
  hand_over_expect_untouched (fixture, HELPER_REASON_TSC_MISMATCH);
}

static void
test_tsc_of_one_vcpu (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->record.vcpus[2].ofs_ticks += 1000 * 2600000000ull;
  hand_over_expect_untouched (fixture, HELPER_REASON_TSC_MISMATCH);
}

static void
test_tsc_observed (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->mode = HELPER_MODE_OBSERVE;
  fixture->fixup->record.tsc_src_ticks += 291 * 2600000000ull;
  hand_over_expect_untouched (fixture, HELPER_REASON_TSC_MISMATCH);
}

/* The controls: what is odd and no more. */
static void
test_tsc_within (struct hand_over *fixture, gconstpointer unused)
{
  const int64_t off_s[] = { 290, -13 };

  for (gsize i = 0; i < G_N_ELEMENTS (off_s); i++) {
    g_autofree struct helper_report *report = NULL;
    struct kvm_model_host before;

    kvm_model_move (SRC);
    hand_over_blackout (fixture, NS_PER_S);
    before = kvm_model_hosts[DEST];
    fixture->fixup->record.tsc_src_ticks += (uint64_t) (off_s[i] * 2600000000);
    report = hand_over_finish (fixture);
    hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
    kvm_model_hosts[DEST] = before;
  }
}

static void
test_bound_of_zero (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->theta_bound_ns = 0;
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  hand_over_expect_continuous (0, 100);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_autofree char *path = g_strconcat ("/absurd/refused/", refused[i].path, NULL);

    g_test_add_data_func (path, &refused[i], test_refused);
  }
  hand_over_add ("/absurd/stock/recorded-in-2200", test_recorded_in_2200);
  hand_over_add ("/absurd/stock/recorded-in-1970", test_recorded_in_1970);
  hand_over_add ("/absurd/stock/recorded-at-the-end-of-time", test_recorded_at_the_end_of_time);
  hand_over_add ("/absurd/stock/clocks-a-year-apart", test_clocks_a_year_apart);
  hand_over_add ("/absurd/stock/clocks-a-year-apart-backwards", test_clocks_a_year_apart_backwards);
  hand_over_add ("/absurd/stock/a-day-ago", test_a_day_ago);
  hand_over_add ("/absurd/stock/other-frequency", test_other_frequency);
  hand_over_add ("/absurd/stock/old-record", test_old_record);
  hand_over_add ("/absurd/stock/tsc-ahead", test_tsc_ahead);
  hand_over_add ("/absurd/stock/tsc-behind", test_tsc_behind);
  hand_over_add ("/absurd/stock/tsc-half-way-round", test_tsc_half_way_round);
  hand_over_add ("/absurd/stock/tsc-of-one-vcpu", test_tsc_of_one_vcpu);
  hand_over_add ("/absurd/stock/tsc-observed", test_tsc_observed);
  hand_over_add ("/absurd/fixed/tsc-within", test_tsc_within);
  hand_over_add ("/absurd/fixed/bound-of-zero", test_bound_of_zero);

  return g_test_run ();
}
