/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stand-in-systemd.h"

#define BUS_NAME "org.freedesktop.systemd1"
#define PATH     "/org/freedesktop/systemd1"
#define IFACE    "org.freedesktop.systemd1.Manager"

struct StandInSystemd {
  GDBusConnection *bus;
  GDBusNodeInfo *interfaces;
  gboolean has_subscriber;
  const char *unit_state; /* constant; of both units */
  guint read_count;
};

static const char introspection[] =
  "<node>"
  "  <interface name='" IFACE "'>"
  "    <method name='Subscribe'/>"
  "    <signal name='JobRemoved'>"
  "      <arg type='u'/><arg type='o'/><arg type='s'/><arg type='s'/>"
  "    </signal>"
  "  </interface>"
  "  <interface name='org.freedesktop.systemd1.Unit'>"
  "    <property name='ActiveState' type='s' access='read'/>"
  "  </interface>"
  "</node>";

static void
on_method_call (GDBusConnection *bus, const char *sender, const char *path, const char *iface,
                const char *method, GVariant *parameters, GDBusMethodInvocation *invocation,
                gpointer user_data)
{
  StandInSystemd *systemd = user_data;

  systemd->has_subscriber = TRUE;
  g_dbus_method_invocation_return_value (invocation, NULL);
}

static GVariant *
on_get_property (GDBusConnection *bus, const char *sender, const char *path, const char *iface,
                 const char *property, GError **error, gpointer user_data)
{
  StandInSystemd *systemd = user_data;

  systemd->read_count++;
  return g_variant_new_string (systemd->unit_state);
}

static const GDBusInterfaceVTable vtable = {
  .method_call = on_method_call,
  .get_property = on_get_property,
};

static void
export_interface (StandInSystemd *systemd, const char *path, guint index)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (g_dbus_connection_register_object (systemd->bus, path,
                                                       systemd->interfaces->interfaces[index],
                                                       &vtable, systemd, NULL, &error),
                    !=, 0);
}

/* public functions */

StandInSystemd *
stand_in_systemd_start (PrivateBus *bus)
{
  StandInSystemd *systemd = g_new0 (StandInSystemd, 1);
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;

  systemd->interfaces = g_dbus_node_info_new_for_xml (introspection, &error);
  g_assert_no_error (error);
  systemd->bus = private_bus_connect (bus);
  systemd->unit_state = "active";
  export_interface (systemd, PATH, 0);
  export_interface (systemd, PATH "/unit/libvirtd_2eservice", 1);
  export_interface (systemd, PATH "/unit/virtqemud_2eservice", 1);
  reply = g_dbus_connection_call_sync (
    systemd->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
    "RequestName", g_variant_new ("(su)", BUS_NAME, 4u), G_VARIANT_TYPE ("(u)"),
    G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
  g_assert_no_error (error);
  return systemd;
}

void
stand_in_systemd_free (StandInSystemd *systemd)
{
  (void) g_dbus_connection_close_sync (systemd->bus, NULL, NULL);
  g_object_unref (systemd->bus);
  g_dbus_node_info_unref (systemd->interfaces);
  g_free (systemd);
}

gboolean
stand_in_systemd_finish_job (StandInSystemd *systemd, const char *unit, const char *state)
{
  systemd->unit_state = state;
  if (!systemd->has_subscriber)
    return FALSE;
  g_assert_true (g_dbus_connection_emit_signal (
    systemd->bus, NULL, PATH, IFACE, "JobRemoved",
    g_variant_new ("(uoss)", 42u, PATH "/job/42", unit, "done"), NULL));
  return TRUE;
}

guint
stand_in_systemd_count_reads (const StandInSystemd *systemd)
{
  return systemd->read_count;
}
