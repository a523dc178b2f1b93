/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "managed-host.h"

#include "identity.h"
#include "wait-until.h"

ManagedHost *
managed_host_new (void)
{
  ManagedHost *host = g_new0 (ManagedHost, 1);
  g_autoptr (GError) error = NULL;

  host->host = bus_host_new ();
  host->folders = stand_in_folders_new ();
  host->connection = private_bus_connect (host->host->bus);
  g_dbus_connection_set_exit_on_close (host->connection, FALSE);
  host->identity = identity_load (host->host->folder, &error);
  g_assert_no_error (error);
  host->settings = (Settings){
    .address = (char *) "127.0.0.1",
    .listen_address = (char *) "127.0.0.1",
    .port = (guint16) host->host->port,
    .host_clock = HOST_CLOCK_MEASURE,
    .mode = SETTINGS_MODE_APPLY,
    .max_advance_s = 300,
  };
  return host;
}

void
managed_host_free (ManagedHost *host)
{
  g_clear_pointer (&host->manager, manager_free);
  g_clear_pointer (&host->qemu, stand_in_qemu_end);
  (void) g_dbus_connection_close_sync (host->connection, NULL, NULL);
  g_object_unref (host->connection);
  g_object_unref (host->identity);
  stand_in_folders_free (host->folders);
  bus_host_free (host->host);
  g_free (host);
}

void
managed_host_start_daemon (ManagedHost *host)
{
  guint before = stand_in_libvirt_count (host->host->libvirt, "ListDomains", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (host->manager);
  host->manager = manager_new_with_folders (host->connection, &host->settings, host->identity,
                                            &host->folders->folders, &error);
  g_assert_no_error (error);
  WAIT_UNTIL (stand_in_libvirt_count (host->host->libvirt, "ListDomains", NULL) > before);
}

void
managed_host_boot (ManagedHost *host)
{
  host->qemu = stand_in_qemu_start (host->folders, "web", 1, WEB);
  bus_host_boot_and_wait (host->host, WEB, "web", 1);
  WAIT_UNTIL (stand_in_qemu_is_connected (host->qemu));
}

void
managed_host_prepare (ManagedHost *host, ManagedHost *source, gboolean has_helper)
{
  if (has_helper)
    host->qemu = stand_in_qemu_start (host->folders, "web", 2, WEB);
  stand_in_libvirt_add_domain (host->host->libvirt, WEB, "web", 2);
  stand_in_libvirt_set_state (host->host->libvirt, WEB, STATE_PAUSED_MIGRATION);
  stand_in_libvirt_set_element (host->host->libvirt, WEB,
                                stand_in_libvirt_get_element (source->host->libvirt, WEB));
  stand_in_libvirt_set_policy (host->host->libvirt, WEB,
                               stand_in_libvirt_get_policy (source->host->libvirt, WEB));
  managed_host_emit (host, STARTED_MIGRATED);
}

void
managed_host_emit (ManagedHost *host, int event, int detail)
{
  g_assert_true (stand_in_libvirt_emit (host->host->libvirt, WEB, event, detail));
}
