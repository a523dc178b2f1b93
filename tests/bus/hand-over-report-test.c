/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hand-over-report-test - what is reported of a hand-over whose record or report is late, missing or contradicted, also
 * where the destination's daemon is restarted meanwhile
 *
 * As hand-over-test: both Managers are real, the QEMUs are played.
 */

#include <string.h>

#include "event-tape.h"
#include "helper-protocol.h"
#include "managed-pair.h"
#include "wait-until.h"

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
  managed_pair_expect_unknown ("did not report");
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
  managed_pair_expect_unknown ("did not report");
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
  managed_pair_expect_unknown ("did not report");
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
  managed_pair_expect_unknown ("did not report");
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
  managed_pair_expect_unknown ("this daemon was started while the guest was arriving");
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
  managed_pair_expect_unknown ("this daemon was started while the guest was arriving");
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
  managed_pair_expect_unknown ("ended before it reported");
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

int
main (int argc, char **argv)
{
  static const struct {
    const char *path;
    void (*test) (ManagedPair *pair, gconstpointer data);
  } tests[] = {
    { "/hand-over-report/stock-verdict", test_stock_verdict },
    { "/hand-over-report/silent-source", test_silent_source },
    { "/hand-over-report/silent-helper", test_silent_helper },
    { "/hand-over-report/silent-helper/paused", test_silent_and_paused },
    { "/hand-over-report/silent-observer", test_silent_observer },
    { "/hand-over-report/silent-helper/left", test_silent_and_left },
    { "/hand-over-report/silent-helper/ended", test_silent_and_ended },
    { "/hand-over-report/late-report", test_late_report },
    { "/hand-over-report/late-record", test_late_record },
    { "/hand-over-report/withdrawn-too-late", test_withdrawn_too_late },
    { "/hand-over-report/no-helper-at-destination", test_no_helper_at_destination },
    { "/hand-over-report/restarted/in-time", test_restarted_in_time },
    { "/hand-over-report/restarted/too-late", test_restarted_too_late },
    { "/hand-over-report/restarted/for-nothing", test_restarted_for_nothing },
    { "/hand-over-report/restarted/and-lost", test_restarted_and_lost },
    { "/hand-over-report/restarted/and-paused", test_restarted_and_paused },
    { "/hand-over-report/restarted/without-helper", test_restarted_without_helper },
    { "/hand-over-report/found-later", test_found_later },
  };

  g_test_init (&argc, &argv, NULL);
  event_tape_start ();
  for (gsize i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, ManagedPair, NULL, managed_pair_set_up, tests[i].test,
                managed_pair_tear_down);
  return g_test_run ();
}
