/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-remedy.h"

#include <string.h>

#include "check-command.h"

#define PLAIN_CHARACTERS G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_@%+=:,./-"

typedef enum {
  FAMILY_DEBIAN,
  FAMILY_FEDORA,
  FAMILY_SUSE,
  FAMILY_COUNT,
} Family;

static const struct {
  const char *manager;
  const char *install;
} families[] = {
  [FAMILY_DEBIAN] = { "apt-get", "apt-get install" },
  [FAMILY_FEDORA] = { "dnf", "dnf install" },
  [FAMILY_SUSE] = { "zypper", "zypper install" },
};

G_STATIC_ASSERT (G_N_ELEMENTS (families) == FAMILY_COUNT);

static const char *const packages[][FAMILY_COUNT] = {
  [PACKAGE_KERNEL] = { "linux-image-amd64", "kernel", "kernel-default" },
  [PACKAGE_LIBVIRT] = { "libvirt-daemon-system", "libvirt-daemon-kvm", "libvirt-daemon-qemu" },
  [PACKAGE_LIBVIRT_DBUS] = { "libvirt-dbus", "libvirt-dbus", "libvirt-dbus" },
  [PACKAGE_QEMU] = { "qemu-system-x86", "qemu-kvm", "qemu-x86" },
  [PACKAGE_TIME_DAEMON] = { "chrony", "chrony", "chrony" },
};

static char *
quote_word (const char *word)
{
  if (*word != '\0' && word[strspn (word, PLAIN_CHARACTERS)] == '\0')
    return g_strdup (word);
  return g_shell_quote (word);
}

/* Those that descend from it call their kernels otherwise. */
static gboolean
is_debian (void)
{
  g_autofree char *id = g_get_os_info (G_OS_INFO_KEY_ID);

  return g_strcmp0 (id, "debian") == 0;
}

/* public functions */

char *
remedy_install (RemedyPackage package)
{
  g_return_val_if_fail ((guint) package < G_N_ELEMENTS (packages), NULL);

  for (Family family = 0; family < FAMILY_COUNT; family++) {
    if (package == PACKAGE_KERNEL && family == FAMILY_DEBIAN && !is_debian ())
      continue;
    if (check_command_exists (families[family].manager))
      return g_strdup_printf ("%s %s", families[family].install, packages[package][family]);
  }
  return NULL;
}

char *
remedy_reinstall (const char *package)
{
  const char *const argv[] = { "dpkg-query", "-W", "-f=${db:Status-Status}", package, NULL };
  g_auto (CommandOutcome) outcome = { 0 };

  /* where there is no dpkg it cannot be run either */
  if (!check_command_run (argv, NULL, &outcome, NULL) ||
      !g_str_has_prefix (outcome.output, "installed"))
    return NULL;
  return g_strdup_printf ("apt-get install --reinstall %s", package);
}

char *
remedy_format (const char *format, ...)
{
  GString *text = g_string_new (NULL);
  va_list values;

  va_start (values, format);
  for (const char *at = format; *at != '\0'; at++) {
    g_autofree char *word = NULL;

    if (strncmp (at, "%s", 2) != 0) {
      g_string_append_c (text, *at);
      continue;
    }
    word = quote_word (va_arg (values, const char *));
    g_string_append (text, word);
    at++;
  }
  va_end (values);
  return g_string_free (text, FALSE);
}
