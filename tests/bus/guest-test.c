/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest-test - one Guest by itself, told what happens in an order that no main loop would choose
 */

#include "event-tape.h"
#include "guest.h"
#include "identity.h"
#include "managed-host.h"
#include "names.h"
#include "wait-until.h"

typedef struct {
  ManagedHost *host; /* its own daemon is not started */
  PeerListener *listener;
  char *pin;
  HostContext context;
  Guest *guest;
} Fixture;

static const char *
know_no_ticket (const char *domain, gpointer user_data)
{
  return NULL;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  event_tape_clear ();
  fixture->host = managed_host_new ();
  fixture->listener = peer_listener_new (fixture->host->identity, NULL, know_no_ticket, NULL);
  fixture->pin = identity_pin (fixture->host->identity, NULL);
  fixture->context = (HostContext){
    .bus = fixture->host->connection,
    .driver_path = LIBVIRT_QEMU_PATH,
    .settings = &fixture->host->settings,
    .address = "127.0.0.1",
    .pin = fixture->pin,
    .folders = fixture->host->folders->folders,
    .listener = fixture->listener,
  };
  fixture->guest = guest_new (&fixture->context, WEB);
  fixture->host->qemu = stand_in_qemu_start (fixture->host->folders, "web", 1, WEB);
  stand_in_libvirt_add_domain (fixture->host->host->libvirt, WEB, "web", 1);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->guest, guest_free);
  g_clear_object (&fixture->listener);
  g_clear_pointer (&fixture->host, managed_host_free);
  g_free (fixture->pin);
}

static void
arrive (Fixture *fixture)
{
  g_autofree struct helper_incoming *incoming = NULL;

  guest_input (fixture->guest, MIGRATION_INPUT_STARTED_MIGRATED);
  WAIT_UNTIL (stand_in_qemu_count (fixture->host->qemu) == 1);
  incoming = stand_in_qemu_take (fixture->host->qemu, HELPER_MESSAGE_INCOMING);
}

/* The helper wrote its report before libvirt could say RESUMED, but it was not read yet. */
static void
test_report_overtaken (Fixture *fixture, gconstpointer data)
{
  arrive (fixture);
  stand_in_qemu_send_report (fixture->host->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  guest_input (fixture->guest, MIGRATION_INPUT_RESUMED_MIGRATED);
  g_assert_cmpuint (event_tape_count ("migration-fixed"), ==, 1);
  g_assert_cmpuint (event_tape_count ("migration-stock"), ==, 0);
}

/* QEMU is gone as well by then. */
static void
test_report_of_a_dead_qemu (Fixture *fixture, gconstpointer data)
{
  arrive (fixture);
  stand_in_qemu_send_report (fixture->host->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  stand_in_qemu_hang_up (fixture->host->qemu);
  guest_input (fixture->guest, MIGRATION_INPUT_RESUMED_MIGRATED);
  g_assert_cmpuint (event_tape_count ("migration-fixed"), ==, 1);
}

/* Freed with calls to libvirt and a link to a helper under way. */
static void
test_freed (Fixture *fixture, gconstpointer data)
{
  arrive (fixture);
  guest_input (fixture->guest, MIGRATION_INPUT_RESUMED_MIGRATED);
  g_clear_pointer (&fixture->guest, guest_free);
  WAIT_UNTIL (!stand_in_qemu_is_connected (fixture->host->qemu));
  WAIT_UNTIL (stand_in_libvirt_count (fixture->host->host->libvirt, "GetXMLDesc", WEB) == 2);
  g_assert_cmpuint (event_tape_count ("domain-ready"), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  event_tape_start ();

#define ADD(path, function) g_test_add ("/guest/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("report-overtaken", test_report_overtaken);
  ADD ("report-of-a-dead-qemu", test_report_of_a_dead_qemu);
  ADD ("freed", test_freed);
#undef ADD
  return g_test_run ();
}
