/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hand-over.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock-events.h"
#include "helper-peer.h"
#include "host-calls.h"

void
hand_over_start_helper (uint64_t age_ns)
{
  struct helper_process process = { .home = "/nonexistent" };

  kvm_model_set_monotonic_lag (age_ns);
  clock_events_start (&process);
  kvm_model_set_monotonic_lag (0);
}

void
hand_over_start (struct hand_over *fixture, uint32_t vcpu_count, uint32_t seed)
{
  kvm_model_start (vcpu_count, seed);
  helper_peer_start ();
  hand_over_start_helper (3600 * NS_PER_S);
  fixture->daemon = helper_peer_connect ();
}

static void
set_up (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_start (fixture, 3, 1);
}

void
hand_over_tear_down (struct hand_over *fixture, gconstpointer unused)
{
  close (fixture->daemon);
  g_clear_pointer (&fixture->record, g_free);
  g_clear_pointer (&fixture->fixup, g_free);
  clock_events_stop ();
  helper_peer_stop ();
  kvm_model_stop ();
}

void
hand_over_pause (struct hand_over *fixture)
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

void
hand_over_blackout (struct hand_over *fixture, uint64_t blackout_ns)
{
  hand_over_pause (fixture);
  kvm_model_pass (blackout_ns);
  kvm_model_move (DEST);
  hand_over_prepare (fixture);
}

void
hand_over_prepare (struct hand_over *fixture)
{
  g_free (fixture->fixup);
  fixture->fixup = helper_peer_fixup (fixture->record);
  fixture->fixup->deadline_monotonic_ns = host_calls.clock_ns (CLOCK_MONOTONIC) + 60 * NS_PER_S;
}

int
hand_over_resume (struct hand_over *fixture)
{
  struct kvm_clock_data clock = { .clock = fixture->record->guest_src_ns };

  return clock_events_ioctl (kvm_model_vm_fd (DEST), KVM_SET_CLOCK, &clock);
}

struct helper_report *
hand_over_finish (struct hand_over *fixture)
{
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  g_assert_cmpint (hand_over_resume (fixture), ==, 0);
  return helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
}

void
hand_over_expect_verdict (const struct helper_report *report, enum helper_verdict verdict,
                          enum helper_reason reason)
{
  g_assert_cmpstr (helper_verdict_name (report->verdict), ==, helper_verdict_name (verdict));
  g_assert_cmpstr (helper_reason_name (report->reason), ==, helper_reason_name (reason));
}

uint64_t
hand_over_distance (uint64_t a, uint64_t b)
{
  return (uint64_t) llabs ((int64_t) (a - b));
}

void
hand_over_expect_continuous (uint32_t vcpu, uint64_t tolerance_ns)
{
  uint64_t now_ns = kvm_model_now_ns ();
  uint64_t khz = kvm_model_hosts[SRC].guest_khz;
  uint64_t tsc_src = kvm_model_guest_tsc (SRC, vcpu, now_ns);
  uint64_t tsc_dest = kvm_model_guest_tsc (DEST, vcpu, now_ns);

  g_assert_cmpuint (
    hand_over_distance (kvm_model_kvmclock (SRC, now_ns), kvm_model_kvmclock (DEST, now_ns)), <=,
    tolerance_ns);
  g_assert_cmpuint (hand_over_distance (tsc_src, tsc_dest), <=, tolerance_ns * khz / 1000000 + 2);
}

void
hand_over_expect_as_stock (const struct hand_over *fixture, const struct kvm_model_host *before)
{
  const struct kvm_model_host *host = &kvm_model_hosts[DEST];
  uint64_t clock_ns = kvm_model_kvmclock (DEST, kvm_model_now_ns ());

  g_assert_cmpuint (hand_over_distance (clock_ns, fixture->record->guest_src_ns), <, 100000);
  for (uint32_t i = 0; i < host->vcpu_count; i++)
    g_assert_cmphex (host->vcpus[i].ofs_ticks, ==, before->vcpus[i].ofs_ticks);
}

struct helper_report *
hand_over_expect_stock (struct hand_over *fixture, enum helper_reason reason)
{
  struct kvm_model_host before = kvm_model_hosts[DEST];
  struct helper_report *report = hand_over_finish (fixture);

  hand_over_expect_verdict (report, HELPER_VERDICT_STOCK, reason);
  g_assert_cmpint (report->advance_ns, ==, 0);
  hand_over_expect_as_stock (fixture, &before);
  return report;
}

void
hand_over_expect_untouched (struct hand_over *fixture, enum helper_reason reason)
{
  uint32_t writes = kvm_model_hosts[DEST].set_offset_count;
  struct helper_report *report = hand_over_expect_stock (fixture, reason);

  g_assert_cmpuint (kvm_model_hosts[DEST].set_offset_count, ==, writes);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_clock_count, ==, 1);
  g_assert_cmpuint (report->attempts, ==, 0);
  g_free (report);
}

void
hand_over_add (const char *path, void (*test) (struct hand_over *, gconstpointer))
{
  g_test_add (path, struct hand_over, NULL, set_up, test, hand_over_tear_down);
}
