/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * observed-test - guests whose QEMU has no helper: their first migration, with the observer's record
 *
 * Both daemons' Managers run here, and the observer's own server; what it sees is played.
 */

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "event-tape.h"
#include "managed-pair.h"
#include "raw-observer.h"
#include "stand-in-observer.h"
#include "wait-until.h"

typedef struct {
  ManagedPair pair;
  StandInObserver *observer; /* on the source, NULL: none */
  pid_t pid;                 /* of WEB's QEMU there */
} Fixture;

static pid_t
start_process (void)
{
  pid_t pid = fork ();

  g_assert_cmpint (pid, >=, 0);
  if (pid == 0) {
    (void) prctl (PR_SET_PDEATHSIG, SIGKILL);
    (void) close_range (3, G_MAXUINT, 0); /* no port of the test */
    pause ();
    _exit (0);
  }
  return pid;
}

static void
end_process (pid_t pid)
{
  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
}

/* WEB runs on the source, and was started before there was a helper. */
static void
set_up_without_observer (Fixture *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;

  event_tape_clear ();
  pair->source = managed_host_new ();
  pair->dest = managed_host_new ();
  managed_host_start_daemon (pair->source);
  managed_host_start_daemon (pair->dest);
  WAIT_UNTIL (event_tape_count ("libvirt-connected") == 2);
  fixture->pid = start_process ();
}

static void
start_qemu (Fixture *fixture)
{
  ManagedHost *source = fixture->pair.source;

  source->qemu = stand_in_qemu_start (source->folders, "web", 1, WEB);
  stand_in_qemu_write_status (source->qemu);
  stand_in_qemu_write_pid (source->qemu, fixture->pid);
}

static void
boot (Fixture *fixture)
{
  start_qemu (fixture);
  stand_in_qemu_remove_helper (fixture->pair.source->qemu);
  bus_host_boot_and_wait (fixture->pair.source->host, WEB, "web", 1);
}

static void
start_observer (Fixture *fixture, const char *problem)
{
  fixture->observer =
    stand_in_observer_start (fixture->pair.source->folders->folders.observer_socket, problem);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  set_up_without_observer (fixture, data);
  start_observer (fixture, NULL);
  boot (fixture);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 1);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  managed_pair_tear_down (&fixture->pair, NULL);
  g_clear_pointer (&fixture->observer, stand_in_observer_end);
  end_process (fixture->pid);
}

/* As the observer makes it. */
static struct clock_record *
make_record (guint64 guest_src_ns)
{
  struct clock_record *record = stand_in_qemu_make_record (guest_src_ns);

  record->flags |= CLOCK_RECORD_OBSERVED;
  return record;
}

/* The observer sees QEMU ask for its clock. */
static void
tell (Fixture *fixture, guint64 guest_src_ns)
{
  g_autofree struct clock_record *record = make_record (guest_src_ns);

  stand_in_observer_tell (fixture->observer, fixture->pid, record);
}

/* The same, and the destination's helper has it. */
static void
pass_record (Fixture *fixture, guint64 guest_src_ns)
{
  g_autofree struct clock_record *record = make_record (guest_src_ns);
  g_autofree struct helper_fixup *fixup = NULL;

  stand_in_observer_tell (fixture->observer, fixture->pid, record);
  fixup = managed_pair_expect_fixup (&fixture->pair, record);
}

static void
arrive (Fixture *fixture)
{
  ManagedPair *pair = &fixture->pair;

  stand_in_libvirt_set_state (pair->dest->host->libvirt, WEB, STATE_RUNNING);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  managed_host_emit (pair->source, STOPPED_MIGRATED);
}

static void
test_fixed (Fixture *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;

  g_assert_cmpstr (event_tape_get ("domain-ready", "CLOCKFERRY_SOURCE"), ==, "observed");
  g_assert_cmpuint (event_tape_count ("domain-not-ready"), ==, 0);
  /* nothing is watched while no migration is under way */
  g_assert_cmpuint (stand_in_observer_count (fixture->observer), ==, 0);
  managed_pair_prepare (pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));

  /* vm_stop, libvirt's event, and what QEMU sends */
  pass_record (fixture, 1000);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  pass_record (fixture, 2000);
  arrive (fixture);
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
test_event_first (Fixture *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;

  managed_pair_prepare (pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  bus_host_boot_and_wait (pair->source->host, MAIL, "mail", 9);
  g_assert_cmpuint (event_tape_count ("departure-paused"), ==, 0);
  pass_record (fixture, 1000);
  WAIT_UNTIL (event_tape_count ("departure-paused") == 1);
  g_assert_cmpstr (event_tape_get ("departure-paused", "CLOCKFERRY_RECORD"), ==, "sent");
  arrive (fixture);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
}

static void
test_rolled_back (Fixture *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;

  managed_pair_prepare (pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  pass_record (fixture, 1000);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  managed_host_emit (pair->source, RESUMED_MIGRATED);
  managed_pair_expect_withdraw (pair);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 0);
  managed_host_emit (pair->dest, STOPPED_FAILED);
  WAIT_UNTIL (event_tape_count ("arrival-abandoned") == 1);
}

/* The destination gives up before the guest is paused. */
static void
test_given_up (Fixture *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;

  managed_pair_prepare (pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  managed_host_emit (pair->dest, STOPPED_FAILED);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 0);
}

static void
expect_unclaimed (Fixture *fixture, const char *reason)
{
  managed_host_emit (fixture->pair.source, SUSPENDED_MIGRATED);
  managed_host_emit (fixture->pair.source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_cmpstr (event_tape_get ("departure-paused", "CLOCKFERRY_RECORD"), ==, "unseen");
  g_assert_nonnull (strstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"), reason));
  g_assert_null (event_tape_get ("departure-unclaimed", "CLOCKFERRY_SOURCE"));
}

static void
test_missed (Fixture *fixture, gconstpointer data)
{
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  stand_in_observer_miss (fixture->observer, fixture->pid, OBSERVER_REASON_MISSING_VCPUS);
  expect_unclaimed (fixture, "the observer saw no record: not all of its vCPUs could be read");
}

static void
test_not_attached (Fixture *fixture, gconstpointer data)
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
test_observer_lost (Fixture *fixture, gconstpointer data)
{
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  g_clear_pointer (&fixture->observer, stand_in_observer_end);
  WAIT_UNTIL (event_tape_count ("domain-not-ready") == 1);
  expect_unclaimed (fixture, "the observer saw no record: clockferry-observer is not there");
}

/* It is there again in time, and nobody has heard of it. */
static void
test_observer_restarted (Fixture *fixture, gconstpointer data)
{
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  g_clear_pointer (&fixture->observer, stand_in_observer_end);
  start_observer (fixture, NULL);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  pass_record (fixture, 1000);
  managed_host_emit (fixture->pair.source, SUSPENDED_MIGRATED);
  arrive (fixture);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
  g_assert_cmpuint (event_tape_count ("domain-not-ready"), ==, 0);
}

/* What it saw before it was lost is used. */
static void
test_observer_lost_after (Fixture *fixture, gconstpointer data)
{
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  pass_record (fixture, 1000);
  g_clear_pointer (&fixture->observer, stand_in_observer_end);
  WAIT_UNTIL (event_tape_count ("domain-not-ready") == 1);
  managed_host_emit (fixture->pair.source, SUSPENDED_MIGRATED);
  arrive (fixture);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
}

/* It can observe, and does not come to it. */
static void
test_observer_hangs (Fixture *fixture, gconstpointer data)
{
  int listen_fd = raw_observer_listen (fixture->pair.source->folders->folders.observer_socket);
  int fd;

  boot (fixture);
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
test_observer_absent (Fixture *fixture, gconstpointer data)
{
  boot (fixture);
  WAIT_UNTIL (event_tape_count ("domain-not-ready") == 1);
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (event_tape_count ("arrival-claimed") == 1);
  expect_unclaimed (fixture, "clockferry-observer is not there");
}

/* QEMU is another by the time that the record is here. */
static void
test_restarted (Fixture *fixture, gconstpointer data)
{
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  stand_in_qemu_write_pid (fixture->pair.source->qemu, getpid ());
  tell (fixture, 1000);
  bus_host_boot_and_wait (fixture->pair.source->host, MAIL, "mail", 9);
  expect_unclaimed (fixture, "its QEMU is another process by now");
  g_assert_cmpuint (stand_in_qemu_count (fixture->pair.dest->qemu), ==, 0);
}

/* What is said of another guest, of which nobody claimed anything, is nobody's clock. */
static void
test_other_guest (Fixture *fixture, gconstpointer data)
{
  ManagedHost *source = fixture->pair.source;
  int listen_fd = raw_observer_listen (source->folders->folders.observer_socket);
  g_autoptr (StandInQemu) mail = stand_in_qemu_start (source->folders, "mail", 9, MAIL);
  pid_t mail_pid = start_process ();
  g_autofree struct clock_record *other = make_record (7777);
  g_autofree struct clock_record *record = make_record (1000);
  g_autofree struct helper_fixup *fixup = NULL;
  int fd;

  stand_in_qemu_remove_helper (mail);
  stand_in_qemu_write_pid (mail, mail_pid);
  boot (fixture);
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
  end_process (mail_pid);
  close (fd);
  close (listen_fd);
}

/* Not live: libvirt pauses it before the destination has claimed it, and has written its status before that. */
static void
test_expected (Fixture *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;
  g_autofree struct clock_record *record = make_record (1000);
  g_autofree struct helper_fixup *fixup = NULL;

  stand_in_qemu_write_status (pair->source->qemu);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  stand_in_observer_tell (fixture->observer, fixture->pid, record);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  managed_pair_prepare (pair);
  fixup = managed_pair_expect_fixup (pair, record);
  arrive (fixture);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_SOURCE"), ==, "observed");
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 0);
}

/* What was expected is over when the migration comes to nothing. */
static void
test_expected_and_given_up (Fixture *fixture, gconstpointer data)
{
  stand_in_qemu_write_status (fixture->pair.source->qemu);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  test_given_up (fixture, data);
}

/* A helper's socket that a power failure has left is in the folder that this QEMU got as well. */
static void
boot_with_abandoned_socket (Fixture *fixture)
{
  start_qemu (fixture);
  stand_in_qemu_stop_listening (fixture->pair.source->qemu);
  bus_host_boot_and_wait (fixture->pair.source->host, WEB, "web", 1);
}

static void
test_abandoned_socket (Fixture *fixture, gconstpointer data)
{
  start_observer (fixture, NULL);
  boot_with_abandoned_socket (fixture);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 1);
  test_fixed (fixture, data);
}

static void
test_abandoned_socket_and_unable (Fixture *fixture, gconstpointer data)
{
  const char *reason;

  start_observer (fixture, "this kernel does not tell its types");
  boot_with_abandoned_socket (fixture);
  WAIT_UNTIL (event_tape_count ("domain-not-ready") == 1);
  reason = event_tape_get ("domain-not-ready", "CLOCKFERRY_REASON");
  g_assert_nonnull (strstr (reason, "clockferry.sock"));
  g_assert_nonnull (strstr (reason, "it can not be observed: this kernel does not tell its types"));
}

/* What was said of a migration that came to nothing is not said of the next. */
static void
test_lost_before (Fixture *fixture, gconstpointer data)
{
  stand_in_observer_refuse (fixture->observer, OBSERVER_REASON_NOT_ATTACHED);
  managed_pair_prepare (&fixture->pair);
  bus_host_boot_and_wait (fixture->pair.source->host, MAIL, "mail", 9);
  managed_host_emit (fixture->pair.dest, STOPPED_FAILED);
  WAIT_UNTIL (event_tape_count ("departure-cancelled") == 1);

  stand_in_observer_refuse (fixture->observer, OBSERVER_REASON_NONE);
  stand_in_qemu_write_status (fixture->pair.source->qemu);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  managed_host_emit (fixture->pair.source, SUSPENDED_MIGRATED);
  managed_host_emit (fixture->pair.source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_null (strstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"), "attached"));
}

static void
test_paused_before (Fixture *fixture, gconstpointer data)
{
  managed_host_emit (fixture->pair.source, SUSPENDED_PAUSED);
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  managed_host_emit (fixture->pair.source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_nonnull (strstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"),
                            "it was paused before it was observed"));
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
test_unable (Fixture *fixture, gconstpointer data)
{
  start_observer (fixture, "this kernel does not tell its types");
  boot (fixture);
  expect_not_ready ("it can not be observed: this kernel does not tell its types");
}

/* It is installed later, and what was said before is no longer so. */
static void
test_absent (Fixture *fixture, gconstpointer data)
{
  boot (fixture);
  expect_not_ready ("clockferry-observer is not there");
  start_observer (fixture, NULL);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 1);
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *path;
    void (*set_up) (Fixture *fixture, gconstpointer data);
    void (*test) (Fixture *fixture, gconstpointer data);
  } tests[] = {
    { "/observed/fixed", set_up, test_fixed },
    { "/observed/event-first", set_up, test_event_first },
    { "/observed/rolled-back", set_up, test_rolled_back },
    { "/observed/given-up", set_up, test_given_up },
    { "/observed/missed", set_up, test_missed },
    { "/observed/not-attached", set_up, test_not_attached },
    { "/observed/observer-lost", set_up, test_observer_lost },
    { "/observed/observer-restarted", set_up, test_observer_restarted },
    { "/observed/observer-lost-after", set_up, test_observer_lost_after },
    { "/observed/observer-hangs", set_up_without_observer, test_observer_hangs },
    { "/observed/observer-absent", set_up_without_observer, test_observer_absent },
    { "/observed/restarted", set_up, test_restarted },
    { "/observed/other-guest", set_up_without_observer, test_other_guest },
    { "/observed/expected", set_up, test_expected },
    { "/observed/expected-and-given-up", set_up, test_expected_and_given_up },
    { "/observed/abandoned-socket", set_up_without_observer, test_abandoned_socket },
    { "/observed/abandoned-socket-and-unable", set_up_without_observer,
      test_abandoned_socket_and_unable },
    { "/observed/lost-before", set_up, test_lost_before },
    { "/observed/paused-before", set_up, test_paused_before },
    { "/observed/unable", set_up_without_observer, test_unable },
    { "/observed/absent", set_up_without_observer, test_absent },
  };

  g_test_init (&argc, &argv, NULL);
  event_tape_start ();
  for (gsize i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, Fixture, NULL, tests[i].set_up, tests[i].test, tear_down);
  return g_test_run ();
}
