/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unseen-qemu-test - a QEMU that makes some of its ioctls past the helper, as the journal has it
 *
 * What the helper does in such a QEMU is in helper-preload-test; here it is played.
 */

#include <string.h>

#include "domain-uuid.h"
#include "event-tape.h"
#include "helper-protocol.h"
#include "managed-pair.h"
#include "wait-until.h"

/* KVM_CREATE_VM: the helper was loaded, and never listens. */

static void
test_vm_at_home (ManagedPair *pair, gconstpointer data)
{
  g_autoptr (StandInQemu) mail = stand_in_qemu_start (pair->source->folders, "mail", 9, MAIL);

  stand_in_qemu_stop_listening (mail);
  bus_host_boot_and_wait (pair->source->host, MAIL, "mail", 9);
  WAIT_UNTIL (event_tape_count ("domain-not-ready") == 1);
  g_assert_cmpstr (event_tape_get ("domain-not-ready", "CLOCKFERRY_DOMAIN_NAME"), ==, "mail");
  g_assert_nonnull (
    strstr (event_tape_get ("domain-not-ready", "CLOCKFERRY_REASON"), "no VM by libc's ioctl()"));
}

static void
test_vm_arriving (ManagedPair *pair, gconstpointer data)
{
  pair->dest->qemu = stand_in_qemu_start (pair->dest->folders, "web", 2, WEB);
  stand_in_qemu_stop_listening (pair->dest->qemu);
  managed_host_prepare (pair->dest, pair->source, FALSE);
  WAIT_UNTIL (event_tape_count ("arrival-claimed") == 1);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "helper");
  g_assert_nonnull (
    strstr (event_tape_get ("migration-stock", "CLOCKFERRY_REASON"), "no VM by libc's ioctl()"));
}

/* KVM_CREATE_VCPU: the helper says at both ends that it does not know all vCPUs. */

static void
send_no_record (ManagedPair *pair)
{
  struct helper_report report = { .reason = HELPER_REASON_UNSEEN_VCPUS,
                                  .flags = HELPER_REPORT_NO_RECORD };
  guint8 domain[DOMAIN_UUID_BYTES];

  domain_uuid_parse (WEB, domain);
  helper_header_init (&report.header, HELPER_MESSAGE_REPORT, sizeof report, domain);
  stand_in_qemu_send (pair->source->qemu, &report, sizeof report);
}

static void
leave_unclaimed (ManagedPair *pair)
{
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  /* events keep their order: with this one the daemon has had that one too */
  bus_host_boot_and_wait (pair->source->host, MAIL, "mail", 9);
  stand_in_qemu_hang_up (pair->source->qemu);
  managed_host_emit (pair->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
}

static void
test_vcpus_leaving (ManagedPair *pair, gconstpointer data)
{
  send_no_record (pair);
  leave_unclaimed (pair);
  g_assert_cmpstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"), ==,
                   "the helper in its QEMU gave no record: unseen-vcpus");
}

/* Another pause may have one, and the next none again. */
static void
test_vcpus_in_time (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  send_no_record (pair);
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  managed_host_emit (pair->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
}

static void
test_vcpus_arriving (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_STOCK, HELPER_REASON_UNSEEN_VCPUS);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "fixup");
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_REASON"), ==, "unseen-vcpus");
}

/* What the helper says of a record is no report of an arrival. */
static void
test_no_record_arriving (ManagedPair *pair, gconstpointer data)
{
  struct helper_report report = { .verdict = HELPER_VERDICT_FIXED,
                                  .flags = HELPER_REPORT_NO_RECORD };
  guint8 domain[DOMAIN_UUID_BYTES];

  managed_pair_prepare (pair);
  domain_uuid_parse (WEB, domain);
  helper_header_init (&report.header, HELPER_MESSAGE_REPORT, sizeof report, domain);
  stand_in_qemu_send (pair->dest->qemu, &report, sizeof report);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpuint (event_tape_count ("migration-fixed"), ==, 0);
}

/* KVM_GET_CLOCK: not a word of the helper at the pause. */
static void
test_get (ManagedPair *pair, gconstpointer data)
{
  leave_unclaimed (pair);
  g_assert_cmpstr (
    event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"), ==,
    "the helper in its QEMU gave no record: it saw no KVM_GET_CLOCK by libc's ioctl()");
}

/* KVM_SET_CLOCK: what the helper was told still lies in the socket when the guest runs. */
static void
test_set (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_unread_record (pair, 1000);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "fixup");
  g_assert_nonnull (strstr (event_tape_get ("migration-stock", "CLOCKFERRY_REASON"),
                            "no KVM_SET_CLOCK by libc's ioctl()"));
}

/* ... which is not to be said of a QEMU that has ended. */
static void
test_gone (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  stand_in_qemu_hang_up (pair->dest->qemu);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-unknown") == 1);
  g_assert_nonnull (
    strstr (event_tape_get ("migration-unknown", "CLOCKFERRY_REASON"), "ended before it reported"));
  g_assert_cmpuint (event_tape_count ("migration-stock"), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  event_tape_start ();

#define ADD(path, function)                                                                        \
  g_test_add ("/unseen-qemu/" path, ManagedPair, NULL, managed_pair_set_up, function,              \
              managed_pair_tear_down)
  ADD ("vm/at-home", test_vm_at_home);
  ADD ("vm/arriving", test_vm_arriving);
  ADD ("vcpus/leaving", test_vcpus_leaving);
  ADD ("vcpus/in-time", test_vcpus_in_time);
  ADD ("vcpus/arriving", test_vcpus_arriving);
  ADD ("vcpus/no-record-arriving", test_no_record_arriving);
  ADD ("get", test_get);
  ADD ("set", test_set);
  ADD ("set/gone", test_gone);
#undef ADD
  return g_test_run ();
}
