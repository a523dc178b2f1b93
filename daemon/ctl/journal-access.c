/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "journal-access.h"

#include <glib/gi18n.h>
#include <unistd.h>

#include "ctl-error.h"

#define READER_GROUP "systemd-journal"

static int
open_path (sd_journal **journal, const char *path)
{
  const char *paths[] = { path, NULL };

  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    return sd_journal_open_directory (journal, path, 0);
  return sd_journal_open_files (journal, paths, 0);
}

static gboolean
has_folder (void)
{
  return g_file_test ("/var/log/journal", G_FILE_TEST_IS_DIR) ||
         g_file_test ("/run/log/journal", G_FILE_TEST_IS_DIR);
}

/* Files that may not be read are passed over without an error. */
static gboolean
check_is_readable (sd_journal *journal, GError **error)
{
  if (sd_journal_has_persistent_files (journal) > 0 || sd_journal_has_runtime_files (journal) > 0)
    return TRUE;
  if (geteuid () != 0 && has_folder ())
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("you may not read the system's journal, as root and the group %s may; "
                    "become a member: usermod -aG %s USER"),
                 READER_GROUP, READER_GROUP);
  else
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("this host has no journal; see systemctl status systemd-journald"));
  return FALSE;
}

static void
set_open_error (GError **error, const char *path, int result)
{
  if (path != NULL)
    g_set_error (
      error, CTL_ERROR, CTL_ERROR_FAILED,
      _ ("cannot open the journal %s: %s; name a journal file, or a folder of such files"), path,
      g_strerror (-result));
  else
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("cannot open the system's journal: %s; see systemctl status systemd-journald"),
                 g_strerror (-result));
}

/* public functions */

sd_journal *
journal_open (const char *path, GError **error)
{
  g_autoptr (sd_journal) journal = NULL;
  int result = path != NULL ? open_path (&journal, path)
                            : sd_journal_open (&journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);

  if (result < 0) {
    set_open_error (error, path, result);
    return NULL;
  }
  if (path == NULL && !check_is_readable (journal, error))
    return NULL;
  /* the offsets of many vCPUs are longer than what is read by default */
  result = sd_journal_set_data_threshold (journal, 0);
  if (result < 0) {
    journal_set_error (error, result);
    return NULL;
  }
  return g_steal_pointer (&journal);
}

void
journal_set_error (GError **error, int result)
{
  g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
               _ ("cannot read the journal: %s; see journalctl --verify"), g_strerror (-result));
}
