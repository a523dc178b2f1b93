/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib-unix.h>
#include <glib/gi18n.h>
#include <stdio.h>

#include "bus-client.h"
#include "bus-migration.h"
#include "commands.h"
#include "ctl-error.h"
#include "migration-history.h"
#include "migration-json.h"
#include "output.h"

#define NAME "monitor"

typedef struct {
  const CtlContext *context;
  GMainLoop *loop;
  BusClient *client;
  gboolean is_daemon_running;
  int exit_status;
} Monitor;

/* One line for people. */
typedef struct {
  gint64 realtime_us;
  const char *id;
  const char *domain;
  const char *direction;
  const char *phase;
  const char *words;
} MonitorLine;

/* lines for people */

static const guint column_widths[] = { 12, MIGRATION_ID_SHOWN, 16, 8, 11 };

/* "05:09:18.123" in local time; owned by the caller. */
static char *
format_clock (gint64 us)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (us / G_USEC_PER_SEC);
  g_autofree char *seconds = g_date_time_format (time, "%H:%M:%S");

  return g_strdup_printf ("%s.%03d", seconds, (int) (us % G_USEC_PER_SEC / 1000));
}

static void
append_column (GString *text, const CtlContext *context, guint column, const char *value)
{
  g_autofree char *clean = output_clean (value);
  guint width = output_width (clean);
  guint padding =
    context->is_terminal && width < column_widths[column] ? column_widths[column] - width : 0;

  g_string_append_printf (text, "%s%*s%s", clean, (int) padding, "",
                          context->is_terminal ? "  " : "\t");
}

static void
print_line (const Monitor *monitor, const MonitorLine *line)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *clock = format_clock (line->realtime_us);
  g_autofree char *id = g_strndup (line->id, MIGRATION_ID_SHOWN);
  g_autofree char *words = output_clean (line->words);
  const char *const columns[] = { clock, id, line->domain, line->direction, line->phase };

  for (guint i = 0; i < G_N_ELEMENTS (columns); i++)
    append_column (text, monitor->context, i, columns[i]);
  g_print ("%s%s\n", text->str, words);
}

/* Of the daemon itself. */
static void
print_remark (const Monitor *monitor, OutputStyle style, const char *words)
{
  g_autofree char *clock = format_clock (g_get_real_time ());
  g_autofree char *clean = output_clean (words);

  g_print ("%s%s%s%s%s\n", clock, monitor->context->is_terminal ? "  " : "\t",
           output_style (monitor->context, style), clean,
           output_style (monitor->context, OUTPUT_PLAIN));
}

/* objects for programs */

static JsonBuilder *
begin_json (const char *event, gint64 realtime_us)
{
  JsonBuilder *builder = json_builder_new ();

  json_builder_begin_object (builder);
  output_json_text (builder, "event", event);
  output_json_number (builder, "time_us", TRUE, realtime_us);
  return builder;
}

static void
end_json (JsonBuilder *builder)
{
  json_builder_end_object (builder);
  output_json_line (json_builder_get_root (builder));
}

static void
print_phase_json (BusMigration *migration, const char *phase, gint64 realtime_us,
                  const char *message)
{
  g_autoptr (JsonBuilder) builder = begin_json ("phase", realtime_us);

  output_json_text (builder, "migration", bus_migration_get_id (migration));
  output_json_text (builder, "direction", bus_migration_get_direction (migration));
  output_json_text (builder, "phase", phase);
  output_json_text (builder, "domain", bus_migration_get_domain (migration));
  output_json_text (builder, "domain_name", bus_migration_get_domain_name (migration));
  output_json_text (builder, "peer", bus_migration_get_peer (migration));
  output_json_text (builder, "message", message);
  end_json (builder);
}

static void
print_end_json (BusMigration *migration)
{
  g_autoptr (JsonBuilder) builder = begin_json ("end", bus_migration_get_ended_us (migration));
  g_autoptr (MigrationRecord) record = bus_migration_read (migration);

  json_builder_set_member_name (builder, "report");
  migration_json_add (builder, record);
  end_json (builder);
}

/* what is seen */

static void
print_phase (const Monitor *monitor, BusMigration *migration, const char *phase, gint64 realtime_us,
             const char *message)
{
  const char *name = bus_migration_get_domain_name (migration);
  gboolean is_named = name != NULL && *name != '\0';
  const MonitorLine line = {
    .realtime_us = realtime_us,
    .id = bus_migration_get_id (migration),
    .domain = is_named ? name : bus_migration_get_domain (migration),
    .direction = bus_migration_get_direction (migration),
    .phase = phase,
    .words = message,
  };

  if (monitor->context->is_json)
    print_phase_json (migration, phase, realtime_us, message);
  else
    print_line (monitor, &line);
}

static void
print_libvirt (const Monitor *monitor, BusManager *manager)
{
  gboolean is_connected = bus_manager_get_libvirt_connected (manager);
  const char *problem = bus_manager_get_libvirt_problem (manager);
  g_autofree char *words = NULL;

  if (monitor->context->is_json) {
    g_autoptr (JsonBuilder) builder = begin_json ("libvirt", g_get_real_time ());

    output_json_bool (builder, "connected", is_connected);
    output_json_text (builder, "problem", problem);
    end_json (builder);
    return;
  }
  words = is_connected
            ? g_strdup (_ ("libvirt is followed"))
            : g_strdup_printf (_ ("libvirt is not followed, migrations are stock: %s"), problem);
  print_remark (monitor, is_connected ? OUTPUT_GOOD : OUTPUT_BAD, words);
}

static void
print_daemon (const Monitor *monitor, gboolean is_running)
{
  if (monitor->context->is_json) {
    g_autoptr (JsonBuilder) builder = begin_json ("daemon", g_get_real_time ());

    output_json_bool (builder, "running", is_running);
    end_json (builder);
    return;
  }
  print_remark (monitor, is_running ? OUTPUT_GOOD : OUTPUT_BAD,
                is_running ? _ ("clockferryd runs") : _ ("clockferryd has ended"));
}

static void
print_in_flight (const Monitor *monitor)
{
  g_autoptr (GPtrArray) migrations = bus_client_list_migrations (monitor->client);

  for (guint i = 0; i < migrations->len; i++) {
    BusMigration *migration = g_ptr_array_index (migrations, i);

    if (!bus_migration_get_ended (migration))
      print_phase (monitor, migration, bus_migration_get_phase (migration),
                   bus_migration_get_started_us (migration),
                   monitor->context->is_json ? NULL : _ ("was under way already"));
  }
}

/* Whoever read this has gone. */
static void
check_is_read (Monitor *monitor)
{
  if (ferror (stdout))
    g_main_loop_quit (monitor->loop);
}

static void
on_signal (GDBusObjectManager *objects, GDBusObjectProxy *object, GDBusProxy *interface,
           const char *sender, const char *signal, GVariant *parameters, gpointer user_data)
{
  Monitor *monitor = user_data;
  const char *phase, *message;
  gint64 realtime_us;

  if (!BUS_IS_MIGRATION (interface) || !g_str_equal (signal, "PhaseChanged") ||
      !g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(sxs)")))
    return;
  g_variant_get (parameters, "(&sx&s)", &phase, &realtime_us, &message);
  print_phase (monitor, BUS_MIGRATION (interface), phase, realtime_us, message);
  if (monitor->context->is_json && bus_migration_get_ended (BUS_MIGRATION (interface)))
    print_end_json (BUS_MIGRATION (interface));
  check_is_read (monitor);
}

static void
on_properties_changed (GDBusObjectManager *objects, GDBusObjectProxy *object, GDBusProxy *interface,
                       GVariant *changed, const char *const *invalidated, gpointer user_data)
{
  Monitor *monitor = user_data;
  g_autoptr (GVariant) connected = NULL;

  if (!BUS_IS_MANAGER (interface))
    return;
  connected = g_variant_lookup_value (changed, "LibvirtConnected", G_VARIANT_TYPE_BOOLEAN);
  if (connected != NULL)
    print_libvirt (monitor, BUS_MANAGER (interface));
  check_is_read (monitor);
}

static void
on_name_owner (GObject *objects, GParamSpec *property, gpointer user_data)
{
  Monitor *monitor = user_data;
  g_autofree char *owner =
    g_dbus_object_manager_client_get_name_owner (G_DBUS_OBJECT_MANAGER_CLIENT (objects));

  if (monitor->is_daemon_running == (owner != NULL))
    return;
  monitor->is_daemon_running = owner != NULL;
  print_daemon (monitor, monitor->is_daemon_running);
  check_is_read (monitor);
}

static void
on_bus_closed (GDBusConnection *bus, gboolean vanished, GError *error, gpointer user_data)
{
  Monitor *monitor = user_data;

  monitor->exit_status = command_fail (
    NAME, CTL_EXIT_FAILURE, _ ("the system bus closed the connection; see systemctl status dbus"));
  g_main_loop_quit (monitor->loop);
}

static gboolean
on_terminate (gpointer user_data)
{
  Monitor *monitor = user_data;

  g_main_loop_quit (monitor->loop);
  return G_SOURCE_CONTINUE;
}

static void
watch (Monitor *monitor)
{
  GDBusObjectManager *objects = bus_client_get_objects (monitor->client);
  GDBusConnection *bus =
    g_dbus_object_manager_client_get_connection (G_DBUS_OBJECT_MANAGER_CLIENT (objects));

  g_dbus_connection_set_exit_on_close (bus, FALSE);
  g_signal_connect (bus, "closed", G_CALLBACK (on_bus_closed), monitor);
  g_signal_connect (objects, "interface-proxy-signal", G_CALLBACK (on_signal), monitor);
  g_signal_connect (objects, "interface-proxy-properties-changed",
                    G_CALLBACK (on_properties_changed), monitor);
  g_signal_connect (objects, "notify::name-owner", G_CALLBACK (on_name_owner), monitor);
  g_unix_signal_add (SIGINT, on_terminate, monitor);
  g_unix_signal_add (SIGTERM, on_terminate, monitor);
}

/* public functions */

int
monitor_run (const CtlContext *context, int argc, char **argv)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (BusClient) client = NULL;
  g_autoptr (GError) error = NULL;
  Monitor monitor = { .context = context, .loop = loop, .exit_status = CTL_EXIT_OK };

  if (!command_parse (NAME, NULL, NULL, &argc, &argv, 0, 0))
    return CTL_EXIT_USAGE;
  client = bus_client_new (&error);
  if (client == NULL)
    return ctl_error_report (NAME, error);
  monitor.client = client;
  monitor.is_daemon_running = TRUE;

  watch (&monitor);
  print_in_flight (&monitor);
  g_main_loop_run (loop);
  return monitor.exit_status;
}
