/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-status.h"

/* public functions */

void
host_status_collect (HostStatus *status)
{
  status->client = bus_client_new (&status->problem);
  if (status->client != NULL) {
    status->domains = bus_client_list_domains (status->client);
    status->migrations = bus_client_list_migrations (status->client);
  }
  status->hook = installation_look_for_hook ();
  status->helper = installation_look_for_helper (&status->helper_problem);
}

void
host_status_clear (HostStatus *status)
{
  g_clear_pointer (&status->domains, g_ptr_array_unref);
  g_clear_pointer (&status->migrations, g_ptr_array_unref);
  g_clear_pointer (&status->client, bus_client_free);
  g_clear_error (&status->problem);
  g_clear_pointer (&status->helper_problem, g_free);
}

guint
host_status_count_ready (const HostStatus *status)
{
  guint count = 0;

  for (guint i = 0; i < status->domains->len; i++)
    count += bus_domain_get_ready (g_ptr_array_index (status->domains, i)) ? 1 : 0;
  return count;
}

guint
host_status_count_emulated (const HostStatus *status)
{
  guint count = 0;

  for (guint i = 0; i < status->domains->len; i++)
    count += bus_domain_get_emulated (g_ptr_array_index (status->domains, i)) ? 1 : 0;
  return count;
}

guint
host_status_count_in_flight (const HostStatus *status)
{
  guint count = 0;

  for (guint i = 0; i < status->migrations->len; i++)
    count += bus_migration_get_ended (g_ptr_array_index (status->migrations, i)) ? 0 : 1;
  return count;
}
