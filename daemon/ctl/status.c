/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-migration.h"
#include "commands.h"
#include "ctl-error.h"
#include "host-status.h"
#include "migration-json.h"
#include "output.h"
#include "status-screen.h"

#define NAME "status"

static const char *const hook_words[] = {
  [HOOK_ABSENT] = "absent",
  [HOOK_NOT_EXECUTABLE] = "not-executable",
  [HOOK_IN_PLACE] = "in-place",
  [HOOK_NOT_SEEN] = NULL,
};

static const char *const helper_words[] = {
  [HELPER_ABSENT] = "absent",
  [HELPER_NOT_FOUND] = "not-found",
  [HELPER_IN_PLACE] = "in-place",
};

/* members */

static void
begin_object (JsonBuilder *builder, const char *name)
{
  json_builder_set_member_name (builder, name);
  json_builder_begin_object (builder);
}

/* parts */

static void
add_installation (JsonBuilder *builder, const HostStatus *status)
{
  begin_object (builder, "hook");
  output_json_text (builder, "state", hook_words[status->hook]);
  output_json_text (builder, "path", installation_hook_path ());
  json_builder_end_object (builder);

  begin_object (builder, "helper");
  output_json_text (builder, "state", helper_words[status->helper]);
  output_json_text (builder, "path", installation_helper_path ());
  output_json_text (builder, "problem", status->helper_problem);
  json_builder_end_object (builder);
}

static void
add_daemon (JsonBuilder *builder, const HostStatus *status)
{
  BusManager *manager = bus_client_get_manager (status->client);
  gint64 started_us = bus_client_get_started_us (status->client);

  begin_object (builder, "daemon");
  output_json_bool (builder, "running", TRUE);
  output_json_text (builder, "problem", NULL);
  output_json_text (builder, "version", bus_manager_get_version (manager));
  output_json_number (builder, "pid", TRUE, bus_client_get_pid (status->client));
  output_json_number (builder, "started_us", started_us != 0, started_us);
  output_json_text (builder, "address", bus_manager_get_address (manager));
  output_json_number (builder, "port", TRUE, bus_manager_get_port (manager));
  output_json_text (builder, "pin", bus_manager_get_pin (manager));
  json_builder_end_object (builder);
}

static void
add_host (JsonBuilder *builder, BusManager *manager)
{
  begin_object (builder, "libvirt");
  output_json_bool (builder, "connected", bus_manager_get_libvirt_connected (manager));
  output_json_text (builder, "problem", bus_manager_get_libvirt_problem (manager));
  json_builder_end_object (builder);

  begin_object (builder, "clock");
  output_json_bool (builder, "synchronised", bus_manager_get_clock_synchronised (manager));
  output_json_number (builder, "max_error_us", TRUE,
                      (gint64) bus_manager_get_clock_max_error_us (manager));
  json_builder_end_object (builder);

  begin_object (builder, "settings");
  output_json_text (builder, "mode", bus_manager_get_mode (manager));
  output_json_text (builder, "host_clock", bus_manager_get_host_clock (manager));
  output_json_number (builder, "max_advance_s", TRUE, bus_manager_get_max_advance_sec (manager));
  json_builder_end_object (builder);
}

static void
add_domains (JsonBuilder *builder, const HostStatus *status)
{
  begin_object (builder, "domains");
  output_json_number (builder, "known", TRUE, status->domains->len);
  output_json_number (builder, "ready", TRUE, host_status_count_ready (status));
  output_json_number (builder, "emulated", TRUE, host_status_count_emulated (status));
  json_builder_end_object (builder);
}

static void
add_peers (JsonBuilder *builder, BusManager *manager)
{
  GVariantIter iter;
  const char *address;
  gint64 seen_us, theta_ns;
  guint64 bound_ns;

  json_builder_set_member_name (builder, "peers");
  json_builder_begin_array (builder);
  g_variant_iter_init (&iter, bus_manager_get_peers (manager));
  while (g_variant_iter_next (&iter, "(&sxxt)", &address, &seen_us, &theta_ns, &bound_ns)) {
    gboolean is_measured = bound_ns <= G_MAXINT64;

    json_builder_begin_object (builder);
    output_json_text (builder, "address", address);
    output_json_number (builder, "seen_us", TRUE, seen_us);
    output_json_number (builder, "theta_ns", is_measured, theta_ns);
    output_json_number (builder, "theta_bound_ns", is_measured, (gint64) bound_ns);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
}

static void
add_in_flight (JsonBuilder *builder, const HostStatus *status)
{
  json_builder_set_member_name (builder, "in_flight");
  json_builder_begin_array (builder);
  for (guint i = 0; i < status->migrations->len; i++) {
    BusMigration *migration = g_ptr_array_index (status->migrations, i);

    if (bus_migration_get_ended (migration))
      continue;
    json_builder_begin_object (builder);
    output_json_text (builder, "migration", bus_migration_get_id (migration));
    output_json_text (builder, "direction", bus_migration_get_direction (migration));
    output_json_text (builder, "phase", bus_migration_get_phase (migration));
    output_json_text (builder, "domain", bus_migration_get_domain (migration));
    output_json_text (builder, "domain_name", bus_migration_get_domain_name (migration));
    output_json_text (builder, "peer", bus_migration_get_peer (migration));
    output_json_number (builder, "started_us", TRUE, bus_migration_get_started_us (migration));
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
}

static void
add_last (JsonBuilder *builder, const HostStatus *status)
{
  BusMigration *last = bus_migration_find_last (status->migrations);
  g_autoptr (MigrationRecord) record = last != NULL ? bus_migration_read (last) : NULL;

  json_builder_set_member_name (builder, "last");
  if (record != NULL)
    migration_json_add (builder, record);
  else
    json_builder_add_null_value (builder);
}

static void
print_json (const HostStatus *status)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();

  json_builder_begin_object (builder);
  if (status->client != NULL) {
    BusManager *manager = bus_client_get_manager (status->client);

    add_daemon (builder, status);
    add_host (builder, manager);
    add_domains (builder, status);
    add_peers (builder, manager);
    add_in_flight (builder, status);
    add_last (builder, status);
  } else {
    begin_object (builder, "daemon");
    json_builder_set_member_name (builder, "running");
    if (g_error_matches (status->problem, CTL_ERROR, CTL_ERROR_NOT_RUNNING))
      json_builder_add_boolean_value (builder, FALSE);
    else /* it may run, and could not be asked */
      json_builder_add_null_value (builder);
    output_json_text (builder, "problem", status->problem->message);
    json_builder_end_object (builder);
  }
  add_installation (builder, status);
  json_builder_end_object (builder);
  output_json (json_builder_get_root (builder));
}

/* public functions */

int
status_run (const CtlContext *context, int argc, char **argv)
{
  g_auto (HostStatus) status = { 0 };

  if (!command_parse (NAME, NULL, NULL, &argc, &argv, 0, 0))
    return CTL_EXIT_USAGE;
  host_status_collect (&status);
  if (context->is_json)
    print_json (&status);
  else
    status_screen_print (context, &status);
  return status.client != NULL ? CTL_EXIT_OK : CTL_EXIT_FAILURE;
}
