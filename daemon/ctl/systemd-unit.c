/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "systemd-unit.h"

#include <glib/gi18n.h>

#define BUS_NAME      "org.freedesktop.systemd1"
#define MANAGER_PATH  "/org/freedesktop/systemd1"
#define MANAGER_IFACE "org.freedesktop.systemd1.Manager"
#define UNIT_IFACE    "org.freedesktop.systemd1.Unit"
#define SERVICE_IFACE "org.freedesktop.systemd1.Service"

#define CALL_TIMEOUT_MS   10000
#define RELOAD_TIMEOUT_MS 60000

const char *const systemd_libvirt_services[] = { "virtqemud.service", "libvirtd.service", NULL };

/* A job that is waited for. Signals of others come too, and may come before its path is known. */
typedef struct {
  char *job;           /* object path, NULL until systemd told */
  GHashTable *results; /* of the jobs that ended, by path */
  gboolean is_late;
} JobWait;

static GVariant *
call (GDBusConnection *bus, const char *path, const char *iface, const char *method,
      GVariant *parameters, const char *reply_type, GError **error)
{
  GVariant *reply =
    g_dbus_connection_call_sync (bus, BUS_NAME, path, iface, method, parameters,
                                 reply_type != NULL ? G_VARIANT_TYPE (reply_type) : NULL,
                                 G_DBUS_CALL_FLAGS_NO_AUTO_START, CALL_TIMEOUT_MS, NULL, error);

  if (reply == NULL && error != NULL)
    g_dbus_error_strip_remote_error (*error);
  return reply;
}

/* Properties as a dictionary, or NULL. */
static GVariant *
read_properties (GDBusConnection *bus, const char *path, const char *iface, GError **error)
{
  g_autoptr (GVariant) reply = call (bus, path, "org.freedesktop.DBus.Properties", "GetAll",
                                     g_variant_new ("(s)", iface), "(a{sv})", error);

  return reply != NULL ? g_variant_get_child_value (reply, 0) : NULL;
}

static char *
look_up_text (GVariant *properties, const char *name)
{
  const char *text = "";

  if (properties != NULL)
    (void) g_variant_lookup (properties, name, "&s", &text);
  return g_strdup (text);
}

/* reloading */

static void
on_job_removed (GDBusConnection *bus, const char *sender, const char *path, const char *iface,
                const char *member, GVariant *parameters, gpointer user_data)
{
  JobWait *wait = user_data;
  const char *job, *result;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(uoss)")))
    return;
  g_variant_get (parameters, "(u&os&s)", NULL, &job, NULL, &result);
  g_hash_table_replace (wait->results, g_strdup (job), g_strdup (result));
}

static gboolean
on_reload_timeout (gpointer user_data)
{
  JobWait *wait = user_data;

  wait->is_late = TRUE;
  return G_SOURCE_REMOVE;
}

static gboolean
wait_for_job (GDBusConnection *bus, const char *name, JobWait *wait, GMainContext *context,
              GError **error)
{
  g_autoptr (GVariant) subscribed = NULL;
  g_autoptr (GVariant) reply = NULL;
  const char *result;

  /* else systemd emits no signal */
  subscribed = call (bus, MANAGER_PATH, MANAGER_IFACE, "Subscribe", NULL, NULL, error);
  if (subscribed == NULL)
    return FALSE;
  reply = call (bus, MANAGER_PATH, MANAGER_IFACE, "ReloadUnit",
                g_variant_new ("(ss)", name, "replace"), "(o)", error);
  if (reply == NULL)
    return FALSE;
  g_variant_get (reply, "(o)", &wait->job);

  while (!wait->is_late && !g_hash_table_contains (wait->results, wait->job))
    g_main_context_iteration (context, TRUE);
  result = g_hash_table_lookup (wait->results, wait->job);
  if (g_strcmp0 (result, "done") == 0)
    return TRUE;
  if (result == NULL)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                 ngettext ("it was not done within %d second", "it was not done within %d seconds",
                           RELOAD_TIMEOUT_MS / 1000),
                 RELOAD_TIMEOUT_MS / 1000);
  else
    /* TRANSLATORS: %s is systemd's word for the result of a job, "failed" for instance */
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, _ ("systemd says: %s"), result);
  return FALSE;
}

/* public functions */

void
systemd_unit_free (SystemdUnit *unit)
{
  g_free (unit->load_state);
  g_free (unit->active_state);
  g_free (unit->unit_file_state);
  g_free (unit->result);
  g_free (unit);
}

SystemdUnit *
systemd_unit_read (GDBusConnection *bus, const char *name, GError **error)
{
  g_autoptr (GVariant) reply =
    call (bus, MANAGER_PATH, MANAGER_IFACE, "LoadUnit", g_variant_new ("(s)", name), "(o)", error);
  g_autoptr (GVariant) properties = NULL;
  g_autoptr (GVariant) service = NULL;
  g_autoptr (SystemdUnit) unit = NULL;
  guint64 state_change_us = 0;
  const char *path;

  if (reply == NULL)
    return NULL;
  g_variant_get (reply, "(&o)", &path);
  properties = read_properties (bus, path, UNIT_IFACE, error);
  if (properties == NULL)
    return NULL;
  if (g_str_has_suffix (name, ".service")) {
    service = read_properties (bus, path, SERVICE_IFACE, error);
    if (service == NULL)
      return NULL;
  }

  unit = g_new0 (SystemdUnit, 1);
  unit->load_state = look_up_text (properties, "LoadState");
  unit->active_state = look_up_text (properties, "ActiveState");
  unit->unit_file_state = look_up_text (properties, "UnitFileState");
  unit->result = look_up_text (service, "Result");
  (void) g_variant_lookup (properties, "StateChangeTimestamp", "t", &state_change_us);
  unit->state_change_us = (gint64) state_change_us;
  return g_steal_pointer (&unit);
}

gboolean
systemd_unit_exists (const SystemdUnit *unit)
{
  return !g_str_equal (unit->load_state, "not-found");
}

gboolean
systemd_unit_is_active (const SystemdUnit *unit)
{
  return g_str_equal (unit->active_state, "active") ||
         g_str_equal (unit->active_state, "reloading");
}

gboolean
systemd_unit_reload (GDBusConnection *bus, const char *name, GError **error)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GSource) timeout = g_timeout_source_new (RELOAD_TIMEOUT_MS);
  JobWait wait = {
    .results = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free),
  };
  guint subscription_id;
  gboolean is_done;

  g_main_context_push_thread_default (context);
  g_source_set_callback (timeout, on_reload_timeout, &wait, NULL);
  g_source_attach (timeout, context);
  subscription_id = g_dbus_connection_signal_subscribe (
    bus, BUS_NAME, MANAGER_IFACE, "JobRemoved", MANAGER_PATH, NULL, G_DBUS_SIGNAL_FLAGS_NONE,
    on_job_removed, &wait, NULL);
  is_done = wait_for_job (bus, name, &wait, context, error);
  g_dbus_connection_signal_unsubscribe (bus, subscription_id);
  g_source_destroy (timeout);
  g_main_context_pop_thread_default (context);
  g_hash_table_unref (wait.results);
  g_free (wait.job);
  return is_done;
}
