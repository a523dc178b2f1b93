/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-host.h"

#include <string.h>
#include <unistd.h>

/* public functions */

CheckHost *
check_host_new (void)
{
  CheckHost *host = g_new0 (CheckHost, 1);
  g_autoptr (GError) error = NULL;

  host->root = "";
  host->is_root = geteuid () == 0;
  host->bus = g_bus_get_sync (G_BUS_TYPE_SYSTEM, NULL, &error);
  if (host->bus != NULL)
    g_dbus_connection_set_exit_on_close (host->bus, FALSE);
  else
    host->bus_problem = g_strdup (error->message);
  return host;
}

CheckHost *
check_host_new_for_test (const char *root, GDBusConnection *bus)
{
  CheckHost *host = g_new0 (CheckHost, 1);

  host->root = root;
  host->is_root = TRUE;
  if (bus != NULL)
    host->bus = g_object_ref (bus);
  else
    host->bus_problem = g_strdup ("none in this test");
  return host;
}

void
check_host_free (CheckHost *host)
{
  g_clear_object (&host->bus);
  g_free (host->bus_problem);
  g_free (host->helper_path);
  g_clear_pointer (&host->settings, settings_free);
  g_clear_pointer (&host->manager, g_variant_unref);
  g_free (host);
}

char *
check_host_path (const CheckHost *host, const char *path)
{
  return g_strconcat (host->root, path, NULL);
}

char *
check_host_read_line (const CheckHost *host, const char *path)
{
  g_autofree char *file = check_host_path (host, path);
  char *text;

  if (!g_file_get_contents (file, &text, NULL, NULL))
    return NULL;
  text[strcspn (text, "\n")] = '\0';
  return g_strstrip (text);
}

gboolean
check_host_has_selinux (const CheckHost *host)
{
  g_autofree char *path = check_host_path (host, CHECK_SELINUX_ENFORCE);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

const char *
check_host_get_manager_text (const CheckHost *host, const char *name)
{
  const char *text;

  return host->manager != NULL && g_variant_lookup (host->manager, name, "&s", &text) ? text : NULL;
}

void
check_whole_host (CheckHost *host, CheckList *list)
{
  check_kvm (host, list);
  check_clock (host, list);
  check_libvirt (host, list);
  check_hook (host, list);
  check_helper (host, list);
  check_observer (host, list);
  check_security (host, list);
  check_daemon (host, list);
  check_identity (host, list);
  check_address (host, list);
  check_storage (host, list);
  check_list_finish (list, "sudo clockferryctl check");
}
