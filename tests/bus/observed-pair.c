/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "observed-pair.h"

#include "event-tape.h"
#include "idle-process.h"
#include "wait-until.h"

void
observed_pair_set_up_alone (ObservedPair *fixture, gconstpointer data)
{
  ManagedPair *pair = &fixture->pair;

  event_tape_clear ();
  pair->source = managed_host_new ();
  pair->dest = managed_host_new ();
  managed_host_start_daemon (pair->source);
  managed_host_start_daemon (pair->dest);
  WAIT_UNTIL (event_tape_count ("libvirt-connected") == 2);
  fixture->pid = idle_process_start ();
}

void
observed_pair_start_qemu (ObservedPair *fixture)
{
  ManagedHost *source = fixture->pair.source;

  source->qemu = stand_in_qemu_start (source->folders, "web", 1, WEB);
  stand_in_qemu_write_status (source->qemu);
  stand_in_qemu_write_pid (source->qemu, fixture->pid);
}

void
observed_pair_boot (ObservedPair *fixture)
{
  observed_pair_start_qemu (fixture);
  stand_in_qemu_remove_helper (fixture->pair.source->qemu);
  bus_host_boot_and_wait (fixture->pair.source->host, WEB, "web", 1);
}

void
observed_pair_start_observer (ObservedPair *fixture, const char *problem)
{
  fixture->observer =
    stand_in_observer_start (fixture->pair.source->folders->folders.observer_socket, problem);
}

void
observed_pair_set_up (ObservedPair *fixture, gconstpointer data)
{
  observed_pair_set_up_alone (fixture, data);
  observed_pair_start_observer (fixture, NULL);
  observed_pair_boot (fixture);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 1);
}

void
observed_pair_tear_down (ObservedPair *fixture, gconstpointer data)
{
  managed_pair_tear_down (&fixture->pair, NULL);
  g_clear_pointer (&fixture->observer, stand_in_observer_end);
  idle_process_end (fixture->pid);
}

struct clock_record *
observed_pair_make_record (guint64 guest_src_ns)
{
  struct clock_record *record = stand_in_qemu_make_record (guest_src_ns);

  record->flags |= CLOCK_RECORD_OBSERVED;
  return record;
}

void
observed_pair_begin_job (ObservedPair *fixture)
{
  ManagedHost *source = fixture->pair.source;

  stand_in_libvirt_set_job (source->host->libvirt, WEB, TRUE);
  stand_in_qemu_write_status (source->qemu);
}

void
observed_pair_tell (ObservedPair *fixture, guint64 guest_src_ns)
{
  g_autofree struct clock_record *record = observed_pair_make_record (guest_src_ns);

  stand_in_observer_tell (fixture->observer, fixture->pid, record);
}

void
observed_pair_pass_record (ObservedPair *fixture, guint64 guest_src_ns)
{
  g_autofree struct clock_record *record = observed_pair_make_record (guest_src_ns);
  g_autofree struct helper_fixup *fixup = NULL;

  stand_in_observer_tell (fixture->observer, fixture->pid, record);
  fixup = managed_pair_expect_fixup (&fixture->pair, record);
}

void
observed_pair_arrive (ObservedPair *fixture)
{
  ManagedPair *pair = &fixture->pair;

  stand_in_libvirt_set_state (pair->dest->host->libvirt, WEB, STATE_RUNNING);
  stand_in_qemu_send_report (pair->dest->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  managed_host_emit (pair->source, STOPPED_MIGRATED);
}
