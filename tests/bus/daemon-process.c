/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon-process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "child-launcher.h"
#include "temp-folder.h"
#include "wait-until.h"

struct DaemonProcess {
  GSubprocess *process;
  GDataInputStream *stderr_lines;
  GPtrArray *lines;
  gboolean has_ended;
};

static void read_next_line (DaemonProcess *daemon);

static void
on_line (GObject *source, GAsyncResult *result, gpointer user_data)
{
  DaemonProcess *daemon = user_data;
  g_autoptr (GError) error = NULL;
  char *line =
    g_data_input_stream_read_line_finish (G_DATA_INPUT_STREAM (source), result, NULL, &error);

  g_assert_no_error (error);
  if (line == NULL) {
    daemon->has_ended = TRUE;
    return;
  }
  g_test_message ("[%s] %s", g_subprocess_get_identifier (daemon->process), line);
  g_ptr_array_add (daemon->lines, line);
  read_next_line (daemon);
}

static void
read_next_line (DaemonProcess *daemon)
{
  g_data_input_stream_read_line_async (daemon->stderr_lines, G_PRIORITY_DEFAULT, NULL, on_line,
                                       daemon);
}

static char *
write_config (const char *folder, guint port)
{
  g_autofree char *text =
    g_strdup_printf ("[clockferry]\nAddress=127.0.0.1\nListenAddress=127.0.0.1\nPort=%u\n", port);

  return temp_folder_write (folder, "clockferry.conf", text);
}

/* Takes @launcher. */
static DaemonProcess *
launch (GSubprocessLauncher *launcher, const char *folder, const char *bus_address, guint port)
{
  DaemonProcess *daemon = g_new0 (DaemonProcess, 1);
  g_autoptr (GSubprocessLauncher) owned = launcher;
  g_autofree char *config = write_config (folder, port);
  const char *program = g_getenv ("CLOCKFERRYD");
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (program);
  g_subprocess_launcher_setenv (owned, "DBUS_SYSTEM_BUS_ADDRESS", bus_address, TRUE);
  daemon->lines = g_ptr_array_new_with_free_func (g_free);
  daemon->process = g_subprocess_launcher_spawn (owned, &error, program, "--config", config,
                                                 "--state-dir", folder, NULL);
  g_assert_no_error (error);
  daemon->stderr_lines = g_data_input_stream_new (g_subprocess_get_stderr_pipe (daemon->process));
  read_next_line (daemon);
  WAIT_UNTIL (daemon->has_ended || daemon_process_count (daemon, "daemon-ready", NULL) == 1);
  return daemon;
}

/* public functions */

DaemonProcess *
daemon_process_try (const char *folder, const char *bus_address, guint port)
{
  return launch (child_launcher_new (G_SUBPROCESS_FLAGS_STDERR_PIPE), folder, bus_address, port);
}

DaemonProcess *
daemon_process_start_with_folders (const char *folder, const char *bus_address, guint port,
                                   const QemuFolders *folders)
{
  DaemonProcess *daemon =
    launch (child_launcher_new_with_folders (G_SUBPROCESS_FLAGS_STDERR_PIPE, folders), folder,
            bus_address, port);

  g_assert_false (daemon->has_ended);
  return daemon;
}

DaemonProcess *
daemon_process_start (const char *folder, const char *bus_address, guint port)
{
  DaemonProcess *daemon = daemon_process_try (folder, bus_address, port);

  g_assert_false (daemon->has_ended);
  return daemon;
}

void
daemon_process_stop (DaemonProcess *daemon)
{
  g_subprocess_send_signal (daemon->process, SIGTERM);
  g_assert_cmpint (daemon_process_wait (daemon), ==, 0);
}

void
daemon_process_reload (DaemonProcess *daemon)
{
  g_subprocess_send_signal (daemon->process, SIGHUP);
}

int
daemon_process_wait (DaemonProcess *daemon)
{
  g_autoptr (GError) error = NULL;
  int status;

  WAIT_UNTIL (daemon->has_ended);
  g_subprocess_wait (daemon->process, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_if_exited (daemon->process));
  status = g_subprocess_get_exit_status (daemon->process);
  g_object_unref (daemon->stderr_lines);
  g_object_unref (daemon->process);
  g_ptr_array_unref (daemon->lines);
  g_free (daemon);
  return status;
}

int
daemon_process_get_pid (const DaemonProcess *daemon)
{
  return atoi (g_subprocess_get_identifier (daemon->process));
}

guint64
daemon_process_get_peak_kib (const DaemonProcess *daemon)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/status", daemon_process_get_pid (daemon));
  g_autofree char *status = NULL;
  g_autoptr (GError) error = NULL;
  const char *line;

  g_file_get_contents (path, &status, NULL, &error);
  g_assert_no_error (error);
  line = strstr (status, "VmHWM:");
  g_assert_nonnull (line);
  return g_ascii_strtoull (line + strlen ("VmHWM:"), NULL, 10);
}

guint
daemon_process_count (DaemonProcess *daemon, const char *event, const char *text)
{
  g_autofree char *prefix = event != NULL ? g_strconcat (event, ": ", NULL) : g_strdup ("");
  guint count = 0;

  for (guint i = 0; i < daemon->lines->len; i++) {
    const char *line = g_ptr_array_index (daemon->lines, i);

    if (g_str_has_prefix (line, prefix) && (text == NULL || strstr (line, text) != NULL))
      count++;
  }
  return count;
}

guint
daemon_process_reserve_port (void)
{
  /*
   * A socket that is bound and does not listen keeps the kernel from giving the port to anybody who
   * wants just any, listeners and those who connect alike. Whoever names it, as the daemon does at
   * each of its starts, gets it all the same: both have SO_REUSEADDR.
   */
  static GPtrArray *reservations;
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GSocketAddress) given = NULL;
  g_autoptr (GError) error = NULL;
  GSocket *socket =
    g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &error);

  g_assert_no_error (error);
  g_socket_bind (socket, any, TRUE, &error);
  g_assert_no_error (error);
  given = g_socket_get_local_address (socket, &error);
  g_assert_no_error (error);
  if (reservations == NULL)
    reservations = g_ptr_array_new_with_free_func (g_object_unref);
  g_ptr_array_add (reservations, socket);
  return g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (given));
}
