/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-host.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "build-config.h"
#include "check-command.h"
#include "check-remedy.h"

/* A key and a certificate take two blocks; below this a file system is as good as full. */
#define ROOM_NEEDED_BYTES (1024 * 1024)

#define JOURNAL_FOLDER "/var/log/journal"

#define STORE_REMEDY                                                                               \
  "mkdir -p /etc/systemd/journald.conf.d && "                                                      \
  "printf '[Journal]\\nStorage=persistent\\n' > /etc/systemd/journald.conf.d/99-persistent.conf "  \
  "&& systemctl restart systemd-journald"

/* systemd-journald.service(8) */
#define KEEP_REMEDY                                                                                \
  "mkdir -p " JOURNAL_FOLDER " && systemd-tmpfiles --create --prefix " JOURNAL_FOLDER " && "       \
  "journalctl --flush"

/* the state folder */

/* TRUE: there is something to say about its owner or mode, and it was said. */
static gboolean
judge_owner (const char *path, const struct stat *st, CheckList *list)
{
  const struct passwd *user = getpwnam (CLOCKFERRY_USER);
  g_autofree char *chown_remedy = remedy_format ("chown " CLOCKFERRY_USER ": %s", path);
  g_autofree char *chmod_remedy = remedy_format ("chmod 700 %s", path);

  if (user != NULL && st->st_uid != user->pw_uid)
    check_list_fail (list, chown_remedy, _ ("%s does not belong to the user %s"), path,
                     CLOCKFERRY_USER);
  else if ((st->st_mode & 0777) != 0700)
    check_list_warn (list, chmod_remedy, _ ("%s has the mode %o, not 700"), path,
                     st->st_mode & 0777);
  else
    return FALSE;
  return TRUE;
}

static void
judge_room (const char *path, const struct statvfs *fs, CheckList *list)
{
  guint64 room_bytes = (guint64) fs->f_bavail * fs->f_frsize;
  g_autofree char *room = g_format_size_full (room_bytes, G_FORMAT_SIZE_IEC_UNITS);

  if ((fs->f_flag & ST_RDONLY) != 0)
    check_list_fail (list, NULL, _ ("%s is on a file system that is mounted read-only"), path);
  else if (room_bytes < ROOM_NEEDED_BYTES)
    check_list_warn (list, NULL, _ ("%s is on a file system that is full (%s free): make room"),
                     path, room);
  else if (fs->f_files > 0 && fs->f_favail == 0)
    check_list_warn (list, NULL, _ ("%s is on a file system without free inodes: make room"), path);
  else
    check_list_ok (list, _ ("%s, %s free"), path, room);
}

static void
check_state_folder (const CheckHost *host, CheckList *list)
{
  g_autofree char *path = check_host_path (host, CLOCKFERRY_STATE_DIR);
  struct statvfs fs;
  struct stat st;

  check_list_begin (list, "state-folder", _ ("state folder"));
  if (stat (path, &st) < 0 || statvfs (path, &fs) < 0)
    check_list_fail (list, errno == ENOENT ? "systemd-tmpfiles --create clockferry.conf" : NULL,
                     "%s: %s", path, g_strerror (errno));
  else if (!judge_owner (path, &st, list))
    judge_room (path, &fs, list);
}

/* the journal */

/* Storage= as journald reads it from all its files; "auto" is the default. */
static char *
read_journal_storage (const CheckHost *host)
{
  g_autofree char *root = g_strconcat ("--root=", *host->root != '\0' ? host->root : "/", NULL);
  const char *const argv[] = { "systemd-analyze", root, "cat-config", "systemd/journald.conf",
                               NULL };
  g_auto (CommandOutcome) outcome = { 0 };
  g_auto (GStrv) lines = NULL;
  const char *storage = "auto";

  if (!check_command_run (argv, NULL, &outcome, NULL) || outcome.exit_status != 0)
    return g_strdup (storage);
  lines = g_strsplit (outcome.output, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    const char *line = g_strstrip (lines[i]);

    if (g_str_has_prefix (line, "Storage="))
      storage = line + strlen ("Storage=");
  }
  return g_strdup (storage);
}

static void
check_journal (const CheckHost *host, CheckList *list)
{
  g_autofree char *folder = check_host_path (host, JOURNAL_FOLDER);
  g_autofree char *storage = NULL;

  check_list_begin (list, "journal", _ ("journal"));
  storage = read_journal_storage (host);
  if (g_str_equal (storage, "none"))
    check_list_warn (list, STORE_REMEDY,
                     _ ("nothing is kept (Storage=none): there is no history of migrations"));
  else if (g_str_equal (storage, "volatile"))
    check_list_warn (list, STORE_REMEDY,
                     _ ("lost at every boot (Storage=volatile), and the history of migrations with "
                        "it"));
  else if (g_str_equal (storage, "persistent") || g_file_test (folder, G_FILE_TEST_IS_DIR))
    check_list_ok (list, _ ("kept on the disk"));
  else
    check_list_warn (
      list, KEEP_REMEDY,
      _ ("lost at every boot (%s is missing), and the history of migrations with it"),
      JOURNAL_FOLDER);
}

/* public functions */

void
check_storage (CheckHost *host, CheckList *list)
{
  check_state_folder (host, list);
  check_journal (host, list);
}
