/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-users.h"

#include <string.h>
#include <unistd.h>

#include "temp-folder.h"
#include "wait-until.h"

/* dbus-daemon wants users and groups that exist: these are everywhere, each in a group of the same
 * number */
#define DAEMON_UID   1
#define STRANGER_UID 2
#define READER_UID   65534

static char *
replace (const char *text, const char *from, const char *to)
{
  g_auto (GStrv) parts = g_strsplit (text, from, -1);

  g_assert_cmpuint (g_strv_length (parts), >, 1);
  return g_strjoinv (to, parts);
}

/* The policy file that is installed, for users and groups that are there. */
static char *
write_policy (const char *folder, const char *more_policy)
{
  g_autofree char *text = NULL;
  g_autofree char *with_user = NULL;
  g_autofree char *with_group = NULL;
  g_autofree char *end = g_strconcat (more_policy != NULL ? more_policy : "", "</busconfig>", NULL);
  g_autofree char *with_more = NULL;
  g_autoptr (GError) error = NULL;

  g_file_get_contents (g_getenv ("BUS_POLICY"), &text, NULL, &error);
  g_assert_no_error (error);
  with_user = replace (text, "user=\"clockferry\"", "user=\"" G_STRINGIFY (DAEMON_UID) "\"");
  with_group = replace (with_user, "group=\"libvirt\"", "group=\"" G_STRINGIFY (READER_UID) "\"");
  with_more = replace (with_group, "</busconfig>", end);
  return temp_folder_write (folder, "policy.conf", with_more);
}

static void
on_reply (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

/* public functions */

BusUsers *
bus_users_new (gboolean is_strict, const char *more_policy)
{
  BusUsers *users = g_new0 (BusUsers, 1);
  g_autofree char *policy = NULL;

  users->folder = temp_folder_make ();
  policy = write_policy (users->folder, more_policy);
  users->bus = is_strict ? private_bus_start_strict (policy) : private_bus_start ();
  users->daemon = bus_users_connect_daemon (users);
  users->root = private_bus_connect (users->bus);
  users->reader = private_bus_connect_as (users->bus, READER_UID);
  users->stranger = private_bus_connect_as (users->bus, STRANGER_UID);
  return users;
}

void
bus_users_free (BusUsers *users)
{
  bus_users_close (users->stranger);
  bus_users_close (users->reader);
  bus_users_close (users->root);
  bus_users_close (users->daemon);
  private_bus_end (users->bus);
  temp_folder_remove (users->folder);
  g_free (users);
}

GDBusConnection *
bus_users_connect_daemon (BusUsers *users)
{
  return private_bus_connect_as (users->bus, DAEMON_UID);
}

void
bus_users_close (GDBusConnection *connection)
{
  (void) g_dbus_connection_close_sync (connection, NULL, NULL);
  g_object_unref (connection);
}

gboolean
bus_users_skip (void)
{
  if (geteuid () == 0)
    return FALSE;
  g_test_skip ("needs root, to connect as other users");
  return TRUE;
}

GVariant *
bus_users_call (GDBusConnection *client, const char *name, const char *path, const char *interface,
                const char *method, GVariant *parameters, GError **error)
{
  g_autoptr (GDBusMessage) message = g_dbus_message_new_method_call (name, path, interface, method);
  g_autoptr (GDBusMessage) reply = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  GVariant *body;

  if (parameters != NULL)
    g_dbus_message_set_body (message, parameters);
  g_dbus_connection_send_message_with_reply (client, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, -1,
                                             NULL, NULL, on_reply, &result);
  WAIT_UNTIL (result != NULL);
  reply = g_dbus_connection_send_message_with_reply_finish (client, result, error);
  if (reply == NULL || g_dbus_message_to_gerror (reply, error))
    return NULL;
  body = g_dbus_message_get_body (reply);
  return body != NULL ? g_variant_ref (body) : g_variant_ref_sink (g_variant_new ("()"));
}

gboolean
bus_users_is_denied (const GError *error)
{
  return g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED) &&
         strstr (error->message, "Rejected send message") != NULL;
}
