/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hand-over-test - the way of a record: source QEMU, source daemon, destination daemon, its QEMU
 *
 * Both daemons' Managers run here, over real TLS and the real helper protocol; the QEMUs are played.
 */

#include <string.h>

#include "event-tape.h"
#include "helper-protocol.h"
#include "managed-host.h"
#include "wait-until.h"

#define NS_PER_S G_GUINT64_CONSTANT (1000000000)

typedef struct {
  ManagedHost *source;
  ManagedHost *dest;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  event_tape_clear ();
  fixture->source = managed_host_new ();
  fixture->dest = managed_host_new ();
  fixture->dest->settings.max_advance_s = 123;
  managed_host_start_daemon (fixture->source);
  managed_host_start_daemon (fixture->dest);
  WAIT_UNTIL (event_tape_count ("libvirt-connected") == 2);
  managed_host_boot (fixture->source);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 1);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->dest, managed_host_free);
  g_clear_pointer (&fixture->source, managed_host_free);
}

/* steps of the story */

/* WEB is on its way, and the destination's helper was told so. */
static void
prepare (Fixture *fixture)
{
  g_autofree struct helper_incoming *incoming = NULL;

  managed_host_prepare (fixture->dest, fixture->source, TRUE);
  WAIT_UNTIL (stand_in_qemu_count (fixture->dest->qemu) == 1);
  incoming = stand_in_qemu_take (fixture->dest->qemu, HELPER_MESSAGE_INCOMING);
  g_assert_cmpuint (incoming->deadline_monotonic_ns / 1000, >, (guint64) g_get_monotonic_time ());
  WAIT_UNTIL (event_tape_count ("departure-claimed") == 1);
  WAIT_UNTIL (event_tape_count ("arrival-claimed") == 1);
}

/* The next message of @type. Fix-ups in between are repetitions, with a theta better known. */
static gpointer
expect (Fixture *fixture, enum helper_message_type type)
{
  for (;;) {
    WAIT_UNTIL (stand_in_qemu_count (fixture->dest->qemu) > 0);
    if (stand_in_qemu_peek (fixture->dest->qemu) == type)
      return stand_in_qemu_take (fixture->dest->qemu, type);
    g_free (stand_in_qemu_take (fixture->dest->qemu, HELPER_MESSAGE_FIXUP));
  }
}

/* The next fix-up that is made of @record, to the bit. */
static struct helper_fixup *
expect_fixup (Fixture *fixture, const struct clock_record *record)
{
  for (;;) {
    g_autofree struct helper_fixup *fixup = expect (fixture, HELPER_MESSAGE_FIXUP);

    if (fixup->record.guest_src_ns != record->guest_src_ns)
      continue;
    g_assert_cmpmem (&fixup->record, clock_record_size (fixup->record.vcpu_count), record,
                     clock_record_size (record->vcpu_count));
    return g_steal_pointer (&fixup);
  }
}

/* A record that comes all the way through. */
static void
pass_record (Fixture *fixture, guint64 guest_src_ns)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (guest_src_ns);
  g_autofree struct helper_fixup *fixup = NULL;

  stand_in_qemu_send_record (fixture->source->qemu, record);
  fixup = expect_fixup (fixture, record);
}

static void
expect_withdraw (Fixture *fixture)
{
  g_autofree struct helper_header *withdraw = expect (fixture, HELPER_MESSAGE_WITHDRAW);
}

/* tests */

static void
test_fixed (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *last = stand_in_qemu_make_record (2000);
  g_autofree struct helper_fixup *fixup = NULL;
  guint64 before_ns = (guint64) g_get_monotonic_time () * 1000;

  prepare (fixture);
  pass_record (fixture, 1000);
  managed_host_emit (fixture->source, SUSPENDED_MIGRATED);
  stand_in_qemu_send_record (fixture->source->qemu, last);
  fixup = expect_fixup (fixture, last);

  g_assert_cmpuint (fixup->max_advance_ns, ==, 123 * NS_PER_S);
  g_assert_cmpuint (fixup->mode, ==, HELPER_MODE_APPLY);
  g_assert_cmpuint (fixup->deadline_monotonic_ns, >, before_ns + 123 * NS_PER_S);
  /* one machine, one clock: the measurement must allow for 0 */
  g_assert_cmpuint ((guint64) ABS (fixup->theta_ns), <=, fixup->theta_bound_ns);
  g_assert_cmpuint (fixup->theta_bound_ns, <, NS_PER_S);

  /* libvirt's event and the helper's report race: both are there when the daemon looks */
  stand_in_libvirt_set_state (fixture->dest->host->libvirt, WEB, STATE_RUNNING);
  stand_in_qemu_send_report (fixture->dest->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  managed_host_emit (fixture->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_VERDICT"), ==, "fixed");
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_GUEST_SRC_NS"), ==, "2000");
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_ADVANCE_NS"), ==, "178000000");
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_RESIDUAL_NS"), ==, "-42");
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_THETA_USED"), ==, "measured");
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_OFFSETS"), ==,
                   "0:-1234567:0:77 2:-1234567:0:77");

  managed_host_emit (fixture->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
  g_assert_cmpuint (event_tape_count ("departure-unclaimed"), ==, 0);
  g_assert_cmpuint (event_tape_count ("arrival-step-failed"), ==, 0);
  /* and it is ready to move on */
  WAIT_UNTIL (event_tape_count ("domain-ready") == 2);
}

/* Not --live: the guest was paused before the transfer, so its record is older than the claim. */
static void
test_record_before_claim (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (3000);
  g_autofree struct helper_fixup *fixup = NULL;

  stand_in_qemu_send_record (fixture->source->qemu, record);
  managed_host_emit (fixture->source, SUSPENDED_MIGRATED);
  bus_host_boot_and_wait (fixture->source->host, MAIL, "mail", 9);
  prepare (fixture);
  fixup = expect_fixup (fixture, record);
  g_assert_cmpuint (event_tape_count ("arrival-step-failed"), ==, 0);
}

static void
test_rolled_back (Fixture *fixture, gconstpointer data)
{
  prepare (fixture);
  pass_record (fixture, 1000);
  managed_host_emit (fixture->source, SUSPENDED_MIGRATED);
  managed_host_emit (fixture->source, RESUMED_MIGRATED);
  expect_withdraw (fixture);
  g_assert_cmpuint (event_tape_count ("departure-rolled-back"), ==, 1);

  /* the record is void at the source too: another claim gets none */
  managed_host_emit (fixture->dest, STOPPED_FAILED);
  WAIT_UNTIL (event_tape_count ("arrival-abandoned") == 1);
  g_assert_cmpuint (stand_in_qemu_count (fixture->dest->qemu), ==, 0);
  managed_host_emit (fixture->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_nonnull (
    strstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"), "gave no record"));
}

/* Should it run here all the same, the report must not speak of a record that is void. */
static void
test_resumed_after_withdrawal (Fixture *fixture, gconstpointer data)
{
  prepare (fixture);
  pass_record (fixture, 1000);
  managed_host_emit (fixture->source, SUSPENDED_MIGRATED);
  managed_host_emit (fixture->source, RESUMED_MIGRATED);
  expect_withdraw (fixture);
  managed_host_emit (fixture->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "record");
}

/* migrate --suspend: whenever it is resumed, it must be as stock QEMU has it */
static void
test_arrived_paused (Fixture *fixture, gconstpointer data)
{
  prepare (fixture);
  pass_record (fixture, 1000);
  managed_host_emit (fixture->dest, SUSPENDED_PAUSED);
  expect_withdraw (fixture);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_REASON"), ==, "arrived-paused");
}

static void
test_record_of_other_domain (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  gsize record_size = clock_record_size (record->vcpu_count);
  gsize size = offsetof (struct helper_record, record) + record_size;
  g_autofree struct helper_record *message = g_malloc0 (size);
  const guint8 other_domain[16] = { 1, 2, 3 };

  prepare (fixture);
  memcpy (&message->record, record, record_size);
  helper_header_init (&message->header, HELPER_MESSAGE_RECORD, (guint32) size, other_domain);
  stand_in_qemu_send (fixture->source->qemu, message, size);
  WAIT_UNTIL (event_tape_count ("helper-lost") == 1);
  g_assert_nonnull (strstr (event_tape_get ("helper-lost", "MESSAGE"), "other-domain"));

  managed_host_emit (fixture->source, SUSPENDED_MIGRATED);
  managed_host_emit (fixture->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_cmpuint (stand_in_qemu_count (fixture->dest->qemu), ==, 0);
}

static void
test_unclaimed (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  stand_in_qemu_send_record (fixture->source->qemu, record);
  managed_host_emit (fixture->source, SUSPENDED_MIGRATED);
  /* events keep their order, but a helper's record comes by another way */
  bus_host_boot_and_wait (fixture->source->host, MAIL, "mail", 9);
  managed_host_emit (fixture->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_nonnull (
    strstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"), "claimed its record"));
}

static void
test_stock_verdict (Fixture *fixture, gconstpointer data)
{
  prepare (fixture);
  pass_record (fixture, 1000);
  stand_in_qemu_send_report (fixture->dest->qemu, HELPER_VERDICT_STOCK,
                             HELPER_REASON_CLOCK_MISMATCH);
  managed_host_emit (fixture->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "fixup");
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_REASON"), ==, "clock-mismatch");
}

static void
test_silent_source (Fixture *fixture, gconstpointer data)
{
  prepare (fixture);
  stand_in_qemu_send_report (fixture->dest->qemu, HELPER_VERDICT_STOCK, HELPER_REASON_NO_RECORD);
  managed_host_emit (fixture->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "record");
}

static void
test_silent_helper (Fixture *fixture, gconstpointer data)
{
  prepare (fixture);
  pass_record (fixture, 1000);
  managed_host_emit (fixture->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "fixup");
}

static void
test_no_helper_at_destination (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  managed_host_prepare (fixture->dest, fixture->source, FALSE);
  WAIT_UNTIL (event_tape_count ("arrival-claimed") == 1);
  stand_in_qemu_send_record (fixture->source->qemu, record);
  managed_host_emit (fixture->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "helper");
}

/* The destination's daemon restarts while it has a fix-up out: the record comes once more. */
static void
test_destination_restarts (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  g_autofree struct helper_fixup *before = NULL;
  g_autofree struct helper_incoming *incoming = NULL;
  g_autofree struct helper_fixup *after = NULL;

  prepare (fixture);
  stand_in_qemu_send_record (fixture->source->qemu, record);
  before = expect_fixup (fixture, record);
  g_clear_pointer (&fixture->dest->manager, manager_free);
  WAIT_UNTIL (!stand_in_qemu_is_connected (fixture->dest->qemu));
  managed_host_start_daemon (fixture->dest);

  incoming = expect (fixture, HELPER_MESSAGE_INCOMING);
  after = expect_fixup (fixture, record);
}

/* The guest goes on from the last record, however many there were. */
static void
test_last_record_wins (Fixture *fixture, gconstpointer data)
{
  g_autofree struct helper_fixup *last = NULL;
  g_autofree struct clock_record *record = NULL;

  prepare (fixture);
  for (guint i = 0; i < 20; i++) {
    g_clear_pointer (&record, g_free);
    record = stand_in_qemu_make_record (1000 + i);
    stand_in_qemu_send_record (fixture->source->qemu, record);
  }
  last = expect_fixup (fixture, record);
  while (stand_in_qemu_count (fixture->dest->qemu) > 0) {
    g_clear_pointer (&last, g_free);
    last = expect (fixture, HELPER_MESSAGE_FIXUP);
    g_assert_cmpuint (last->record.guest_src_ns, ==, record->guest_src_ns);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  event_tape_start ();

#define ADD(path, function)                                                                        \
  g_test_add ("/hand-over/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("fixed", test_fixed);
  ADD ("record-before-claim", test_record_before_claim);
  ADD ("rolled-back", test_rolled_back);
  ADD ("resumed-after-withdrawal", test_resumed_after_withdrawal);
  ADD ("arrived-paused", test_arrived_paused);
  ADD ("record-of-other-domain", test_record_of_other_domain);
  ADD ("unclaimed", test_unclaimed);
  ADD ("stock-verdict", test_stock_verdict);
  ADD ("silent-source", test_silent_source);
  ADD ("silent-helper", test_silent_helper);
  ADD ("no-helper-at-destination", test_no_helper_at_destination);
  ADD ("destination-restarts", test_destination_restarts);
  ADD ("last-record-wins", test_last_record_wins);
#undef ADD
  return g_test_run ();
}
