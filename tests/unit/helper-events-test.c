/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-events-test - what QEMU and the daemon see of the helper when it changes no clock
 */

#include <errno.h>
#include <glib.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "clock-events.h"
#include "hand-over.h"
#include "helper-channel.h"
#include "helper-peer.h"
#include "host-calls.h"
#include "kvm-vm.h"

static void
test_observe (struct hand_over *fixture, gconstpointer unused)
{
  struct kvm_model_host before = kvm_model_hosts[DEST];
  g_autofree struct helper_report *observed = NULL;
  g_autofree struct helper_report *fixed = NULL;

  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->mode = HELPER_MODE_OBSERVE;
  observed = hand_over_finish (fixture);
  hand_over_expect_verdict (observed, HELPER_VERDICT_OBSERVED, HELPER_REASON_OBSERVE_ONLY);
  hand_over_expect_as_stock (fixture, &before);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_clock_count, ==, 1);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_offset_count, ==, 0);
  g_assert_cmpint (observed->residual_ns, <, -(int64_t) NS_PER_S);

  fixture->fixup->mode = HELPER_MODE_APPLY;
  fixed = hand_over_finish (fixture);
  hand_over_expect_verdict (fixed, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  for (uint32_t i = 0; i < 3; i++)
    g_assert_cmpuint (
      hand_over_distance (observed->vcpus[i].ofs_dest_ticks, fixed->vcpus[i].ofs_dest_ticks), <,
      100 * 26 / 10 + 2);
}

static void
test_observe_no_master (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  kvm_model_hosts[DEST].stable_tsc = false;
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->mode = HELPER_MODE_OBSERVE;
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_OBSERVED, HELPER_REASON_NO_MASTER_CLOCK);
}

/* Pause and resume on one host with nobody announcing anything: stock, and not a word. */
static void
test_pause_resume (struct hand_over *fixture, gconstpointer unused)
{
  struct kvm_model_host before = kvm_model_hosts[SRC];
  struct kvm_clock_data clock;

  hand_over_pause (fixture);
  kvm_model_pass (NS_PER_S);
  clock = (struct kvm_clock_data){ .clock = fixture->record->guest_src_ns };
  g_assert_cmpint (clock_events_ioctl (kvm_model_vm_fd (SRC), KVM_SET_CLOCK, &clock), ==, 0);
  helper_peer_expect_silence (fixture->daemon);
  g_assert_cmpuint (kvm_model_hosts[SRC].set_clock_count, ==, before.set_clock_count + 1);
  g_assert_cmpuint (kvm_model_hosts[SRC].set_offset_count, ==, 0);
}

static void
test_withdrawn (struct hand_over *fixture, gconstpointer unused)
{
  struct kvm_model_host before = kvm_model_hosts[DEST];
  struct helper_header withdraw;

  hand_over_blackout (fixture, NS_PER_S);
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  helper_header_init (&withdraw, HELPER_MESSAGE_WITHDRAW, sizeof withdraw, helper_peer_domain);
  helper_peer_send (fixture->daemon, &withdraw, sizeof withdraw);
  g_assert_cmpint (hand_over_resume (fixture), ==, 0);
  helper_peer_expect_silence (fixture->daemon);
  hand_over_expect_as_stock (fixture, &before);
}

/* QEMU closed a vCPU's fd, and the number has become that of another vCPU, or of a file. */
static void
test_closed_vcpu (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_relink (SRC, 1, "anon_inode:kvm-vcpu:22");
  hand_over_pause (fixture);
  g_assert_cmpuint (fixture->record->vcpu_count, ==, 2);
  kvm_model_relink (SRC, 2, "socket:[4711]");
  hand_over_pause (fixture);
  g_assert_cmpuint (fixture->record->vcpu_count, ==, 1);
  g_assert_cmpuint (fixture->record->vcpus[0].id, ==, 0);
}

/* What there is in place of a record, for the daemon to tell. */
static void
expect_no_record (struct hand_over *fixture, enum helper_reason reason)
{
  struct kvm_clock_data clock = { 0 };
  g_autofree struct helper_report *report = NULL;

  g_assert_cmpint (clock_events_ioctl (kvm_model_vm_fd (SRC), KVM_GET_CLOCK, &clock), ==, 0);
  report = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
  hand_over_expect_verdict (report, HELPER_VERDICT_STOCK, reason);
  g_assert_cmpuint (report->flags, ==, HELPER_REPORT_NO_RECORD);
  g_assert_cmpuint (report->clock_ns, ==, clock.clock);
  helper_peer_expect_silence (fixture->daemon);
}

static void
test_unseen_vcpu (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_pause (fixture);
  kvm_model_hide_vcpu (SRC, 2);
  expect_no_record (fixture, HELPER_REASON_UNSEEN_VCPUS);
  /* as long as it is unseen */
  expect_no_record (fixture, HELPER_REASON_UNSEEN_VCPUS);
  kvm_model_move (SRC);
  hand_over_pause (fixture);
}

/* None was made that this process would know of. */
static void
test_no_vcpus (struct hand_over *fixture, gconstpointer unused)
{
  for (uint32_t i = 0; i < 3; i++)
    kvm_model_hide_vcpu (SRC, i);
  host_calls.fd_links = "/nonexistent";
  expect_no_record (fixture, HELPER_REASON_NO_VCPUS);
}

static void
test_no_frequency (struct hand_over *fixture, gconstpointer unused)
{
  kvm_model_hosts[SRC].fail_request = KVM_GET_TSC_KHZ;
  expect_no_record (fixture, HELPER_REASON_IOCTL_FAILED);
}

/* KVM gave the number of a vCPU that is no more to one that came later: it is not there twice. */
static void
test_reused_vcpu_fd (struct hand_over *fixture, gconstpointer unused)
{
  int vm_fd = kvm_model_vm_fd (SRC);

  kvm_vm_note_vcpu (vm_fd, 22, vm_fd + 2);
  hand_over_pause (fixture);
  kvm_vm_note_vcpu (-1, 22, -1);
  g_assert_cmpuint (fixture->record->vcpu_count, ==, 3);
  g_assert_cmpuint (fixture->record->vcpus[0].id, ==, 0);
  g_assert_cmpuint (fixture->record->vcpus[1].id, ==, 4);
  g_assert_cmpuint (fixture->record->vcpus[2].id, ==, 22);
}

static void
test_xen (struct hand_over *fixture, gconstpointer unused)
{
  struct kvm_clock_data clock;

  kvm_model_hosts[SRC].fail_request = KVM_XEN_HVM_CONFIG;
  clock_events_ioctl (kvm_model_vm_fd (SRC), KVM_XEN_HVM_CONFIG, NULL);
  g_assert_cmpint (clock_events_ioctl (kvm_model_vm_fd (SRC), KVM_GET_CLOCK, &clock), ==, 0);
  helper_peer_expect_silence (fixture->daemon);
}

/* QEMU before 9.1 passes requests as int; errno is its own. */
static void
test_sign_extended (struct hand_over *fixture, gconstpointer unused)
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
test_own_ioctl_fails (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_report *report = NULL;

  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->record.guest_src_ns++;
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  kvm_model_hosts[DEST].fail_request = KVM_SET_CLOCK;
  errno = 0;
  g_assert_cmpint (hand_over_resume (fixture), ==, -1);
  g_assert_cmpint (errno, ==, EIO);
  report = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
  hand_over_expect_verdict (report, HELPER_VERDICT_STOCK, HELPER_REASON_CLOCK_MISMATCH);
}

/* ... and so they do if the daemon takes no report. */
static void
test_own_ioctl_fails_unheard (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_blackout (fixture, NS_PER_S);
  fixture->fixup->record.guest_src_ns++;
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  g_assert_cmpint (shutdown (fixture->daemon, SHUT_RD), ==, 0);
  kvm_model_hosts[DEST].fail_request = KVM_SET_CLOCK;
  errno = 0;
  g_assert_cmpint (hand_over_resume (fixture), ==, -1);
  g_assert_cmpint (errno, ==, EIO);
}

/* Binding the socket is not QEMU's business. */
static void
test_vm_created (struct hand_over *fixture, gconstpointer unused)
{
  struct helper_process process = { .home = "/nonexistent/directory" };

  helper_channel_close ();
  clock_events_start (&process);
  errno = EXDEV;
  g_assert_cmpint (clock_events_ioctl (kvm_model_vm_fd (SRC), KVM_CREATE_VM, NULL), >=, 0);
  g_assert_cmpint (errno, ==, EXDEV);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  hand_over_add ("/fixup/observe", test_observe);
  hand_over_add ("/fixup/observe/no-master-clock", test_observe_no_master);
  hand_over_add ("/fixup/silent/pause-resume", test_pause_resume);
  hand_over_add ("/fixup/silent/withdrawn", test_withdrawn);
  hand_over_add ("/fixup/silent/xen", test_xen);
  hand_over_add ("/fixup/record/closed-vcpu", test_closed_vcpu);
  hand_over_add ("/fixup/record/reused-vcpu-fd", test_reused_vcpu_fd);
  hand_over_add ("/fixup/record/unseen-vcpu", test_unseen_vcpu);
  hand_over_add ("/fixup/record/no-vcpus", test_no_vcpus);
  hand_over_add ("/fixup/record/no-frequency", test_no_frequency);
  hand_over_add ("/fixup/ioctl/sign-extended", test_sign_extended);
  hand_over_add ("/fixup/ioctl/own-fails", test_own_ioctl_fails);
  hand_over_add ("/fixup/ioctl/own-fails/unheard", test_own_ioctl_fails_unheard);
  hand_over_add ("/fixup/ioctl/vm-created", test_vm_created);

  return g_test_run ();
}
