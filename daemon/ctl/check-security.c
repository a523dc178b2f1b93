/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-host.h"

#include <glib/gi18n.h>
#include <glob.h>
#include <string.h>

#include "build-config.h"
#include "check-remedy.h"
#include "ctl-config.h"
#include "names.h"

#define APPARMOR_FOLDER   "/etc/apparmor.d/"
#define APPARMOR_QEMU     APPARMOR_FOLDER "abstractions/libvirt-qemu"
#define APPARMOR_QEMU_OWN APPARMOR_FOLDER "local/abstractions/libvirt-qemu"

/* by policy and priority */
#define SELINUX_MODULE_PATTERN "/var/lib/selinux/*/active/modules/*/clockferry"

/* AppArmor */

/* abstractions/base, which every profile of a QEMU includes, lets it load libraries from here. */
static gboolean
is_common_library (const char *path)
{
  static const char *const folders[] = {
    "/usr/lib/", "/usr/lib32/", "/usr/lib64/", "/lib/", "/lib32/", "/lib64/",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (folders); i++) {
    if (g_str_has_prefix (path, folders[i]))
      return TRUE;
  }
  return FALSE;
}

/* The profiles of libvirt's daemons run what is right in here, and not in a folder further down. */
static gboolean
is_common_program (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);
  static const char *const folders[] = { "/usr/bin", "/usr/sbin", "/bin", "/sbin", NULL };

  return g_strv_contains (folders, folder);
}

static gboolean
file_mentions (const CheckHost *host, const char *path, const char *text)
{
  g_autofree char *file = check_host_path (host, path);
  g_autofree char *contents = NULL;

  return g_file_get_contents (file, &contents, NULL, NULL) && strstr (contents, text) != NULL;
}

/* The name of the profile of a daemon of libvirt's that is there, or NULL. */
static const char *
find_daemon_profile (const CheckHost *host)
{
  static const char *const names[] = { "usr.sbin.libvirtd", "usr.sbin.virtqemud" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_strconcat (host->root, APPARMOR_FOLDER, names[i], NULL);

    if (g_file_test (path, G_FILE_TEST_EXISTS))
      return names[i];
  }
  return NULL;
}

static void
judge_apparmor (const CheckHost *host, CheckList *list)
{
  const char *profile = find_daemon_profile (host);
  g_autofree char *own = g_strconcat (APPARMOR_FOLDER "local/", profile, NULL);
  g_autofree char *whole = g_strconcat (APPARMOR_FOLDER, profile, NULL);
  g_autofree char *remedy = NULL;

  if (!is_common_library (host->helper_path) &&
      !file_mentions (host, APPARMOR_QEMU_OWN, host->helper_path)) {
    remedy = g_strdup_printf ("echo '  %s mr,' >> " APPARMOR_QEMU_OWN, host->helper_path);
    check_list_fail (
      list, remedy,
      _ ("the AppArmor profiles of QEMU do not let it load %s; start the domains anew after "
         "this"),
      host->helper_path);
  } else if (profile != NULL && !is_common_program (CLOCKFERRY_HOOK_PROGRAM_PATH) &&
             !file_mentions (host, own, CLOCKFERRY_HOOK_PROGRAM_PATH)) {
    remedy = g_strdup_printf ("echo '  %s PUx,' >> %s && apparmor_parser -r %s",
                              CLOCKFERRY_HOOK_PROGRAM_PATH, own, whole);
    check_list_fail (list, remedy, _ ("libvirt's AppArmor profile does not let the hook run %s"),
                     CLOCKFERRY_HOOK_PROGRAM_PATH);
  } else {
    check_list_ok (list,
                   _ ("its AppArmor profiles let QEMU load the helper, and libvirt run the hook"));
  }
}

static void
check_apparmor (const CheckHost *host, CheckList *list)
{
  g_autofree char *enabled = check_host_read_line (host, "/sys/module/apparmor/parameters/enabled");
  g_autofree char *abstraction = check_host_path (host, APPARMOR_QEMU);

  check_list_begin (list, "apparmor", _ ("AppArmor"));
  if (g_strcmp0 (enabled, "Y") != 0)
    check_list_ok (list, _ ("not in use"));
  else if (!g_file_test (abstraction, G_FILE_TEST_EXISTS))
    check_list_ok (list, _ ("in use, without profiles for libvirt"));
  else if (host->helper_path != NULL)
    judge_apparmor (host, list);
  else
    check_list_drop (list); /* there is nothing to load */
}

/* SELinux */

/* Whether a policy of this host has our module. */
static gboolean
has_selinux_module (const CheckHost *host)
{
  g_autofree char *pattern = check_host_path (host, SELINUX_MODULE_PATTERN);
  glob_t found = { 0 };
  gboolean has_module = glob (pattern, 0, NULL, &found) == 0;

  globfree (&found);
  return has_module;
}

/* A module can label no port, and confines the daemon to that one. */
static char *
load_module_remedy (const CheckHost *host, const char *package)
{
  g_autofree char *path = check_host_path (host, CLOCKFERRY_CONFIG_FILE);
  g_autofree char *config_folder = g_path_get_dirname (CLOCKFERRY_CONFIG_FILE);
  g_autoptr (Settings) settings = settings_load (path, NULL);
  g_autofree char *port =
    g_strdup_printf ("%u", settings != NULL ? settings->port : CLOCKFERRY_DEFAULT_PORT);

  return remedy_format ("semodule -i %s && "
                        "{ semanage port -a -t clockferry_port_t -p tcp %s || "
                        "semanage port -m -t clockferry_port_t -p tcp %s; } && "
                        "restorecon -R " CLOCKFERRY_DAEMON_PATH " " CLOCKFERRY_STATE_DIR " %s && "
                        "systemctl restart clockferryd",
                        package, port, port, config_folder);
}

static void
judge_selinux (const CheckHost *host, gboolean is_enforcing, CheckList *list)
{
  g_autofree char *package = check_host_path (host, CLOCKFERRY_SELINUX_PACKAGE_PATH);
  g_autofree char *remedy = NULL;

  if (!host->is_root) {
    check_list_skip (list);
  } else if (has_selinux_module (host)) {
    check_list_ok (list, is_enforcing ? _ ("enforcing, with clockferry's module")
                                      : _ ("permissive, with clockferry's module"));
  } else if (g_file_test (package, G_FILE_TEST_EXISTS)) {
    remedy = load_module_remedy (host, package);
    check_list_warn (list, remedy,
                     _ ("clockferry's module is there and not loaded: the daemon is "
                        "not confined"));
  } else {
    check_list_ok (list, is_enforcing ? _ ("enforcing, without clockferry's module")
                                      : _ ("permissive, without clockferry's module"));
  }
}

static void
check_selinux (const CheckHost *host, CheckList *list)
{
  g_autofree char *enforce = check_host_read_line (host, CHECK_SELINUX_ENFORCE);

  check_list_begin (list, "selinux", _ ("SELinux"));
  if (enforce == NULL)
    check_list_ok (list, _ ("not in use"));
  else
    judge_selinux (host, g_str_equal (enforce, "1"), list);
}

/* public functions */

void
check_security (CheckHost *host, CheckList *list)
{
  check_apparmor (host, list);
  check_selinux (host, list);
}
