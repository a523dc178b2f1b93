/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hand-over-test - the way of a record: source QEMU, source daemon, destination daemon, its QEMU
 *
 * Both daemons' Managers run here, over real TLS and the real helper protocol; the QEMUs are played.
 */

#include <string.h>

#include "event-tape.h"
#include "helper-protocol.h"
#include "managed-pair.h"
#include "wait-until.h"

#define NS_PER_S G_GUINT64_CONSTANT (1000000000)

/* Nothing else is said of that arrival's end. */
static void
expect_unknown (const char *reason)
{
  WAIT_UNTIL (event_tape_count ("migration-unknown") == 1);
  g_assert_cmpuint (event_tape_count ("migration-stock"), ==, 0);
  g_assert_cmpstr (event_tape_get ("migration-unknown", "CLOCKFERRY_VERDICT"), ==, "unknown");
  g_assert_cmpstr (event_tape_get ("migration-unknown", "CLOCKFERRY_STEP"), ==, "fixup");
  g_assert_nonnull (strstr (event_tape_get ("migration-unknown", "CLOCKFERRY_REASON"), reason));
}

static void
test_fixed (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *last = stand_in_qemu_make_record (2000);
  g_autofree struct helper_fixup *fixup = NULL;
  guint64 before_ns = (guint64) g_get_monotonic_time () * 1000;

  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  stand_in_qemu_send_record (pair->source->qemu, last);
  fixup = managed_pair_expect_fixup (pair, last);

  g_assert_cmpuint (fixup->max_advance_ns, ==, 123 * NS_PER_S);
  g_assert_cmpuint (fixup->mode, ==, HELPER_MODE_APPLY);
  g_assert_cmpuint (fixup->deadline_monotonic_ns, >, before_ns + 123 * NS_PER_S);
  /* one machine, one clock: the measurement must allow for 0 */
  g_assert_cmpuint ((guint64) ABS (fixup->theta_ns), <=, fixup->theta_bound_ns);
  g_assert_cmpuint (fixup->theta_bound_ns, <, NS_PER_S);

  /* libvirt's event and the helper's report race: both are there when the daemon looks */
  stand_in_libvirt_set_state (pair->dest->host->libvirt, WEB, STATE_RUNNING);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_VERDICT"), ==, "fixed");
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_GUEST_SRC_NS"), ==, "2000");
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_ADVANCE_NS"), ==, "178000000");
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_RESIDUAL_NS"), ==, "-42");
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_THETA_USED"), ==, "measured");
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_OFFSETS"), ==,
                   "0:-1234567:0:77 2:-1234567:0:77");

  managed_host_emit (pair->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
  g_assert_cmpuint (event_tape_count ("departure-unclaimed"), ==, 0);
  g_assert_cmpuint (event_tape_count ("arrival-step-failed"), ==, 0);
  /* and it is ready to move on */
  WAIT_UNTIL (event_tape_count ("domain-ready") == 2);
}

/* Not --live: the guest was paused before the transfer, so its record is older than the claim. */
static void
test_record_before_claim (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (3000);
  g_autofree struct helper_fixup *fixup = NULL;

  stand_in_qemu_send_record (pair->source->qemu, record);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  bus_host_boot_and_wait (pair->source->host, MAIL, "mail", 9);
  managed_pair_prepare (pair);
  fixup = managed_pair_expect_fixup (pair, record);
  g_assert_cmpuint (event_tape_count ("arrival-step-failed"), ==, 0);
}

static void
test_rolled_back (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  managed_host_emit (pair->source, RESUMED_MIGRATED);
  managed_pair_expect_withdraw (pair);
  g_assert_cmpuint (event_tape_count ("departure-rolled-back"), ==, 1);

  /* the record is void at the source too: another claim gets none */
  managed_host_emit (pair->dest, STOPPED_FAILED);
  WAIT_UNTIL (event_tape_count ("arrival-abandoned") == 1);
  g_assert_cmpuint (stand_in_qemu_count (pair->dest->qemu), ==, 0);
  /* a QEMU is gone before libvirt says so */
  stand_in_qemu_hang_up (pair->source->qemu);
  managed_host_emit (pair->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_nonnull (
    strstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"), "gave no record"));
}

/* The source takes the record back, and the guest runs here all the same. */
static void
withdraw_and_resume (ManagedPair *pair)
{
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  managed_host_emit (pair->source, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-rolled-back") == 1);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
}

/* The report must not speak of a record that is void. */
static void
test_resumed_after_withdrawal (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_unread_record (pair, 1000);
  withdraw_and_resume (pair);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "record");
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_GUEST_SRC_NS"), ==, NULL);
}

/* Nor must it say that nothing was done, when the helper had the fix-up before it was taken back. */
static void
test_withdrawn_after_reading (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  withdraw_and_resume (pair);
  expect_unknown ("did not report");
  g_assert_cmpstr (event_tape_get ("migration-unknown", "CLOCKFERRY_GUEST_SRC_NS"), ==, NULL);
}

/* migrate --suspend: whenever it is resumed, it must be as stock QEMU has it */
static void
test_arrived_paused (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->dest, SUSPENDED_PAUSED);
  managed_pair_expect_withdraw (pair);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_REASON"), ==, "arrived-paused");
}

/* ... which it will hardly be, where the helper has a fix-up that it cannot be told to forget. */
static void
test_arrived_paused_unheard (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  stand_in_qemu_hang_up (pair->dest->qemu);
  managed_host_emit (pair->dest, SUSPENDED_PAUSED);
  expect_unknown ("arrived paused");
}

static void
test_record_of_other_domain (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  gsize record_size = clock_record_size (record->vcpu_count);
  gsize size = offsetof (struct helper_record, record) + record_size;
  g_autofree struct helper_record *message = g_malloc0 (size);
  const guint8 other_domain[16] = { 1, 2, 3 };

  managed_pair_prepare (pair);
  memcpy (&message->record, record, record_size);
  helper_header_init (&message->header, HELPER_MESSAGE_RECORD, (guint32) size, other_domain);
  stand_in_qemu_send (pair->source->qemu, message, size);
  WAIT_UNTIL (event_tape_count ("helper-lost") == 1);
  g_assert_nonnull (strstr (event_tape_get ("helper-lost", "MESSAGE"), "other-domain"));

  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  managed_host_emit (pair->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_cmpuint (stand_in_qemu_count (pair->dest->qemu), ==, 0);
}

static void
test_unclaimed (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  stand_in_qemu_send_record (pair->source->qemu, record);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  /* events keep their order, but a helper's record comes by another way */
  bus_host_boot_and_wait (pair->source->host, MAIL, "mail", 9);
  managed_host_emit (pair->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_nonnull (
    strstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"), "claimed its record"));
}

/* What libvirt says nothing of: a guest that stands still anyway comes back from one migration, and goes
 * on another to where no daemon is. */
static void
test_paused_and_failed_and_left (ManagedPair *pair, gconstpointer data)
{
  g_autofree char *id = NULL;

  managed_pair_prepare (pair);
  id = g_strdup (event_tape_get ("departure-claimed", "CLOCKFERRY_MIGRATION"));
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->source, SUSPENDED_PAUSED);
  managed_host_emit (pair->dest, STOPPED_FAILED);
  WAIT_UNTIL (event_tape_count ("departure-cancelled") == 1);
  g_assert_cmpstr (event_tape_get ("departure-cancelled", "CLOCKFERRY_MIGRATION"), ==, id);
  g_assert_nonnull (
    strstr (event_tape_get ("departure-cancelled", "CLOCKFERRY_REASON"), "did not arrive"));

  managed_host_emit (pair->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_cmpuint (event_tape_count ("departure-done"), ==, 0);
  g_assert_cmpstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_MIGRATION"), !=, id);
  g_assert_nonnull (
    strstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"), "claimed its record"));
}

/* The record of the pause is still good for it, if there is a daemon. */
static void
test_paused_and_failed_and_claimed (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  g_autofree struct helper_incoming *incoming = NULL;
  g_autofree struct helper_fixup *before = NULL;
  g_autofree struct helper_fixup *after = NULL;

  managed_pair_prepare (pair);
  stand_in_qemu_send_record (pair->source->qemu, record);
  before = managed_pair_expect_fixup (pair, record);
  managed_host_emit (pair->source, SUSPENDED_PAUSED);
  managed_host_emit (pair->dest, STOPPED_FAILED);
  WAIT_UNTIL (event_tape_count ("departure-cancelled") == 1);

  g_clear_pointer (&pair->dest->qemu, stand_in_qemu_end);
  stand_in_libvirt_remove_domain (pair->dest->host->libvirt, WEB);
  managed_host_prepare (pair->dest, pair->source, TRUE);
  incoming = managed_pair_expect (pair, HELPER_MESSAGE_INCOMING);
  after = managed_pair_expect_fixup (pair, record);
  managed_host_emit (pair->dest, SUSPENDED_PAUSED);
  managed_host_emit (pair->source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
}

static void
test_stock_verdict (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_STOCK, HELPER_REASON_CLOCK_MISMATCH);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "fixup");
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_REASON"), ==, "clock-mismatch");
}

static void
test_silent_source (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_STOCK, HELPER_REASON_NO_RECORD);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "record");
}

static void
test_silent_helper (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  expect_unknown ("did not report");
  g_assert_cmpstr (event_tape_get ("migration-unknown", "CLOCKFERRY_GUEST_SRC_NS"), ==, "1000");
}

/* ... and that it is paused by hand a moment later does not make it one that arrived paused. */
static void
test_silent_and_paused (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  managed_host_emit (pair->dest, SUSPENDED_PAUSED);
  expect_unknown ("did not report");
}

/* One that was told to leave the clocks alone has done so. */
static void
test_silent_observer (ManagedPair *pair, gconstpointer data)
{
  pair->dest->settings.mode = SETTINGS_MODE_OBSERVE;
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "fixup");
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_REASON"), ==,
                   "the helper did not report");
}

/* QEMU tells of its resuming before it sets the clock. */
static void
test_late_report (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  stand_in_libvirt_set_state (pair->dest->host->libvirt, WEB, STATE_RUNNING);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  /* events keep their order: with this one the daemon has had that one too */
  bus_host_boot_and_wait (pair->dest->host, MAIL, "mail", 9);
  g_assert_cmpuint (event_tape_count ("migration-stock"), ==, 0);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  g_assert_cmpuint (event_tape_count ("migration-stock"), ==, 0);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 2);
}

/* Nor need the record be there yet: the helper waits for it a little. */
static void
test_late_record (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  WAIT_UNTIL (event_tape_count ("arrival-claimed") == 1);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  bus_host_boot_and_wait (pair->dest->host, MAIL, "mail", 9);
  managed_pair_pass_record (pair, 1000);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  g_assert_cmpuint (event_tape_count ("migration-stock"), ==, 0);
}

/* A source that lies takes the record back when the helper is at it already. */
static void
test_withdrawn_too_late (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  bus_host_boot_and_wait (pair->dest->host, MAIL, "mail", 9);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  managed_host_emit (pair->source, RESUMED_MIGRATED);
  managed_pair_expect_withdraw (pair);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  g_assert_cmpuint (event_tape_count ("migration-stock"), ==, 0);
}

/* A guest that is on its way to the next host at once has arrived all the same. */
static void
test_silent_and_left (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  managed_host_emit (pair->dest, SUSPENDED_MIGRATED);
  managed_host_emit (pair->dest, STOPPED_MIGRATED);
  expect_unknown ("did not report");
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_cmpuint (event_tape_count ("arrival-abandoned"), ==, 0);
}

/* So has one that ends at once. */
static void
test_silent_and_ended (ManagedPair *pair, gconstpointer data)
{
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  managed_host_emit (pair->dest, STOPPED_DESTROYED);
  expect_unknown ("did not report");
  g_assert_cmpuint (event_tape_count ("arrival-abandoned"), ==, 0);
}

static void
test_no_helper_at_destination (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  managed_host_prepare (pair->dest, pair->source, FALSE);
  WAIT_UNTIL (event_tape_count ("arrival-claimed") == 1);
  stand_in_qemu_send_record (pair->source->qemu, record);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "helper");
}

/* the destination's daemon restarts while it has a fix-up out */

static void
arm_and_restart (ManagedPair *pair, const struct clock_record *record)
{
  g_autofree struct helper_fixup *fixup = NULL;
  g_autofree struct helper_incoming *incoming = NULL;

  managed_pair_prepare (pair);
  stand_in_qemu_send_record (pair->source->qemu, record);
  fixup = managed_pair_expect_fixup (pair, record);
  g_clear_pointer (&pair->dest->manager, manager_free);
  WAIT_UNTIL (!stand_in_qemu_is_connected (pair->dest->qemu));
  managed_host_start_daemon (pair->dest);
  incoming = managed_pair_expect (pair, HELPER_MESSAGE_INCOMING);
}

/* The record comes once more, and the helper that takes it tells what it did with it. */
static void
test_restarted_in_time (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  g_autofree struct helper_fixup *fixup = NULL;

  arm_and_restart (pair, record);
  fixup = managed_pair_expect_fixup (pair, record);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  g_assert_cmpuint (event_tape_count ("migration-unknown"), ==, 0);
}

/* QEMU has set the clock already: nobody reads the record any more, and the report found nobody. */
static void
test_restarted_too_late (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  arm_and_restart (pair, record);
  stand_in_qemu_stop_reading (pair->dest->qemu);
  WAIT_UNTIL (event_tape_count ("arrival-armed") == 2);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  expect_unknown ("this daemon was started while the guest was arriving");
}

/* The source does not send it again, which says nothing of the first time. */
static void
test_restarted_for_nothing (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct helper_fixup *fixup = NULL;
  g_autofree struct helper_incoming *incoming = NULL;
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  managed_pair_prepare (pair);
  stand_in_qemu_send_record (pair->source->qemu, record);
  fixup = managed_pair_expect_fixup (pair, record);
  g_clear_pointer (&pair->source->manager, manager_free);
  g_clear_pointer (&pair->dest->manager, manager_free);
  WAIT_UNTIL (!stand_in_qemu_is_connected (pair->dest->qemu));
  managed_host_start_daemon (pair->dest);
  incoming = managed_pair_expect (pair, HELPER_MESSAGE_INCOMING);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  expect_unknown ("this daemon was started while the guest was arriving");
}

static void
test_restarted_and_lost (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  g_autofree struct helper_fixup *fixup = NULL;

  arm_and_restart (pair, record);
  fixup = managed_pair_expect_fixup (pair, record);
  stand_in_qemu_hang_up (pair->dest->qemu);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  expect_unknown ("ended before it reported");
}

/* The helper is told to forget all it has, whoever it has it from. */
static void
test_restarted_and_paused (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  arm_and_restart (pair, record);
  managed_host_emit (pair->dest, SUSPENDED_PAUSED);
  managed_pair_expect_withdraw (pair);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_REASON"), ==, "arrived-paused");
}

/* Where there is no helper no daemon before can have told it anything. */
static void
test_restarted_without_helper (ManagedPair *pair, gconstpointer data)
{
  g_clear_pointer (&pair->dest->manager, manager_free);
  managed_host_prepare (pair->dest, pair->source, FALSE);
  managed_host_start_daemon (pair->dest);
  WAIT_UNTIL (event_tape_count ("arrival-claimed") == 1);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "helper");
  g_assert_cmpuint (event_tape_count ("migration-unknown"), ==, 0);
}

/* A guest that is new since libvirt was lost is found as well, and no other daemon was here. */
static void
test_found_later (ManagedPair *pair, gconstpointer data)
{
  StandInLibvirt *libvirt = pair->dest->host->libvirt;
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  stand_in_libvirt_leave_bus (libvirt);
  WAIT_UNTIL (event_tape_count ("libvirt-lost") == 1);
  pair->dest->qemu = stand_in_qemu_start (pair->dest->folders, "web", 2, WEB);
  stand_in_qemu_stop_reading (pair->dest->qemu);
  stand_in_libvirt_add_domain (libvirt, WEB, "web", 2);
  stand_in_libvirt_set_state (libvirt, WEB, STATE_PAUSED_MIGRATION);
  stand_in_libvirt_set_element (libvirt, WEB,
                                stand_in_libvirt_get_element (pair->source->host->libvirt, WEB));
  stand_in_libvirt_join_bus (libvirt);
  WAIT_UNTIL (event_tape_count ("arrival-claimed") == 1);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_STEP"), ==, "record");
  g_assert_cmpuint (event_tape_count ("migration-unknown"), ==, 0);
}

/* The guest goes on from the last record, however many there were. */
static void
test_last_record_wins (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct helper_fixup *last = NULL;
  g_autofree struct clock_record *record = NULL;

  managed_pair_prepare (pair);
  for (guint i = 0; i < 20; i++) {
    g_clear_pointer (&record, g_free);
    record = stand_in_qemu_make_record (1000 + i);
    stand_in_qemu_send_record (pair->source->qemu, record);
  }
  last = managed_pair_expect_fixup (pair, record);
  while (stand_in_qemu_count (pair->dest->qemu) > 0) {
    g_clear_pointer (&last, g_free);
    last = managed_pair_expect (pair, HELPER_MESSAGE_FIXUP);
    g_assert_cmpuint (last->record.guest_src_ns, ==, record->guest_src_ns);
  }
}

/* One machine has one clock: whether two hosts' are taken for one is up to what its kernel says. */
static void
test_clocks_apart (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (3000);
  g_autofree struct helper_fixup *fixup = NULL;
  HostClockState state;
  gboolean is_apart = !host_clock_read_state (&state, NULL) || !state.synchronised;

  pair->dest->settings.host_clock = HOST_CLOCK_AUTO;
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  managed_pair_pass_record (pair, 2000);
  stand_in_qemu_send_record (pair->source->qemu, record);
  fixup = managed_pair_expect_fixup (pair, record);
  g_assert_cmpuint (event_tape_count ("clocks-apart"), ==, is_apart ? 1 : 0);
  if (!is_apart) {
    g_assert_cmpint (fixup->theta_ns, ==, 0);
    return;
  }
  g_assert_cmpstr (event_tape_get ("clocks-apart", "CLOCKFERRY_REASON"), ==, "both-unsynchronised");
  g_assert_cmpstr (event_tape_get ("clocks-apart", "CLOCKFERRY_PEER"), ==, "127.0.0.1");
  g_assert_nonnull (event_tape_get ("clocks-apart", "CLOCKFERRY_THETA_NS"));
  g_assert_nonnull (event_tape_get ("clocks-apart", "CLOCKFERRY_THETA_BOUND_NS"));
}

/* What was asked for is no cause for a warning. */
static void
test_clocks_as_asked (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (2000);
  g_autofree struct helper_fixup *fixup = NULL;

  pair->dest->settings.host_clock = HOST_CLOCK_TRUST;
  managed_pair_prepare (pair);
  managed_pair_pass_record (pair, 1000);
  stand_in_qemu_send_record (pair->source->qemu, record);
  fixup = managed_pair_expect_fixup (pair, record);
  g_assert_cmpint (fixup->theta_ns, ==, 0);
  g_assert_cmpuint (event_tape_count ("clocks-apart"), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  event_tape_start ();

#define ADD(path, function)                                                                        \
  g_test_add ("/hand-over/" path, ManagedPair, NULL, managed_pair_set_up, function,                \
              managed_pair_tear_down)
  ADD ("fixed", test_fixed);
  ADD ("record-before-claim", test_record_before_claim);
  ADD ("rolled-back", test_rolled_back);
  ADD ("resumed-after-withdrawal", test_resumed_after_withdrawal);
  ADD ("withdrawn-after-reading", test_withdrawn_after_reading);
  ADD ("arrived-paused", test_arrived_paused);
  ADD ("arrived-paused/unheard", test_arrived_paused_unheard);
  ADD ("record-of-other-domain", test_record_of_other_domain);
  ADD ("unclaimed", test_unclaimed);
  ADD ("paused-and-failed-and-left", test_paused_and_failed_and_left);
  ADD ("paused-and-failed-and-claimed", test_paused_and_failed_and_claimed);
  ADD ("stock-verdict", test_stock_verdict);
  ADD ("silent-source", test_silent_source);
  ADD ("silent-helper", test_silent_helper);
  ADD ("silent-helper/paused", test_silent_and_paused);
  ADD ("silent-observer", test_silent_observer);
  ADD ("silent-helper/left", test_silent_and_left);
  ADD ("silent-helper/ended", test_silent_and_ended);
  ADD ("late-report", test_late_report);
  ADD ("late-record", test_late_record);
  ADD ("withdrawn-too-late", test_withdrawn_too_late);
  ADD ("no-helper-at-destination", test_no_helper_at_destination);
  ADD ("restarted/in-time", test_restarted_in_time);
  ADD ("restarted/too-late", test_restarted_too_late);
  ADD ("restarted/for-nothing", test_restarted_for_nothing);
  ADD ("restarted/and-lost", test_restarted_and_lost);
  ADD ("restarted/and-paused", test_restarted_and_paused);
  ADD ("restarted/without-helper", test_restarted_without_helper);
  ADD ("found-later", test_found_later);
  ADD ("last-record-wins", test_last_record_wins);
  ADD ("clocks-apart", test_clocks_apart);
  ADD ("clocks-as-asked", test_clocks_as_asked);
#undef ADD
  return g_test_run ();
}
