/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-client.h"

#include <glib/gi18n.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl-error.h"
#include "names.h"

#define READER_GROUP "libvirt" /* that the bus policy lets read */

struct BusClient {
  GDBusObjectManager *objects;
  BusManager *manager;
  guint pid;
};

/* errors */

static void
set_not_running (GError **error)
{
  g_set_error (error, CTL_ERROR, CTL_ERROR_NOT_RUNNING,
               _ ("clockferryd is not running; start it: systemctl enable --now clockferryd"));
}

/* Of a call to the daemon that failed with @cause. */
static void
set_call_error (GError **error, const GError *cause)
{
  if (g_error_matches (cause, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED))
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("only root and members of the group %s may ask clockferryd; become one: "
                    "usermod -aG %s USER"),
                 READER_GROUP, READER_GROUP);
  else
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("clockferryd does not answer: %s; see journalctl -u clockferryd"),
                 cause->message);
}

/* the process */

static gboolean
ask_for_pid (GDBusConnection *bus, guint *pid, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_sync (
    bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
    "GetConnectionUnixProcessID", g_variant_new ("(s)", CLOCKFERRY_BUS_NAME),
    G_VARIANT_TYPE ("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, &cause);

  if (reply != NULL)
    g_variant_get (reply, "(u)", pid);
  else if (g_error_matches (cause, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER))
    set_not_running (error);
  else
    set_call_error (error, cause);
  return reply != NULL;
}

/* Field 22 of /proc/PID/stat, ticks since the host was booted (proc(5)); 0 if it cannot be read. The
 * second field, the program's name, may contain anything. */
static guint64
read_start_ticks (guint pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%u/stat", pid);
  g_autofree char *text = NULL;
  const char *rest;
  g_auto (GStrv) fields = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return 0;
  rest = strrchr (text, ')');
  if (rest == NULL || rest[1] == '\0')
    return 0;
  fields = g_strsplit (rest + 2, " ", 21);
  return g_strv_length (fields) == 21 ? g_ascii_strtoull (fields[19], NULL, 10) : 0;
}

/* objects */

static GType
get_proxy_type (GDBusObjectManagerClient *objects, const char *path, const char *interface,
                gpointer user_data)
{
  if (interface == NULL)
    return G_TYPE_DBUS_OBJECT_PROXY;
  if (g_str_equal (interface, CLOCKFERRY_MANAGER_IFACE))
    return BUS_TYPE_MANAGER_PROXY;
  if (g_str_equal (interface, CLOCKFERRY_DOMAIN_IFACE))
    return BUS_TYPE_DOMAIN_PROXY;
  if (g_str_equal (interface, CLOCKFERRY_MIGRATION_IFACE))
    return BUS_TYPE_MIGRATION_PROXY;
  return G_TYPE_DBUS_PROXY;
}

static int
compare_domains (gconstpointer a, gconstpointer b)
{
  BusDomain *const *left = a;
  BusDomain *const *right = b;
  int order = g_strcmp0 (bus_domain_get_name (*left), bus_domain_get_name (*right));

  return order != 0 ? order : g_strcmp0 (bus_domain_get_uuid (*left), bus_domain_get_uuid (*right));
}

static int
compare_migrations (gconstpointer a, gconstpointer b)
{
  BusMigration *const *left = a;
  BusMigration *const *right = b;
  gint64 left_us = bus_migration_get_started_us (*left);
  gint64 right_us = bus_migration_get_started_us (*right);

  return (left_us > right_us) - (left_us < right_us);
}

static GPtrArray *
list_interfaces (const BusClient *client, const char *interface, GCompareFunc compare)
{
  GList *objects = g_dbus_object_manager_get_objects (client->objects);
  GPtrArray *found = g_ptr_array_new_with_free_func (g_object_unref);

  for (GList *object = objects; object != NULL; object = object->next) {
    GDBusInterface *proxy = g_dbus_object_get_interface (object->data, interface);

    if (proxy != NULL)
      g_ptr_array_add (found, proxy);
  }
  g_list_free_full (objects, g_object_unref);
  g_ptr_array_sort (found, compare);
  return found;
}

/* public functions */

BusClient *
bus_client_new (GError **error)
{
  g_autoptr (BusClient) client = g_new0 (BusClient, 1);
  g_autoptr (GError) cause = NULL;
  g_autoptr (GDBusConnection) bus = g_bus_get_sync (G_BUS_TYPE_SYSTEM, NULL, &cause);
  GDBusInterface *manager;

  if (bus == NULL) {
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("cannot connect to the system bus: %s; see systemctl status dbus"),
                 cause->message);
    return NULL;
  }
  if (!ask_for_pid (bus, &client->pid, error))
    return NULL;
  client->objects = g_dbus_object_manager_client_new_sync (
    bus, G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_DO_NOT_AUTO_START, CLOCKFERRY_BUS_NAME,
    CLOCKFERRY_BUS_PATH, get_proxy_type, NULL, NULL, NULL, &cause);
  if (client->objects == NULL) {
    set_call_error (error, cause);
    return NULL;
  }
  manager = g_dbus_object_manager_get_interface (client->objects, CLOCKFERRY_MANAGER_PATH,
                                                 CLOCKFERRY_MANAGER_IFACE);
  if (manager == NULL) {
    set_not_running (error); /* it has gone since, or is about to come */
    return NULL;
  }
  client->manager = BUS_MANAGER (manager);
  return g_steal_pointer (&client);
}

void
bus_client_free (BusClient *client)
{
  g_clear_object (&client->manager);
  g_clear_object (&client->objects);
  g_free (client);
}

BusManager *
bus_client_get_manager (const BusClient *client)
{
  return client->manager;
}

GDBusObjectManager *
bus_client_get_objects (const BusClient *client)
{
  return client->objects;
}

guint
bus_client_get_pid (const BusClient *client)
{
  return client->pid;
}

gint64
bus_client_get_started_us (const BusClient *client)
{
  guint64 ticks = read_start_ticks (client->pid);
  struct timespec boottime;
  gint64 age_us;

  if (ticks == 0)
    return 0;
  clock_gettime (CLOCK_BOOTTIME, &boottime);
  age_us = boottime.tv_sec * G_USEC_PER_SEC + boottime.tv_nsec / 1000 -
           (gint64) (ticks * G_USEC_PER_SEC / (guint64) sysconf (_SC_CLK_TCK));
  return g_get_real_time () - age_us;
}

GPtrArray *
bus_client_list_domains (const BusClient *client)
{
  return list_interfaces (client, CLOCKFERRY_DOMAIN_IFACE, compare_domains);
}

GPtrArray *
bus_client_list_migrations (const BusClient *client)
{
  return list_interfaces (client, CLOCKFERRY_MIGRATION_IFACE, compare_migrations);
}

BusDomain *
bus_client_find_domain (const BusClient *client, const char *domain, GError **error)
{
  g_autoptr (GPtrArray) domains = bus_client_list_domains (client);

  for (guint i = 0; i < domains->len; i++) {
    BusDomain *candidate = g_ptr_array_index (domains, i);

    if (g_ascii_strcasecmp (bus_domain_get_uuid (candidate), domain) == 0 ||
        g_strcmp0 (bus_domain_get_name (candidate), domain) == 0)
      return g_object_ref (candidate);
  }
  g_set_error (error, CTL_ERROR, CTL_ERROR_NOT_FOUND,
               _ ("no domain “%s” runs here; name one by UUID or name as clockferryctl list does"),
               domain);
  return NULL;
}
