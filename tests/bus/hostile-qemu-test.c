/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile-qemu-test - a QEMU that its guest has taken over, and the migrations of other guests
 *
 * MAIL's QEMU does what it can to the daemon of the host from which WEB is leaving, or to that of the
 * host at which it arrives. WEB's clocks must be handed over all the same, the journal must stay
 * readable, and no daemon may grow: both run here, so that 64 MiB are for two of them and the test.
 */

#include <string.h>

#include "domain-uuid.h"
#include "event-tape.h"
#include "helper-protocol.h"
#include "managed-pair.h"
#include "wait-until.h"

#define NS_PER_S   G_GUINT64_CONSTANT (1000000000)
#define MANY       100000
#define EVENTS_MAX 30
#define HWM_MAX_KB (64 * 1024)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER TRUE /* their memory would be counted too */
#else
#define HAS_SANITIZER FALSE
#endif

static guint64
read_hwm_kb (void)
{
  g_autofree char *status = NULL;
  const char *field;

  g_assert_true (g_file_get_contents ("/proc/self/status", &status, NULL, NULL));
  field = strstr (status, "\nVmHWM:");
  g_assert_nonnull (field);
  return g_ascii_strtoull (g_strchug ((char *) field + strlen ("\nVmHWM:")), NULL, 10);
}

static void
expect_no_harm (void)
{
  guint64 hwm_kb = read_hwm_kb ();

  g_test_message ("%u events, VmHWM %" G_GUINT64_FORMAT " kB", event_tape_length (), hwm_kb);
  g_assert_cmpuint (event_tape_length (), <, EVENTS_MAX);
  if (!HAS_SANITIZER)
    g_assert_cmpuint (hwm_kb, <, HWM_MAX_KB);
}

static StandInQemu *
boot_mail (ManagedHost *host)
{
  StandInQemu *mail = stand_in_qemu_start (host->folders, "mail", 9, MAIL);

  bus_host_boot_and_wait (host->host, MAIL, "mail", 9);
  WAIT_UNTIL (stand_in_qemu_is_connected (mail));
  return mail;
}

/* WEB goes from the source to the destination, with its clocks. */
static void
expect_fixed (ManagedPair *pair)
{
  g_autofree struct clock_record *last = stand_in_qemu_make_record (2000);
  g_autofree struct helper_fixup *fixup = NULL;

  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  stand_in_qemu_send_record (pair->source->qemu, last);
  fixup = managed_pair_expect_fixup (pair, last);
  stand_in_libvirt_set_state (pair->dest->host->libvirt, WEB, STATE_RUNNING);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_DOMAIN_NAME"), ==, "web");
  managed_host_emit (pair->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
  g_assert_cmpuint (event_tape_count ("arrival-step-failed"), ==, 0);
}

static void
expect_mail_cut_off (const char *reason)
{
  WAIT_UNTIL (event_tape_count ("helper-lost") == 1);
  g_assert_cmpstr (event_tape_get ("helper-lost", "CLOCKFERRY_DOMAIN_NAME"), ==, "mail");
  g_assert_nonnull (strstr (event_tape_get ("helper-lost", "MESSAGE"), reason));
}

/* floods */

static void
test_flood (ManagedHost *host, ManagedPair *pair, gconstpointer message, gsize size,
            const char *reason)
{
  g_autoptr (StandInQemu) mail = boot_mail (host);
  GThread *thread = stand_in_qemu_flood (mail, message, size, MANY);

  expect_fixed (pair);
  expect_mail_cut_off (reason);
  stand_in_qemu_hang_up (mail);
  g_test_message ("%u sent", GPOINTER_TO_UINT (g_thread_join (thread)));
  expect_no_harm ();
}

static struct helper_report *
make_longest_report (const char *uuid)
{
  gsize size = helper_report_size (CLOCK_RECORD_VCPUS_MAX);
  struct helper_report *report = g_malloc0 (size);
  guint8 domain[DOMAIN_UUID_BYTES];

  domain_uuid_parse (uuid, domain);
  report->vcpu_count = CLOCK_RECORD_VCPUS_MAX;
  helper_header_init (&report->header, HELPER_MESSAGE_REPORT, (guint32) size, domain);
  return report;
}

static struct helper_record *
make_record_of (const char *uuid)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (666);
  struct helper_record *message = g_malloc0 (sizeof *message + 2 * sizeof record->vcpus[0]);
  guint8 domain[DOMAIN_UUID_BYTES];

  domain_uuid_parse (uuid, domain);
  memcpy (&message->record, record, clock_record_size (record->vcpu_count));
  helper_header_init (
    &message->header, HELPER_MESSAGE_RECORD,
    (guint32) (offsetof (struct helper_record, record) + clock_record_size (record->vcpu_count)),
    domain);
  return message;
}

static void
test_records_at_source (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct helper_record *message = make_record_of (MAIL);

  test_flood (pair->source, pair, message, message->header.length, "floods");
}

static void
test_records_at_destination (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct helper_record *message = make_record_of (MAIL);

  test_flood (pair->dest, pair, message, message->header.length, "floods");
}

static void
test_longest_reports (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct helper_report *message = make_longest_report (MAIL);

  test_flood (pair->dest, pair, message, message->header.length, "floods");
}

static void
test_garbage (ManagedPair *pair, gconstpointer data)
{
  static const char garbage[] = "This is not a message of any kind, long as it may be.";

  test_flood (pair->source, pair, garbage, sizeof garbage, "bad-magic");
}

/* The one that floods is arriving itself: the link it is cut off is all that it loses. */
static void
test_arriving (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct helper_report *message = make_longest_report (WEB);
  GThread *thread;

  managed_pair_prepare (pair);
  thread = stand_in_qemu_flood (pair->dest->qemu, message, message->header.length, MANY);
  WAIT_UNTIL (event_tape_count ("helper-lost") == 1);
  stand_in_qemu_hang_up (pair->dest->qemu);
  g_thread_join (thread);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  expect_no_harm ();
}

/* It hangs up again and again: the daemon comes back in its own time, not in QEMU's. */
static void
test_come_and_go (ManagedPair *pair, gconstpointer data)
{
  g_autoptr (StandInQemu) mail = boot_mail (pair->source);

  stand_in_qemu_hang_up (mail);
  expect_fixed (pair);
  g_assert_false (stand_in_qemu_is_connected (mail));
  g_assert_cmpuint (event_tape_count ("helper-lost"), ==, 0);
  expect_no_harm ();
}

/* other guests' clocks */

/* In its own name, as often as it is allowed to: nobody who claimed WEB hears of it. */
static void
test_own_records (ManagedPair *pair, gconstpointer data)
{
  g_autoptr (StandInQemu) mail = boot_mail (pair->source);
  g_autofree struct helper_record *message = make_record_of (MAIL);
  g_autofree struct helper_fixup *fixup = NULL;
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  managed_pair_prepare (pair);
  for (guint i = 0; i < 100; i++)
    stand_in_qemu_send (mail, message, message->header.length);
  stand_in_qemu_send_record (pair->source->qemu, record);
  fixup = managed_pair_expect (pair, HELPER_MESSAGE_FIXUP);
  g_assert_cmpuint (fixup->record.guest_src_ns, ==, 1000);
  while (stand_in_qemu_count (pair->dest->qemu) > 0) {
    g_clear_pointer (&fixup, g_free);
    fixup = managed_pair_expect (pair, HELPER_MESSAGE_FIXUP);
    g_assert_cmpuint (fixup->record.guest_src_ns, ==, 1000);
  }
}

/* In the name of WEB, which is on its way: nothing comes of it but its own end. */
static void
test_record_for_another (ManagedPair *pair, gconstpointer data)
{
  g_autoptr (StandInQemu) mail = boot_mail (pair->source);
  g_autofree struct helper_record *message = make_record_of (WEB);

  stand_in_qemu_send (mail, message, message->header.length);
  expect_mail_cut_off ("other-domain");
  expect_fixed (pair);
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_GUEST_SRC_NS"), ==, "2000");
  expect_no_harm ();
}

/* reports about its own guest that cannot be true */

static void
test_report_without_fixup (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  for (guint i = 0; i < 100; i++)
    stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_KVMCLOCK_ONLY,
                               HELPER_REASON_NO_MASTER_CLOCK);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-kvmclock-only") == 1);
  g_assert_cmpstr (event_tape_get ("migration-kvmclock-only", "CLOCKFERRY_DOMAIN"), ==, WEB);
  g_assert_cmpstr (event_tape_get ("migration-kvmclock-only", "CLOCKFERRY_GUEST_SRC_NS"), ==, NULL);
  expect_no_harm ();
}

static void
test_absurd_report (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct helper_report *report = make_longest_report (WEB);
  gsize size = report->header.length;

  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  memset ((guint8 *) report + offsetof (struct helper_report, failed_errno), 0xff,
          size - offsetof (struct helper_report, failed_errno));
  report->vcpu_count = CLOCK_RECORD_VCPUS_MAX;
  report->verdict = HELPER_VERDICT_FIXED;
  report->theta_ns = G_MININT64;
  report->advance_ns = G_MININT64;
  report->residual_ns = G_MAXINT64;
  /* so that what the daemon makes of it is the least of all numbers */
  report->deadline_monotonic_ns = (G_GUINT64_CONSTANT (1) << 63) + 123 * NS_PER_S;
  stand_in_qemu_send (pair->dest->qemu, report, size);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_THETA_NS"), ==,
                   "-9223372036854775808");
  expect_no_harm ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  event_tape_start ();

#define ADD(path, function)                                                                        \
  g_test_add ("/hostile-qemu/" path, ManagedPair, NULL, managed_pair_set_up, function,             \
              managed_pair_tear_down)
  ADD ("flood/records/at-source", test_records_at_source);
  ADD ("flood/records/at-destination", test_records_at_destination);
  ADD ("flood/longest-reports", test_longest_reports);
  ADD ("flood/garbage", test_garbage);
  ADD ("flood/arriving", test_arriving);
  ADD ("come-and-go", test_come_and_go);
  ADD ("records/own", test_own_records);
  ADD ("records/for-another", test_record_for_another);
  ADD ("reports/without-fixup", test_report_without_fixup);
  ADD ("reports/absurd", test_absurd_report);
#undef ADD
  return g_test_run ();
}
