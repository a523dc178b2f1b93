/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load-host.h"

#include <glib/gstdio.h>

LoadHost *
load_host_new (void)
{
  LoadHost *host = g_new0 (LoadHost, 1);

  host->host = bus_host_new ();
  host->run_dir = g_build_filename (host->host->folder, "run", NULL);
  host->state_dir = g_build_filename (host->host->folder, "lib", NULL);
  g_assert_no_errno (g_mkdir (host->run_dir, 0755));
  g_assert_no_errno (g_mkdir (host->state_dir, 0755));
  return host;
}

void
load_host_free (LoadHost *host)
{
  if (host->daemon != NULL)
    load_host_stop_daemon (host);
  bus_host_free (host->host);
  g_free (host->run_dir);
  g_free (host->state_dir);
  g_free (host);
}

char *
load_domain_uuid (guint number)
{
  return g_strdup_printf ("5c1f0e5e-0000-4000-8000-%012x", number);
}

void
load_host_add_domain (LoadHost *host, HelperFleet *fleet, guint index, guint number)
{
  g_autofree char *uuid = load_domain_uuid (number);
  g_autofree char *name = g_strdup_printf ("guest-%u", number);

  helper_fleet_start (fleet, index, host->run_dir, host->state_dir, name, (int) number + 1, uuid);
  stand_in_libvirt_add_domain (host->host->libvirt, uuid, name, (int) number + 1);
}

void
load_host_start_daemon (LoadHost *host)
{
  g_assert_null (host->daemon);
  host->daemon = measured_daemon_start (host->host->folder,
                                        private_bus_get_address (host->host->bus), host->host->port,
                                        host->run_dir, host->state_dir);
}

void
load_host_stop_daemon (LoadHost *host)
{
  g_clear_pointer (&host->daemon, measured_daemon_stop);
}
