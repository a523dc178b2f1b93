/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-host.h"

#include <glib/gi18n.h>

#include "build-config.h"
#include "systemd-unit.h"

#define BUS_NAME      "org.clockferry1"
#define MANAGER_PATH  "/org/clockferry1/Manager"
#define MANAGER_IFACE "org.clockferry1.Manager"

#define CALL_TIMEOUT_MS 10000

#define RESTART "systemctl restart clockferryd"
#define JOURNAL "journalctl -b -n 20 -u clockferryd"

/* settings */

static void
check_settings (CheckHost *host, CheckList *list)
{
  g_autofree char *path = check_host_path (host, CLOCKFERRY_CONFIG_FILE);
  g_autoptr (GError) error = NULL;

  check_list_begin (list, "settings", _ ("settings"));
  host->settings = settings_load (path, &error);
  if (host->settings != NULL)
    check_list_ok (list, "%s", path);
  else if (g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_ACCES) && !host->is_root)
    check_list_skip (list);
  else
    check_list_fail (list, NULL, _ ("clockferryd would not start with these: %s"), error->message);
}

/* The first key whose value in the files is not the one that the daemon runs with, or NULL. */
static const char *
find_changed_key (const CheckHost *host)
{
  const char *key;

  for (guint i = 0; (key = settings_nth_key (i)) != NULL; i++) {
    g_autoptr (GVariant) running = g_variant_lookup_value (host->manager, key, NULL);
    g_autofree char *wanted = settings_get_text (host->settings, key);
    g_autofree char *text = NULL;

    /* the others are not on the bus, and Address= has a default that the daemon finds out */
    if (running == NULL || wanted == NULL)
      continue;
    text = g_variant_is_of_type (running, G_VARIANT_TYPE_STRING)
             ? g_variant_dup_string (running, NULL)
             : g_variant_print (running, FALSE);
    if (!g_str_equal (text, wanted))
      return key;
  }
  return NULL;
}

static void
check_settings_in_force (const CheckHost *host, CheckList *list)
{
  const char *key = find_changed_key (host);

  check_list_begin (list, "settings-in-force", _ ("settings in force"));
  if (key == NULL)
    check_list_ok (list, _ ("those of the files"));
  else if (settings_key_is_reloadable (key))
    check_list_warn (list, "systemctl reload clockferryd",
                     _ ("%s= was changed since clockferryd read its settings"), key);
  else
    check_list_warn (list, RESTART, _ ("%s= was changed since clockferryd was started"), key);
}

/* the service */

static void
judge_service (CheckHost *host, const SystemdUnit *unit, CheckList *list)
{
  gboolean failed =
    g_str_equal (unit->active_state, "failed") ||
    (g_str_equal (unit->active_state, "activating") && !g_str_equal (unit->result, "success"));

  host->daemon_runs = systemd_unit_is_active (unit);
  if (host->daemon_runs)
    check_list_ok (list, _ ("runs"));
  else if (!systemd_unit_exists (unit))
    check_list_fail (list, "systemctl daemon-reload",
                     _ ("systemd knows no %s: it has not looked since clockferry was installed, or "
                        "clockferry is not installed"),
                     SYSTEMD_DAEMON_SERVICE);
  else if (g_str_equal (unit->load_state, "masked"))
    check_list_fail (list,
                     "systemctl unmask --now clockferryd && systemctl enable --now clockferryd",
                     _ ("%s is masked"), SYSTEMD_DAEMON_SERVICE);
  else if (failed)
    /* TRANSLATORS: %s is systemd's word for why a service ended, "exit-code" for instance */
    check_list_fail (list, JOURNAL, _ ("its last start failed (%s); its messages say why"),
                     unit->result);
  else if (g_str_equal (unit->active_state, "activating"))
    check_list_warn (list, JOURNAL, _ ("is still being started"));
  else
    check_list_fail (list, "systemctl enable --now clockferryd", _ ("does not run"));
}

static void
check_service (CheckHost *host, CheckList *list)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SystemdUnit) unit = NULL;

  check_list_begin (list, "daemon-running", _ ("clockferryd"));
  unit = systemd_unit_read (host->bus, SYSTEMD_DAEMON_SERVICE, &error);
  if (unit == NULL) {
    check_list_warn (list, NULL, _ ("systemd cannot be asked about it: %s"), error->message);
    return;
  }
  judge_service (host, unit, list);
  if (!systemd_unit_exists (unit) || g_str_equal (unit->load_state, "masked"))
    return;
  check_list_begin (list, "daemon-enabled", _ ("clockferryd after a reboot"));
  if (g_str_has_prefix (unit->unit_file_state, "enabled"))
    check_list_ok (list, _ ("will be started"));
  else
    check_list_warn (list, "systemctl enable clockferryd", _ ("will not be started"));
}

/* the bus */

static void
check_answer (CheckHost *host, CheckList *list)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = NULL;

  check_list_begin (list, "daemon-answers", _ ("clockferryd on the bus"));
  reply = g_dbus_connection_call_sync (
    host->bus, BUS_NAME, MANAGER_PATH, "org.freedesktop.DBus.Properties", "GetAll",
    g_variant_new ("(s)", MANAGER_IFACE), G_VARIANT_TYPE ("(a{sv})"),
    G_DBUS_CALL_FLAGS_NO_AUTO_START, CALL_TIMEOUT_MS, NULL, &error);
  if (reply != NULL) {
    host->manager = g_variant_get_child_value (reply, 0);
    check_list_ok (list, _ ("answers"));
    return;
  }
  g_dbus_error_strip_remote_error (error);
  if (!host->is_root && g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED))
    check_list_skip (list);
  else if (!host->daemon_runs)
    check_list_drop (list); /* was reported */
  else if (g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
           g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER))
    check_list_fail (list, "systemctl reload dbus && " RESTART,
                     _ ("it runs and has no name there: the bus has not read its policy"));
  else
    check_list_fail (list, RESTART, _ ("does not answer: %s"), error->message);
}

static void
check_version (const CheckHost *host, CheckList *list)
{
  const char *version = check_host_get_manager_text (host, "Version");

  check_list_begin (list, "daemon-version", _ ("clockferryd's version"));
  if (g_strcmp0 (version, CLOCKFERRY_VERSION) == 0)
    check_list_ok (list, "%s", version);
  else
    check_list_warn (list, RESTART, _ ("%s runs, and %s is installed"),
                     version != NULL ? version : "?", CLOCKFERRY_VERSION);
}

static void
check_connection (const CheckHost *host, CheckList *list)
{
  const char *problem = check_host_get_manager_text (host, "LibvirtProblem");
  gboolean is_connected = FALSE;

  (void) g_variant_lookup (host->manager, "LibvirtConnected", "b", &is_connected);
  check_list_begin (list, "daemon-libvirt", _ ("clockferryd and libvirt"));
  if (is_connected)
    check_list_ok (list, _ ("connected"));
  else
    check_list_fail (list, JOURNAL, _ ("not connected, so that migrations are stock: %s"),
                     problem != NULL && *problem != '\0' ? problem : "?");
}

/* public functions */

void
check_daemon (CheckHost *host, CheckList *list)
{
  check_settings (host, list);
  if (host->bus == NULL)
    return;
  check_service (host, list);
  check_answer (host, list);
  if (host->manager == NULL)
    return;
  check_version (host, list);
  check_connection (host, list);
  if (host->settings != NULL)
    check_settings_in_force (host, list);
}
