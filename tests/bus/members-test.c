/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * members-test - every method, property and signal of org.clockferry1, tried by users of each kind
 *
 * What there is to try is told by introspection. A member that the tables here do not know fails: whoever
 * adds one decides here who may use it.
 */

#include <string.h>
#include <unistd.h>

#include "bus-service.h"
#include "bus-users.h"
#include "event-tape.h"
#include "names.h"
#include "wait-until.h"

#define PROPERTIES_IFACE     "org.freedesktop.DBus.Properties"
#define INTROSPECTABLE_IFACE "org.freedesktop.DBus.Introspectable"
#define OBJECT_MANAGER_IFACE "org.freedesktop.DBus.ObjectManager"

#define WEB       "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
#define MIGRATION "0123456789abcdef0123456789abcdef"

typedef enum {
  OPEN_TO_READERS = 1, /* and to root */
  OPEN_TO_ROOT,
  OPEN_TO_NOBODY, /* root gets past the bus, and the daemon says no */
} Openness;

static const struct {
  const char *interface;
  const char *name;
  Openness openness;
} methods[] = {
  { INTROSPECTABLE_IFACE, "Introspect", OPEN_TO_READERS },
  { "org.freedesktop.DBus.Peer", "Ping", OPEN_TO_READERS },
  { "org.freedesktop.DBus.Peer", "GetMachineId", OPEN_TO_READERS },
  { PROPERTIES_IFACE, "Get", OPEN_TO_READERS },
  { PROPERTIES_IFACE, "GetAll", OPEN_TO_READERS },
  { PROPERTIES_IFACE, "Set", OPEN_TO_NOBODY },
  { OBJECT_MANAGER_IFACE, "GetManagedObjects", OPEN_TO_READERS },
  { CLOCKFERRY_MANAGER_IFACE, "Reload", OPEN_TO_ROOT },
};

/* They reach everybody: none may hold a secret. service-test looks for the ticket in all of them. */
static const struct {
  const char *interface;
  const char *name;
} signals[] = {
  { PROPERTIES_IFACE, "PropertiesChanged" },
  { OBJECT_MANAGER_IFACE, "InterfacesAdded" },
  { OBJECT_MANAGER_IFACE, "InterfacesRemoved" },
  { CLOCKFERRY_MIGRATION_IFACE, "PhaseChanged" },
};

typedef struct {
  BusUsers *users;
  BusService *service;
  guint reloads;
  GPtrArray *paths; /* of all objects */
  GPtrArray *nodes; /* of GDBusNodeInfo, in the same order */
  GString *heard;
} Fixture;

/* the daemon, with an object of each kind */

static gboolean
on_reload (gpointer user_data, GError **error)
{
  ((Fixture *) user_data)->reloads++;
  return TRUE;
}

static void
on_entry (const EventEntry *entry, gpointer user_data)
{
  bus_service_take_entry (((Fixture *) user_data)->service, entry);
}

static void
show_objects (Fixture *fixture)
{
  const GuestView view = { .name = "web", .phase = MIGRATION_PHASE_RUNNING };
  const EventObserver observer = { on_entry, fixture };
  EventEntry *entry = event_entry_new (EVENT_DEPARTURE_CLAIMED, WEB, "web");
  g_autoptr (GError) error = NULL;

  bus_service_set_domain (fixture->service, WEB, &view);
  event_entry_add (entry, "CLOCKFERRY_MIGRATION", MIGRATION);
  event_entry_set_observer (entry, &observer);
  event_entry_log (entry, "claimed");
  g_assert_true (bus_service_own_name (fixture->service, &error));
  g_assert_no_error (error);
}

static void
introspect (Fixture *fixture, const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = bus_users_call (fixture->users->root, CLOCKFERRY_BUS_NAME, path,
                                               INTROSPECTABLE_IFACE, "Introspect", NULL, &error);
  GDBusNodeInfo *node;
  const char *xml;

  g_assert_no_error (error);
  g_variant_get (reply, "(&s)", &xml);
  node = g_dbus_node_info_new_for_xml (xml, &error);
  g_assert_no_error (error);
  g_ptr_array_add (fixture->paths, g_strdup (path));
  g_ptr_array_add (fixture->nodes, node);
  for (GDBusNodeInfo **child = node->nodes; child != NULL && *child != NULL; child++) {
    g_autofree char *child_path = g_build_path ("/", path, (*child)->path, NULL);

    introspect (fixture, child_path);
  }
}

static void
set_up (Fixture *fixture, gconstpointer is_strict)
{
  event_tape_clear ();
  if (geteuid () != 0)
    return;
  fixture->users = bus_users_new (GPOINTER_TO_INT (is_strict), NULL);
  fixture->service = bus_service_new (fixture->users->daemon, on_reload, fixture);
  fixture->paths = g_ptr_array_new_with_free_func (g_free);
  fixture->nodes = g_ptr_array_new_with_free_func ((GDestroyNotify) g_dbus_node_info_unref);
  fixture->heard = g_string_new (NULL);
  show_objects (fixture);
  introspect (fixture, "/");
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  if (fixture->users == NULL)
    return;
  g_string_free (fixture->heard, TRUE);
  g_ptr_array_unref (fixture->nodes);
  g_ptr_array_unref (fixture->paths);
  bus_service_free (fixture->service);
  bus_users_free (fixture->users);
}

/* visiting members */

typedef void (*Visit) (Fixture *fixture, const char *path, GDBusInterfaceInfo *interface);

static void
visit_interfaces (Fixture *fixture, Visit visit)
{
  for (guint i = 0; i < fixture->nodes->len; i++) {
    GDBusNodeInfo *node = g_ptr_array_index (fixture->nodes, i);

    for (GDBusInterfaceInfo **iface = node->interfaces; iface != NULL && *iface != NULL; iface++)
      visit (fixture, g_ptr_array_index (fixture->paths, i), *iface);
  }
}

/* Empty texts, zeros: in the right form, which is all that it takes to get past a policy. */
static GVariant *
make_arguments (GDBusArgInfo **infos)
{
  g_autoptr (GBytes) nothing = g_bytes_new_static ("", 0);
  g_auto (GVariantBuilder) builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_TUPLE);

  for (GDBusArgInfo **info = infos; info != NULL && *info != NULL; info++) {
    g_autoptr (GVariant) malformed = g_variant_ref_sink (
      g_variant_new_from_bytes (G_VARIANT_TYPE ((*info)->signature), nothing, FALSE));
    g_autoptr (GVariant) value = g_variant_get_normal_form (malformed);

    /* an empty tuple is no D-Bus type */
    if (g_variant_is_of_type (value, G_VARIANT_TYPE_VARIANT))
      g_variant_builder_add (&builder, "v", g_variant_new_string (""));
    else
      g_variant_builder_add_value (&builder, value);
  }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

/* Whether @client's call gets past the bus; otherwise it must be the bus that says no. */
static gboolean
passes (GDBusConnection *client, const char *path, const char *interface, const char *method,
        GVariant *parameters, GError **error)
{
  g_autoptr (GError) denial = NULL;
  g_autoptr (GVariant) reply =
    bus_users_call (client, CLOCKFERRY_BUS_NAME, path, interface, method, parameters, &denial);

  if (reply == NULL && bus_users_is_denied (denial))
    return FALSE;
  /* and not an error of GIO's, which would not have sent it */
  g_assert_true (reply != NULL || g_dbus_error_is_remote_error (denial));
  if (denial != NULL)
    g_propagate_error (error, g_steal_pointer (&denial));
  return TRUE;
}

/* methods */

static Openness
look_up_method (const char *interface, const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (methods); i++) {
    if (g_str_equal (methods[i].interface, interface) && g_str_equal (methods[i].name, name))
      return methods[i].openness;
  }
  g_test_message ("%s.%s is new: who may call it?", interface, name);
  g_test_fail ();
  return OPEN_TO_NOBODY;
}

static void
try_method (Fixture *fixture, const char *path, const char *interface, GDBusMethodInfo *method)
{
  Openness openness = look_up_method (interface, method->name);
  /* as an interface that is named, and as none */
  const char *const forms[] = { interface, NULL };
  g_autoptr (GVariant) arguments = make_arguments (method->in_args);
  g_autoptr (GError) error = NULL;

  g_test_message ("%s %s.%s", path, interface, method->name);
  for (gsize i = 0; i < G_N_ELEMENTS (forms); i++) {
    gboolean is_open = openness == OPEN_TO_READERS && forms[i] != NULL;

    g_assert_false (
      passes (fixture->users->stranger, path, forms[i], method->name, arguments, NULL));
    g_assert_cmpint (passes (fixture->users->reader, path, forms[i], method->name, arguments, NULL),
                     ==, is_open);
  }
  g_assert_true (passes (fixture->users->root, path, interface, method->name, arguments, &error));
  if (openness == OPEN_TO_NOBODY)
    g_assert_nonnull (error);
}

static void
try_methods (Fixture *fixture, const char *path, GDBusInterfaceInfo *interface)
{
  for (GDBusMethodInfo **info = interface->methods; info != NULL && *info != NULL; info++)
    try_method (fixture, path, interface->name, *info);
}

static void
test_methods (Fixture *fixture, gconstpointer data)
{
  if (bus_users_skip ())
    return;
  visit_interfaces (fixture, try_methods);
  /* one by root, and none by anybody else */
  g_assert_cmpuint (fixture->reloads, ==, 1);
  /* objects of each kind were there */
  g_assert_true (g_ptr_array_find_with_equal_func (
    fixture->paths, CLOCKFERRY_MIGRATION_PATH MIGRATION, g_str_equal, NULL));
  g_assert_true (g_ptr_array_find_with_equal_func (
    fixture->paths, CLOCKFERRY_DOMAIN_PATH "4dea22b3_1d52_d8f3_2516_782e98ab3fa0", g_str_equal,
    NULL));
}

/* properties */

static char *
get_property (Fixture *fixture, const char *path, const char *interface, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant)
    reply = bus_users_call (fixture->users->reader, CLOCKFERRY_BUS_NAME, path, PROPERTIES_IFACE,
                            "Get", g_variant_new ("(ss)", interface, name), &error);

  g_assert_no_error (error);
  return g_variant_print (reply, FALSE);
}

/* @client writes what is there: it would be told of success, if it had any. */
static void
fail_to_set (Fixture *fixture, GDBusConnection *client, const char *path, const char *interface,
             const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant)
    got = bus_users_call (fixture->users->reader, CLOCKFERRY_BUS_NAME, path, PROPERTIES_IFACE,
                          "Get", g_variant_new ("(ss)", interface, name), &error);
  g_autoptr (GVariant) value = NULL;
  g_autoptr (GVariant) reply = NULL;

  g_assert_no_error (error);
  g_variant_get (got, "(v)", &value);
  reply = bus_users_call (client, CLOCKFERRY_BUS_NAME, path, PROPERTIES_IFACE, "Set",
                          g_variant_new ("(ssv)", interface, name, value), &error);
  g_assert_null (reply);
  g_assert_error (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
  g_assert_nonnull (strstr (error->message, "not writable"));
}

static void
try_properties (Fixture *fixture, const char *path, GDBusInterfaceInfo *interface)
{
  for (GDBusPropertyInfo **info = interface->properties; info != NULL && *info != NULL; info++) {
    g_autofree char *before = get_property (fixture, path, interface->name, (*info)->name);
    g_autofree char *after = NULL;

    g_test_message ("%s %s.%s", path, interface->name, (*info)->name);
    g_assert_cmpint ((*info)->flags, ==, G_DBUS_PROPERTY_INFO_FLAGS_READABLE);
    fail_to_set (fixture, fixture->users->root, path, interface->name, (*info)->name);
    fail_to_set (fixture, fixture->users->stranger, path, interface->name, (*info)->name);
    after = get_property (fixture, path, interface->name, (*info)->name);
    g_assert_cmpstr (after, ==, before);
  }
}

/* The bus lets everything through, so that it is the daemon that says no. Who may come so far at all is
 * told by test_methods(): Set is one. */
static void
test_properties (Fixture *fixture, gconstpointer data)
{
  if (bus_users_skip ())
    return;
  visit_interfaces (fixture, try_properties);
}

/* signals */

static void
look_up_signals (Fixture *fixture, const char *path, GDBusInterfaceInfo *interface)
{
  for (GDBusSignalInfo **info = interface->signals; info != NULL && *info != NULL; info++) {
    gboolean is_known = FALSE;

    for (gsize i = 0; i < G_N_ELEMENTS (signals); i++)
      is_known = is_known || (g_str_equal (signals[i].interface, interface->name) &&
                              g_str_equal (signals[i].name, (*info)->name));
    if (!is_known) {
      g_test_message ("%s.%s is new: may everybody hear it?", interface->name, (*info)->name);
      g_test_fail ();
    }
  }
}

static void
on_signal (GDBusConnection *bus, const char *sender, const char *path, const char *interface,
           const char *name, GVariant *parameters, gpointer user_data)
{
  g_string_append_printf (((Fixture *) user_data)->heard, "%s.%s ", interface, name);
}

static void
forge_signals (Fixture *fixture, const char *path, GDBusInterfaceInfo *interface)
{
  GDBusConnection *const forgers[] = { fixture->users->stranger, fixture->users->reader };
  /* to all, and straight to the one who listens, past every match rule (CVE-2024-34397) */
  const char *const ways[] = { NULL, g_dbus_connection_get_unique_name (fixture->users->root) };

  for (GDBusSignalInfo **info = interface->signals; info != NULL && *info != NULL; info++) {
    g_autoptr (GVariant) arguments = make_arguments ((*info)->args);

    for (gsize i = 0; i < G_N_ELEMENTS (forgers) * G_N_ELEMENTS (ways); i++) {
      g_assert_true (g_dbus_connection_emit_signal (
        forgers[i / 2], ways[i % 2], path, interface->name, (*info)->name, arguments, NULL));
      g_assert_true (g_dbus_connection_flush_sync (forgers[i / 2], NULL, NULL));
    }
  }
}

static void
sync_with_bus (GDBusConnection *client)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = bus_users_call (client, "org.freedesktop.DBus", "/",
                                               "org.freedesktop.DBus", "GetId", NULL, &error);

  g_assert_no_error (error);
}

/* Who listens to the daemon hears the daemon alone; and everybody may listen. */
static void
test_signals (Fixture *fixture, gconstpointer data)
{
  const GuestView view = { .name = "web", .phase = MIGRATION_PHASE_PAUSED };
  GDBusConnection *listeners[2];
  guint ids[2];

  if (bus_users_skip ())
    return;
  visit_interfaces (fixture, look_up_signals);
  listeners[0] = fixture->users->root;
  listeners[1] = fixture->users->stranger;
  for (gsize i = 0; i < G_N_ELEMENTS (listeners); i++) {
    ids[i] = g_dbus_connection_signal_subscribe (listeners[i], CLOCKFERRY_BUS_NAME, NULL, NULL,
                                                 NULL, NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_signal,
                                                 fixture, NULL);
    /* an answer: the bus knows of the subscription */
    sync_with_bus (listeners[i]);
  }
  visit_interfaces (fixture, forge_signals);
  /* the bus has passed on all of that before it hears of the true one */
  sync_with_bus (fixture->users->stranger);
  sync_with_bus (fixture->users->reader);
  bus_service_set_domain (fixture->service, WEB, &view);
  WAIT_UNTIL (g_str_has_suffix (fixture->heard->str,
                                "PropertiesChanged " PROPERTIES_IFACE ".PropertiesChanged "));
  g_assert_cmpstr (fixture->heard->str, ==,
                   PROPERTIES_IFACE ".PropertiesChanged " PROPERTIES_IFACE ".PropertiesChanged ");
  for (gsize i = 0; i < G_N_ELEMENTS (listeners); i++)
    g_dbus_connection_signal_unsubscribe (listeners[i], ids[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  event_tape_start ();

#define ADD(path, is_strict, function)                                                             \
  g_test_add ("/members/" path, Fixture, GINT_TO_POINTER (is_strict), set_up, function, tear_down)
  ADD ("methods", TRUE, test_methods);
  ADD ("properties", FALSE, test_properties);
  ADD ("signals", TRUE, test_signals);
#undef ADD
  return g_test_run ();
}
