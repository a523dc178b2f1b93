/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-host.h"

#include "temp-folder.h"
#include "wait-until.h"

BusHost *
bus_host_new (void)
{
  BusHost *host = g_new0 (BusHost, 1);

  host->bus = g_test_dbus_new (G_TEST_DBUS_NONE);
  g_test_dbus_up (host->bus);
  host->libvirt = stand_in_libvirt_start (bus_host_get_bus_address (host));
  host->folder = temp_folder_make ();
  host->port = daemon_process_pick_port ();
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
  g_test_dbus_down (host->bus);
  g_clear_object (&host->bus);
}

const char *
bus_host_get_bus_address (BusHost *host)
{
  return g_test_dbus_get_bus_address (host->bus);
}

DaemonProcess *
bus_host_start_daemon (BusHost *host)
{
  return daemon_process_start (host->folder, bus_host_get_bus_address (host), host->port);
}

GDBusConnection *
bus_host_connect (BusHost *host)
{
  g_autoptr (GError) error = NULL;
  GDBusConnection *bus = g_dbus_connection_new_for_address_sync (
    bus_host_get_bus_address (host),
    G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
    NULL, NULL, &error);

  g_assert_no_error (error);
  return bus;
}

void
bus_host_boot_and_wait (BusHost *host, const char *uuid, const char *name, int id)
{
  stand_in_libvirt_add_domain (host->libvirt, uuid, name, id);
  g_assert_true (stand_in_libvirt_emit (host->libvirt, uuid, STARTED_BOOTED));
  WAIT_UNTIL (stand_in_libvirt_get_element (host->libvirt, uuid) != NULL);
}
