/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-host.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check-command.h"
#include "check-remedy.h"
#include "ctl-config.h"

/* Any program that does nothing: ld.so preloads into it as into QEMU. */
#define TRIAL_PROGRAM "/bin/true"

/* the file */

static gboolean
check_file (const CheckHost *host, CheckList *list)
{
  g_autofree char *path = check_host_path (host, CLOCKFERRY_HELPER_PATH);
  g_autofree char *remedy = NULL;
  struct stat st;

  check_list_begin (list, "helper-file", _ ("helper"));
  if (stat (path, &st) < 0) {
    int stat_errno = errno;

    remedy = remedy_reinstall ("clockferry-qemu");
    check_list_fail (list, remedy, _ ("%s: %s; install it again"), path, g_strerror (stat_errno));
    return FALSE;
  }
  if ((st.st_mode & (S_IRUSR | S_IRGRP | S_IROTH)) != (S_IRUSR | S_IRGRP | S_IROTH)) {
    remedy = remedy_format ("chmod a+r %s", path);
    check_list_fail (list, remedy, _ ("QEMU's user may not read %s"), path);
  } else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    remedy = remedy_format ("chmod go-w %s", path);
    check_list_fail (list, remedy, _ ("%s is loaded into QEMU, and others than root can change it"),
                     path);
  } else if ((st.st_mode & S_ISUID) == 0 && check_host_has_selinux (host)) {
    remedy = remedy_format ("chmod u+s %s", path);
    check_list_fail (
      list, remedy,
      _ ("%s has no set-user-ID bit: under SELinux ld.so preloads nothing without it"), path);
  } else {
    check_list_ok (list, "%s", path);
  }
  return TRUE;
}

/* Where ld.so finds it by its bare name, or NULL; from lines like "NAME => PATH (ADDRESS)". */
static char *
find_loaded_path (void)
{
  static const char *const argv[] = { TRIAL_PROGRAM, NULL };
  const CommandTerms terms = { .preload = CLOCKFERRY_HELPER_SONAME, .is_traced = TRUE };
  g_auto (CommandOutcome) outcome = { 0 };
  g_auto (GStrv) lines = NULL;

  if (!check_command_run (argv, &terms, &outcome, NULL))
    return NULL;
  lines = g_strsplit (outcome.output, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    const char *arrow = strstr (lines[i], CLOCKFERRY_HELPER_SONAME " => ");
    g_autofree char *found = NULL;
    char *end;

    if (arrow == NULL)
      continue;
    found = g_strdup (arrow + strlen (CLOCKFERRY_HELPER_SONAME " => "));
    end = strstr (found, " (");
    if (end != NULL)
      *end = '\0';
    return g_canonicalize_filename (found, "/");
  }
  return NULL;
}

/* Returns where it is loaded from, without links, for free(); NULL: it is not. */
static char *
check_loading (CheckList *list)
{
  static const char *const argv[] = { TRIAL_PROGRAM, NULL };
  const CommandTerms terms = { .preload = CLOCKFERRY_HELPER_SONAME };
  g_auto (CommandOutcome) outcome = { 0 };
  g_autoptr (GError) error = NULL;
  g_autofree char *found = NULL;
  char *resolved;

  check_list_begin (list, "helper-loads", _ ("helper as ld.so sees it"));
  if (!check_command_run (argv, &terms, &outcome, &error)) {
    check_list_warn (list, NULL, _ ("%s could not be tried: %s"), TRIAL_PROGRAM, error->message);
    return NULL;
  }
  if (*outcome.problem != '\0' || outcome.exit_status != 0) {
    check_list_fail (list, "ldconfig", _ ("it cannot be preloaded: %s"), outcome.problem);
    return NULL;
  }
  found = find_loaded_path ();
  resolved = found != NULL ? realpath (found, NULL) : NULL;
  if (resolved == NULL) {
    check_list_warn (list, NULL, _ ("it is preloaded, and ld.so does not tell from where"));
    return NULL;
  }
  check_list_ok (list, _ ("preloaded by its bare name, as %s"), found);
  return resolved;
}

/* public functions */

void
check_helper (CheckHost *host, CheckList *list)
{
  char *loaded_path = check_file (host, list) ? check_loading (list) : NULL;

  host->helper_path = g_strdup (loaded_path);
  free (loaded_path);
}
