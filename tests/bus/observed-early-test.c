/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * observed-early-test - guests whose QEMU has no helper, watched before a destination has claimed them
 *
 * libvirt pauses a guest that is not migrated live as soon as the destination's QEMU is there.
 */

#include <string.h>

#include "event-tape.h"
#include "observed-pair.h"
#include "wait-until.h"

static void
test_not_live (ObservedPair *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;
  g_autofree struct clock_record *record = observed_pair_make_record (1000);
  g_autofree struct helper_fixup *fixup = NULL;

  observed_pair_begin_job (fixture);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  stand_in_observer_tell (fixture->observer, fixture->pid, record);
  managed_host_emit (pair->source, SUSPENDED_MIGRATED);
  managed_pair_prepare (pair);
  fixup = managed_pair_expect_fixup (pair, record);
  observed_pair_arrive (fixture);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_SOURCE"), ==, "observed");
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 0);
}

/* libvirt writes the status for much else. */
static void
test_status_without_job (ObservedPair *fixture, gconstpointer data)
{
  ManagedHost *source = fixture->pair.source;
  guint before = stand_in_libvirt_count (source->host->libvirt, "GetJobInfo", WEB);

  stand_in_qemu_write_status (source->qemu);
  WAIT_UNTIL (stand_in_libvirt_count (source->host->libvirt, "GetJobInfo", WEB) > before);
  /* what is asked after it is answered after it */
  bus_host_boot_and_wait (source->host, MAIL, "mail", 9);
  g_assert_cmpuint (stand_in_observer_count (fixture->observer), ==, 0);
}

/* A job begins while libvirt is still busy with the question whether one has. */
static void
test_job_begins_meanwhile (ObservedPair *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->pair.source->host->libvirt;
  guint before = stand_in_libvirt_count (libvirt, "GetJobInfo", WEB);

  stand_in_libvirt_hold (libvirt, "GetJobInfo");
  stand_in_qemu_write_status (fixture->pair.source->qemu);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "GetJobInfo", WEB) > before);
  stand_in_qemu_write_status (fixture->pair.source->qemu);
  bus_host_boot_and_wait (fixture->pair.source->host, MAIL, "mail", 9);
  stand_in_libvirt_release (libvirt);
  stand_in_libvirt_set_job (libvirt, WEB, TRUE);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
}

/* The daemon knows of the guest only after the job began. */
static void
test_job_began_before (ObservedPair *fixture, gconstpointer data)
{
  ManagedHost *source = fixture->pair.source;

  g_clear_pointer (&source->manager, manager_free);
  stand_in_libvirt_set_job (source->host->libvirt, WEB, TRUE);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 0);
  managed_host_start_daemon (source);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
}

/* The domain ends while libvirt is busy with the question. */
static void
test_ends_meanwhile (ObservedPair *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->pair.source->host->libvirt;
  guint before = stand_in_libvirt_count (libvirt, "GetJobInfo", WEB);

  stand_in_libvirt_hold (libvirt, "GetJobInfo");
  observed_pair_begin_job (fixture);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "GetJobInfo", WEB) > before);
  managed_host_emit (fixture->pair.source, STOPPED_DESTROYED);
  WAIT_UNTIL (stand_in_observer_is_idle (fixture->observer));
  stand_in_libvirt_release (libvirt);
  bus_host_boot_and_wait (fixture->pair.source->host, MAIL, "mail", 9);
  g_assert_true (stand_in_observer_is_idle (fixture->observer));
}

/* libvirt does not say: to watch for nothing is better than to miss it. */
static void
test_job_not_told (ObservedPair *fixture, gconstpointer data)
{
  stand_in_libvirt_fail (fixture->pair.source->host->libvirt, "GetJobInfo", "Timed out");
  stand_in_qemu_write_status (fixture->pair.source->qemu);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
}

/* What was expected is over when the migration comes to nothing. */
static void
test_given_up (ObservedPair *fixture, gconstpointer data)
{
  observed_pair_begin_job (fixture);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  managed_pair_prepare (&fixture->pair);
  managed_host_emit (fixture->pair.dest, STOPPED_FAILED);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 0);
}

/* What was said of a migration that came to nothing is not said of the next. */
static void
test_lost_before (ObservedPair *fixture, gconstpointer data)
{
  stand_in_observer_refuse (fixture->observer, OBSERVER_REASON_NOT_ATTACHED);
  managed_pair_prepare (&fixture->pair);
  bus_host_boot_and_wait (fixture->pair.source->host, MAIL, "mail", 9);
  managed_host_emit (fixture->pair.dest, STOPPED_FAILED);
  WAIT_UNTIL (event_tape_count ("departure-cancelled") == 1);

  stand_in_observer_refuse (fixture->observer, OBSERVER_REASON_NONE);
  observed_pair_begin_job (fixture);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  managed_host_emit (fixture->pair.source, SUSPENDED_MIGRATED);
  managed_host_emit (fixture->pair.source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_null (strstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"), "attached"));
}

static void
test_paused_before (ObservedPair *fixture, gconstpointer data)
{
  managed_host_emit (fixture->pair.source, SUSPENDED_PAUSED);
  managed_pair_prepare (&fixture->pair);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->pid));
  managed_host_emit (fixture->pair.source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-unclaimed") == 1);
  g_assert_nonnull (strstr (event_tape_get ("departure-unclaimed", "CLOCKFERRY_REASON"),
                            "it was paused before it was observed"));
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *path;
    void (*test) (ObservedPair *fixture, gconstpointer data);
  } tests[] = {
    { "/observed-early/not-live", test_not_live },
    { "/observed-early/status-without-job", test_status_without_job },
    { "/observed-early/job-begins-meanwhile", test_job_begins_meanwhile },
    { "/observed-early/job-began-before", test_job_began_before },
    { "/observed-early/ends-meanwhile", test_ends_meanwhile },
    { "/observed-early/job-not-told", test_job_not_told },
    { "/observed-early/given-up", test_given_up },
    { "/observed-early/lost-before", test_lost_before },
    { "/observed-early/paused-before", test_paused_before },
  };

  g_test_init (&argc, &argv, NULL);
  event_tape_start ();
  for (gsize i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, ObservedPair, NULL, observed_pair_set_up, tests[i].test,
                observed_pair_tear_down);
  return g_test_run ();
}
