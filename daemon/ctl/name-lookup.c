/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "name-lookup.h"

#include <string.h>
#include <sys/socket.h>

#include "check-command.h"

#define LOOKUP_MS 5000

/* org.freedesktop.resolve1(5) */
#define RESOLVED_NAME          "org.freedesktop.resolve1"
#define RESOLVED_PATH          "/org/freedesktop/resolve1"
#define RESOLVED_MANAGER       "org.freedesktop.resolve1.Manager"
#define RESOLVED_DNS           (G_GUINT64_CONSTANT (1) << 0)
#define RESOLVED_NO_SYNTHESIZE (G_GUINT64_CONSTANT (1) << 11) /* nor is /etc/hosts read */

static GPtrArray *
new_addresses (void)
{
  return g_ptr_array_new_with_free_func (g_object_unref);
}

/* By one service of nsswitch.conf(5), whether it is listed there or not. */
static GPtrArray *
look_up_by_service (const char *name, const char *service)
{
  const char *const argv[] = { "getent", "-s", service, "ahosts", name, NULL };
  const CommandTerms terms = { .time_limit_ms = LOOKUP_MS };
  GPtrArray *found = new_addresses ();
  g_auto (CommandOutcome) outcome = { 0 };
  g_auto (GStrv) lines = NULL;

  if (!check_command_run (argv, &terms, &outcome, NULL) || outcome.exit_status != 0)
    return found;
  lines = g_strsplit (outcome.output, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    GInetAddress *address;

    lines[i][strcspn (lines[i], " \t")] = '\0';
    address = g_inet_address_new_from_string (lines[i]);
    if (address != NULL)
      g_ptr_array_add (found, address);
  }
  return found;
}

static void
add_resolved_addresses (GVariant *answer, GPtrArray *found)
{
  g_autoptr (GVariantIter) addresses = NULL;
  GVariant *bytes;
  gint32 family;

  g_variant_get (answer, "(a(iiay)st)", &addresses, NULL, NULL);
  while (g_variant_iter_next (addresses, "(ii@ay)", NULL, &family, &bytes)) {
    g_autoptr (GVariant) owned = bytes;
    gsize size;
    gconstpointer data = g_variant_get_fixed_array (bytes, &size, 1);

    if ((family == AF_INET && size == 4) || (family == AF_INET6 && size == 16))
      g_ptr_array_add (found, g_inet_address_new_from_bytes (data, (GSocketFamily) family));
  }
}

/* FALSE: systemd-resolved does not run. */
static gboolean
look_up_by_resolved (const char *name, GDBusConnection *bus, GPtrArray *found)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) answer = g_dbus_connection_call_sync (
    bus, RESOLVED_NAME, RESOLVED_PATH, RESOLVED_MANAGER, "ResolveHostname",
    g_variant_new ("(isit)", 0, name, AF_UNSPEC, RESOLVED_DNS | RESOLVED_NO_SYNTHESIZE),
    G_VARIANT_TYPE ("(a(iiay)st)"), G_DBUS_CALL_FLAGS_NO_AUTO_START, LOOKUP_MS, NULL, &error);

  if (answer != NULL)
    add_resolved_addresses (answer, found);
  return !g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) &&
         !g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER);
}

/* public functions */

GPtrArray *
name_lookup_here (const char *name)
{
  GPtrArray *found = new_addresses ();
  g_autoptr (GResolver) resolver = g_resolver_get_default ();
  GList *addresses = g_resolver_lookup_by_name (resolver, name, NULL, NULL);

  for (GList *each = addresses; each != NULL; each = each->next)
    g_ptr_array_add (found, g_object_ref (each->data));
  g_resolver_free_addresses (addresses);
  return found;
}

GPtrArray *
name_lookup_by_file (const char *name)
{
  return look_up_by_service (name, "files");
}

GPtrArray *
name_lookup_by_dns (const char *name, GDBusConnection *bus)
{
  g_autoptr (GPtrArray) found = new_addresses ();

  if (bus != NULL && look_up_by_resolved (name, bus, found))
    return g_steal_pointer (&found);
  return look_up_by_service (name, "dns");
}
