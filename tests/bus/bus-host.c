/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-host.h"

#include "temp-folder.h"
#include "wait-until.h"

BusHost *
bus_host_new (void)
{
  BusHost *host = g_new0 (BusHost, 1);

  host->bus = private_bus_start ();
  host->libvirt = stand_in_libvirt_start (host->bus);
  host->folder = temp_folder_make ();
  host->port = daemon_process_reserve_port ();
  return host;
}

void
bus_host_free (BusHost *host)
{
  bus_host_end_bus (host);
  stand_in_libvirt_free (host->libvirt);
  temp_folder_remove (host->folder);
  g_free (host);
}

void
bus_host_end_bus (BusHost *host)
{
  if (host->bus == NULL)
    return;
  stand_in_libvirt_leave_bus (host->libvirt);
  g_clear_pointer (&host->bus, private_bus_end);
}

DaemonProcess *
bus_host_start_daemon (BusHost *host)
{
  return daemon_process_start (host->folder, private_bus_get_address (host->bus), host->port);
}

void
bus_host_boot_and_wait (BusHost *host, const char *uuid, const char *name, int id)
{
  stand_in_libvirt_add_domain (host->libvirt, uuid, name, id);
  g_assert_true (stand_in_libvirt_emit (host->libvirt, uuid, STARTED_BOOTED));
  WAIT_UNTIL (stand_in_libvirt_get_element (host->libvirt, uuid) != NULL);
}
