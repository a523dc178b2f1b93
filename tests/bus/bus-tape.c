/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-tape.h"

#include <string.h>

#include "names.h"
#include "wait-until.h"

typedef struct {
  char *path; /* of the object it is about */
  char *what;
  char *text; /* all of it */
} Signal;

struct BusTape {
  GDBusConnection *connection;
  guint subscription;
  GPtrArray *signals; /* of Signal */
};

static void
signal_free (Signal *signal)
{
  g_free (signal->path);
  g_free (signal->what);
  g_free (signal->text);
  g_free (signal);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* "{Peer,Phase}" */
static char *
describe_changes (GVariant *arguments)
{
  g_autoptr (GVariant) changed = g_variant_get_child_value (arguments, 1);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *list = NULL;
  GVariantIter iter;
  const char *name;

  g_variant_iter_init (&iter, changed);
  while (g_variant_iter_next (&iter, "{&sv}", &name, NULL))
    g_ptr_array_add (names, (gpointer) name);
  g_ptr_array_sort (names, compare_names);
  g_ptr_array_add (names, NULL);
  list = g_strjoinv (",", (char **) names->pdata);
  return g_strdup_printf ("{%s}", list);
}

static void
on_signal (GDBusConnection *connection, const char *sender, const char *path, const char *interface,
           const char *name, GVariant *arguments, gpointer user_data)
{
  BusTape *tape = user_data;
  Signal *signal = g_new0 (Signal, 1);
  const char *object = path;
  const char *phase;

  if (g_str_equal (name, "InterfacesAdded") || g_str_equal (name, "InterfacesRemoved")) {
    g_variant_get_child (arguments, 0, "&o", &object);
    signal->what = g_strdup (g_str_equal (name, "InterfacesAdded") ? "added" : "removed");
  } else if (g_str_equal (name, "PropertiesChanged")) {
    signal->what = describe_changes (arguments);
  } else {
    g_assert_cmpstr (name, ==, "PhaseChanged");
    g_variant_get_child (arguments, 0, "&s", &phase);
    signal->what = g_strconcat ("!", phase, NULL);
  }
  signal->path = g_strdup (object);
  signal->text = g_variant_print (arguments, FALSE);
  g_ptr_array_add (tape->signals, signal);
}

static void
on_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

/* public functions */

BusTape *
bus_tape_start (PrivateBus *bus)
{
  BusTape *tape = g_new0 (BusTape, 1);
  g_autoptr (GVariant) before = NULL;
  g_autoptr (GVariant) after = NULL;

  tape->connection = private_bus_connect (bus);
  g_dbus_connection_set_exit_on_close (tape->connection, FALSE);
  tape->signals = g_ptr_array_new_with_free_func ((GDestroyNotify) signal_free);
  tape->subscription =
    g_dbus_connection_signal_subscribe (tape->connection, CLOCKFERRY_BUS_NAME, NULL, NULL, NULL,
                                        NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_signal, tape, NULL);
  /* changes are told in an idle moment, and are not overtaken by answers to later calls */
  before = bus_tape_get_objects (tape);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  after = bus_tape_get_objects (tape);
  g_ptr_array_set_size (tape->signals, 0);
  return tape;
}

void
bus_tape_free (BusTape *tape)
{
  g_dbus_connection_signal_unsubscribe (tape->connection, tape->subscription);
  (void) g_dbus_connection_close_sync (tape->connection, NULL, NULL);
  g_object_unref (tape->connection);
  g_ptr_array_unref (tape->signals);
  g_free (tape);
}

char *
bus_tape_describe (BusTape *tape, const char *path)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();

  for (guint i = 0; i < tape->signals->len; i++) {
    const Signal *signal = g_ptr_array_index (tape->signals, i);

    if (g_str_equal (signal->path, path))
      g_ptr_array_add (words, signal->what);
  }
  g_ptr_array_add (words, NULL);
  return g_strjoinv (" ", (char **) words->pdata);
}

gboolean
bus_tape_mentions (BusTape *tape, const char *text)
{
  for (guint i = 0; i < tape->signals->len; i++) {
    const Signal *signal = g_ptr_array_index (tape->signals, i);

    if (strstr (signal->text, text) != NULL)
      return TRUE;
  }
  return FALSE;
}

GVariant *
bus_tape_call (BusTape *tape, const char *path, const char *interface, const char *method,
               GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  g_dbus_connection_call (tape->connection, CLOCKFERRY_BUS_NAME, path, interface, method, NULL,
                          NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, on_result, &result);
  WAIT_UNTIL (result != NULL);
  return g_dbus_connection_call_finish (tape->connection, result, error);
}

GVariant *
bus_tape_get_objects (BusTape *tape)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = bus_tape_call (
    tape, CLOCKFERRY_BUS_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &error);

  g_assert_no_error (error);
  return g_variant_get_child_value (reply, 0);
}

GStrv
bus_tape_list (BusTape *tape, const char *prefix)
{
  g_autoptr (GVariant) objects = bus_tape_get_objects (tape);
  GPtrArray *paths = g_ptr_array_new ();
  GVariantIter iter;
  const char *path;

  g_variant_iter_init (&iter, objects);
  while (g_variant_iter_next (&iter, "{&oa{sa{sv}}}", &path, NULL)) {
    if (g_str_has_prefix (path, prefix))
      g_ptr_array_add (paths, g_strdup (path));
  }
  g_ptr_array_sort (paths, compare_names);
  g_ptr_array_add (paths, NULL);
  return (GStrv) g_ptr_array_free (paths, FALSE);
}

char *
bus_tape_get (BusTape *tape, const char *path, const char *interface, const char *property)
{
  g_autoptr (GVariant) objects = bus_tape_get_objects (tape);
  g_autoptr (GVariant)
    object = g_variant_lookup_value (objects, path, G_VARIANT_TYPE ("a{sa{sv}}"));
  g_autoptr (GVariant) properties = NULL;
  g_autoptr (GVariant) value = NULL;

  if (object == NULL)
    return NULL;
  properties = g_variant_lookup_value (object, interface, G_VARIANT_TYPE ("a{sv}"));
  g_assert_nonnull (properties);
  value = g_variant_lookup_value (properties, property, NULL);
  g_assert_nonnull (value);
  return g_variant_is_of_type (value, G_VARIANT_TYPE_STRING) ? g_variant_dup_string (value, NULL)
                                                             : g_variant_print (value, FALSE);
}
