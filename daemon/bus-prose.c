/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-prose.h"

#include "bus-prose-xml.h"

static GDBusInterfaceInfo *
find_interface (const char *name)
{
  static GDBusNodeInfo *node;
  g_autoptr (GError) error = NULL;

  if (node == NULL)
    node = g_dbus_node_info_new_for_xml (bus_prose_xml, &error);
  g_assert_no_error (error); /* it is a constant */
  return g_dbus_node_info_lookup_interface (node, name);
}

static GQuark
get_quark (void)
{
  return g_quark_from_static_string ("clockferry-bus-prose");
}

static GDBusInterfaceInfo *
get_info (GDBusInterfaceSkeleton *skeleton)
{
  GDBusInterfaceInfo *info = NULL;

  for (GType type = G_OBJECT_TYPE (skeleton); info == NULL; type = g_type_parent (type))
    info = g_type_get_qdata (type, get_quark ());
  return info;
}

static void
class_init (gpointer klass, gpointer class_data)
{
  G_DBUS_INTERFACE_SKELETON_CLASS (klass)->get_info = get_info;
}

/* public functions */

GType
bus_prose_derive (GType skeleton_type, const char *interface)
{
  g_autofree char *name = g_strconcat (g_type_name (skeleton_type), "WithProse", NULL);
  GType type = g_type_from_name (name);
  GTypeQuery query;

  if (type != 0)
    return type;
  g_type_query (skeleton_type, &query);
  type = g_type_register_static_simple (skeleton_type, name, query.class_size, class_init,
                                        query.instance_size, NULL, 0);
  g_type_set_qdata (type, get_quark (), find_interface (interface));
  return type;
}
