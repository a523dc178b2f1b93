/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-host.h"

#include <glib/gi18n.h>
#include <string.h>
#include <sys/stat.h>

#include "check-remedy.h"
#include "hook-file.h"
#include "systemd-unit.h"

#define ENABLE "clockferryctl enable"

/* The hooks for QEMU on this host. */
typedef struct {
  gboolean is_hidden;       /* only root may look into it */
  guint others;             /* that libvirt runs, and are not clockferry's */
  guint others_passed_over; /* that are not executable, as one of libvirt's own examples may be */
  char *left_over; /* path of a second one of clockferry's, by its name and its mark; or NULL */
  gint64 first_us; /* since when one of them is there, CLOCK_REALTIME; G_MAXINT64: none */
} HookFolder;

/* the file */

static void
judge_file (const HookPaths *paths, HookFileState state, CheckList *list)
{
  g_autofree char *remedy = NULL;

  switch (state) {
  case HOOK_FILE_ABSENT:
    check_list_fail (
      list, ENABLE,
      _ ("not in place: a guest that arrives gets no helper, and its clocks would be "
         "stock"));
    break;
  case HOOK_FILE_IN_PLACE:
    check_list_ok (list, "%s", paths->installed);
    break;
  case HOOK_FILE_NOT_EXECUTABLE:
    check_list_fail (list, ENABLE, _ ("%s is not executable: libvirt does not run it"),
                     paths->installed);
    break;
  case HOOK_FILE_UNSAFE:
    check_list_fail (
      list, ENABLE,
      _ ("%s is run as root, and does not belong to root or can be changed by others"),
      paths->installed);
    break;
  case HOOK_FILE_DIFFERENT:
    check_list_warn (list, ENABLE, _ ("%s has been changed, or is of another version"),
                     paths->installed);
    break;
  case HOOK_FILE_FOREIGN:
    remedy = remedy_format ("mv %s /root/ && " ENABLE, paths->installed);
    check_list_fail (list, remedy, _ ("%s is not clockferry's"), paths->installed);
    break;
  case HOOK_FILE_LINK:
    remedy = remedy_format ("rm %s && " ENABLE, paths->installed);
    check_list_fail (list, remedy,
                     _ ("%s is a symbolic link: where AppArmor does not let libvirt run what it "
                        "points to, no domain can start"),
                     paths->installed);
    break;
  case HOOK_FILE_NOT_REGULAR:
    remedy = remedy_format ("mv %s /root/ && " ENABLE, paths->installed);
    check_list_fail (list, remedy, _ ("%s is not a regular file"), paths->installed);
    break;
  }
}

static gboolean
check_file (const CheckHost *host, const HookPaths *paths, CheckList *list)
{
  g_autoptr (GError) error = NULL;
  HookFileState state;

  check_list_begin (list, "hook-file", _ ("hook"));
  if (hook_file_look (paths, &state, &error))
    judge_file (paths, state, list);
  else if (!host->is_root && g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_ACCES))
    check_list_skip (list);
  else
    check_list_fail (list, NULL, "%s", error->message);
  return error == NULL && (state == HOOK_FILE_IN_PLACE || state == HOOK_FILE_DIFFERENT);
}

static void
check_program (const HookPaths *paths, CheckList *list)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *remedy = NULL;
  gboolean adds_helper = FALSE;

  check_list_begin (list, "hook-program", _ ("hook's program"));
  if (!hook_file_try (paths->program, &adds_helper, &error)) {
    remedy = remedy_reinstall ("clockferry");
    check_list_fail (list, remedy, _ ("does not work, install clockferry again: %s"),
                     error->message);
  } else if (!adds_helper) {
    check_list_fail (
      list, NULL,
      _ ("%s does not put the helper into a domain that arrives, as it does not find "
         "the helper (see below)"),
      paths->program);
  } else {
    check_list_ok (list, _ ("%s puts the helper into a domain that arrives"), paths->program);
  }
}

/* the folder */

static void
hook_folder_note_file (HookFolder *folder, const char *path, gboolean is_ours)
{
  struct stat st;
  gint64 changed_us;

  if (stat (path, &st) < 0 || !S_ISREG (st.st_mode))
    return;
  if ((st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0) {
    folder->others_passed_over += !is_ours;
    return;
  }
  folder->others += !is_ours;
  /* not the time of its contents, which packages bring along */
  changed_us = (gint64) st.st_ctim.tv_sec * G_USEC_PER_SEC + st.st_ctim.tv_nsec / 1000;
  folder->first_us = MIN (folder->first_us, changed_us);
}

static void
hook_folder_read (const HookPaths *paths, HookFolder *folder)
{
  g_autofree char *path = g_path_get_dirname (paths->installed);
  g_autofree char *our_name = g_path_get_basename (paths->installed);
  g_autofree char *parent = g_path_get_dirname (path);
  g_autofree char *single = g_build_filename (parent, "qemu", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (path, 0, &error);
  const char *name;

  *folder = (HookFolder){
    .first_us = G_MAXINT64,
    .is_hidden = g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_ACCES),
  };
  hook_folder_note_file (folder, single, FALSE);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *file = g_build_filename (path, name, NULL);
    gboolean is_ours = g_str_equal (name, our_name);

    hook_folder_note_file (folder, file, is_ours);
    if (!is_ours && g_str_has_prefix (name, our_name) &&
        g_file_test (file, G_FILE_TEST_IS_EXECUTABLE) && hook_file_is_ours (file)) {
      g_free (folder->left_over);
      folder->left_over = g_steal_pointer (&file);
    }
  }
}

static char *
format_time (gint64 us)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (us / G_USEC_PER_SEC);

  return time != NULL ? g_date_time_format (time, "%F %T") : g_strdup ("?");
}

/* What libvirt's daemons know of hooks. */
typedef struct {
  gboolean is_known; /* systemd tells of them */
  gboolean is_running;
  const char *blind; /* the service that has not looked since there is a hook, or NULL */
  gint64 looked_us;  /* when that did, CLOCK_REALTIME */
} HookKnowledge;

static HookKnowledge
find_knowledge (const CheckHost *host, gint64 first_us)
{
  HookKnowledge knowledge = { 0 };

  for (guint i = 0; systemd_libvirt_services[i] != NULL; i++) {
    g_autoptr (SystemdUnit) unit = systemd_unit_read (host->bus, systemd_libvirt_services[i], NULL);

    knowledge.is_known |= unit != NULL;
    if (unit == NULL || !systemd_unit_is_active (unit))
      continue;
    knowledge.is_running = TRUE;
    if (unit->state_change_us < first_us && knowledge.blind == NULL) {
      knowledge.blind = systemd_libvirt_services[i];
      knowledge.looked_us = unit->state_change_us;
    }
  }
  return knowledge;
}

/* libvirt looks whether there are hooks for QEMU when it starts and when it is reloaded; which
 * ones, it looks at each time. */
static void
check_seen (const CheckHost *host, const HookFolder *folder, CheckList *list)
{
  HookKnowledge knowledge;
  g_autofree char *remedy = NULL;
  g_autofree char *looked = NULL;
  g_autofree char *came = NULL;

  check_list_begin (list, "hook-seen", _ ("hook seen by libvirt"));
  knowledge = find_knowledge (host, folder->first_us);
  if (!knowledge.is_known) {
    check_list_drop (list); /* systemd cannot be asked, as was reported */
  } else if (knowledge.blind != NULL) {
    remedy = remedy_format ("systemctl reload %s", knowledge.blind);
    looked = format_time (knowledge.looked_us);
    came = format_time (folder->first_us);
    check_list_warn (
      list, remedy,
      _ ("%s has looked for hooks at %s, and the first one is there since %s: it may "
         "know of none"),
      knowledge.blind, looked, came);
  } else if (knowledge.is_running) {
    check_list_ok (list, _ ("it has looked since the hook is there"));
  } else {
    check_list_ok (list, _ ("it will look when it is started"));
  }
}

static void
check_others (const CheckHost *host, const HookFolder *folder, CheckList *list)
{
  g_autofree char *remedy = NULL;

  check_list_begin (list, "hook-others", _ ("other hooks for QEMU"));
  if (folder->is_hidden && !host->is_root) {
    check_list_skip (list);
  } else if (folder->left_over != NULL) {
    remedy = remedy_format ("rm %s", folder->left_over);
    check_list_warn (list, remedy, _ ("%s is run as well: an old copy of clockferry's hook"),
                     folder->left_over);
  } else if (folder->others_passed_over > 0) {
    check_list_ok (list, _ ("%u run by libvirt, %u not executable and so not run"), folder->others,
                   folder->others_passed_over);
  } else if (folder->others > 0) {
    check_list_ok (list, _ ("%u run by libvirt"), folder->others);
  } else {
    check_list_ok (list, _ ("none"));
  }
}

/* public functions */

void
check_hook (CheckHost *host, CheckList *list)
{
  g_autoptr (HookPaths) paths = hook_paths_new (host->root);
  gboolean is_run = check_file (host, paths, list);
  HookFolder folder;

  check_program (paths, list);
  hook_folder_read (paths, &folder);
  if (is_run && host->bus != NULL)
    check_seen (host, &folder, list);
  check_others (host, &folder, list);
  g_free (folder.left_over);
}
