/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-host.h"

#include <glib/gi18n.h>
#include <libvirt/libvirt.h>
#include <pwd.h>

#include "check-command.h"
#include "check-remedy.h"
#include "ctl-config.h"
#include "names.h"
#include "systemd-unit.h"

#define CALL_TIMEOUT_MS 10000

/* As libvirt counts: a million for major, a thousand for minor. */
#define LIBVIRT_VERSION_NEEDED 9000000

#define DBUS_JOURNAL    "journalctl -b -n 20 _COMM=dbus-daemon + _COMM=libvirt-dbus"
#define LIBVIRT_JOURNAL "journalctl -b -n 20 -u libvirtd -u virtqemud"

/* libvirt's daemon */

/* Units that have one run: by being it, or by waiting for somebody to call. */
static const struct {
  const char *service;
  const char *socket;
  const char *enable; /* the unit that an administrator enables */
} daemons[] = {
  { "virtqemud.service", "virtqemud.socket", "virtqemud.socket" },
  { "libvirtd.service", "libvirtd.socket", "libvirtd.service" },
};

static gboolean
is_active (const CheckHost *host, const char *name)
{
  g_autoptr (SystemdUnit) unit = systemd_unit_read (host->bus, name, NULL);

  return unit != NULL && systemd_unit_is_active (unit);
}

/* The unit to enable: one that is enabled and down, or has failed, before one that only exists. */
static const char *
find_unit_to_enable (const CheckHost *host)
{
  const char *first = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (daemons); i++) {
    g_autoptr (SystemdUnit) unit = systemd_unit_read (host->bus, daemons[i].enable, NULL);

    if (unit == NULL || !g_str_equal (unit->load_state, "loaded"))
      continue;
    if (g_str_equal (unit->unit_file_state, "enabled") ||
        g_str_equal (unit->active_state, "failed"))
      return daemons[i].enable;
    if (first == NULL)
      first = daemons[i].enable;
  }
  return first;
}

static void
check_libvirt_daemon (const CheckHost *host, CheckList *list)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SystemdUnit) unit = NULL;
  g_autofree char *remedy = NULL;
  const char *missing;

  check_list_begin (list, "libvirt-daemon", _ ("libvirt's daemon"));
  unit = systemd_unit_read (host->bus, daemons[0].service, &error);
  if (unit == NULL) {
    check_list_warn (list, NULL, _ ("systemd cannot be asked about it: %s"), error->message);
    return;
  }
  for (gsize i = 0; i < G_N_ELEMENTS (daemons); i++) {
    if (is_active (host, daemons[i].service)) {
      check_list_ok (list, _ ("%s runs"), daemons[i].service);
      return;
    }
  }
  for (gsize i = 0; i < G_N_ELEMENTS (daemons); i++) {
    if (is_active (host, daemons[i].socket)) {
      check_list_ok (list, _ ("started on demand by %s"), daemons[i].socket);
      return;
    }
  }
  missing = find_unit_to_enable (host);
  remedy = missing != NULL ? remedy_format ("systemctl enable --now %s", missing)
                           : remedy_install (PACKAGE_LIBVIRT);
  if (missing != NULL)
    check_list_fail (list, remedy, _ ("neither virtqemud nor libvirtd runs"));
  else
    check_list_fail (list, remedy, _ ("neither virtqemud nor libvirtd is installed"));
}

/* libvirt-dbus */

static char *
find_restart_remedy (const CheckHost *host)
{
  g_autoptr (SystemdUnit) unit = systemd_unit_read (host->bus, "libvirt-dbus.service", NULL);

  /* without a unit the bus starts it anew at the next call */
  return g_strdup (unit != NULL && systemd_unit_exists (unit) ? "systemctl restart libvirt-dbus"
                                                              : "pkill -x libvirt-dbus");
}

static void
judge_no_answer (const CheckHost *host, const GError *error, CheckList *list)
{
  g_autofree char *remedy = NULL;

  if (g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN)) {
    remedy = remedy_install (PACKAGE_LIBVIRT_DBUS);
    check_list_fail (list, remedy,
                     _ ("not installed: clockferryd follows migrations by its signals"));
  } else if (g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED) && !host->is_root) {
    check_list_skip (list);
  } else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
             g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY) ||
             g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_TIMEOUT)) {
    remedy = find_restart_remedy (host);
    check_list_fail (list, remedy,
                     ngettext ("did not answer within %d second",
                               "did not answer within %d seconds", CALL_TIMEOUT_MS / 1000),
                     CALL_TIMEOUT_MS / 1000);
  } else if (error->domain == G_DBUS_ERROR) {
    check_list_fail (list, DBUS_JOURNAL, _ ("cannot be used: %s"), error->message);
  } else {
    check_list_fail (list, LIBVIRT_JOURNAL, _ ("answers that libvirt cannot be used: %s"),
                     error->message);
  }
}

static void
check_libvirt_dbus (CheckHost *host, CheckList *list)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GVariant) domains = NULL;

  check_list_begin (list, "libvirt-dbus", _ ("libvirt-dbus"));
  reply = g_dbus_connection_call_sync (
    host->bus, LIBVIRT_BUS_NAME, LIBVIRT_QEMU_PATH, LIBVIRT_CONNECT_IFACE, "ListDomains",
    g_variant_new ("(u)", VIR_CONNECT_LIST_DOMAINS_ACTIVE), G_VARIANT_TYPE ("(ao)"),
    G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, NULL, &error);
  if (reply == NULL) {
    g_dbus_error_strip_remote_error (error);
    judge_no_answer (host, error, list);
    return;
  }
  domains = g_variant_get_child_value (reply, 0);
  host->libvirt_answers = TRUE;
  host->domain_count = (guint) g_variant_n_children (domains);
  check_list_ok (
    list, ngettext ("answers: %u domain runs", "answers: %u domains run", host->domain_count),
    host->domain_count);
}

/* versions */

/* As libvirt counts; 0: it does not tell. */
static guint64
read_version (const CheckHost *host, const char *property)
{
  g_autoptr (GVariant) reply = g_dbus_connection_call_sync (
    host->bus, LIBVIRT_BUS_NAME, LIBVIRT_QEMU_PATH, "org.freedesktop.DBus.Properties", "Get",
    g_variant_new ("(ss)", LIBVIRT_CONNECT_IFACE, property), G_VARIANT_TYPE ("(v)"),
    G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, NULL, NULL);
  g_autoptr (GVariant) value = NULL;

  if (reply == NULL)
    return 0;
  g_variant_get (reply, "(v)", &value);
  return g_variant_is_of_type (value, G_VARIANT_TYPE_UINT64) ? g_variant_get_uint64 (value) : 0;
}

static char *
format_version (guint64 version)
{
  return g_strdup_printf ("%u.%u.%u", (guint) (version / 1000000), (guint) (version / 1000 % 1000),
                          (guint) (version % 1000));
}

static void
check_libvirt_version (const CheckHost *host, CheckList *list)
{
  g_autofree char *needed = format_version (LIBVIRT_VERSION_NEEDED);
  g_autofree char *text = NULL;
  guint64 version;

  check_list_begin (list, "libvirt-version", _ ("libvirt's version"));
  version = read_version (host, "LibVersion");
  text = format_version (version);
  if (version == 0)
    check_list_warn (list, NULL, _ ("libvirt does not tell it"));
  else if (version < LIBVIRT_VERSION_NEEDED)
    check_list_fail (list, NULL, _ ("%s; clockferry needs %s or newer: upgrade this host"), text,
                     needed);
  else
    check_list_ok (list, "%s", text);
}

static gboolean
has_qemu_file (const CheckHost *host)
{
  static const char *const paths[] = {
    "/usr/bin/qemu-system-x86_64",
    "/usr/libexec/qemu-kvm",
    "/usr/bin/qemu-kvm",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++) {
    g_autofree char *path = check_host_path (host, paths[i]);

    if (g_file_test (path, G_FILE_TEST_IS_EXECUTABLE))
      return TRUE;
  }
  return FALSE;
}

static void
check_qemu (const CheckHost *host, CheckList *list)
{
  g_autofree char *text = NULL;
  g_autofree char *remedy = NULL;
  guint64 version;

  check_list_begin (list, "qemu-version", _ ("QEMU"));
  version = host->libvirt_answers ? read_version (host, "Version") : 0;
  text = format_version (version);
  if (version != 0) {
    check_list_ok (list, "%s", text);
  } else if (has_qemu_file (host)) {
    check_list_ok (list, _ ("installed; libvirt does not tell its version"));
  } else {
    remedy = remedy_install (PACKAGE_QEMU);
    check_list_fail (list, remedy, _ ("not installed"));
  }
}

/* what the daemon may ask of libvirt-dbus */

static gboolean
check_user (CheckList *list)
{
  check_list_begin (list, "daemon-user", _ ("the daemon's user"));
  if (getpwnam (CLOCKFERRY_USER) == NULL) {
    check_list_fail (list, "systemd-sysusers", _ ("there is no user %s"), CLOCKFERRY_USER);
    return FALSE;
  }
  check_list_ok (list, "%s", CLOCKFERRY_USER);
  return TRUE;
}

/* The bus knows the policy by what it lets that user do, whatever the file says. */
static void
try_policy (CheckList *list)
{
  static const char *const call[] = {
    "busctl",
    "--system",
    "--timeout=10",
    "call",
    LIBVIRT_BUS_NAME,
    LIBVIRT_QEMU_PATH,
    LIBVIRT_CONNECT_IFACE,
    "ListDomains",
    "u",
    "1",
    NULL,
  };
  const CommandTerms terms = { .user = CLOCKFERRY_USER };
  g_auto (CommandOutcome) outcome = { 0 };
  g_autoptr (GError) error = NULL;

  if (!check_command_run (call, &terms, &outcome, &error))
    check_list_warn (list, NULL, _ ("busctl could not be tried: %s"), error->message);
  else if (outcome.exit_status == 0)
    check_list_ok (list, _ ("the user %s may call libvirt-dbus"), CLOCKFERRY_USER);
  else
    check_list_fail (list, "systemctl reload dbus",
                     _ ("libvirt-dbus answers root, but not the user %s: %s"), CLOCKFERRY_USER,
                     outcome.problem);
}

static void
check_policy (const CheckHost *host, gboolean has_user, CheckList *list)
{
  g_autofree char *path = check_host_path (host, CLOCKFERRY_BUS_POLICY_PATH);
  g_autofree char *remedy = NULL;

  check_list_begin (list, "bus-policy", _ ("bus policy"));
  if (!g_file_test (path, G_FILE_TEST_EXISTS)) {
    remedy = remedy_reinstall ("clockferry");
    check_list_fail (list, remedy,
                     _ ("%s is missing: clockferryd may not call libvirt-dbus; install clockferry "
                        "again"),
                     path);
  } else if (!has_user || !host->libvirt_answers) {
    check_list_drop (list); /* it cannot be tried, for a reason that was reported */
  } else if (!host->is_root) {
    check_list_skip (list);
  } else {
    try_policy (list);
  }
}

/* public functions */

void
check_libvirt (CheckHost *host, CheckList *list)
{
  if (host->bus == NULL) {
    check_list_begin (list, "system-bus", _ ("system bus"));
    check_list_fail (
      list, "systemctl start dbus",
      _ ("cannot be reached, so that libvirt and clockferryd were not looked at: %s"),
      host->bus_problem);
  } else {
    check_libvirt_daemon (host, list);
    check_libvirt_dbus (host, list);
  }
  if (host->libvirt_answers)
    check_libvirt_version (host, list);
  check_qemu (host, list);
  check_policy (host, check_user (list), list);
}
