/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * real-libvirt-test - the real libvirt-dbus with libvirt's test driver, which has one domain "test"
 *
 * Holds what the daemon relies on, and what the stand-in imitates, against the original.
 */

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "bus-host.h"
#include "domain-info.h"
#include "libvirt-calls.h"
#include "libvirt-watch.h"
#include "names.h"
#include "temp-folder.h"
#include "wait-until.h"

#define DRIVER_PATH "/org/libvirt/Test"

typedef struct {
  PrivateBus *bus;
  GDBusConnection *connection;
  LibvirtWatch *watch;
  char *folder; /* a home of its own */

  guint listed;
  char *uuid; /* of the one domain, once listed */
  guint lost;
  GString *events;
  GString *changes; /* of metadata: URIs */

  gboolean is_answered;
  char *xml;
  LibvirtDomainState state;
  GError *error;
} Fixture;

static void
on_listed (GPtrArray *uuids, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->listed++;
  g_assert_cmpuint (uuids->len, ==, 1);
  g_free (fixture->uuid);
  fixture->uuid = g_strdup (g_ptr_array_index (uuids, 0));
}

static void
on_event (const char *uuid, int event, int detail, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_assert_cmpstr (uuid, ==, fixture->uuid);
  g_string_append_printf (fixture->events, "%d,%d ", event, detail);
}

static void
on_metadata (const char *uuid, const char *uri, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_assert_cmpstr (uuid, ==, fixture->uuid);
  g_string_append_printf (fixture->changes, "%s ", uri);
}

static void
on_lost (const GError *error, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_test_message ("lost: %s", error->message);
  fixture->lost++;
}

static const LibvirtWatchCallbacks callbacks = {
  .listed = on_listed,
  .event = on_event,
  .metadata = on_metadata,
  .lost = on_lost,
};

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autofree char *command_line = NULL;

  fixture->folder = temp_folder_make ();
  command_line = g_strdup_printf (
    "/usr/bin/env HOME=%s XDG_RUNTIME_DIR=%s XDG_CACHE_HOME=%s " LIBVIRT_DBUS " --session",
    fixture->folder, fixture->folder, fixture->folder);
  fixture->bus = private_bus_start ();
  private_bus_add_service (fixture->bus, LIBVIRT_BUS_NAME, command_line);
  fixture->connection = private_bus_connect (fixture->bus);
  fixture->events = g_string_new (NULL);
  fixture->changes = g_string_new (NULL);
  /* nobody runs it yet: the watch is what activates it */
  fixture->watch = libvirt_watch_new (fixture->connection, DRIVER_PATH, &callbacks, fixture);
  WAIT_UNTIL (fixture->listed == 1);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->watch, libvirt_watch_free);
  (void) g_dbus_connection_close_sync (fixture->connection, NULL, NULL);
  g_clear_object (&fixture->connection);
  /* libvirt-dbus exits when its bus does */
  g_clear_pointer (&fixture->bus, private_bus_end);
  g_clear_pointer (&fixture->folder, temp_folder_remove);
  g_string_free (fixture->events, TRUE);
  g_string_free (fixture->changes, TRUE);
  g_free (fixture->uuid);
  g_free (fixture->xml);
  g_clear_error (&fixture->error);
}

/* What an administrator does, through another connection. Takes @parameters. */
static void
call_domain_with (Fixture *fixture, const char *method, GVariant *parameters)
{
  g_autoptr (GDBusConnection) admin = private_bus_connect (fixture->bus);
  g_autofree char *base = g_strdelimit (g_strdup (fixture->uuid), "-", '_');
  g_autofree char *path = g_strconcat (DRIVER_PATH "/domain/_", base, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply =
    g_dbus_connection_call_sync (admin, LIBVIRT_BUS_NAME, path, LIBVIRT_DOMAIN_IFACE, method,
                                 parameters, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);

  g_assert_no_error (error);
}

static void
call_domain (Fixture *fixture, const char *method)
{
  call_domain_with (fixture, method, NULL);
}

static pid_t
get_owner_pid (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_sync (
    fixture->connection, "org.freedesktop.DBus", "/", "org.freedesktop.DBus",
    "GetConnectionUnixProcessID", g_variant_new ("(s)", LIBVIRT_BUS_NAME), G_VARIANT_TYPE ("(u)"),
    G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
  guint32 pid = 0;

  g_assert_no_error (error);
  g_variant_get (reply, "(u)", &pid);
  return (pid_t) pid;
}

static void
test_events (Fixture *fixture, gconstpointer data)
{
  call_domain (fixture, "Suspend");
  call_domain (fixture, "Resume");
  WAIT_UNTIL (strstr (fixture->events->str, "4,0 ") != NULL);
  /* SUSPENDED/PAUSED, RESUMED/UNPAUSED */
  g_assert_cmpstr (fixture->events->str, ==, "3,0 4,0 ");
  g_assert_cmpuint (fixture->lost, ==, 0);
}

static void
test_killed (Fixture *fixture, gconstpointer data)
{
  pid_t pid = get_owner_pid (fixture);

  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  WAIT_UNTIL (fixture->lost == 1);
  /* nobody starts it but the watch's own next call */
  WAIT_UNTIL (fixture->listed >= 2);
  g_assert_cmpint (get_owner_pid (fixture), !=, pid);
  call_domain (fixture, "Suspend");
  WAIT_UNTIL (strstr (fixture->events->str, "3,0 ") != NULL);
  g_assert_cmpuint (fixture->lost, ==, 1);
}

/* the calls */

static void
on_xml (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->is_answered = TRUE;
  g_free (fixture->xml);
  fixture->xml = libvirt_get_xml_finish (G_DBUS_CONNECTION (source), result, &fixture->error);
}

static void
on_state (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->is_answered = TRUE;
  (void) libvirt_get_state_finish (G_DBUS_CONNECTION (source), result, &fixture->state,
                                   &fixture->error);
}

static void
on_element (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->is_answered = TRUE;
  (void) libvirt_set_element_finish (G_DBUS_CONNECTION (source), result, &fixture->error);
}

static void
wait_for_answer (Fixture *fixture)
{
  WAIT_UNTIL (fixture->is_answered);
  fixture->is_answered = FALSE;
}

/* What goes in by SetMetadata comes out of GetXMLDesc as an element of ours, and only one. */
static void
test_element (Fixture *fixture, gconstpointer data)
{
  for (guint16 port = 1; port <= 2; port++) {
    g_autofree char *ticket = source_element_make_ticket (NULL);
    const SourceElement element = {
      .address = (char *) "fe80::1%br0", .port = port, .pin = ticket, .ticket = ticket
    };
    g_autofree char *xml = source_element_to_xml (&element);
    g_autoptr (DomainInfo) info = NULL;

    libvirt_set_element_async (fixture->connection, DRIVER_PATH, fixture->uuid, xml, NULL,
                               on_element, fixture);
    wait_for_answer (fixture);
    g_assert_no_error (fixture->error);
    libvirt_get_xml_async (fixture->connection, DRIVER_PATH, fixture->uuid, LIBVIRT_CALL_PATIENT,
                           NULL, on_xml, fixture);
    wait_for_answer (fixture);
    g_assert_no_error (fixture->error);

    info = domain_info_parse (fixture->xml, &fixture->error);
    g_assert_no_error (fixture->error);
    g_assert_cmpstr (info->name, ==, "test");
    g_assert_cmpstr (info->uuid, ==, fixture->uuid);
    g_assert_cmpint (info->id, ==, 1);
    g_assert_false (info->is_kvm);
    g_assert_cmpstr (info->source_problem, ==, NULL);
    g_assert_nonnull (info->source);
    g_assert_cmpstr (info->source->address, ==, "fe80::1%br0");
    g_assert_cmpuint (info->source->port, ==, port);
    g_assert_cmpstr (info->source->ticket, ==, ticket);
  }
}

/* The command of docs/domain-policy.md, as virsh makes a call of it. */
static void
set_policy (Fixture *fixture, const char *element)
{
  call_domain_with (fixture, "SetMetadata",
                    g_variant_new ("(isssu)", 2, element, "clockferry", CLOCKFERRY_POLICY_NS, 1u));
}

/* Ours is told of it, and both elements are there beside each other. */
static void
test_policy (Fixture *fixture, gconstpointer data)
{
  const SourceElement element = {
    .address = (char *) "h", .port = 1, .pin = (char *) "p", .ticket = (char *) "t"
  };
  g_autofree char *xml = source_element_to_xml (&element);
  g_autoptr (DomainInfo) info = NULL;

  set_policy (fixture, "<policy mode='apply'/>");
  set_policy (fixture, "<policy mode='observe' maxAdvanceSec='60'/>");
  libvirt_set_element_async (fixture->connection, DRIVER_PATH, fixture->uuid, xml, NULL, on_element,
                             fixture);
  wait_for_answer (fixture);
  g_assert_no_error (fixture->error);
  WAIT_UNTIL (strstr (fixture->changes->str, CLOCKFERRY_DOMAIN_NS) != NULL);
  g_assert_cmpstr (fixture->changes->str, ==,
                   CLOCKFERRY_POLICY_NS " " CLOCKFERRY_POLICY_NS " " CLOCKFERRY_DOMAIN_NS " ");

  libvirt_get_xml_async (fixture->connection, DRIVER_PATH, fixture->uuid, LIBVIRT_CALL_PATIENT,
                         NULL, on_xml, fixture);
  wait_for_answer (fixture);
  info = domain_info_parse (fixture->xml, &fixture->error);
  g_assert_no_error (fixture->error);
  g_assert_cmpstr (info->policy_problem, ==, NULL);
  g_assert_nonnull (info->policy);
  g_assert_cmpstr (domain_policy_get_text (info->policy), ==, "mode=observe maxAdvanceSec=60");
  g_assert_nonnull (info->source_problem);
}

static void
test_state (Fixture *fixture, gconstpointer data)
{
  libvirt_get_state_async (fixture->connection, DRIVER_PATH, fixture->uuid, LIBVIRT_CALL_PATIENT,
                           NULL, on_state, fixture);
  wait_for_answer (fixture);
  g_assert_no_error (fixture->error);
  g_assert_cmpint (fixture->state.state, ==, 1 /* VIR_DOMAIN_RUNNING */);
}

static void
on_job (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->is_answered = TRUE;
  g_assert_false (libvirt_has_job_finish (G_DBUS_CONNECTION (source), result, &fixture->error));
}

/* libvirt's test driver knows no jobs; that it says so shows that libvirt-dbus knows the method. */
static void
test_job (Fixture *fixture, gconstpointer data)
{
  libvirt_get_job_async (fixture->connection, DRIVER_PATH, fixture->uuid, NULL, on_job, fixture);
  wait_for_answer (fixture);
  g_assert_nonnull (fixture->error);
  g_test_message ("%s", fixture->error->message);
  g_assert_nonnull (strstr (fixture->error->message, "not supported by the connection driver"));
}

static void
test_unknown_domain (Fixture *fixture, gconstpointer data)
{
  libvirt_get_xml_async (fixture->connection, DRIVER_PATH, OTHER, LIBVIRT_CALL_PATIENT, NULL,
                         on_xml, fixture);
  wait_for_answer (fixture);
  g_assert_null (fixture->xml);
  g_assert_nonnull (fixture->error);
  g_test_message ("%s", fixture->error->message);
  g_assert_true (g_str_has_prefix (fixture->error->message, "libvirt's GetXMLDesc failed: "));
  /* for a person to read: without the D-Bus name of the error */
  g_assert_null (strstr (fixture->error->message, "org.libvirt"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function)                                                                        \
  g_test_add ("/real-libvirt/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("events", test_events);
  ADD ("killed", test_killed);
  ADD ("element", test_element);
  ADD ("policy", test_policy);
  ADD ("state", test_state);
  ADD ("job", test_job);
  ADD ("unknown-domain", test_unknown_domain);
#undef ADD
  return g_test_run ();
}
