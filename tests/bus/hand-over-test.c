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
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_SOURCE"), ==, "helper");
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
  managed_pair_expect_unknown ("did not report");
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
  managed_pair_expect_unknown ("arrived paused");
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
  ADD ("last-record-wins", test_last_record_wins);
  ADD ("clocks-apart", test_clocks_apart);
  ADD ("clocks-as-asked", test_clocks_as_asked);
#undef ADD
  return g_test_run ();
}
