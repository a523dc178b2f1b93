/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon-pair.h"

#include <string.h>

#include "wait-until.h"

#define ID_AT_DEST(id) (1000 + (id))

static void
set_up_host (DaemonHost *host)
{
  host->host = bus_host_new ();
  host->folders = stand_in_folders_new ();
  host->daemon = daemon_process_start_with_folders (host->host->folder,
                                                    private_bus_get_address (host->host->bus),
                                                    host->host->port, &host->folders->folders);
  WAIT_UNTIL (daemon_process_count (host->daemon, "libvirt-connected", NULL) == 1);
}

static void
tear_down_host (DaemonHost *host)
{
  g_clear_pointer (&host->daemon, daemon_process_stop);
  g_clear_pointer (&host->folders, stand_in_folders_free);
  g_clear_pointer (&host->host, bus_host_free);
}

static guint
count (const DaemonHost *host, const char *event, const PairGuest *guest)
{
  g_autofree char *domain = g_strconcat ("DOMAIN=", guest->uuid, NULL);

  return daemon_process_count (host->daemon, event, domain);
}

/* public functions */

void
daemon_pair_set_up (DaemonPair *pair, gconstpointer data)
{
  set_up_host (&pair->source);
  set_up_host (&pair->dest);
}

void
daemon_pair_tear_down (DaemonPair *pair, gconstpointer data)
{
  tear_down_host (&pair->dest);
  tear_down_host (&pair->source);
}

void
pair_guest_boot (PairGuest *guest, DaemonPair *pair, const char *uuid, const char *name, int id)
{
  guest->uuid = uuid;
  guest->name = name;
  guest->dest = NULL;
  guest->source = stand_in_qemu_start (pair->source.folders, name, id, uuid);
  bus_host_boot_and_wait (pair->source.host, uuid, name, id);
  WAIT_UNTIL (count (&pair->source, "domain-ready", guest) == 1);
  guest->dest = stand_in_qemu_start (pair->dest.folders, name, ID_AT_DEST (id), uuid);
  stand_in_libvirt_add_domain (pair->dest.host->libvirt, uuid, name, ID_AT_DEST (id));
}

void
pair_guest_end (PairGuest *guest)
{
  g_clear_pointer (&guest->source, stand_in_qemu_end);
  g_clear_pointer (&guest->dest, stand_in_qemu_end);
}

void
pair_guest_announce (PairGuest *guest, DaemonPair *pair, const char *element)
{
  StandInLibvirt *dest = pair->dest.host->libvirt;

  if (element == NULL)
    element = stand_in_libvirt_get_element (pair->source.host->libvirt, guest->uuid);
  stand_in_libvirt_set_state (dest, guest->uuid, STATE_PAUSED_MIGRATION);
  stand_in_libvirt_set_element (dest, guest->uuid, element);
  g_assert_true (stand_in_libvirt_emit (dest, guest->uuid, STARTED_MIGRATED));
  WAIT_UNTIL (count (&pair->dest, "arrival-announced", guest) > 0);
}

void
pair_guest_expect_fixup (PairGuest *guest, guint64 guest_src_ns)
{
  for (;;) {
    WAIT_UNTIL (stand_in_qemu_count (guest->dest) > 0);
    if (stand_in_qemu_peek (guest->dest) == HELPER_MESSAGE_FIXUP) {
      g_autofree struct helper_fixup *fixup =
        stand_in_qemu_take (guest->dest, HELPER_MESSAGE_FIXUP);

      if (fixup->record.guest_src_ns == guest_src_ns)
        return;
    } else {
      g_free (stand_in_qemu_take (guest->dest, stand_in_qemu_peek (guest->dest)));
    }
  }
}

void
pair_guest_arrive (PairGuest *guest, DaemonPair *pair)
{
  stand_in_libvirt_set_state (pair->dest.host->libvirt, guest->uuid, STATE_RUNNING);
  stand_in_qemu_send_report (guest->dest, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_true (stand_in_libvirt_emit (pair->dest.host->libvirt, guest->uuid, RESUMED_MIGRATED));
}

void
pair_guest_migrate (PairGuest *guest, DaemonPair *pair)
{
  const guint64 guest_src_ns = 1234567890;
  g_autofree struct clock_record *record = NULL;

  pair_guest_announce (guest, pair, NULL);
  WAIT_UNTIL (count (&pair->dest, "arrival-claimed", guest) > 0);
  g_assert_true (
    stand_in_libvirt_emit (pair->source.host->libvirt, guest->uuid, SUSPENDED_MIGRATED));
  record = stand_in_qemu_make_record (guest_src_ns);
  stand_in_qemu_send_record (guest->source, record);
  pair_guest_expect_fixup (guest, guest_src_ns);
  pair_guest_arrive (guest, pair);
  WAIT_UNTIL (count (&pair->dest, "migration-fixed", guest) == 1);
  g_assert_true (stand_in_libvirt_emit (pair->source.host->libvirt, guest->uuid, STOPPED_MIGRATED));
  WAIT_UNTIL (count (&pair->source, "departure-done", guest) == 1);
}
