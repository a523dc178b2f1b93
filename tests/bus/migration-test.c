/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migration-test - two real daemons, each with its own bus and libvirt, and a migration between them
 *
 * There is no QEMU here, so no record: this is about finding, knowing and telling the peer. What
 * the clocks' record goes through is in hand-over-test.c.
 */

#include <string.h>

#include "bus-host.h"
#include "wait-until.h"

typedef struct {
  BusHost *source_host;
  BusHost *dest_host;
  DaemonProcess *source;
  DaemonProcess *dest;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->source_host = bus_host_new ();
  fixture->dest_host = bus_host_new ();
  fixture->source = bus_host_start_daemon (fixture->source_host);
  fixture->dest = bus_host_start_daemon (fixture->dest_host);
  WAIT_UNTIL (daemon_process_count (fixture->source, "libvirt-connected", NULL) == 1);
  WAIT_UNTIL (daemon_process_count (fixture->dest, "libvirt-connected", NULL) == 1);
  bus_host_boot_and_wait (fixture->source_host, WEB, "web", ID_OF (1));
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->source, daemon_process_stop);
  g_clear_pointer (&fixture->dest, daemon_process_stop);
  g_clear_pointer (&fixture->source_host, bus_host_free);
  g_clear_pointer (&fixture->dest_host, bus_host_free);
}

static void
emit_at_source (Fixture *fixture, int event, int detail)
{
  g_assert_true (stand_in_libvirt_emit (fixture->source_host->libvirt, WEB, event, detail));
}

static void
emit_at_dest (Fixture *fixture, int event, int detail)
{
  g_assert_true (stand_in_libvirt_emit (fixture->dest_host->libvirt, WEB, event, detail));
}

/* libvirt carries the metadata to the other host; @element stands in for what was there. */
static void
prepare_with (Fixture *fixture, const char *element)
{
  StandInLibvirt *dest = fixture->dest_host->libvirt;

  stand_in_libvirt_add_domain (dest, WEB, "web", ID_OF (2));
  stand_in_libvirt_set_state (dest, WEB, STATE_PAUSED_MIGRATION);
  stand_in_libvirt_set_element (dest, WEB, element);
  emit_at_dest (fixture, STARTED_MIGRATED);
}

static void
prepare (Fixture *fixture)
{
  prepare_with (fixture, stand_in_libvirt_get_element (fixture->source_host->libvirt, WEB));
}

static void
arrive (Fixture *fixture)
{
  stand_in_libvirt_set_state (fixture->dest_host->libvirt, WEB, STATE_RUNNING);
  emit_at_dest (fixture, RESUMED_MIGRATED);
}

static guint
count_at_source (Fixture *fixture, const char *event, const char *text)
{
  return daemon_process_count (fixture->source, event, text);
}

static guint
count_at_dest (Fixture *fixture, const char *event, const char *text)
{
  return daemon_process_count (fixture->dest, event, text);
}

static char *
replace (const char *text, const char *from, const char *to)
{
  g_auto (GStrv) parts = g_strsplit (text, from, 2);

  g_assert_cmpuint (g_strv_length (parts), ==, 2);
  return g_strjoinv (to, parts);
}

static void
test_end_to_end (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *dest = fixture->dest_host->libvirt;
  g_autofree char *carried = NULL;

  prepare (fixture);
  WAIT_UNTIL (count_at_source (fixture, "departure-claimed", "DOMAIN=" WEB) == 1);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-claimed", "PEER=127.0.0.1") == 1);

  emit_at_source (fixture, SUSPENDED_MIGRATED);
  carried = g_strdup (stand_in_libvirt_get_element (dest, WEB));
  arrive (fixture);
  WAIT_UNTIL (count_at_dest (fixture, "migration-stock", "STEP=helper") == 1);
  emit_at_source (fixture, STOPPED_MIGRATED);
  WAIT_UNTIL (count_at_source (fixture, "departure-unclaimed", "no helper in its QEMU") == 1);

  /* and at once it is ready to move on from there, under another ticket */
  WAIT_UNTIL (!g_str_equal (stand_in_libvirt_get_element (dest, WEB), carried));
  g_assert_cmpuint (count_at_dest (fixture, "migration-stock", NULL), ==, 1);
}

/* What libvirt would bring, with another ticket. */
static char *
forge_ticket (Fixture *fixture)
{
  const char *element = stand_in_libvirt_get_element (fixture->source_host->libvirt, WEB);
  const char *ticket = strstr (element, "ticket='") + strlen ("ticket='");
  g_autofree char *digit = g_strdup_printf ("ticket='%c", *ticket);
  g_autofree char *other = g_strdup_printf ("ticket='%c", *ticket == '0' ? '1' : '0');

  return replace (element, digit, other);
}

static void
test_wrong_ticket (Fixture *fixture, gconstpointer data)
{
  g_autofree char *forged = forge_ticket (fixture);

  prepare_with (fixture, forged);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", "STEP=peer") == 1);
  WAIT_UNTIL (count_at_source (fixture, "peer-refused", NULL) == 1);
  arrive (fixture);
  WAIT_UNTIL (count_at_dest (fixture, "migration-stock", "STEP=peer") == 1);
  g_assert_cmpuint (count_at_dest (fixture, "migration-stock", "not its ticket"), ==, 1);
  g_assert_cmpuint (count_at_source (fixture, "departure-claimed", NULL), ==, 0);
}

static void
test_wrong_key (Fixture *fixture, gconstpointer data)
{
  const char *element = stand_in_libvirt_get_element (fixture->source_host->libvirt, WEB);
  const char *pin = strstr (element, "pin='") + strlen ("pin='");
  g_autofree char *digit = g_strdup_printf ("pin='%c", *pin);
  g_autofree char *other = g_strdup_printf ("pin='%c", *pin == '0' ? '1' : '0');
  g_autofree char *forged = replace (element, digit, other);

  prepare_with (fixture, forged);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", "its key is") == 1);
  arrive (fixture);
  WAIT_UNTIL (count_at_dest (fixture, "migration-stock", "STEP=peer") == 1);
  g_assert_cmpuint (count_at_source (fixture, "departure-claimed", NULL), ==, 0);
}

/* The source's daemon is away for a moment: it keeps key and tickets, and is asked again. */
static void
test_source_restarts (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->source, daemon_process_stop);
  prepare (fixture);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", "STEP=peer") == 1);
  fixture->source = bus_host_start_daemon (fixture->source_host);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-claimed", NULL) == 1);

  g_clear_pointer (&fixture->source, daemon_process_stop);
  fixture->source = bus_host_start_daemon (fixture->source_host);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-claimed", NULL) == 2);
  WAIT_UNTIL (count_at_source (fixture, "departure-claimed", NULL) == 1);
}

/* A daemon that was just started has no tickets before libvirt has listed its domains; who asks for the first
 * time is told to come back. */
static void
test_source_lists_slowly (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->source, daemon_process_stop);
  stand_in_libvirt_leave_bus (fixture->source_host->libvirt);
  fixture->source = bus_host_start_daemon (fixture->source_host);
  prepare (fixture);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", "STEP=peer") == 1);
  stand_in_libvirt_join_bus (fixture->source_host->libvirt);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-claimed", NULL) == 1);
  g_assert_cmpuint (count_at_dest (fixture, "arrival-step-failed", "not its ticket"), ==, 0);
}

/* The source's daemon, newly started, has listed its domains, and asks what they are. */
static void
restart_source_in_the_dark (Fixture *fixture)
{
  g_clear_pointer (&fixture->source, daemon_process_stop);
  stand_in_libvirt_hold (fixture->source_host->libvirt, "GetXMLDesc");
  fixture->source = bus_host_start_daemon (fixture->source_host);
  WAIT_UNTIL (count_at_source (fixture, "libvirt-connected", NULL) == 1);
}

static void
test_source_adopts_slowly (Fixture *fixture, gconstpointer data)
{
  restart_source_in_the_dark (fixture);
  prepare (fixture);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", "STEP=peer") == 1);
  stand_in_libvirt_release (fixture->source_host->libvirt);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-claimed", NULL) == 1);
}

/* Libvirt cannot say what its domains are, which a new listing mends. */
static void
test_source_is_told_nothing (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->source_host->libvirt;

  g_clear_pointer (&fixture->source, daemon_process_stop);
  stand_in_libvirt_fail (libvirt, "GetXMLDesc", "domain is locked");
  fixture->source = bus_host_start_daemon (fixture->source_host);
  WAIT_UNTIL (count_at_source (fixture, "domain-not-ready", "domain is locked") == 1);
  prepare (fixture);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", "STEP=peer") == 1);
  stand_in_libvirt_fail (libvirt, "GetXMLDesc", NULL);
  stand_in_libvirt_leave_bus (libvirt);
  stand_in_libvirt_join_bus (libvirt);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-claimed", NULL) == 1);
}

/* A wrong ticket is told the same until then, and is wrong for good afterwards. */
static void
test_source_adopts_slowly_and_refuses (Fixture *fixture, gconstpointer data)
{
  g_autofree char *forged = forge_ticket (fixture);

  restart_source_in_the_dark (fixture);
  prepare_with (fixture, forged);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", "does not know its domains yet") == 1);
  g_assert_cmpuint (count_at_dest (fixture, "arrival-step-failed", "not its ticket"), ==, 0);
  stand_in_libvirt_release (fixture->source_host->libvirt);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", "not its ticket") == 1);
  WAIT_UNTIL (count_at_source (fixture, "peer-refused", "has no valid ticket") == 1);
  g_assert_cmpuint (count_at_source (fixture, "departure-claimed", NULL), ==, 0);
}

static void
test_rolled_back (Fixture *fixture, gconstpointer data)
{
  prepare (fixture);
  WAIT_UNTIL (count_at_source (fixture, "departure-claimed", NULL) == 1);
  emit_at_source (fixture, SUSPENDED_MIGRATED);
  emit_at_source (fixture, RESUMED_MIGRATED);
  WAIT_UNTIL (count_at_source (fixture, "departure-rolled-back", "DOMAIN=" WEB) == 1);
  emit_at_dest (fixture, STOPPED_FAILED);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-abandoned", NULL) == 1);

  /* the ticket stands: the next attempt claims with it again */
  stand_in_libvirt_remove_domain (fixture->dest_host->libvirt, WEB);
  prepare (fixture);
  WAIT_UNTIL (count_at_source (fixture, "departure-claimed", NULL) == 2);
}

/* A guest that has left takes no more claims, and one that is not here never did. */
static void
test_too_late (Fixture *fixture, gconstpointer data)
{
  g_autofree char *element =
    g_strdup (stand_in_libvirt_get_element (fixture->source_host->libvirt, WEB));

  emit_at_source (fixture, SUSPENDED_MIGRATED);
  emit_at_source (fixture, STOPPED_MIGRATED);
  WAIT_UNTIL (count_at_source (fixture, "departure-unclaimed", NULL) == 1);
  prepare_with (fixture, element);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", "STEP=peer") == 1);
  g_assert_cmpuint (count_at_source (fixture, "departure-claimed", NULL), ==, 0);
}

/* It left and came back: what it had before it left is worth nothing. */
static void
test_old_ticket (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *source = fixture->source_host->libvirt;
  g_autofree char *old = g_strdup (stand_in_libvirt_get_element (source, WEB));

  emit_at_source (fixture, SUSPENDED_MIGRATED);
  emit_at_source (fixture, STOPPED_MIGRATED);
  WAIT_UNTIL (count_at_source (fixture, "departure-unclaimed", NULL) == 1);
  stand_in_libvirt_remove_domain (source, WEB);
  bus_host_boot_and_wait (fixture->source_host, WEB, "web", ID_OF (3));
  g_assert_cmpstr (stand_in_libvirt_get_element (source, WEB), !=, old);

  prepare_with (fixture, old);
  WAIT_UNTIL (count_at_source (fixture, "peer-refused", "has no valid ticket") == 1);
  WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", "not its ticket") == 1);
  g_assert_cmpuint (count_at_source (fixture, "departure-claimed", NULL), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function)                                                                        \
  g_test_add ("/migration/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("end-to-end", test_end_to_end);
  ADD ("wrong-ticket", test_wrong_ticket);
  ADD ("wrong-key", test_wrong_key);
  ADD ("source-restarts", test_source_restarts);
  ADD ("source-restarts/lists-slowly", test_source_lists_slowly);
  ADD ("source-restarts/adopts-slowly", test_source_adopts_slowly);
  ADD ("source-restarts/is-told-nothing", test_source_is_told_nothing);
  ADD ("source-restarts/adopts-slowly-and-refuses", test_source_adopts_slowly_and_refuses);
  ADD ("rolled-back", test_rolled_back);
  ADD ("too-late", test_too_late);
  ADD ("old-ticket", test_old_ticket);
#undef ADD
  return g_test_run ();
}
