/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * observed-test - guests whose QEMU has no helper: their first migration, with the observer's record
 *
 * Both daemons' Managers run here, and the observer's own server; what it sees is played.
 */

#include <string.h>
#include <unistd.h>

#include "event-tape.h"
#include "idle-process.h"
#include "observed-pair.h"
#include "raw-observer.h"
#include "wait-until.h"

static void
test_fixed (ObservedPair *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;

  g_assert_cmpstr (event_tape_get ("domain-ready", "CLOCKFERRY_SOURCE"), ==, "observed");
  g_assert_cmpuint (event_tape_count ("domain-not-ready"), ==, 0);
  /* nothing is watched while no migration is under way */
  g_assert_cmpuint (stand_in_observer_count (fixture->observer), ==, 0);
  managed_pair_prepare (pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));

  /* vm_stop, libvirt's event, and what QEMU sends */
  observed_pair_pass_record (fixture, 1000);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  observed_pair_pass_record (fixture, 2000);
  observed_pair_arrive (fixture);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
  g_assert_cmpstr (event_tape_get ("departure-paused", "CLOCKFERRY_RECORD"), ==, "sent");
  g_assert_cmpstr (event_tape_get ("departure-paused", "CLOCKFERRY_SOURCE"), ==, "observed");
  g_assert_cmpstr (event_tape_get ("departure-done", "CLOCKFERRY_SOURCE"), ==, "observed");
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_SOURCE"), ==, "observed");
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 0);
  /* and it is there with a helper now, so that nobody needs an observer */
  WAIT_UNTIL (event_tape_count ("domain-ready") == 2);
  g_assert_cmpstr (event_tape_get ("domain-ready", "CLOCKFERRY_SOURCE"), ==, "helper");
  WAIT_UNTIL (stand_in_observer_is_idle (fixture->observer));
}

/* libvirt's event is there before what the observer has seen. */
static void
test_event_first (ObservedPair *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;

  managed_pair_prepare (pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  bus_host_boot_and_wait (pair->source->host, MAIL, "mail", 9);
  g_assert_cmpuint (event_tape_count ("departure-paused"), ==, 0);
  observed_pair_pass_record (fixture, 1000);
  WAIT_UNTIL (event_tape_count ("departure-paused") == 1);
  g_assert_cmpstr (event_tape_get ("departure-paused", "CLOCKFERRY_RECORD"), ==, "sent");
  observed_pair_arrive (fixture);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
}

static void
test_rolled_back (ObservedPair *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;

  managed_pair_prepare (pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  observed_pair_pass_record (fixture, 1000);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  managed_host_emit (pair->source, RESUMED_MIGRATED);
  managed_pair_expect_withdraw (pair);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 0);
  managed_host_emit (pair->dest, STOPPED_FAILED);
  WAIT_UNTIL (event_tape_count ("arrival-abandoned") == 1);
}

/* The destination gives up before the guest is paused. */
static void
test_given_up (ObservedPair *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;

  managed_pair_prepare (pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  managed_host_emit (pair->dest, STOPPED_FAILED);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 0);
}

static void
expect_unclaimed (ObservedPair *fixture, const char *reason)
{
  managed_host_emit (fixture->pair.source, SUSPENDED_MIGRATED);
  managed_host_emit (fixture->pair.source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_cmpstr (event_tape_get ("departure-paused", "CLOCKFERRY_RECORD"), ==, "unseen");
  g_assert_nonnull (strstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"), reason));
  g_assert_null (event_tape_get ("departure-unclaimed", "CLOCKFERRY_SOURCE"));
}

static void
test_missed (ObservedPair *fixture, gconstpointer data)
{
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  stand_in_observer_miss (fixture->observer, fixture->pid, OBSERVER_REASON_MISSING_VCPUS);
  expect_unclaimed (fixture, "the observer saw no record: not all of its vCPUs could be read");
}

static void
test_not_attached (ObservedPair *fixture, gconstpointer data)
{
  stand_in_observer_refuse (fixture->observer, OBSERVER_REASON_NOT_ATTACHED);
  managed_pair_prepare (&fixture->pair);
  bus_host_boot_and_wait (fixture->pair.source->host, MAIL, "mail", 9);
  expect_unclaimed (
    fixture,
    "the observer saw no record: the kernel did not let the observer's program be attached");
}

/* The observer is gone before it saw anything. */
static void
test_observer_lost (ObservedPair *fixture, gconstpointer data)
{
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  g_clear_pointer (&fixture->observer, stand_in_observer_end);
  WAIT_UNTIL (event_tape_count ("domain-not-ready") == 1);
  expect_unclaimed (fixture, "the observer saw no record: clockferry-observer is not there");
}

/* It is there again in time, and nobody has heard of it. */
static void
test_observer_restarted (ObservedPair *fixture, gconstpointer data)
{
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  g_clear_pointer (&fixture->observer, stand_in_observer_end);
  observed_pair_start_observer (fixture, NULL);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  observed_pair_pass_record (fixture, 1000);
  managed_host_emit (fixture->pair.source, SUSPENDED_MIGRATED);
  observed_pair_arrive (fixture);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
  g_assert_cmpuint (event_tape_count ("domain-not-ready"), ==, 0);
}

/* What it saw before it was lost is used. */
static void
test_observer_lost_after (ObservedPair *fixture, gconstpointer data)
{
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  observed_pair_pass_record (fixture, 1000);
  g_clear_pointer (&fixture->observer, stand_in_observer_end);
  WAIT_UNTIL (event_tape_count ("domain-not-ready") == 1);
  managed_host_emit (fixture->pair.source, SUSPENDED_MIGRATED);
  observed_pair_arrive (fixture);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
}

/* It can observe, and does not come to it. */
static void
test_observer_hangs (ObservedPair *fixture, gconstpointer data)
{
  int listen_fd = raw_observer_listen (fixture->pair.source->folders->folders.observer_socket);
  int fd;

  observed_pair_boot (fixture);
  fd = raw_observer_accept (listen_fd);
  raw_observer_send_ready (fd);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 1);
  managed_pair_prepare (&fixture->pair);
  g_assert_cmpint (raw_observer_wait_for_watch (fd), ==, fixture->pid);
  expect_unclaimed (fixture, "the observer saw no record: it did not begin to watch in time");
  close (fd);
  close (listen_fd);
}

/* It was never there. */
static void
test_observer_absent (ObservedPair *fixture, gconstpointer data)
{
  observed_pair_boot (fixture);
  WAIT_UNTIL (event_tape_count ("domain-not-ready") == 1);
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (event_tape_count ("arrival-claimed") == 1);
  expect_unclaimed (fixture, "clockferry-observer is not there");
}

/* QEMU is another by the time that the record is here. */
static void
test_restarted (ObservedPair *fixture, gconstpointer data)
{
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  stand_in_qemu_write_pid (fixture->pair.source->qemu, getpid ());
  observed_pair_tell (fixture, 1000);
  bus_host_boot_and_wait (fixture->pair.source->host, MAIL, "mail", 9);
  expect_unclaimed (fixture, "its QEMU is another process by now");
  g_assert_cmpuint (stand_in_qemu_count (fixture->pair.dest->qemu), ==, 0);
}

/* What is said of another guest, of which nobody claimed anything, is nobody's clock. */
static void
test_other_guest (ObservedPair *fixture, gconstpointer data)
{
  ManagedHost *source = fixture->pair.source;
  int listen_fd = raw_observer_listen (source->folders->folders.observer_socket);
  g_autoptr (StandInQemu) mail = stand_in_qemu_start (source->folders, "mail", 9, MAIL);
  pid_t mail_pid = idle_process_start ();
  g_autofree struct clock_record *other = observed_pair_make_record (7777);
  g_autofree struct clock_record *record = observed_pair_make_record (1000);
  g_autofree struct helper_fixup *fixup = NULL;
  int fd;

  stand_in_qemu_remove_helper (mail);
  stand_in_qemu_write_pid (mail, mail_pid);
  observed_pair_boot (fixture);
  bus_host_boot_and_wait (source->host, MAIL, "mail", 9);
  fd = raw_observer_accept (listen_fd);
  raw_observer_send_ready (fd);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 2);
  managed_pair_prepare (&fixture->pair);
  g_assert_cmpint (raw_observer_wait_for_watch (fd), ==, fixture->pid);
  raw_observer_send_record (fd, mail_pid, other);
  raw_observer_send_record (fd, fixture->pid, record);
  /* the first that comes */
  fixup = managed_pair_expect (&fixture->pair, HELPER_MESSAGE_FIXUP);
  g_assert_cmpuint (fixup->record.guest_src_ns, ==, 1000);
  idle_process_end (mail_pid);
  close (fd);
  close (listen_fd);
}

/* A helper's socket that a power failure has left is in the folder that this QEMU got as well. */
static void
boot_with_abandoned_socket (ObservedPair *fixture)
{
  observed_pair_start_qemu (fixture);
  stand_in_qemu_stop_listening (fixture->pair.source->qemu);
  bus_host_boot_and_wait (fixture->pair.source->host, WEB, "web", 1);
}

static void
test_abandoned_socket (ObservedPair *fixture, gconstpointer data)
{
  observed_pair_start_observer (fixture, NULL);
  boot_with_abandoned_socket (fixture);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 1);
  test_fixed (fixture, data);
}

static void
test_abandoned_socket_and_unable (ObservedPair *fixture, gconstpointer data)
{
  const char *reason;

  observed_pair_start_observer (fixture, "this kernel does not tell its types");
  boot_with_abandoned_socket (fixture);
  WAIT_UNTIL (event_tape_count ("domain-not-ready") == 1);
  reason = event_tape_get ("domain-not-ready", "CLOCKFERRY_REASON");
  g_assert_nonnull (strstr (reason, "clockferry.sock"));
  g_assert_nonnull (strstr (reason, "it can not be observed: this kernel does not tell its types"));
}

static void
expect_not_ready (const char *problem)
{
  WAIT_UNTIL (event_tape_count ("domain-not-ready") == 1);
  g_assert_cmpuint (event_tape_count ("domain-ready"), ==, 0);
  g_assert_nonnull (
    strstr (event_tape_get ("domain-not-ready", "CLOCKFERRY_REASON"), "no helper in its QEMU"));
  g_assert_nonnull (strstr (event_tape_get ("domain-not-ready", "CLOCKFERRY_REASON"), problem));
}

static void
test_unable (ObservedPair *fixture, gconstpointer data)
{
  observed_pair_start_observer (fixture, "this kernel does not tell its types");
  observed_pair_boot (fixture);
  expect_not_ready ("it can not be observed: this kernel does not tell its types");
}

/* It is installed later, and what was said before is no longer so. */
static void
test_absent (ObservedPair *fixture, gconstpointer data)
{
  observed_pair_boot (fixture);
  expect_not_ready ("clockferry-observer is not there");
  observed_pair_start_observer (fixture, NULL);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 1);
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *path;
    void (*set_up) (ObservedPair *fixture, gconstpointer data);
    void (*test) (ObservedPair *fixture, gconstpointer data);
  } tests[] = {
    { "/observed/fixed", observed_pair_set_up, test_fixed },
    { "/observed/event-first", observed_pair_set_up, test_event_first },
    { "/observed/rolled-back", observed_pair_set_up, test_rolled_back },
    { "/observed/given-up", observed_pair_set_up, test_given_up },
    { "/observed/missed", observed_pair_set_up, test_missed },
    { "/observed/not-attached", observed_pair_set_up, test_not_attached },
    { "/observed/observer-lost", observed_pair_set_up, test_observer_lost },
    { "/observed/observer-restarted", observed_pair_set_up, test_observer_restarted },
    { "/observed/observer-lost-after", observed_pair_set_up, test_observer_lost_after },
    { "/observed/observer-hangs", observed_pair_set_up_alone, test_observer_hangs },
    { "/observed/observer-absent", observed_pair_set_up_alone, test_observer_absent },
    { "/observed/restarted", observed_pair_set_up, test_restarted },
    { "/observed/other-guest", observed_pair_set_up_alone, test_other_guest },
    { "/observed/abandoned-socket", observed_pair_set_up_alone, test_abandoned_socket },
    { "/observed/abandoned-socket-and-unable", observed_pair_set_up_alone,
      test_abandoned_socket_and_unable },
    { "/observed/unable", observed_pair_set_up_alone, test_unable },
    { "/observed/absent", observed_pair_set_up_alone, test_absent },
  };

  g_test_init (&argc, &argv, NULL);
  event_tape_start ();
  for (gsize i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, ObservedPair, NULL, tests[i].set_up, tests[i].test,
                observed_pair_tear_down);
  return g_test_run ();
}
