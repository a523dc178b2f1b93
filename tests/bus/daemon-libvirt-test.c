/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daemon-libvirt-test - the real daemon while libvirt and libvirt-dbus come and go
 */

#include "bus-host.h"
#include "libvirt-calls.h"
#include "names.h"
#include "stand-in-systemd.h"
#include "wait-until.h"

/* more than a system bus lets a connection wait for answers */
#define MANY 200

typedef struct {
  BusHost *host;
  StandInSystemd *systemd;
  DaemonProcess *daemon;
} Fixture;

static guint
count (Fixture *fixture, const char *event)
{
  return daemon_process_count (fixture->daemon, event, NULL);
}

static guint
count_primings (Fixture *fixture)
{
  return stand_in_libvirt_count (fixture->host->libvirt, "ListDomains", NULL);
}

static void
set_up_host (Fixture *fixture, gconstpointer data)
{
  fixture->host = bus_host_new ();
  fixture->systemd = stand_in_systemd_start (fixture->host->bus);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  set_up_host (fixture, data);
  fixture->daemon = bus_host_start_daemon (fixture->host);
  WAIT_UNTIL (count (fixture, "libvirt-connected") == 1);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->daemon, daemon_process_stop);
  g_clear_pointer (&fixture->systemd, stand_in_systemd_free);
  g_clear_pointer (&fixture->host, bus_host_free);
}

static void
test_dbus_service_restarts (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  bus_host_boot_and_wait (fixture->host, WEB, "web", ID_OF (1));
  stand_in_libvirt_leave_bus (libvirt);
  WAIT_UNTIL (count (fixture, "libvirt-lost") == 1);

  stand_in_libvirt_add_domain (libvirt, OTHER, "other", ID_OF (3));
  stand_in_libvirt_join_bus (libvirt);
  WAIT_UNTIL (count (fixture, "libvirt-connected") >= 2);
  /* what started meanwhile is adopted, and events count again */
  WAIT_UNTIL (stand_in_libvirt_get_element (libvirt, OTHER) != NULL);
  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));
  g_assert_cmpuint (count (fixture, "libvirt-lost"), ==, 1);
}

static char *
make_uuid (guint number)
{
  return g_strdup_printf ("5c1f0e5e-0000-4000-8000-%012x", number);
}

static guint
count_asked (Fixture *fixture)
{
  guint asked = 0;

  for (guint i = 0; i < MANY; i++) {
    g_autofree char *uuid = make_uuid (i);

    asked += stand_in_libvirt_count (fixture->host->libvirt, "GetXMLDesc", uuid);
  }
  return asked;
}

static guint
count_advertised (Fixture *fixture)
{
  guint advertised = 0;

  for (guint i = 0; i < MANY; i++) {
    g_autofree char *uuid = make_uuid (i);

    advertised += stand_in_libvirt_get_element (fixture->host->libvirt, uuid) != NULL;
  }
  return advertised;
}

/* All are adopted at once, however many there are and however slow libvirt is. */
static void
test_many_domains (Fixture *fixture, gconstpointer data)
{
  for (guint i = 0; i < MANY; i++) {
    g_autofree char *uuid = make_uuid (i);
    g_autofree char *name = g_strdup_printf ("guest-%u", i);

    stand_in_libvirt_add_domain (fixture->host->libvirt, uuid, name, ID_OF ((int) i));
  }
  stand_in_libvirt_hold (fixture->host->libvirt, "GetXMLDesc");
  fixture->daemon = bus_host_start_daemon (fixture->host);
  WAIT_UNTIL (count_asked (fixture) >= LIBVIRT_CALLS_MAX);
  WAIT_UNTIL (count (fixture, "libvirt-connected") == 1);
  g_assert_cmpuint (count_asked (fixture), ==, LIBVIRT_CALLS_MAX);
  stand_in_libvirt_release (fixture->host->libvirt);
  WAIT_UNTIL (count_advertised (fixture) == MANY);
  g_assert_cmpuint (count_asked (fixture), ==, MANY);
}

/* A guest whose end was missed is forgotten: when it comes back, it is new. */
static void
test_missed_end (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;
  g_autofree char *before = NULL;

  bus_host_boot_and_wait (fixture->host, WEB, "web", ID_OF (1));
  before = g_strdup (stand_in_libvirt_get_element (libvirt, WEB));
  stand_in_libvirt_leave_bus (libvirt);
  stand_in_libvirt_remove_domain (libvirt, WEB);
  stand_in_libvirt_join_bus (libvirt);
  WAIT_UNTIL (count (fixture, "libvirt-connected") >= 2);

  bus_host_boot_and_wait (fixture->host, WEB, "web", ID_OF (4));
  g_assert_cmpstr (stand_in_libvirt_get_element (libvirt, WEB), !=, before);
  g_assert_cmpuint (count (fixture, "departure-unclaimed"), ==, 0);
}

static void
test_arrival_missed_end (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  stand_in_libvirt_add_domain (libvirt, WEB, "web", ID_OF (1));
  g_assert_true (stand_in_libvirt_emit (libvirt, WEB, STARTED_MIGRATED));
  WAIT_UNTIL (count (fixture, "arrival-announced") == 1);
  stand_in_libvirt_leave_bus (libvirt);
  stand_in_libvirt_remove_domain (libvirt, WEB);
  stand_in_libvirt_join_bus (libvirt);
  WAIT_UNTIL (count (fixture, "arrival-abandoned") == 1);
}

static void
test_libvirtd_restarts (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;
  guint before;

  /* the name keeps its owner, and events stop: nothing but systemd tells */
  stand_in_libvirt_restart_libvirtd (libvirt);
  stand_in_libvirt_add_domain (libvirt, WEB, "web", ID_OF (1));
  g_assert_false (stand_in_libvirt_emit (libvirt, WEB, STARTED_BOOTED));
  before = count_primings (fixture);
  g_assert_true (stand_in_systemd_finish_job (fixture->systemd, "libvirtd.service", "active"));
  WAIT_UNTIL (stand_in_libvirt_get_element (libvirt, WEB) != NULL);
  g_assert_cmpuint (count_primings (fixture), ==, before + 1);

  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));
  g_assert_cmpuint (count (fixture, "libvirt-lost"), ==, 0);
}

static void
test_modular_daemon_restarts (Fixture *fixture, gconstpointer data)
{
  guint before = count_primings (fixture);

  g_assert_true (stand_in_systemd_finish_job (fixture->systemd, "virtqemud.service", "active"));
  WAIT_UNTIL (count_primings (fixture) == before + 1);
}

/* Calling libvirt then would start it again, by its socket. */
static void
test_libvirtd_is_stopped (Fixture *fixture, gconstpointer data)
{
  guint before = count_primings (fixture);

  g_assert_true (stand_in_systemd_finish_job (fixture->systemd, "libvirtd.service", "inactive"));
  WAIT_UNTIL (stand_in_systemd_count_reads (fixture->systemd) == 1);
  g_assert_true (stand_in_systemd_finish_job (fixture->systemd, "libvirtd.service", "active"));
  WAIT_UNTIL (count (fixture, "libvirt-connected") == 2);
  g_assert_cmpuint (count_primings (fixture), ==, before + 1);
}

static void
test_other_units (Fixture *fixture, gconstpointer data)
{
  guint before = count_primings (fixture);

  g_assert_true (stand_in_systemd_finish_job (fixture->systemd, "libvirtd.socket", "active"));
  g_assert_true (stand_in_systemd_finish_job (fixture->systemd, "libvirtd.service.d", "active"));
  g_assert_true (stand_in_systemd_finish_job (fixture->systemd, "", "active"));
  /* the same sender, so whatever these would have caused comes before this one's effect */
  g_assert_true (stand_in_systemd_finish_job (fixture->systemd, "virtqemud.service", "active"));
  WAIT_UNTIL (count (fixture, "libvirt-connected") == 2);
  g_assert_cmpuint (count_primings (fixture), ==, before + 1);
}

static void
test_spoofed_event (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection) spoofer = private_bus_connect (fixture->host->bus);
  g_autofree char *path = g_strdelimit (g_strdup (LIBVIRT_QEMU_PATH "/domain/_" WEB), "-", '_');

  stand_in_libvirt_add_domain (fixture->host->libvirt, WEB, "web", ID_OF (1));
  g_assert_true (g_dbus_connection_emit_signal (
    spoofer, NULL, LIBVIRT_QEMU_PATH, LIBVIRT_CONNECT_IFACE, "DomainEvent",
    g_variant_new ("(oii)", path, STARTED_MIGRATED), NULL));
  g_assert_true (g_dbus_connection_flush_sync (spoofer, NULL, NULL));
  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));
  g_assert_cmpuint (count (fixture, "arrival-announced"), ==, 0);
  g_assert_cmpuint (stand_in_libvirt_count (fixture->host->libvirt, "GetXMLDesc", WEB), ==, 0);
}

static void
test_fails_at_first (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  stand_in_libvirt_fail (libvirt, "ListDomains", "Failed to connect socket");
  stand_in_libvirt_add_domain (libvirt, WEB, "web", ID_OF (1));
  fixture->daemon = bus_host_start_daemon (fixture->host);
  WAIT_UNTIL (count_primings (fixture) >= 2);
  g_assert_cmpuint (
    daemon_process_count (fixture->daemon, "libvirt-lost", "Failed to connect socket"), ==, 1);

  stand_in_libvirt_fail (libvirt, "ListDomains", NULL);
  WAIT_UNTIL (stand_in_libvirt_get_element (libvirt, WEB) != NULL);
  g_assert_cmpuint (count (fixture, "libvirt-lost"), ==, 1);
}

/* No libvirt-dbus at all, and no way to start one. */
static void
test_comes_later (Fixture *fixture, gconstpointer data)
{
  stand_in_libvirt_leave_bus (fixture->host->libvirt);
  fixture->daemon = bus_host_start_daemon (fixture->host);
  WAIT_UNTIL (count (fixture, "libvirt-lost") == 1);
  stand_in_libvirt_join_bus (fixture->host->libvirt);
  WAIT_UNTIL (count (fixture, "libvirt-connected") >= 1);
  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));
}

/* The bus itself goes: systemd starts the daemon again, which must not stay behind. */
static void
test_bus_vanishes (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->systemd, stand_in_systemd_free);
  bus_host_end_bus (fixture->host);
  g_assert_cmpint (daemon_process_wait (fixture->daemon), ==, 1);
  fixture->daemon = NULL;
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, start, function)                                                                 \
  g_test_add ("/daemon-libvirt/" path, Fixture, NULL, start, function, tear_down)
  ADD ("dbus-service-restarts", set_up, test_dbus_service_restarts);
  ADD ("missed-end", set_up, test_missed_end);
  ADD ("missed-end/of-an-arrival", set_up, test_arrival_missed_end);
  ADD ("libvirtd-restarts", set_up, test_libvirtd_restarts);
  ADD ("libvirtd-restarts/modular", set_up, test_modular_daemon_restarts);
  ADD ("libvirtd-restarts/is-stopped", set_up, test_libvirtd_is_stopped);
  ADD ("libvirtd-restarts/other-units", set_up, test_other_units);
  ADD ("spoofed-event", set_up, test_spoofed_event);
  ADD ("fails-at-first", set_up_host, test_fails_at_first);
  ADD ("comes-later", set_up_host, test_comes_later);
  ADD ("many-domains", set_up_host, test_many_domains);
  ADD ("bus-vanishes", set_up, test_bus_vanishes);
#undef ADD
  return g_test_run ();
}
