/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt-watch.h"

#include <string.h>

#include "names.h"

#define PRIME_TIMEOUT_MS    30000
#define RETRY_FIRST_S       1
#define RETRY_LONGEST_S     30
#define LIST_DOMAINS_ACTIVE 1u /* VIR_CONNECT_LIST_DOMAINS_ACTIVE */

#define SYSTEMD_BUS_NAME      "org.freedesktop.systemd1"
#define SYSTEMD_PATH          "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER_IFACE "org.freedesktop.systemd1.Manager"

struct LibvirtWatch {
  GDBusConnection *bus;
  char *driver_path;
  const LibvirtWatchCallbacks *callbacks;
  gpointer user_data;

  char *owner; /* unique name behind org.libvirt; NULL while there is none */
  guint name_watch_id;
  guint event_subscription_id;
  guint metadata_subscription_id;
  guint job_subscription_id;

  GCancellable *cancellable;
  gboolean priming;
  gboolean prime_again; /* asked for while one was under way */
  gboolean is_lost;
  guint retry_id;
  guint retry_s; /* next pause, seconds */
};

static void prime (LibvirtWatch *watch);

/* priming */

static gboolean
on_retry (gpointer user_data)
{
  LibvirtWatch *watch = user_data;

  watch->retry_id = 0;
  prime (watch);
  return G_SOURCE_REMOVE;
}

static void
schedule_retry (LibvirtWatch *watch)
{
  if (watch->retry_id != 0)
    return;
  watch->retry_id = g_timeout_add_seconds (watch->retry_s, on_retry, watch);
  watch->retry_s = MIN (watch->retry_s * 2, RETRY_LONGEST_S);
}

static void
report_lost (LibvirtWatch *watch, const GError *error)
{
  if (watch->is_lost)
    return;
  watch->is_lost = TRUE;
  watch->callbacks->lost (error, watch->user_data);
}

static GPtrArray *
collect_uuids (GVariant *reply)
{
  GPtrArray *uuids = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GVariantIter) paths = NULL;
  const char *path;

  g_variant_get (reply, "(ao)", &paths);
  while (g_variant_iter_next (paths, "&o", &path)) {
    char *uuid = libvirt_watch_parse_path (path);

    if (uuid != NULL)
      g_ptr_array_add (uuids, uuid);
  }
  return uuids;
}

static void
on_domains_listed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LibvirtWatch *watch = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant)
    reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  g_autoptr (GPtrArray) uuids = NULL;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the watch is gone */

  watch->priming = FALSE;
  if (watch->prime_again) {
    /* libvirt came or went meanwhile: this answer may be from before */
    watch->prime_again = FALSE;
    prime (watch);
    return;
  }
  if (reply == NULL) {
    g_dbus_error_strip_remote_error (error);
    schedule_retry (watch);
    report_lost (watch, error);
    return;
  }
  watch->is_lost = FALSE;
  watch->retry_s = RETRY_FIRST_S;
  uuids = collect_uuids (reply);
  watch->callbacks->listed (uuids, watch->user_data);
}

static void
prime (LibvirtWatch *watch)
{
  if (watch->priming) {
    watch->prime_again = TRUE;
    return;
  }
  g_clear_handle_id (&watch->retry_id, g_source_remove);
  watch->priming = TRUE;
  if (watch->callbacks->listing != NULL)
    watch->callbacks->listing (watch->user_data);
  g_dbus_connection_call (watch->bus, LIBVIRT_BUS_NAME, watch->driver_path, LIBVIRT_CONNECT_IFACE,
                          "ListDomains", g_variant_new ("(u)", LIST_DOMAINS_ACTIVE),
                          G_VARIANT_TYPE ("(ao)"), G_DBUS_CALL_FLAGS_NONE, PRIME_TIMEOUT_MS,
                          watch->cancellable, on_domains_listed, watch);
}

/* signals */

static void
on_name_appeared (GDBusConnection *bus, const char *name, const char *owner, gpointer user_data)
{
  LibvirtWatch *watch = user_data;
  gboolean is_first = watch->owner == NULL && watch->priming;

  g_free (watch->owner);
  watch->owner = g_strdup (owner);
  /* The first priming is what activates the service: its answer comes from this very owner. */
  if (!is_first)
    prime (watch);
}

static void
on_name_vanished (GDBusConnection *bus, const char *name, gpointer user_data)
{
  LibvirtWatch *watch = user_data;
  g_autoptr (GError) error = NULL;

  /* GDBus also says so at the start, when nobody owns the name yet */
  if (watch->owner == NULL)
    return;
  g_clear_pointer (&watch->owner, g_free);
  error = g_error_new_literal (G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER,
                               LIBVIRT_BUS_NAME " left the bus");
  schedule_retry (watch);
  report_lost (watch, error);
}

static void
on_domain_event (GDBusConnection *bus, const char *sender, const char *path, const char *iface,
                 const char *member, GVariant *parameters, gpointer user_data)
{
  LibvirtWatch *watch = user_data;
  g_autofree char *uuid = NULL;
  const char *domain_path;
  int event, detail;

  /* GLib before 2.80.1 lets any local sender pass as a well-known name (CVE-2024-34397). */
  if (g_strcmp0 (sender, watch->owner) != 0)
    return;
  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(oii)")))
    return;
  g_variant_get (parameters, "(&oii)", &domain_path, &event, &detail);
  uuid = libvirt_watch_parse_path (domain_path);
  if (uuid != NULL)
    watch->callbacks->event (uuid, event, detail, watch->user_data);
}

/* In contrast to DomainEvent it comes from the domain's own path, of whatever driver. */
static void
on_metadata_change (GDBusConnection *bus, const char *sender, const char *path, const char *iface,
                    const char *member, GVariant *parameters, gpointer user_data)
{
  LibvirtWatch *watch = user_data;
  g_autofree char *uuid = NULL;
  const char *uri;

  if (watch->callbacks->metadata == NULL || g_strcmp0 (sender, watch->owner) != 0 ||
      !g_str_has_prefix (path, watch->driver_path) ||
      !g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(is)")))
    return;
  g_variant_get (parameters, "(i&s)", NULL, &uri);
  uuid = libvirt_watch_parse_path (path);
  if (uuid != NULL)
    watch->callbacks->metadata (uuid, uri, watch->user_data);
}

static void
on_unit_state (GObject *source, GAsyncResult *result, gpointer user_data)
{
  LibvirtWatch *watch = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant)
    reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  g_autoptr (GVariant) state = NULL;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the watch is gone */
  if (reply == NULL)
    return; /* a unit that systemd has unloaded does not run */
  g_variant_get (reply, "(v)", &state);
  if (g_variant_is_of_type (state, G_VARIANT_TYPE_STRING) &&
      g_str_equal (g_variant_get_string (state, NULL), "active"))
    prime (watch);
}

/* A call to libvirt would start, by its socket, the daemon that an administrator has just stopped: so
 * ask first what the job came to. */
static void
check_unit (LibvirtWatch *watch, const char *unit_path)
{
  g_dbus_connection_call (
    watch->bus, SYSTEMD_BUS_NAME, unit_path, "org.freedesktop.DBus.Properties", "Get",
    g_variant_new ("(ss)", "org.freedesktop.systemd1.Unit", "ActiveState"), G_VARIANT_TYPE ("(v)"),
    G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, watch->cancellable, on_unit_state, watch);
}

static void
on_job_removed (GDBusConnection *bus, const char *sender, const char *path, const char *iface,
                const char *member, GVariant *parameters, gpointer user_data)
{
  LibvirtWatch *watch = user_data;
  const char *unit;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(uoss)")))
    return;
  g_variant_get (parameters, "(uo&ss)", NULL, NULL, &unit, NULL);
  if (g_str_equal (unit, "libvirtd.service"))
    check_unit (watch, SYSTEMD_PATH "/unit/libvirtd_2eservice");
  else if (g_str_equal (unit, "virtqemud.service"))
    check_unit (watch, SYSTEMD_PATH "/unit/virtqemud_2eservice");
}

/* systemd emits JobRemoved only while somebody is subscribed. Without systemd there is no unit to
 * watch, and nothing to say: the call's failure is not an error. */
static void
subscribe_jobs (LibvirtWatch *watch)
{
  watch->job_subscription_id = g_dbus_connection_signal_subscribe (
    watch->bus, SYSTEMD_BUS_NAME, SYSTEMD_MANAGER_IFACE, "JobRemoved", SYSTEMD_PATH, NULL,
    G_DBUS_SIGNAL_FLAGS_NONE, on_job_removed, watch, NULL);
  g_dbus_connection_call (watch->bus, SYSTEMD_BUS_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER_IFACE,
                          "Subscribe", NULL, NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, NULL,
                          NULL);
}

/* public functions */

char *
libvirt_watch_parse_path (const char *path)
{
  const char *base = strrchr (path, '/');
  char *uuid;

  if (base == NULL || base[1] != '_')
    return NULL;
  uuid = g_ascii_strdown (base + 2, -1);
  g_strdelimit (uuid, "_", '-');
  if (!g_uuid_string_is_valid (uuid))
    g_clear_pointer (&uuid, g_free);
  return uuid;
}

LibvirtWatch *
libvirt_watch_new (GDBusConnection *bus, const char *driver_path,
                   const LibvirtWatchCallbacks *callbacks, gpointer user_data)
{
  LibvirtWatch *watch = g_new0 (LibvirtWatch, 1);

  watch->bus = g_object_ref (bus);
  watch->driver_path = g_strdup (driver_path);
  watch->callbacks = callbacks;
  watch->user_data = user_data;
  watch->cancellable = g_cancellable_new ();
  watch->retry_s = RETRY_FIRST_S;

  watch->event_subscription_id = g_dbus_connection_signal_subscribe (
    bus, LIBVIRT_BUS_NAME, LIBVIRT_CONNECT_IFACE, "DomainEvent", driver_path, NULL,
    G_DBUS_SIGNAL_FLAGS_NONE, on_domain_event, watch, NULL);
  watch->metadata_subscription_id = g_dbus_connection_signal_subscribe (
    bus, LIBVIRT_BUS_NAME, LIBVIRT_DOMAIN_IFACE, "MetadataChange", NULL, NULL,
    G_DBUS_SIGNAL_FLAGS_NONE, on_metadata_change, watch, NULL);
  subscribe_jobs (watch);
  watch->name_watch_id =
    g_bus_watch_name_on_connection (bus, LIBVIRT_BUS_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                    on_name_appeared, on_name_vanished, watch, NULL);
  prime (watch);
  return watch;
}

void
libvirt_watch_free (LibvirtWatch *watch)
{
  g_cancellable_cancel (watch->cancellable);
  g_bus_unwatch_name (watch->name_watch_id);
  g_dbus_connection_signal_unsubscribe (watch->bus, watch->event_subscription_id);
  g_dbus_connection_signal_unsubscribe (watch->bus, watch->metadata_subscription_id);
  g_dbus_connection_signal_unsubscribe (watch->bus, watch->job_subscription_id);
  g_clear_handle_id (&watch->retry_id, g_source_remove);
  g_clear_object (&watch->cancellable);
  g_clear_object (&watch->bus);
  g_free (watch->driver_path);
  g_free (watch->owner);
  g_free (watch);
}
