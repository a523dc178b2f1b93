/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl-process.h"

#include <string.h>

#include "child-launcher.h"
#include "wait-until.h"

struct CtlProcess {
  GSubprocess *process;
  GDataInputStream *output;
  GPtrArray *lines;
  gboolean has_ended;
};

static GSubprocess *
spawn (PrivateBus *bus, const char *words, GSubprocessFlags flags)
{
  g_autoptr (GSubprocessLauncher) launcher = child_launcher_new (flags);
  g_autofree char *line = g_strconcat (g_getenv ("CLOCKFERRYCTL"), " ", words, NULL);
  g_auto (GStrv) arguments = g_strsplit (line, " ", -1);
  g_autoptr (GError) error = NULL;
  GSubprocess *process;

  g_subprocess_launcher_setenv (launcher, "DBUS_SYSTEM_BUS_ADDRESS", private_bus_get_address (bus),
                                TRUE);
  process = g_subprocess_launcher_spawnv (launcher, (const char *const *) arguments, &error);
  g_assert_no_error (error);
  return process;
}

static void
on_said (GObject *source, GAsyncResult *async_result, gpointer user_data)
{
  CtlResult *result = user_data;
  g_autoptr (GError) error = NULL;

  g_subprocess_communicate_utf8_finish (G_SUBPROCESS (source), async_result, &result->out,
                                        &result->err, &error);
  g_assert_no_error (error);
}

static void read_next_line (CtlProcess *process);

static void
on_line (GObject *source, GAsyncResult *result, gpointer user_data)
{
  CtlProcess *process = user_data;
  g_autoptr (GError) error = NULL;
  char *line =
    g_data_input_stream_read_line_finish (G_DATA_INPUT_STREAM (source), result, NULL, &error);

  g_assert_no_error (error);
  if (line == NULL) {
    process->has_ended = TRUE;
    return;
  }
  g_test_message ("[clockferryctl] %s", line);
  g_ptr_array_add (process->lines, line);
  read_next_line (process);
}

static void
read_next_line (CtlProcess *process)
{
  g_data_input_stream_read_line_async (process->output, G_PRIORITY_DEFAULT, NULL, on_line, process);
}

/* public functions */

void
ctl_result_clear (CtlResult *result)
{
  g_clear_pointer (&result->out, g_free);
  g_clear_pointer (&result->err, g_free);
}

void
ctl_process_run (PrivateBus *bus, const char *words, CtlResult *result)
{
  g_autoptr (GSubprocess)
    process = spawn (bus, words, G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);

  ctl_result_clear (result);
  g_subprocess_communicate_utf8_async (process, NULL, NULL, on_said, result);
  WAIT_UNTIL (result->err != NULL);
  g_assert_true (g_subprocess_get_if_exited (process));
  result->status = g_subprocess_get_exit_status (process);
  g_test_message ("%s: %d\n%s%s", words, result->status, result->out, result->err);
}

CtlProcess *
ctl_process_start (PrivateBus *bus, const char *words)
{
  CtlProcess *process = g_new0 (CtlProcess, 1);

  process->process = spawn (bus, words, G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  process->output = g_data_input_stream_new (g_subprocess_get_stdout_pipe (process->process));
  process->lines = g_ptr_array_new_with_free_func (g_free);
  read_next_line (process);
  return process;
}

guint
ctl_process_count (const CtlProcess *process, const char *text)
{
  guint count = 0;

  for (guint i = 0; i < process->lines->len; i++)
    count += strstr (g_ptr_array_index (process->lines, i), text) != NULL ? 1 : 0;
  return count;
}

const char *
ctl_process_get (const CtlProcess *process, const char *text)
{
  for (guint i = process->lines->len; i > 0; i--) {
    const char *line = g_ptr_array_index (process->lines, i - 1);

    if (strstr (line, text) != NULL)
      return line;
  }
  g_assert_not_reached ();
}

int
ctl_process_end (CtlProcess *process, int signal)
{
  g_autoptr (GError) error = NULL;
  int status;

  g_subprocess_send_signal (process->process, signal);
  WAIT_UNTIL (process->has_ended);
  g_subprocess_wait (process->process, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_if_exited (process->process));
  status = g_subprocess_get_exit_status (process->process);
  g_ptr_array_unref (process->lines);
  g_object_unref (process->output);
  g_object_unref (process->process);
  g_free (process);
  return status;
}
