/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl-check-bus.h"

#include <string.h>

#include "private-bus.h"

#define SYSTEMD_NAME    "org.freedesktop.systemd1"
#define SYSTEMD_PATH    "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define MISSING_UNIT    SYSTEMD_PATH "/unit/missing"
#define JOB             SYSTEMD_PATH "/job/42"

typedef struct {
  GVariant *reply; /* NULL: an error */
  char *error_name;
  char *message;
} Answer;

struct CheckBus {
  PrivateBus *bus;
  GDBusConnection *service;
  GDBusConnection *client;

  GMutex lock;         /* of all that follows: GDBus's thread reads it */
  GHashTable *answers; /* of Answer, by "PATH MEMBER ARGUMENT" */
  GHashTable *counts;  /* by member */
  const char *job_result;
};

static void
answer_free (Answer *answer)
{
  g_clear_pointer (&answer->reply, g_variant_unref);
  g_free (answer->error_name);
  g_free (answer->message);
  g_free (answer);
}

static char *
make_key (const char *path, const char *member, const char *argument)
{
  return g_strdup_printf ("%s %s %s", path, member, argument != NULL ? argument : "*");
}

/* Its arguments with slashes between, texts as they are and all else as g_variant_print() has it. */
static char *
join_arguments (GVariant *body)
{
  g_autoptr (GString) joined = g_string_new (NULL);

  for (gsize i = 0; body != NULL && i < g_variant_n_children (body); i++) {
    g_autoptr (GVariant) argument = g_variant_get_child_value (body, i);

    if (i > 0)
      g_string_append_c (joined, '/');
    if (g_variant_is_of_type (argument, G_VARIANT_TYPE_STRING))
      g_string_append (joined, g_variant_get_string (argument, NULL));
    else
      g_variant_print_string (argument, joined, FALSE);
  }
  return g_string_free (g_steal_pointer (&joined), FALSE);
}

static const Answer *
find_answer (CheckBus *bus, GDBusMessage *call)
{
  g_autofree char *argument = join_arguments (g_dbus_message_get_body (call));
  const char *path = g_dbus_message_get_path (call);
  const char *member = g_dbus_message_get_member (call);
  g_autofree char *exact = make_key (path, member, argument);
  g_autofree char *any = make_key (path, member, NULL);
  const Answer *answer = g_hash_table_lookup (bus->answers, exact);

  return answer != NULL ? answer : g_hash_table_lookup (bus->answers, any);
}

static void
send (GDBusConnection *connection, GDBusMessage *message)
{
  (void) g_dbus_connection_send_message (connection, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL,
                                         NULL);
}

static void
end_job (CheckBus *bus, GDBusConnection *connection)
{
  g_autoptr (GDBusMessage)
    signal = g_dbus_message_new_signal (SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved");

  g_dbus_message_set_body (signal,
                           g_variant_new ("(uoss)", 42u, JOB, "any.service", bus->job_result));
  send (connection, signal);
}

/* In GDBus's own thread. */
static GDBusMessage *
on_message (GDBusConnection *connection, GDBusMessage *message, gboolean incoming,
            gpointer user_data)
{
  CheckBus *bus = user_data;
  g_autoptr (GDBusMessage) reply = NULL;
  g_autoptr (GMutexLocker) locker = NULL;
  const Answer *answer;
  const char *member = g_dbus_message_get_member (message);

  if (!incoming || g_dbus_message_get_message_type (message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
    return message;
  locker = g_mutex_locker_new (&bus->lock);
  g_hash_table_replace (
    bus->counts, g_strdup (member),
    GUINT_TO_POINTER (GPOINTER_TO_UINT (g_hash_table_lookup (bus->counts, member)) + 1));
  answer = find_answer (bus, message);
  if (answer == NULL) {
    reply = g_dbus_message_new_method_error_literal (
      message, "org.freedesktop.DBus.Error.UnknownMethod", "this test has no answer to that");
  } else if (answer->reply == NULL) {
    reply = g_dbus_message_new_method_error_literal (message, answer->error_name, answer->message);
  } else {
    reply = g_dbus_message_new_method_reply (message);
    g_dbus_message_set_body (reply, answer->reply);
  }
  send (connection, reply);
  if (g_str_equal (member, "ReloadUnit") && bus->job_result != NULL)
    end_job (bus, connection);
  g_object_unref (message);
  return NULL;
}

static void
add_answer (CheckBus *bus, const char *path, const char *member, const char *argument,
            Answer *answer)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&bus->lock);

  g_hash_table_replace (bus->answers, make_key (path, member, argument), answer);
}

static void
answer_properties (CheckBus *bus, const char *path, const char *iface, GVariantDict *properties)
{
  check_bus_answer (bus, path, "GetAll", iface,
                    g_variant_new ("(@a{sv})", g_variant_dict_end (properties)));
}

/* public functions */

CheckBus *
check_bus_start (void)
{
  CheckBus *bus = g_new0 (CheckBus, 1);

  g_mutex_init (&bus->lock);
  bus->answers =
    g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) answer_free);
  bus->counts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  bus->job_result = "done";
  bus->bus = private_bus_start ();
  bus->service = private_bus_connect (bus->bus);
  g_dbus_connection_add_filter (bus->service, on_message, bus, NULL);
  bus->client = private_bus_connect (bus->bus);
  return bus;
}

void
check_bus_end (CheckBus *bus)
{
  (void) g_dbus_connection_close_sync (bus->client, NULL, NULL);
  (void) g_dbus_connection_close_sync (bus->service, NULL, NULL);
  g_object_unref (bus->client);
  g_object_unref (bus->service);
  private_bus_end (bus->bus);
  g_hash_table_unref (bus->answers);
  g_hash_table_unref (bus->counts);
  g_mutex_clear (&bus->lock);
  g_free (bus);
}

GDBusConnection *
check_bus_get_client (CheckBus *bus)
{
  return bus->client;
}

void
check_bus_own (CheckBus *bus, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_sync (
    bus->service, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
    "RequestName", g_variant_new ("(su)", name, 4u), G_VARIANT_TYPE ("(u)"), G_DBUS_CALL_FLAGS_NONE,
    -1, NULL, &error);

  g_assert_no_error (error);
}

void
check_bus_answer (CheckBus *bus, const char *path, const char *member, const char *argument,
                  GVariant *reply)
{
  Answer *answer = g_new0 (Answer, 1);

  answer->reply = g_variant_ref_sink (reply);
  add_answer (bus, path, member, argument, answer);
}

void
check_bus_fail (CheckBus *bus, const char *path, const char *member, const char *argument,
                const char *error_name, const char *message)
{
  Answer *answer = g_new0 (Answer, 1);

  answer->error_name = g_strdup (error_name);
  answer->message = g_strdup (message);
  add_answer (bus, path, member, argument, answer);
}

guint
check_bus_count (CheckBus *bus, const char *member)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&bus->lock);

  return GPOINTER_TO_UINT (g_hash_table_lookup (bus->counts, member));
}

void
check_bus_set_systemd (CheckBus *bus)
{
  GVariantDict unit, service;

  check_bus_own (bus, SYSTEMD_NAME);
  check_bus_answer (bus, SYSTEMD_PATH, "LoadUnit", NULL, g_variant_new ("(o)", MISSING_UNIT));
  check_bus_answer (bus, SYSTEMD_PATH, "Subscribe", NULL, g_variant_new ("()"));
  check_bus_answer (bus, SYSTEMD_PATH, "ReloadUnit", NULL, g_variant_new ("(o)", JOB));
  g_variant_dict_init (&unit, NULL);
  g_variant_dict_insert (&unit, "LoadState", "s", "not-found");
  g_variant_dict_insert (&unit, "ActiveState", "s", "inactive");
  answer_properties (bus, MISSING_UNIT, "org.freedesktop.systemd1.Unit", &unit);
  g_variant_dict_init (&service, NULL);
  answer_properties (bus, MISSING_UNIT, "org.freedesktop.systemd1.Service", &service);
}

void
check_bus_set_unit (CheckBus *bus, const char *name, const char *load_state,
                    const char *active_state, const char *file_state, const char *result,
                    gint64 state_change_us)
{
  g_autofree char *path = g_strconcat (SYSTEMD_PATH "/unit/", name, NULL);
  GVariantDict unit, service;

  g_strdelimit (path, ".-", '_');
  check_bus_answer (bus, SYSTEMD_PATH, "LoadUnit", name, g_variant_new ("(o)", path));
  g_variant_dict_init (&unit, NULL);
  g_variant_dict_insert (&unit, "LoadState", "s", load_state);
  g_variant_dict_insert (&unit, "ActiveState", "s", active_state);
  g_variant_dict_insert (&unit, "UnitFileState", "s", file_state);
  g_variant_dict_insert (&unit, "StateChangeTimestamp", "t", (guint64) state_change_us);
  answer_properties (bus, path, "org.freedesktop.systemd1.Unit", &unit);
  g_variant_dict_init (&service, NULL);
  g_variant_dict_insert (&service, "Result", "s", result);
  answer_properties (bus, path, "org.freedesktop.systemd1.Service", &service);
}

void
check_bus_set_job_result (CheckBus *bus, const char *result)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&bus->lock);

  bus->job_result = result;
}

void
check_bus_set_up (CheckFixture *fixture, gconstpointer data)
{
  fixture->bus = check_bus_start ();
  fixture->client = fixture->bus->client;
  check_bus_set_systemd (fixture->bus);
  check_fixture_set_up (fixture, data);
}

void
check_bus_tear_down (CheckFixture *fixture, gconstpointer data)
{
  check_fixture_tear_down (fixture, data);
  check_bus_end (fixture->bus);
}
