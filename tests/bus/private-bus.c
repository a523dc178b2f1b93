/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "private-bus.h"

#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "child-launcher.h"
#include "temp-folder.h"

struct PrivateBus {
  GSubprocess *process;
  char *folder;
  char *address;
};

/* what the system's bus has by default, as far as it matters here */
static const char strict_policy[] =
  "<policy context='default'>"
  "<allow user='*'/>"
  "<deny own='*'/>"
  "<deny send_type='method_call'/>"
  "<allow send_type='signal'/>"
  "<allow send_requested_reply='true' send_type='method_return'/>"
  "<allow send_requested_reply='true' send_type='error'/>"
  "<allow receive_type='method_call'/>"
  "<allow receive_type='method_return'/>"
  "<allow receive_type='error'/>"
  "<allow receive_type='signal'/>"
  "<allow send_destination='org.freedesktop.DBus' send_interface='org.freedesktop.DBus'/>"
  "</policy>";

static const char lax_policy[] = "<policy context='default'>"
                                 "<allow user='*'/>"
                                 "<allow send_destination='*' eavesdrop='true'/>"
                                 "<allow eavesdrop='true'/>"
                                 "<allow own='*'/>"
                                 "</policy>";

static PrivateBus *
start (const char *policy, const char *policy_file)
{
  PrivateBus *bus = g_new0 (PrivateBus, 1);
  g_autoptr (GSubprocessLauncher) launcher =
    child_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
  g_autoptr (GDataInputStream) output = NULL;
  g_autofree char *text = NULL;
  g_autofree char *config = NULL;
  g_autoptr (GError) error = NULL;

  bus->folder = temp_folder_make ();
  g_assert_no_errno (g_chmod (bus->folder, 0711)); /* other users find the socket */
  text = g_strdup_printf ("<busconfig>"
                          "<type>session</type>"
                          "<listen>unix:dir=%s</listen>"
                          "<auth>EXTERNAL</auth>"
                          "<servicedir>%s</servicedir>"
                          "%s%s%s%s"
                          "</busconfig>",
                          bus->folder, bus->folder, policy, policy_file != NULL ? "<include>" : "",
                          policy_file != NULL ? policy_file : "",
                          policy_file != NULL ? "</include>" : "");
  config = temp_folder_write (bus->folder, "bus.conf", text);
  bus->process = g_subprocess_launcher_spawn (launcher, &error, "dbus-daemon", "--nofork",
                                              "--print-address", "--config-file", config, NULL);
  g_assert_no_error (error);
  output = g_data_input_stream_new (g_subprocess_get_stdout_pipe (bus->process));
  bus->address = g_data_input_stream_read_line (output, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (bus->address);
  return bus;
}

/* public functions */

PrivateBus *
private_bus_start (void)
{
  return start (lax_policy, NULL);
}

PrivateBus *
private_bus_start_strict (const char *policy_file)
{
  return start (strict_policy, policy_file);
}

void
private_bus_end (PrivateBus *bus)
{
  g_subprocess_force_exit (bus->process);
  (void) g_subprocess_wait (bus->process, NULL, NULL);
  g_object_unref (bus->process);
  g_free (bus->address);
  temp_folder_remove (bus->folder);
  g_free (bus);
}

const char *
private_bus_get_address (PrivateBus *bus)
{
  return bus->address;
}

void
private_bus_add_service (PrivateBus *bus, const char *name, const char *command_line)
{
  g_autofree char *file_name = g_strconcat (name, ".service", NULL);
  g_autofree char *text =
    g_strdup_printf ("[D-BUS Service]\nName=%s\nExec=%s\n", name, command_line);
  g_autofree char *path = temp_folder_write (bus->folder, file_name, text);
  g_autoptr (GDBusConnection) connection = private_bus_connect (bus);
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;

  reply = g_dbus_connection_call_sync (connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                       "org.freedesktop.DBus", "ReloadConfig", NULL, NULL,
                                       G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
  g_assert_no_error (error);
}

GDBusConnection *
private_bus_connect (PrivateBus *bus)
{
  g_autoptr (GError) error = NULL;
  GDBusConnection *connection = g_dbus_connection_new_for_address_sync (
    bus->address,
    G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
    NULL, NULL, &error);

  g_assert_no_error (error);
  return connection;
}

GDBusConnection *
private_bus_connect_as (PrivateBus *bus, uid_t uid)
{
  const struct passwd *user = getpwuid (uid);
  gid_t groups[64];
  int group_count = getgroups (G_N_ELEMENTS (groups), groups);
  GDBusConnection *connection;

  g_assert_nonnull (user);
  g_assert_cmpint (group_count, >=, 0);
  g_assert_no_errno (setgroups (0, NULL));
  g_assert_no_errno (setegid (user->pw_gid));
  g_assert_no_errno (seteuid (uid));
  connection = private_bus_connect (bus);
  g_assert_no_errno (seteuid (0));
  g_assert_no_errno (setegid (0));
  g_assert_no_errno (setgroups ((gsize) group_count, groups));
  return connection;
}
