/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-undo-test - hand-overs in which a step fails after the first write
 */

#include <errno.h>
#include <glib.h>
#include <linux/kvm.h>

#include "hand-over.h"

/* kvm-pvm: found out after kvmclock was moved, and undone. */
static void
test_offset_dropped (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].drops_offsets = true;
  hand_over_blackout (fixture, NS_PER_S);
  report = hand_over_expect_stock (fixture, HELPER_REASON_OFFSET_DROPPED);
  g_assert_cmphex (report->flags, ==, 0);
}

/* Every ioctl of the fix-up fails once, one run each: everything is undone, deadlines included. */
static void
test_ioctl_fails (gconstpointer request)
{
  uint32_t stock_count = 0;
  bool fixed = false;

  for (uint32_t fail_after = 0; !fixed; fail_after++) {
    struct hand_over fixture = { 0 };
    struct kvm_model_host before;
    g_autofree struct helper_report *report = NULL;

    hand_over_start (&fixture, 3, 7);
    g_assert_cmpuint (fail_after, <, 100);
    hand_over_blackout (&fixture, NS_PER_S);
    kvm_model_arm (DEST, 1, kvm_model_guest_tsc (DEST, 1, kvm_model_now_ns ()) + 26000000000);
    before = kvm_model_hosts[DEST];
    kvm_model_hosts[DEST].fail_request = (uint64_t) GPOINTER_TO_SIZE (request);
    kvm_model_hosts[DEST].fail_after = fail_after;
    report = hand_over_finish (&fixture);
    fixed = report->verdict == HELPER_VERDICT_FIXED;
    g_assert_true (kvm_model_is_armed_right (DEST, 1));
    if (!fixed) {
      hand_over_expect_as_stock (&fixture, &before);
      g_assert_cmphex (report->flags & HELPER_REPORT_UNDO_FAILED, ==, 0);
      if (report->reason == HELPER_REASON_IOCTL_FAILED)
        g_assert_cmpint (report->failed_errno, ==, EIO);
      stock_count++;
    }
    hand_over_tear_down (&fixture, NULL);
  }
  g_assert_cmpuint (stock_count, >, 0);
}

/* Somebody sets CLOCK_REALTIME while we work: not what was promised, undone. */
static void
test_check_failed (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].realtime_step_ns = 20 * (int64_t) NS_PER_MS;
  hand_over_blackout (fixture, NS_PER_S);
  g_free (hand_over_expect_stock (fixture, HELPER_REASON_CHECK_FAILED));
}

/* The same where kvmclock is all there is. */
static void
test_check_failed_kvmclock_only (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].stable_tsc = false;
  test_check_failed (fixture, unused);
}

/* A kernel whose kvmclock moves when offsets are written, forwards or back. */
static void
test_kvmclock_moves (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].kvmclock_step_ns = 20000;
  hand_over_blackout (fixture, NS_PER_S);
  g_free (hand_over_expect_stock (fixture, HELPER_REASON_CHECK_FAILED));
}

static void
test_kvmclock_moves_back (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].kvmclock_step_ns = -(int64_t) NS_PER_MS;
  hand_over_blackout (fixture, NS_PER_S);
  g_free (hand_over_expect_stock (fixture, HELPER_REASON_CHECK_FAILED));
}

/* VCPUs that are kept apart leave nothing to compare with, but kvmclock itself. */
static void
test_kvmclock_moves_back_apart (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[SRC].vcpus[1].ofs_ticks += 2600000ull * 1000;
  test_kvmclock_moves_back (fixture, unused);
}

static void
test_master_lost (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[DEST].loses_master = true;
  hand_over_blackout (fixture, NS_PER_S);
  g_free (hand_over_expect_stock (fixture, HELPER_REASON_CHECK_FAILED));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  hand_over_add ("/fixup/undone/offset-dropped", test_offset_dropped);
  hand_over_add ("/fixup/undone/check-failed", test_check_failed);
  hand_over_add ("/fixup/undone/check-failed/kvmclock-moves", test_kvmclock_moves);
  hand_over_add ("/fixup/undone/check-failed/kvmclock-moves-back", test_kvmclock_moves_back);
  hand_over_add ("/fixup/undone/check-failed/kvmclock-moves-back/apart",
                 test_kvmclock_moves_back_apart);
  hand_over_add ("/fixup/undone/check-failed/master-lost", test_master_lost);
  hand_over_add ("/fixup/undone/check-failed/kvmclock-only", test_check_failed_kvmclock_only);
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

  return g_test_run ();
}
