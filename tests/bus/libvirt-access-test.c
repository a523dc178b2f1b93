/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt-access-test - what the policy file lets whom call of libvirt-dbus: every method there is
 *
 * Whoever may call libvirt-dbus at will is root in all but name. What may be tried is told by the
 * interfaces that libvirt-dbus installs; its own policy file, which lets in root and the group libvirt, is
 * left out, so that all that passes here was given by ours.
 */

#include <string.h>
#include <unistd.h>

#include "bus-users.h"
#include "names.h"

/* What the daemon calls (daemon/libvirt-watch.c, daemon/libvirt-calls.c) */
static const char *const needed[] = {
  LIBVIRT_CONNECT_IFACE ".ListDomains", LIBVIRT_DOMAIN_IFACE ".GetJobInfo",
  LIBVIRT_DOMAIN_IFACE ".GetState",     LIBVIRT_DOMAIN_IFACE ".GetXMLDesc",
  LIBVIRT_DOMAIN_IFACE ".SetMetadata",  NULL,
};

/* a GIO object that nobody has to export: whatever reaches the service is answered, by an error */
#define ANY_PATH LIBVIRT_QEMU_PATH

typedef struct {
  BusUsers *users;
  guint methods;
  guint allowed;
} Trial;

static gboolean
passes (GDBusConnection *client, const char *interface, const char *method)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant)
    reply = bus_users_call (client, LIBVIRT_BUS_NAME, ANY_PATH, interface, method, NULL, &error);

  g_assert_null (reply);
  g_assert_true (g_dbus_error_is_remote_error (error));
  return !bus_users_is_denied (error);
}

static void
try_method (Trial *trial, const char *interface, const char *method)
{
  g_autofree char *full_name = g_strdup_printf ("%s.%s", interface, method);
  gboolean is_needed = g_strv_contains (needed, full_name);

  g_test_message ("%s", full_name);
  g_assert_cmpint (passes (trial->users->daemon, interface, method), ==, is_needed);
  /* a message that names no interface must not slip through */
  g_assert_false (passes (trial->users->daemon, NULL, method));
  g_assert_false (passes (trial->users->root, interface, method));
  g_assert_false (passes (trial->users->reader, interface, method));
  g_assert_false (passes (trial->users->stranger, interface, method));
  trial->methods++;
  trial->allowed += is_needed;
}

static void
try_interface_file (Trial *trial, const char *folder, const char *file)
{
  g_autofree char *path = g_build_filename (folder, file, NULL);
  g_autofree char *xml = NULL;
  g_autoptr (GDBusNodeInfo) node = NULL;
  g_autoptr (GError) error = NULL;

  g_file_get_contents (path, &xml, NULL, &error);
  g_assert_no_error (error);
  node = g_dbus_node_info_new_for_xml (xml, &error);
  g_assert_no_error (error);
  for (GDBusInterfaceInfo **iface = node->interfaces; *iface != NULL; iface++) {
    for (GDBusMethodInfo **method = (*iface)->methods; method != NULL && *method != NULL; method++)
      try_method (trial, (*iface)->name, (*method)->name);
  }
}

static void
test_methods (void)
{
  g_autoptr (BusUsers) users = NULL;
  g_autoptr (GDBusConnection) libvirt = NULL;
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GDir) dir = NULL;
  g_autoptr (GError) error = NULL;
  const char *file;
  Trial trial = { 0 };

  if (bus_users_skip ())
    return;
  users = bus_users_new (TRUE, "<policy user='root'><allow own='" LIBVIRT_BUS_NAME "'/></policy>");
  libvirt = private_bus_connect (users->bus);
  reply = g_dbus_connection_call_sync (libvirt, "org.freedesktop.DBus", "/", "org.freedesktop.DBus",
                                       "RequestName", g_variant_new ("(su)", LIBVIRT_BUS_NAME, 0u),
                                       NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
  g_assert_no_error (error);

  trial.users = users;
  dir = g_dir_open (LIBVIRT_INTERFACES_DIR, 0, &error);
  g_assert_no_error (error);
  while ((file = g_dir_read_name (dir)) != NULL) {
    if (g_str_has_prefix (file, LIBVIRT_BUS_NAME "."))
      try_interface_file (&trial, LIBVIRT_INTERFACES_DIR, file);
  }
  /* beside its own interfaces each object has these */
  try_method (&trial, "org.freedesktop.DBus.Properties", "Get");
  try_method (&trial, "org.freedesktop.DBus.Properties", "GetAll");
  try_method (&trial, "org.freedesktop.DBus.Properties", "Set");
  try_method (&trial, "org.freedesktop.DBus.Introspectable", "Introspect");
  g_assert_cmpuint (trial.allowed, ==, g_strv_length ((GStrv) needed));
  g_assert_cmpuint (trial.methods, >, 150);
  bus_users_close (g_steal_pointer (&libvirt));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/libvirt-access/methods", test_methods);
  return g_test_run ();
}
