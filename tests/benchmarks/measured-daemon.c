/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "measured-daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "child-launcher.h"
#include "names.h"
#include "temp-folder.h"

#define EXIT_SKIP 77
/* LimitNOFILE= of clockferryd.service */
#define FILES_MAX 16384

/* $1: run folder, $2: state folder; the rest: the daemon's command line */
static const char namespace_script[] =
  "set -e; run=$1; state=$2; shift 2; "
  "mount -t tmpfs none /run; mkdir -p " LIBVIRT_QEMU_RUN_DIR "; "
  "mount --bind \"$run\" " LIBVIRT_QEMU_RUN_DIR "; "
  "mount -t tmpfs none /var/lib; mkdir -p " LIBVIRT_QEMU_STATE_DIR "; "
  "mount --bind \"$state\" " LIBVIRT_QEMU_STATE_DIR "; "
  "exec \"$@\"";

struct MeasuredDaemon {
  GSubprocess *process;
  int pid;
  GDataInputStream *lines;
  GHashTable *counts; /* event -> count */
  gboolean has_ended;
};

/* what it says */

static void read_next_line (MeasuredDaemon *daemon);

/* "event: message [FIELD=value ...]" */
static void
count_line (MeasuredDaemon *daemon, const char *line)
{
  const char *colon = strchr (line, ':');
  char *event;
  guint count;

  if (colon == NULL)
    return;
  event = g_strndup (line, (gsize) (colon - line));
  count = GPOINTER_TO_UINT (g_hash_table_lookup (daemon->counts, event));
  g_hash_table_insert (daemon->counts, event, GUINT_TO_POINTER (count + 1));
}

static void
on_line (GObject *source, GAsyncResult *result, gpointer user_data)
{
  MeasuredDaemon *daemon = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *line =
    g_data_input_stream_read_line_finish (G_DATA_INPUT_STREAM (source), result, NULL, &error);

  g_assert_no_error (error);
  if (line == NULL) {
    daemon->has_ended = TRUE;
    return;
  }
  if (g_getenv ("CLOCKFERRY_BENCHMARK_LOG") != NULL)
    fprintf (stderr, "[%d] %s\n", daemon->pid, line);
  count_line (daemon, line);
  read_next_line (daemon);
}

static void
read_next_line (MeasuredDaemon *daemon)
{
  g_data_input_stream_read_line_async (daemon->lines, G_PRIORITY_DEFAULT, NULL, on_line, daemon);
}

/* what it takes */

/* The number behind @field, at the start of a line of @text. */
static guint64
find_number (const char *text, const char *field)
{
  g_autofree char *start = g_strconcat ("\n", field, ":", NULL);
  const char *found = strstr (text, start);

  if (found == NULL)
    g_error ("the kernel tells no %s", field);
  return g_ascii_strtoull (found + strlen (start), NULL, 10);
}

static char *
read_proc (const MeasuredDaemon *daemon, const char *name)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/%s", daemon->pid, name);
  g_autoptr (GError) error = NULL;
  char *text;

  if (!g_file_get_contents (path, &text, NULL, &error))
    g_error ("%s", error->message);
  return text;
}

static void
read_wakeups (const MeasuredDaemon *daemon, DaemonUse *use)
{
  g_autofree char *folder = g_strdup_printf ("/proc/%d/task", daemon->pid);
  g_autoptr (GDir) tasks = g_dir_open (folder, 0, NULL);
  const char *task;

  g_assert_nonnull (tasks);
  while ((task = g_dir_read_name (tasks)) != NULL) {
    g_autofree char *name = g_strdup_printf ("task/%s/status", task);
    g_autofree char *status = read_proc (daemon, name);

    use->threads++;
    use->wakeups += find_number (status, "voluntary_ctxt_switches") +
                    find_number (status, "nonvoluntary_ctxt_switches");
  }
}

/* proc_pid_stat(5): utime and stime are the 14th and 15th field, and the 2nd may hold anything. */
static double
read_cpu_ms (const MeasuredDaemon *daemon)
{
  g_autofree char *stat = read_proc (daemon, "stat");
  unsigned long user = 0, system = 0;
  int taken = sscanf (strrchr (stat, ')') + 1,
                      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);

  g_assert_cmpint (taken, ==, 2);
  return (double) (user + system) * 1000 / (double) sysconf (_SC_CLK_TCK);
}

static void
read_memory (const MeasuredDaemon *daemon, DaemonUse *use)
{
  g_autofree char *rollup = read_proc (daemon, "smaps_rollup");

  use->rss = find_number (rollup, "Rss");
  use->pss = find_number (rollup, "Pss");
  use->own = find_number (rollup, "Private_Clean") + find_number (rollup, "Private_Dirty");
}

static char *
write_config (const char *folder, guint port)
{
  g_autofree char *text = g_strdup_printf (
    "[clockferry]\nAddress=127.0.0.1\nListenAddress=127.0.0.1\nPort=%u\nHostClock=measure\n", port);

  return temp_folder_write (folder, "clockferry.conf", text);
}

static gboolean
on_step (gpointer user_data)
{
  return G_SOURCE_REMOVE;
}

/* public functions */

void
measured_daemon_require (void)
{
  struct rlimit files;

  if (geteuid () != 0) {
    printf ("skip: only root can put stand-ins into libvirt's folders\n");
    exit (EXIT_SKIP);
  }
  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &files));
  files.rlim_cur = MIN (files.rlim_max, FILES_MAX);
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &files));
}

MeasuredDaemon *
measured_daemon_start (const char *folder, const char *bus_address, guint port, const char *run_dir,
                       const char *state_dir)
{
  MeasuredDaemon *daemon = g_new0 (MeasuredDaemon, 1);
  g_autoptr (GSubprocessLauncher) launcher = child_launcher_new (G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autofree char *config = write_config (folder, port);
  g_autoptr (GError) error = NULL;

  g_subprocess_launcher_setenv (launcher, "DBUS_SYSTEM_BUS_ADDRESS", bus_address, TRUE);
  daemon->counts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  daemon->process = g_subprocess_launcher_spawn (
    launcher, &error, "unshare", "--mount", "--propagation", "private", "--", "sh", "-c",
    namespace_script, "sh", run_dir, state_dir, g_getenv ("CLOCKFERRYD"), "--config", config,
    "--state-dir", folder, NULL);
  g_assert_no_error (error);
  daemon->pid = atoi (g_subprocess_get_identifier (daemon->process));
  daemon->lines = g_data_input_stream_new (g_subprocess_get_stderr_pipe (daemon->process));
  read_next_line (daemon);
  return daemon;
}

void
measured_daemon_stop (MeasuredDaemon *daemon)
{
  g_subprocess_send_signal (daemon->process, SIGTERM);
  LOAD_WAIT_UNTIL (daemon->has_ended);
  g_subprocess_wait (daemon->process, NULL, NULL);
  if (!g_subprocess_get_successful (daemon->process))
    g_error ("clockferryd did not end in order");
  g_object_unref (daemon->lines);
  g_object_unref (daemon->process);
  g_hash_table_unref (daemon->counts);
  g_free (daemon);
}

guint
measured_daemon_count (MeasuredDaemon *daemon, const char *event)
{
  if (daemon->has_ended)
    g_error ("clockferryd, process %d, has ended", daemon->pid);
  return GPOINTER_TO_UINT (g_hash_table_lookup (daemon->counts, event));
}

void
measured_daemon_read_use (MeasuredDaemon *daemon, DaemonUse *use)
{
  *use = (DaemonUse){ 0 };
  read_wakeups (daemon, use);
  use->cpu_ms = read_cpu_ms (daemon);
  read_memory (daemon, use);
}

void
load_wait_step (gint64 end_us, const char *condition, const char *file, int line)
{
  guint id;

  if (g_get_monotonic_time () > end_us)
    g_error ("%s:%d: waited in vain for: %s", file, line, condition);
  /* what is waited for may happen in another thread */
  id = g_timeout_add (20, on_step, NULL);
  g_main_context_iteration (NULL, TRUE);
  if (g_main_context_find_source_by_id (NULL, id) != NULL)
    g_source_remove (id);
}
