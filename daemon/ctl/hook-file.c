/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hook-file.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check-command.h"
#include "check-host.h"
#include "ctl-config.h"

/* A whole line of data/50-clockferry.in. */
#define MARK "# clockferryctl enable puts this file here, and replaces it: changes to it are lost."

#define HOOK_MODE 0755

/* A domain as small as it can be: the hook is a filter, and no domain comes of it. */
#define TRIAL_NAME "clockferry-check"
#define TRIAL_XML  "<domain type='kvm'><name>" TRIAL_NAME "</name></domain>"

/* errors */

/* What was tried, and why it failed by errno. */
static gboolean fail_errno (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
fail_errno (GError **error, const char *format, ...)
{
  int saved_errno = errno;
  g_autofree char *what = NULL;
  va_list values;

  va_start (values, format);
  what = g_strdup_vprintf (format, values);
  va_end (values);
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved_errno), "%s: %s", what,
               g_strerror (saved_errno));
  return FALSE;
}

/* looking */

static gboolean
has_mark (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  return g_strv_contains ((const char *const *) lines, MARK);
}

static gboolean
judge_regular (const HookPaths *paths, const struct stat *st, HookFileState *state, GError **error)
{
  g_autofree char *master = NULL;
  g_autofree char *text = NULL;

  if (!g_file_get_contents (paths->installed, &text, NULL, error))
    return FALSE;
  /* without a master there is nothing that it equals */
  (void) g_file_get_contents (paths->master, &master, NULL, NULL);
  if (!has_mark (text))
    *state = HOOK_FILE_FOREIGN;
  else if (st->st_uid != paths->owner || (st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
    *state = HOOK_FILE_UNSAFE;
  else if ((st->st_mode & S_IXUSR) == 0)
    *state = HOOK_FILE_NOT_EXECUTABLE;
  else
    *state = g_strcmp0 (text, master) == 0 ? HOOK_FILE_IN_PLACE : HOOK_FILE_DIFFERENT;
  return TRUE;
}

/* What is not clockferry's to touch: say so, and what to do. */
static gboolean
refuse_foreign (const HookPaths *paths, HookFileState state, GError **error)
{
  switch (state) {
  case HOOK_FILE_FOREIGN:
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
                 _ ("%s is not clockferry's: move it away first"), paths->installed);
    return TRUE;
  case HOOK_FILE_LINK:
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
                 _ ("%s is a symbolic link, which clockferry did not make: remove it first"),
                 paths->installed);
    return TRUE;
  case HOOK_FILE_NOT_REGULAR:
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
                 _ ("%s is not a regular file: move it away first"), paths->installed);
    return TRUE;
  case HOOK_FILE_ABSENT:
  case HOOK_FILE_IN_PLACE:
  case HOOK_FILE_NOT_EXECUTABLE:
  case HOOK_FILE_UNSAFE:
  case HOOK_FILE_DIFFERENT:
    break;
  }
  return FALSE;
}

/* trying */

static gboolean
run_hook (const char *program, const char *operation, const char *input, CommandOutcome *outcome,
          GError **error)
{
  const char *const argv[] = { program, TRIAL_NAME, operation, "begin", "-", NULL };
  const CommandTerms terms = { .input = input };

  if (!check_command_run (argv, &terms, outcome, error)) {
    g_prefix_error (error, "%s: ", program);
    return FALSE;
  }
  if (outcome->exit_status == 0)
    return TRUE;
  if (outcome->exit_status < 0)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, _ ("%s was ended by a signal"), program);
  else
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, _ ("%s ended with status %d: %s"), program,
                 outcome->exit_status, outcome->problem);
  return FALSE;
}

/* Any operation: libvirt aborts the start of a domain if it fails at one of these. */
static gboolean
try_staged (const char *path, GError **error)
{
  g_auto (CommandOutcome) prepare = { 0 };

  return run_hook (path, "prepare", "", &prepare, error) && hook_file_try (path, NULL, error);
}

/* writing */

/* What was renamed is on the disk when this returns. */
static gboolean
sync_folder (const char *folder, GError **error)
{
  int fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean is_done = fd >= 0 && fsync (fd) == 0;

  if (!is_done)
    fail_errno (error, _ ("cannot write %s to the disk"), folder);
  if (fd >= 0)
    close (fd);
  return is_done;
}

static gboolean
make_folder (const char *folder, GError **error)
{
  /* as libvirt's own packages have it, whatever our umask is */
  if (g_file_test (folder, G_FILE_TEST_IS_DIR))
    return TRUE;
  if (g_mkdir_with_parents (folder, 0755) < 0 || chmod (folder, 0755) < 0)
    return fail_errno (error, _ ("cannot make the folder %s"), folder);
  return TRUE;
}

static gboolean
write_staged (int fd, const char *text)
{
  gsize size = strlen (text);

  while (size > 0) {
    gssize count = write (fd, text, size);

    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return FALSE;
    text += count;
    size -= (gsize) count;
  }
  return fchmod (fd, HOOK_MODE) == 0 && fsync (fd) == 0;
}

/*
 * The whole file, executable, beside the folder of hooks: libvirt runs nothing of that name there,
 * and renaming it does not leave the file system. Returns its path, NULL with @error.
 */
static char *
stage (const HookPaths *paths, const char *hooks_folder, GError **error)
{
  g_autofree char *text = NULL;
  g_autofree char *path = g_build_filename (hooks_folder, ".50-clockferry.XXXXXX", NULL);
  gboolean is_done;
  int fd;

  if (!g_file_get_contents (paths->master, &text, NULL, error)) {
    g_prefix_error (error, _ ("the master copy of the hook cannot be read, install clockferry "
                              "again: "));
    return NULL;
  }
  if (!has_mark (text)) {
    g_set_error (
      error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
      _ ("the master copy of the hook, %s, is not clockferry's: install clockferry again"),
      paths->master);
    return NULL;
  }
  fd = g_mkstemp_full (path, O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) {
    fail_errno (error, _ ("cannot make the file %s"), path);
    return NULL;
  }
  is_done = write_staged (fd, text);
  if (!is_done)
    fail_errno (error, _ ("cannot write %s"), path);
  /* a file that is open for writing cannot be run */
  close (fd);
  if (is_done)
    return g_steal_pointer (&path);
  (void) g_unlink (path);
  return NULL;
}

/*
 * libvirt's daemons may not run what has the label of the folder that it was made in. A host without
 * SELinux, or without a program that knows its labels, has nothing to do here. FALSE: *@problem says
 * why.
 */
static gboolean
restore_labels (const HookPaths *paths, const char *hooks_folder, gboolean *is_changed,
                char **problem)
{
  /* it names what it changes, and is silent otherwise */
  const char *const argv[] = { paths->relabel, "-RFv", hooks_folder, NULL };
  g_auto (CommandOutcome) outcome = { 0 };
  g_autoptr (GError) error = NULL;

  *is_changed = FALSE;
  if (!g_file_test (paths->selinux, G_FILE_TEST_EXISTS) || !check_command_exists (paths->relabel))
    return TRUE;
  if (check_command_run (argv, NULL, &outcome, &error) && outcome.exit_status == 0) {
    *is_changed = *outcome.output != '\0';
    return TRUE;
  }
  *problem = g_strdup (error != NULL ? error->message : outcome.problem);
  return FALSE;
}

static gboolean
label_staged (const HookPaths *paths, const char *hooks_folder, GError **error)
{
  g_autofree char *problem = NULL;
  gboolean is_changed;

  if (restore_labels (paths, hooks_folder, &is_changed, &problem))
    return TRUE;
  g_set_error (
    error, G_IO_ERROR, G_IO_ERROR_FAILED,
    /* TRANSLATORS: a folder, what restorecon said, the folder again */
    _ ("SELinux's labels of %s could not be set, so the hook was not put in place: %s; see "
       "restorecon -RFv %s"),
    hooks_folder, problem, hooks_folder);
  return FALSE;
}

/* The hook has been there for longer, with a label that may be of another folder or policy. */
static gboolean
label_installed (const HookPaths *paths, const char *hooks_folder, HookFileChange *change,
                 GError **error)
{
  g_autofree char *problem = NULL;
  gboolean is_changed;

  if (restore_labels (paths, hooks_folder, &is_changed, &problem)) {
    *change = is_changed ? HOOK_FILE_RELABELLED : HOOK_FILE_UNCHANGED;
    return TRUE;
  }
  g_set_error (
    error, G_IO_ERROR, G_IO_ERROR_FAILED,
    /* TRANSLATORS: a folder, what restorecon said, the folder again */
    _ ("the hook is in place, but SELinux's labels of %s could not be set, without which "
       "libvirt may not run it: %s; see restorecon -RFv %s"),
    hooks_folder, problem, hooks_folder);
  return FALSE;
}

/* Returns FALSE with the staged file still there, unless it was put in place and taken away again. */
static gboolean
move_staged (const char *staged, const HookPaths *paths, const char *hooks_folder, GError **error)
{
  g_autofree char *hook_folder = g_path_get_dirname (paths->installed);

  if (!try_staged (staged, error)) {
    g_prefix_error (error, _ ("the hook does not run on this host and was not put in place, as "
                              "domains could not start with it: "));
    return FALSE;
  }
  /* before, so that the folder and the file are right while libvirt can see them; after, since the
   * file's label goes by its folder */
  if (!label_staged (paths, hooks_folder, error))
    return FALSE;
  if (g_rename (staged, paths->installed) < 0)
    return fail_errno (error, _ ("cannot put the hook in place as %s"), paths->installed);
  if (!label_staged (paths, hooks_folder, error)) {
    (void) g_unlink (paths->installed);
    return FALSE;
  }
  return sync_folder (hook_folder, error);
}

/* public functions */

HookPaths *
hook_paths_new (const char *root)
{
  HookPaths *paths = g_new0 (HookPaths, 1);

  paths->installed = g_strconcat (root, CLOCKFERRY_HOOK_PATH, NULL);
  paths->master = g_strconcat (root, CLOCKFERRY_HOOK_MASTER_PATH, NULL);
  paths->program = g_strconcat (root, CLOCKFERRY_HOOK_PROGRAM_PATH, NULL);
  paths->owner = *root == '\0' ? 0 : geteuid ();
  paths->selinux = g_strconcat (root, CHECK_SELINUX_ENFORCE, NULL);
  paths->relabel = g_strdup ("restorecon");
  return paths;
}

void
hook_paths_free (HookPaths *paths)
{
  g_free (paths->installed);
  g_free (paths->master);
  g_free (paths->program);
  g_free (paths->selinux);
  g_free (paths->relabel);
  g_free (paths);
}

gboolean
hook_file_look (const HookPaths *paths, HookFileState *state, GError **error)
{
  struct stat st;

  *state = HOOK_FILE_ABSENT;
  if (lstat (paths->installed, &st) < 0) {
    /* neither is there a hook where there is no such folder */
    return errno == ENOENT || fail_errno (error, _ ("cannot look at %s"), paths->installed);
  }
  if (S_ISREG (st.st_mode))
    return judge_regular (paths, &st, state, error);
  *state = S_ISLNK (st.st_mode) ? HOOK_FILE_LINK : HOOK_FILE_NOT_REGULAR;
  return TRUE;
}

gboolean
hook_file_is_ours (const char *path)
{
  g_autofree char *text = NULL;
  struct stat st;

  return lstat (path, &st) == 0 && S_ISREG (st.st_mode) &&
         g_file_get_contents (path, &text, NULL, NULL) && has_mark (text);
}

gboolean
hook_file_put (const HookPaths *paths, HookFileChange *change, GError **error)
{
  g_autofree char *hook_folder = g_path_get_dirname (paths->installed);
  g_autofree char *hooks_folder = g_path_get_dirname (hook_folder);
  g_autofree char *staged = NULL;
  HookFileState state;

  *change = HOOK_FILE_UNCHANGED;
  if (!hook_file_look (paths, &state, error) || refuse_foreign (paths, state, error))
    return FALSE;
  /* what it runs may have gone since it was put there */
  if (!hook_file_try (paths->program, NULL, error)) {
    g_prefix_error (error, _ ("the program that the hook runs does not work, install clockferry "
                              "again: "));
    return FALSE;
  }
  if (state == HOOK_FILE_IN_PLACE)
    return label_installed (paths, hooks_folder, change, error);
  if (!make_folder (hook_folder, error))
    return FALSE;
  staged = stage (paths, hooks_folder, error);
  if (staged == NULL)
    return FALSE;
  if (!move_staged (staged, paths, hooks_folder, error)) {
    (void) g_unlink (staged);
    return FALSE;
  }
  *change = state == HOOK_FILE_ABSENT ? HOOK_FILE_PUT : HOOK_FILE_REPLACED;
  return TRUE;
}

gboolean
hook_file_remove (const HookPaths *paths, HookFileChange *change, GError **error)
{
  g_autofree char *hook_folder = g_path_get_dirname (paths->installed);
  HookFileState state;

  *change = HOOK_FILE_UNCHANGED;
  if (!hook_file_look (paths, &state, error) || refuse_foreign (paths, state, error))
    return FALSE;
  if (state == HOOK_FILE_ABSENT)
    return TRUE;
  if (g_unlink (paths->installed) < 0)
    return fail_errno (error, _ ("cannot remove %s"), paths->installed);
  *change = HOOK_FILE_REMOVED;
  return sync_folder (hook_folder, error);
}

gboolean
hook_file_try (const char *program, gboolean *adds_helper, GError **error)
{
  g_auto (CommandOutcome) outcome = { 0 };

  if (!run_hook (program, "migrate", TRIAL_XML, &outcome, error))
    return FALSE;
  if (adds_helper != NULL)
    *adds_helper = strstr (outcome.output, CLOCKFERRY_HELPER_SONAME) != NULL;
  return TRUE;
}
