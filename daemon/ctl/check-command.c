/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-command.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TIME_LIMIT_MS 10000

/* An operator who became root by plain su(1) has none of the sbin folders. */
#define SEARCH_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

typedef struct {
  uid_t uid;
  gid_t gid;
} UserIds;

typedef struct {
  gboolean is_over;
  gboolean is_late;
  GAsyncResult *result;
} Wait;

/* Between fork and exec: system calls only. */
static void
become_user (gpointer user_data)
{
  const UserIds *ids = user_data;

  if (setgroups (0, NULL) < 0 || setresgid (ids->gid, ids->gid, ids->gid) < 0 ||
      setresuid (ids->uid, ids->uid, ids->uid) < 0)
    _exit (126);
}

static gboolean
find_user (const char *name, UserIds *ids, GError **error)
{
  const struct passwd *entry = getpwnam (name);

  if (entry == NULL) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _ ("there is no user %s"), name);
    return FALSE;
  }
  *ids = (UserIds){ .uid = entry->pw_uid, .gid = entry->pw_gid };
  return TRUE;
}

/* A file, not a pipe: a program need not read it. Returns -1 with @error. */
static int
make_input (const char *text, GError **error)
{
  int fd = memfd_create ("input", MFD_CLOEXEC);
  gssize size = (gssize) strlen (text);

  if (fd >= 0 && write (fd, text, (gsize) size) == size && lseek (fd, 0, SEEK_SET) == 0)
    return fd;
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "memfd_create: %s",
               g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return -1;
}

static void
on_communicated (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Wait *wait = user_data;

  wait->is_over = TRUE;
  wait->result = g_object_ref (result);
}

static gboolean
on_time_limit (gpointer user_data)
{
  Wait *wait = user_data;

  wait->is_late = TRUE;
  return G_SOURCE_REMOVE;
}

/* Nothing but this process is served meanwhile: the caller's sources are of another context. */
static gboolean
communicate (GSubprocess *process, guint time_limit_ms, char **output, char **problem,
             GError **error)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (GSource) timeout = g_timeout_source_new (time_limit_ms);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  Wait wait = { 0 };
  gboolean is_done;

  g_main_context_push_thread_default (context);
  g_source_set_callback (timeout, on_time_limit, &wait, NULL);
  g_source_attach (timeout, context);
  g_subprocess_communicate_utf8_async (process, NULL, cancellable, on_communicated, &wait);
  while (!wait.is_over && !wait.is_late)
    g_main_context_iteration (context, TRUE);
  if (wait.is_late) {
    g_subprocess_force_exit (process);
    /* what it has started may keep its stdout open */
    g_cancellable_cancel (cancellable);
    while (!wait.is_over)
      g_main_context_iteration (context, TRUE);
  }
  g_source_destroy (timeout);
  result = wait.result;
  is_done = g_subprocess_communicate_utf8_finish (process, result, output, problem,
                                                  wait.is_late ? NULL : error);
  g_main_context_pop_thread_default (context);
  if (!wait.is_late)
    return is_done;
  g_clear_pointer (output, g_free);
  g_clear_pointer (problem, g_free);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, _ ("it did not end in time"));
  return FALSE;
}

/* public functions */

void
command_outcome_clear (CommandOutcome *outcome)
{
  g_clear_pointer (&outcome->output, g_free);
  g_clear_pointer (&outcome->problem, g_free);
}

gboolean
check_command_run (const char *const *argv, const CommandTerms *terms, CommandOutcome *outcome,
                   GError **error)
{
  static const CommandTerms plain = { 0 };
  g_autoptr (GSubprocessLauncher) launcher =
    g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE |
                               G_SUBPROCESS_FLAGS_SEARCH_PATH_FROM_ENVP);
  g_auto (GStrv) environment = g_environ_setenv (NULL, "LC_ALL", "C", TRUE);
  g_autoptr (GSubprocess) process = NULL;
  UserIds ids;

  *outcome = (CommandOutcome){ 0 };
  if (terms == NULL)
    terms = &plain;
  environment = g_environ_setenv (environment, "PATH", SEARCH_PATH, TRUE);
  if (terms->preload != NULL)
    environment = g_environ_setenv (environment, "LD_PRELOAD", terms->preload, TRUE);
  if (terms->is_traced)
    environment = g_environ_setenv (environment, "LD_TRACE_LOADED_OBJECTS", "1", TRUE);
  g_subprocess_launcher_set_environ (launcher, environment);
  g_subprocess_launcher_set_cwd (launcher, "/");
  if (terms->user != NULL) {
    if (!find_user (terms->user, &ids, error))
      return FALSE;
    g_subprocess_launcher_set_child_setup (launcher, become_user, &ids, NULL);
  }

  if (terms->input != NULL) {
    int fd = make_input (terms->input, error);

    if (fd < 0)
      return FALSE;
    g_subprocess_launcher_take_stdin_fd (launcher, fd);
  }

  process = g_subprocess_launcher_spawnv (launcher, argv, error);
  if (process == NULL)
    return FALSE;
  if (!communicate (process, terms->time_limit_ms != 0 ? terms->time_limit_ms : TIME_LIMIT_MS,
                    &outcome->output, &outcome->problem, error))
    return FALSE;
  outcome->exit_status =
    g_subprocess_get_if_exited (process) ? g_subprocess_get_exit_status (process) : -1;
  g_strstrip (outcome->problem);
  return TRUE;
}

gboolean
check_command_exists (const char *name)
{
  g_auto (GStrv) folders = g_strsplit (SEARCH_PATH, ":", -1);

  if (g_path_is_absolute (name))
    return g_file_test (name, G_FILE_TEST_IS_EXECUTABLE);
  for (guint i = 0; folders[i] != NULL; i++) {
    g_autofree char *path = g_build_filename (folders[i], name, NULL);

    if (g_file_test (path, G_FILE_TEST_IS_EXECUTABLE))
      return TRUE;
  }
  return FALSE;
}
