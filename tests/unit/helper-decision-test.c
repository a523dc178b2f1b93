/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-decision-test - hand-overs that are left to stock QEMU before the first write
 */

#include <glib.h>
#include <linux/kvm.h>

#include "clock-events.h"
#include "hand-over.h"
#include "helper-peer.h"
#include "host-calls.h"

static void
test_no_pvclock (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].vcpus[0].has_pvclock = false;
  hand_over_blackout (fixture, NS_PER_S);
  hand_over_expect_untouched (fixture, HELPER_REASON_NO_PVCLOCK);
}

/* The source's kernel has a master clock and does not tell where: neither clock. */
static void
test_old_kernel_on_source (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[SRC].old_kernel = true;
  hand_over_blackout (fixture, NS_PER_S);
  g_assert_cmphex (fixture->record->flags, ==, CLOCK_RECORD_TSC_OPAQUE);
  hand_over_expect_untouched (fixture, HELPER_REASON_TSC_OPAQUE);
}

static void
test_old_kernel_on_destination (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].old_kernel = true;
  hand_over_blackout (fixture, NS_PER_S);
  hand_over_expect_untouched (fixture, HELPER_REASON_KERNEL_TOO_OLD);
}

static void
test_opaque_tsc (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].garbles_tsc = true;
  hand_over_blackout (fixture, NS_PER_S);
  hand_over_expect_untouched (fixture, HELPER_REASON_TSC_OPAQUE);
}

static void
test_opaque_tsc_on_source (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[SRC].garbles_tsc = true;
  hand_over_blackout (fixture, NS_PER_S);
  g_assert_cmphex (fixture->record->flags, ==, CLOCK_RECORD_TSC_OPAQUE);
  hand_over_expect_untouched (fixture, HELPER_REASON_TSC_OPAQUE);
}

static void
test_catchup_on_source (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[SRC].guest_khz = 3000000;
  kvm_model_hosts[DEST].guest_khz = kvm_model_hosts[DEST].host_khz = 3000000;
  hand_over_blackout (fixture, NS_PER_S);
  g_assert_cmphex (fixture->record->flags & CLOCK_RECORD_TSC_CATCHUP, !=, 0);
  hand_over_expect_untouched (fixture, HELPER_REASON_TSC_CATCHUP);
}

static void
test_catchup_on_destination (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].host_khz = 2000000;
  hand_over_blackout (fixture, NS_PER_S);
  hand_over_expect_untouched (fixture, HELPER_REASON_TSC_CATCHUP);
}

static void
test_frequency (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].host_khz = kvm_model_hosts[DEST].guest_khz = 2600651;
  hand_over_blackout (fixture, NS_PER_S);
  hand_over_expect_untouched (fixture, HELPER_REASON_FREQUENCY);
}

static void
test_frequency_ignored (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].host_khz = 3000000;
  hand_over_blackout (fixture, NS_PER_S);
  hand_over_expect_untouched (fixture, HELPER_REASON_FREQUENCY);
}

static void
test_negative_elapsed (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].real_at_zero_ns -= 2 * NS_PER_S;
  hand_over_blackout (fixture, NS_PER_S);
  hand_over_expect_untouched (fixture, HELPER_REASON_NEGATIVE_ELAPSED);
}

static void
test_max_advance (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, 301 * NS_PER_S);
  hand_over_expect_untouched (fixture, HELPER_REASON_MAX_ADVANCE);
}

static void
test_longer_than_known (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, 5 * NS_PER_S);
  hand_over_start_helper (4 * NS_PER_S);
  hand_over_expect_untouched (fixture, HELPER_REASON_LONGER_THAN_KNOWN);
}

static void
test_deadline_passed (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->deadline_monotonic_ns = host_calls.clock_ns (CLOCK_MONOTONIC) - 1;
  hand_over_expect_untouched (fixture, HELPER_REASON_DEADLINE_PASSED);
}

static void
test_clock_mismatch (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->record.guest_src_ns++;
  hand_over_expect_untouched (fixture, HELPER_REASON_CLOCK_MISMATCH);
}

static void
test_no_record (struct hand_over *fixture, gconstpointer unused)
{
  struct kvm_model_host before = kvm_model_hosts[DEST];
  g_autofree struct helper_report *report = NULL;

  hand_over_blackout (fixture, NS_PER_S);
  helper_peer_announce (fixture->daemon, host_calls.clock_ns (CLOCK_MONOTONIC) + NS_PER_S);
  g_assert_cmpint (hand_over_resume (fixture), ==, 0);
  report = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
  hand_over_expect_verdict (report, HELPER_VERDICT_STOCK, HELPER_REASON_NO_RECORD);
  hand_over_expect_as_stock (fixture, &before);
  g_assert_cmpuint (report->waited_ns, >=, HELPER_WAIT_MAX_MS * NS_PER_MS);
  g_assert_cmpuint (report->spent_ns, >=, report->waited_ns);
}

static void
test_no_vcpus (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  host_calls.fd_links = "/nonexistent";
  hand_over_expect_untouched (fixture, HELPER_REASON_NO_VCPUS);
}

/* One of three made by syscall(2): the other two must not be torn away from it. */
static void
test_unseen_vcpus (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  kvm_model_hide_vcpu (DEST, 1);
  hand_over_expect_untouched (fixture, HELPER_REASON_UNSEEN_VCPUS);
}

static void
test_patched_by_flag (struct hand_over *fixture, gconstpointer unused)
{
  struct kvm_clock_data clock = { .flags = KVM_CLOCK_REALTIME };
  g_autofree struct helper_report *report = NULL;

  hand_over_blackout (fixture, NS_PER_S);
  clock.clock = fixture->record->guest_src_ns;
  clock.realtime = fixture->record->host_src_ns;
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  g_assert_cmpint (clock_events_ioctl (kvm_model_vm_fd (DEST), KVM_SET_CLOCK, &clock), ==, 0);
  report = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
  hand_over_expect_verdict (report, HELPER_VERDICT_STOCK, HELPER_REASON_PATCHED_QEMU);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_clock_count, ==, 1);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_offset_count, ==, 0);
}

/* Flags that KVM ignores: stock QEMU passes none. */
static void
test_patched_by_other_flag (struct hand_over *fixture, gconstpointer unused)
{
  struct kvm_clock_data clock = { .flags = KVM_CLOCK_TSC_STABLE };
  g_autofree struct helper_report *report = NULL;

  hand_over_blackout (fixture, NS_PER_S);
  clock.clock = fixture->record->guest_src_ns;
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  clock_events_ioctl (kvm_model_vm_fd (DEST), KVM_SET_CLOCK, &clock);
  report = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
  hand_over_expect_verdict (report, HELPER_VERDICT_STOCK, HELPER_REASON_PATCHED_QEMU);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_clock_count, ==, 1);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_offset_count, ==, 0);
}

static void
test_patched_by_attribute (struct hand_over *fixture, gconstpointer unused)
{
  uint64_t ofs_ticks = kvm_model_hosts[DEST].vcpus[0].ofs_ticks;
  struct kvm_device_attr attr = { .addr = (uintptr_t) &ofs_ticks };

  hand_over_blackout (fixture, NS_PER_S);
  g_assert_cmpint (clock_events_ioctl (kvm_model_vm_fd (DEST) + 1, KVM_SET_DEVICE_ATTR, &attr), ==,
                   0);
  hand_over_expect_untouched (fixture, HELPER_REASON_PATCHED_QEMU);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  hand_over_add ("/fixup/stock/no-pvclock", test_no_pvclock);
  hand_over_add ("/fixup/stock/old-kernel-on-source", test_old_kernel_on_source);
  hand_over_add ("/fixup/stock/old-kernel-on-destination", test_old_kernel_on_destination);
  hand_over_add ("/fixup/stock/opaque-tsc", test_opaque_tsc);
  hand_over_add ("/fixup/stock/opaque-tsc-on-source", test_opaque_tsc_on_source);
  hand_over_add ("/fixup/stock/catchup-on-source", test_catchup_on_source);
  hand_over_add ("/fixup/stock/catchup-on-destination", test_catchup_on_destination);
  hand_over_add ("/fixup/stock/frequency", test_frequency);
  hand_over_add ("/fixup/stock/frequency-ignored", test_frequency_ignored);
  hand_over_add ("/fixup/stock/negative-elapsed", test_negative_elapsed);
  hand_over_add ("/fixup/stock/max-advance", test_max_advance);
  hand_over_add ("/fixup/stock/longer-than-known", test_longer_than_known);
  hand_over_add ("/fixup/stock/deadline-passed", test_deadline_passed);
  hand_over_add ("/fixup/stock/clock-mismatch", test_clock_mismatch);
  hand_over_add ("/fixup/stock/no-record", test_no_record);
  hand_over_add ("/fixup/stock/no-vcpus", test_no_vcpus);
  hand_over_add ("/fixup/stock/unseen-vcpus", test_unseen_vcpus);
  hand_over_add ("/fixup/stock/patched-by-flag", test_patched_by_flag);
  hand_over_add ("/fixup/stock/patched-by-other-flag", test_patched_by_other_flag);
  hand_over_add ("/fixup/stock/patched-by-attribute", test_patched_by_attribute);

  return g_test_run ();
}
