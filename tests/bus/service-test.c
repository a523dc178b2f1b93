/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service-test - org.clockferry1 on two hosts' buses, while a domain goes from one to the other
 */

#include <string.h>

#include "bus-migrations.h"
#include "bus-tape.h"
#include "event-tape.h"
#include "managed-pair.h"
#include "names.h"
#include "wait-until.h"

#define WEB_PATH "/org/clockferry1/domain/_4dea22b3_1d52_d8f3_2516_782e98ab3fa0"

typedef struct {
  ManagedPair pair;
  BusTape *source;
  BusTape *dest;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  managed_pair_set_up (&fixture->pair, NULL);
  fixture->source = bus_tape_start (fixture->pair.source->host->bus);
  fixture->dest = bus_tape_start (fixture->pair.dest->host->bus);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  bus_tape_free (fixture->dest);
  bus_tape_free (fixture->source);
  managed_pair_tear_down (&fixture->pair, NULL);
}

static void
assert_property (BusTape *tape, const char *path, const char *interface, const char *property,
                 const char *expected)
{
  g_autofree char *value = bus_tape_get (tape, path, interface, property);

  g_assert_cmpstr (value, ==, expected);
}

static void
assert_domain (BusTape *tape, const char *property, const char *expected)
{
  assert_property (tape, WEB_PATH, CLOCKFERRY_DOMAIN_IFACE, property, expected);
}

static void
assert_manager (BusTape *tape, const char *property, const char *expected)
{
  assert_property (tape, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, property, expected);
}

static gboolean
is_told (BusTape *tape, const char *path, const char *expected)
{
  g_autofree char *told = bus_tape_describe (tape, path);

  return g_str_equal (told, expected);
}

/* The only migration there is. Owned by the caller. */
static char *
find_migration (BusTape *tape)
{
  g_auto (GStrv) paths = bus_tape_list (tape, CLOCKFERRY_MIGRATION_PATH);

  g_assert_cmpuint (g_strv_length (paths), ==, 1);
  return g_strdup (paths[0]);
}

static void
assert_migration (BusTape *tape, const char *property, const char *expected)
{
  g_autofree char *path = find_migration (tape);

  assert_property (tape, path, CLOCKFERRY_MIGRATION_IFACE, property, expected);
}

/* The manager */

static void
test_manager (Fixture *fixture, gconstpointer data)
{
  g_autofree char *port = g_strdup_printf ("%u", fixture->pair.dest->host->port);
  g_autofree char *pin = NULL;

  assert_manager (fixture->dest, "Address", "127.0.0.1");
  assert_manager (fixture->dest, "Port", port);
  assert_manager (fixture->dest, "Mode", "apply");
  assert_manager (fixture->dest, "HostClock", "measure");
  assert_manager (fixture->dest, "MaxAdvanceSec", "123");
  assert_manager (fixture->dest, "LibvirtConnected", "true");
  assert_manager (fixture->dest, "LibvirtProblem", "");
  assert_manager (fixture->dest, "Peers", "[]");
  pin = bus_tape_get (fixture->dest, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, "Pin");
  g_assert_cmpuint (strlen (pin), ==, 64);
  g_assert_true (g_str_equal (pin, event_tape_get ("daemon-ready", "CLOCKFERRY_PIN")));
}

static void
test_libvirt_lost (Fixture *fixture, gconstpointer data)
{
  stand_in_libvirt_leave_bus (fixture->pair.dest->host->libvirt);
  WAIT_UNTIL (event_tape_count ("libvirt-lost") == 1);
  assert_manager (fixture->dest, "LibvirtConnected", "false");
  assert_manager (fixture->dest, "LibvirtProblem",
                  event_tape_get ("libvirt-lost", "MESSAGE") +
                    strlen ("libvirt cannot be followed, "
                            "migrations will be stock until it "
                            "can: "));
  stand_in_libvirt_join_bus (fixture->pair.dest->host->libvirt);
  WAIT_UNTIL (is_told (fixture->dest, CLOCKFERRY_MANAGER_PATH,
                       "{LibvirtConnected,LibvirtProblem} {LibvirtConnected,LibvirtProblem}"));
  assert_manager (fixture->dest, "LibvirtConnected", "true");
}

/* Read when asked for, and never told without. */
static void
test_clock (Fixture *fixture, gconstpointer data)
{
  HostClockState state;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  guint64 max_error_us;

  g_assert_true (host_clock_read_state (&state, &error));
  assert_manager (fixture->dest, "ClockSynchronised", state.synchronised ? "true" : "false");
  text = bus_tape_get (fixture->dest, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE,
                       "ClockMaxErrorUs");
  max_error_us = g_ascii_strtoull (text, NULL, 10);
  /* what is not corrected grows by 500 us each second */
  g_assert_cmpuint (max_error_us, >=, MIN (state.max_error_us, 1));
  g_assert_cmpuint (max_error_us, <=, HOST_CLOCK_MAX_ERROR_US);
  if (!state.synchronised)
    g_assert_cmpuint (max_error_us, ==, HOST_CLOCK_MAX_ERROR_US);
  g_assert_false (bus_tape_mentions (fixture->dest, "Clock"));
}

/* domains */

static void
test_domain (Fixture *fixture, gconstpointer data)
{
  ManagedHost *source = fixture->pair.source;

  assert_domain (fixture->source, "UUID", WEB);
  assert_domain (fixture->source, "Name", "web");
  assert_domain (fixture->source, "Phase", "running");
  assert_domain (fixture->source, "Emulated", "false");
  assert_domain (fixture->source, "Ready", "true");
  assert_domain (fixture->source, "Problem", "");
  assert_domain (fixture->source, "HelperConnected", "true");
  assert_domain (fixture->source, "Policy", "");
  assert_domain (fixture->source, "PolicyProblem", "");
  assert_domain (fixture->dest, "UUID", NULL);

  managed_host_emit (source, SUSPENDED_PAUSED);
  WAIT_UNTIL (is_told (fixture->source, WEB_PATH, "{Phase}"));
  assert_domain (fixture->source, "Phase", "paused");
  stand_in_qemu_hang_up (source->qemu);
  WAIT_UNTIL (is_told (fixture->source, WEB_PATH, "{Phase} {HelperConnected,Problem,Ready}"));
  assert_domain (fixture->source, "Ready", "false");
  assert_domain (fixture->source, "Problem", "the connection to the helper in its QEMU ended");
  assert_domain (fixture->source, "HelperConnected", "false");
  managed_host_emit (source, STOPPED_DESTROYED);
  WAIT_UNTIL (
    is_told (fixture->source, WEB_PATH, "{Phase} {HelperConnected,Problem,Ready} removed"));
  assert_domain (fixture->source, "UUID", NULL);

  managed_host_emit (source, STARTED_BOOTED);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 2);
  assert_domain (fixture->source, "Ready", "true");
}

static void
test_policy (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->pair.source->host->libvirt;

  stand_in_libvirt_set_policy (libvirt, WEB,
                               "<c:policy xmlns:c='" CLOCKFERRY_POLICY_NS "' mode='observe'/>");
  WAIT_UNTIL (is_told (fixture->source, WEB_PATH, "{Policy}"));
  assert_domain (fixture->source, "Policy", "mode=observe");
  stand_in_libvirt_set_policy (libvirt, WEB,
                               "<c:policy xmlns:c='" CLOCKFERRY_POLICY_NS "' mode='none'/>");
  WAIT_UNTIL (is_told (fixture->source, WEB_PATH, "{Policy} {Policy,PolicyProblem}"));
  assert_domain (fixture->source, "Policy", "");
  assert_domain (fixture->source, "PolicyProblem",
                 event_tape_get ("policy-ignored", "CLOCKFERRY_REASON"));
}

static void
test_not_ready (Fixture *fixture, gconstpointer data)
{
  ManagedHost *dest = fixture->pair.dest;

  stand_in_libvirt_add_domain (dest->host->libvirt, WEB, "web", 7);
  managed_host_emit (dest, STARTED_BOOTED);
  WAIT_UNTIL (event_tape_count ("domain-not-ready") == 1);
  assert_domain (fixture->dest, "Ready", "false");
  assert_domain (fixture->dest, "Problem",
                 event_tape_get ("domain-not-ready", "CLOCKFERRY_REASON"));
  assert_domain (fixture->dest, "HelperConnected", "false");
}

static void
test_emulated (Fixture *fixture, gconstpointer data)
{
  ManagedHost *dest = fixture->pair.dest;

  stand_in_libvirt_add_domain (dest->host->libvirt, WEB, "web", 7);
  stand_in_libvirt_set_type (dest->host->libvirt, WEB, "qemu");
  managed_host_emit (dest, STARTED_BOOTED);
  WAIT_UNTIL (stand_in_libvirt_count (dest->host->libvirt, "GetXMLDesc", WEB) == 1);
  WAIT_UNTIL (is_told (fixture->dest, WEB_PATH, "added {Emulated,Name,Problem}"));
  assert_domain (fixture->dest, "Emulated", "true");
  assert_domain (fixture->dest, "Ready", "false");
}

/* a whole migration */

static void
emit_resumed (Fixture *fixture)
{
  stand_in_libvirt_set_state (fixture->pair.dest->host->libvirt, WEB, STATE_RUNNING);
  stand_in_qemu_send_report (fixture->pair.dest->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  managed_host_emit (fixture->pair.dest, RESUMED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
}

/* The ticket of the domain that is about to leave. Owned by the caller. */
static char *
get_ticket (Fixture *fixture)
{
  const char *element = stand_in_libvirt_get_element (fixture->pair.source->host->libvirt, WEB);

  return g_strndup (strstr (element, "ticket='") + strlen ("ticket='"), 64);
}

static void
assert_secret (BusTape *tape, const char *secret)
{
  g_autoptr (GVariant) objects = bus_tape_get_objects (tape);
  g_autofree char *text = g_variant_print (objects, FALSE);

  g_assert_cmpuint (strlen (secret), ==, 64);
  g_assert_null (strstr (text, secret));
  g_assert_false (bus_tape_mentions (tape, secret));
  g_assert_false (event_tape_mentions (secret));
  /* it would have been found */
  g_assert_nonnull (strstr (text, WEB));
  g_assert_true (event_tape_mentions (WEB));
}

static void
test_fixed (Fixture *fixture, gconstpointer data)
{
  g_autofree char *ticket = get_ticket (fixture);
  g_autofree char *path = NULL;
  g_autofree char *report = NULL;
  g_autofree char *peers = NULL;

  managed_pair_prepare (&fixture->pair);
  assert_domain (fixture->dest, "Phase", "incoming");
  assert_domain (fixture->dest, "Ready", "false");
  assert_domain (fixture->dest, "HelperConnected", "true");
  path = find_migration (fixture->dest);
  assert_migration (fixture->dest, "Phase", "claimed");
  assert_migration (fixture->source, "Phase", "claimed");
  managed_pair_pass_record (&fixture->pair, 1000);
  assert_domain (fixture->dest, "Phase", "armed");
  managed_host_emit (fixture->pair.source, SUSPENDED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-paused") == 1);
  assert_domain (fixture->source, "Phase", "paused-out");
  managed_pair_pass_record (&fixture->pair, 2000);
  emit_resumed (fixture);
  managed_host_emit (fixture->pair.source, STOPPED_MIGRATED);
  WAIT_UNTIL (event_tape_count ("departure-done") == 1);

  /* each phase in its order, its properties before it, and the same migration on both hosts */
  WAIT_UNTIL (is_told (fixture->dest, path,
                       "added !announced {Peer,Phase} !claimed {Phase} !armed !armed "
                       "{Ended,EndedUs,Phase,Report} !done"));
  WAIT_UNTIL (is_told (fixture->source, path,
                       "added !claimed {Phase} !paused {Ended,EndedUs,Phase,Report} !done"));
  WAIT_UNTIL (bus_tape_mentions (fixture->source, "departure-done"));
  assert_migration (fixture->dest, "ID", path + strlen (CLOCKFERRY_MIGRATION_PATH));
  assert_migration (fixture->source, "ID", path + strlen (CLOCKFERRY_MIGRATION_PATH));
  assert_migration (fixture->dest, "ID",
                    event_tape_get ("migration-fixed", "CLOCKFERRY_MIGRATION"));
  assert_migration (fixture->dest, "ID", event_tape_get ("departure-done", "CLOCKFERRY_MIGRATION"));
  assert_migration (fixture->dest, "Direction", "arriving");
  assert_migration (fixture->source, "Direction", "leaving");
  assert_migration (fixture->dest, "Domain", WEB);
  assert_migration (fixture->dest, "DomainName", "web");
  assert_migration (fixture->source, "DomainName", "web");
  assert_migration (fixture->dest, "Peer", "127.0.0.1");
  assert_migration (fixture->source, "Peer", "127.0.0.1");
  assert_migration (fixture->dest, "Ended", "true");

  report = bus_tape_get (fixture->dest, path, CLOCKFERRY_MIGRATION_IFACE, "Report");
  g_assert_nonnull (strstr (report, "'VERDICT': 'fixed'"));
  g_assert_nonnull (strstr (report, "'ADVANCE_NS': '178000000'"));
  g_assert_nonnull (strstr (report, "'PEER': '127.0.0.1'"));
  assert_secret (fixture->dest, ticket);
  assert_secret (fixture->source, ticket);

  WAIT_UNTIL (event_tape_count ("domain-ready") == 2);
  assert_domain (fixture->source, "UUID", NULL);
  assert_domain (fixture->dest, "Phase", "running");
  assert_domain (fixture->dest, "Ready", "true");

  peers =
    bus_tape_get (fixture->source, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, "Peers");
  g_assert_nonnull (strstr (peers, "('127.0.0.1', "));
  g_assert_nonnull (strstr (peers, ", 0, 18446744073709551615)]"));
  g_clear_pointer (&peers, g_free);
  peers = bus_tape_get (fixture->dest, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, "Peers");
  g_assert_nonnull (strstr (peers, "('127.0.0.1', "));
  g_assert_null (strstr (peers, "18446744073709551615"));
}

static void
test_rolled_back (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = NULL;

  managed_pair_prepare (&fixture->pair);
  managed_pair_pass_record (&fixture->pair, 1000);
  path = find_migration (fixture->source);
  managed_host_emit (fixture->pair.source, SUSPENDED_MIGRATED);
  managed_host_emit (fixture->pair.source, RESUMED_MIGRATED);
  managed_pair_expect_withdraw (&fixture->pair);
  managed_host_emit (fixture->pair.dest, STOPPED_FAILED);
  WAIT_UNTIL (is_told (fixture->source, path,
                       "added !claimed {Phase} !paused {Ended,EndedUs,Phase,Report} !rolled-back"));
  WAIT_UNTIL (is_told (fixture->dest, path,
                       "added !announced {Peer,Phase} !claimed {Phase} !armed "
                       "{Ended,EndedUs,Phase,Report} !abandoned"));
  assert_domain (fixture->source, "Phase", "running");
  assert_domain (fixture->dest, "UUID", NULL);
  g_assert_cmpstr (event_tape_get ("departure-paused", "CLOCKFERRY_RECORD"), ==, "sent");
}

/* Not live: the pause is told under the id that the claim brings. */
static void
test_paused_before_claim (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (3000);
  g_autofree char *path = NULL;

  stand_in_qemu_send_record (fixture->pair.source->qemu, record);
  managed_host_emit (fixture->pair.source, SUSPENDED_MIGRATED);
  bus_host_boot_and_wait (fixture->pair.source->host, MAIL, "mail", 9);
  assert_domain (fixture->source, "Phase", "paused-out");
  managed_pair_prepare (&fixture->pair);
  path = find_migration (fixture->dest);
  WAIT_UNTIL (is_told (fixture->source, path, "added !claimed {Phase} !paused"));
  g_assert_cmpstr (event_tape_get ("departure-paused", "CLOCKFERRY_RECORD"), ==, "sent");
}

/* Another migration of it is claimed while one is under way: the daemon of the destination makes up
 * a new id when it was restarted. */
static void
test_destination_restarts (Fixture *fixture, gconstpointer data)
{
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;

  managed_pair_prepare (&fixture->pair);
  before = find_migration (fixture->dest);
  g_clear_pointer (&fixture->pair.dest->manager, manager_free);
  managed_host_start_daemon (fixture->pair.dest);
  WAIT_UNTIL (event_tape_count ("arrival-claimed") == 2);
  WAIT_UNTIL (event_tape_count ("departure-claimed") == 2);
  after = find_migration (fixture->dest);
  g_assert_cmpstr (after, !=, before);
  WAIT_UNTIL (
    is_told (fixture->source, before, "added !claimed {Ended,EndedUs,Phase,Report} !cancelled"));
  WAIT_UNTIL (is_told (fixture->source, after, "added !claimed"));
}

/* Given up before the pause, of which libvirt says nothing on this side. */
static void
test_given_up (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = NULL;

  managed_pair_prepare (&fixture->pair);
  path = find_migration (fixture->source);
  managed_host_emit (fixture->pair.dest, STOPPED_FAILED);
  WAIT_UNTIL (event_tape_count ("arrival-abandoned") == 1);
  assert_migration (fixture->source, "Ended", "false");
  WAIT_UNTIL (
    is_told (fixture->source, path, "added !claimed {Ended,EndedUs,Phase,Report} !cancelled"));
  assert_domain (fixture->source, "Ready", "true");
}

static void
test_sixteen_stay (Fixture *fixture, gconstpointer data)
{
  ManagedHost *dest = fixture->pair.dest;
  g_auto (GStrv) left = NULL;

  for (guint i = 0; i < BUS_MIGRATIONS_ENDED_MAX + 3; i++) {
    managed_host_prepare (dest, fixture->pair.source, FALSE);
    WAIT_UNTIL (event_tape_count ("arrival-claimed") == i + 1);
    managed_host_emit (dest, STOPPED_FAILED);
    WAIT_UNTIL (event_tape_count ("arrival-abandoned") == i + 1);
    stand_in_libvirt_remove_domain (dest->host->libvirt, WEB);
  }
  left = bus_tape_list (fixture->dest, CLOCKFERRY_MIGRATION_PATH);
  g_assert_cmpuint (g_strv_length (left), ==, BUS_MIGRATIONS_ENDED_MAX);
  g_clear_pointer (&left, g_strfreev);
  /* on the source each new claim ends the one before, and the last one is still open */
  left = bus_tape_list (fixture->source, CLOCKFERRY_MIGRATION_PATH);
  g_assert_cmpuint (g_strv_length (left), ==, BUS_MIGRATIONS_ENDED_MAX + 1);
}

/* introspection */

static void
assert_prose (GDBusAnnotationInfo **annotations, const char *what)
{
  const char *prose = g_dbus_annotation_info_lookup (annotations, "org.gtk.GDBus.DocString");

  if (prose == NULL || strlen (prose) < 10)
    g_error ("%s has no prose", what);
}

static void
assert_interface (GDBusInterfaceInfo *interface)
{
  assert_prose (interface->annotations, interface->name);
  for (gsize i = 0; interface->methods != NULL && interface->methods[i] != NULL; i++)
    assert_prose (interface->methods[i]->annotations, interface->methods[i]->name);
  for (gsize i = 0; interface->properties != NULL && interface->properties[i] != NULL; i++)
    assert_prose (interface->properties[i]->annotations, interface->properties[i]->name);
  for (gsize i = 0; interface->signals != NULL && interface->signals[i] != NULL; i++) {
    GDBusSignalInfo *signal = interface->signals[i];

    assert_prose (signal->annotations, signal->name);
    for (gsize j = 0; signal->args != NULL && signal->args[j] != NULL; j++)
      assert_prose (signal->args[j]->annotations, signal->args[j]->name);
  }
}

/* What busctl and gdbus are told by the daemon itself. */
static void
assert_introspection (BusTape *tape, const char *path, const char *name, gsize member_count)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant)
    reply = bus_tape_call (tape, path, "org.freedesktop.DBus.Introspectable", "Introspect", &error);
  g_autoptr (GDBusNodeInfo) node = NULL;
  GDBusInterfaceInfo *interface;
  const char *xml;
  gsize count = 0;

  g_assert_no_error (error);
  g_variant_get (reply, "(&s)", &xml);
  node = g_dbus_node_info_new_for_xml (xml, &error);
  g_assert_no_error (error);
  interface = g_dbus_node_info_lookup_interface (node, name);
  g_assert_nonnull (interface);
  assert_interface (interface);
  while (interface->properties[count] != NULL)
    count++;
  g_assert_cmpuint (count, ==, member_count);
}

static void
test_introspection (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = NULL;

  managed_pair_prepare (&fixture->pair);
  path = find_migration (fixture->source);
  assert_introspection (fixture->source, CLOCKFERRY_MANAGER_PATH, CLOCKFERRY_MANAGER_IFACE, 12);
  assert_introspection (fixture->source, WEB_PATH, CLOCKFERRY_DOMAIN_IFACE, 9);
  assert_introspection (fixture->source, path, CLOCKFERRY_MIGRATION_IFACE, 10);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  event_tape_start ();

#define ADD(path, function)                                                                        \
  g_test_add ("/service/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("manager", test_manager);
  ADD ("libvirt-lost", test_libvirt_lost);
  ADD ("clock", test_clock);
  ADD ("domain", test_domain);
  ADD ("policy", test_policy);
  ADD ("not-ready", test_not_ready);
  ADD ("emulated", test_emulated);
  ADD ("fixed", test_fixed);
  ADD ("rolled-back", test_rolled_back);
  ADD ("paused-before-claim", test_paused_before_claim);
  ADD ("destination-restarts", test_destination_restarts);
  ADD ("given-up", test_given_up);
  ADD ("sixteen-stay", test_sixteen_stay);
  ADD ("introspection", test_introspection);
#undef ADD
  return g_test_run ();
}
