/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "private-bus.h"

#include "child-launcher.h"
#include "temp-folder.h"

struct PrivateBus {
  GSubprocess *process;
  char *folder;
  char *address;
};

/* public functions */

PrivateBus *
private_bus_start (void)
{
  PrivateBus *bus = g_new0 (PrivateBus, 1);
  g_autoptr (GSubprocessLauncher) launcher =
    child_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
  g_autoptr (GDataInputStream) output = NULL;
  g_autofree char *text = NULL;
  g_autofree char *config = NULL;
  g_autoptr (GError) error = NULL;

  bus->folder = temp_folder_make ();
  text = g_strdup_printf ("<busconfig>"
                          "<type>session</type>"
                          "<listen>unix:dir=%s</listen>"
                          "<auth>EXTERNAL</auth>"
                          "<servicedir>%s</servicedir>"
                          "<policy context='default'>"
                          "<allow send_destination='*' eavesdrop='true'/>"
                          "<allow eavesdrop='true'/>"
                          "<allow own='*'/>"
                          "</policy>"
                          "</busconfig>",
                          bus->folder, bus->folder);
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
