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
know_no_ticket (const char *domain, bool *is_early, gpointer user_data)
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

  stand_in_libvirt_set_state (fixture->host->host->libvirt, WEB, STATE_PAUSED_MIGRATION);
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

/* libvirt says that it runs, and then that it has ended; the report that was on its way is of one that had
 * arrived. */
static void
test_report_before_the_end (Fixture *fixture, gconstpointer data)
{
  arrive (fixture);
  guest_input (fixture->guest, MIGRATION_INPUT_RESUMED_MIGRATED);
  stand_in_qemu_send_report (fixture->host->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  guest_input (fixture->guest, MIGRATION_INPUT_STOPPED);
  g_assert_cmpuint (event_tape_count ("migration-fixed"), ==, 1);
  g_assert_cmpuint (event_tape_count ("arrival-abandoned"), ==, 0);
  g_assert_cmpint (guest_get_phase (fixture->guest), ==, MIGRATION_PHASE_ABSENT);
}

/* Libvirt was lost, and with it the event that would have said so. */
static void
test_gone_before_the_report (Fixture *fixture, gconstpointer data)
{
  const MigrationInput ends[] = { MIGRATION_INPUT_NOT_LISTED, MIGRATION_INPUT_STARTED };

  for (gsize i = 0; i < G_N_ELEMENTS (ends); i++) {
    arrive (fixture);
    guest_input (fixture->guest, MIGRATION_INPUT_RESUMED_MIGRATED);
    guest_input (fixture->guest, ends[i]);
    g_assert_cmpuint (event_tape_count ("migration-stock"), ==, i + 1);
    g_assert_cmpuint (event_tape_count ("arrival-abandoned"), ==, 0);
  }
  g_assert_cmpint (guest_get_phase (fixture->guest), ==, MIGRATION_PHASE_RUNNING);
}

/* Freed with calls to libvirt and a link to a helper under way. */
static void
test_freed (Fixture *fixture, gconstpointer data)
{
  arrive (fixture);
  stand_in_qemu_send_report (fixture->host->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  guest_input (fixture->guest, MIGRATION_INPUT_RESUMED_MIGRATED);
  g_clear_pointer (&fixture->guest, guest_free);
  WAIT_UNTIL (!stand_in_qemu_is_connected (fixture->host->qemu));
  WAIT_UNTIL (stand_in_libvirt_count (fixture->host->host->libvirt, "GetXMLDesc", WEB) == 2);
  g_assert_cmpuint (event_tape_count ("domain-ready"), ==, 0);
}

/* looking what became of it, after events may have been lost */

/* Let libvirt answer the two questions, and see to the answers. */
static void
look (Fixture *fixture, MigrationInput input)
{
  StandInLibvirt *libvirt = fixture->host->host->libvirt;
  guint before = stand_in_libvirt_count (libvirt, "GetState", WEB);

  guest_input (fixture->guest, input);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "GetState", WEB) > before);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
test_still_arriving (Fixture *fixture, gconstpointer data)
{
  const MigrationInput inputs[] = { MIGRATION_INPUT_LISTED, MIGRATION_INPUT_STARTED_MIGRATED };

  arrive (fixture);
  for (gsize i = 0; i < G_N_ELEMENTS (inputs); i++) {
    look (fixture, inputs[i]);
    g_assert_cmpint (guest_get_phase (fixture->guest), ==, MIGRATION_PHASE_INCOMING);
  }
  g_assert_true (stand_in_qemu_is_connected (fixture->host->qemu));
  g_assert_cmpuint (event_tape_count ("arrival-announced"), ==, 1);
  g_assert_cmpuint (event_tape_count ("arrival-abandoned"), ==, 0);
}

static void
test_missed_arrival (Fixture *fixture, gconstpointer data)
{
  arrive (fixture);
  stand_in_qemu_send_report (fixture->host->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  stand_in_libvirt_set_state (fixture->host->host->libvirt, WEB, STATE_RUNNING);
  guest_input (fixture->guest, MIGRATION_INPUT_LISTED);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 1);
  g_assert_cmpint (guest_get_phase (fixture->guest), ==, MIGRATION_PHASE_RUNNING);
}

static void
test_missed_paused_arrival (Fixture *fixture, gconstpointer data)
{
  arrive (fixture);
  stand_in_libvirt_set_state (fixture->host->host->libvirt, WEB, STATE_PAUSED_BY_USER);
  guest_input (fixture->guest, MIGRATION_INPUT_LISTED);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_REASON"), ==, "arrived-paused");
  g_assert_cmpint (guest_get_phase (fixture->guest), ==, MIGRATION_PHASE_PAUSED);
}

/* The first attempt failed, and libvirt's word of it was lost. */
static void
test_another_attempt (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->host->libvirt;

  arrive (fixture);
  stand_in_qemu_end (fixture->host->qemu);
  stand_in_libvirt_remove_domain (libvirt, WEB);
  fixture->host->qemu = stand_in_qemu_start (fixture->host->folders, "web", 2, WEB);
  stand_in_libvirt_add_domain (libvirt, WEB, "web", 2);
  arrive (fixture);
  g_assert_cmpuint (event_tape_count ("arrival-abandoned"), ==, 1);
  g_assert_cmpuint (event_tape_count ("arrival-announced"), ==, 2);
  g_assert_cmpint (guest_get_phase (fixture->guest), ==, MIGRATION_PHASE_INCOMING);
}

/* libvirt says of a domain that is being restored, too, that a migration has it paused. */
static void
test_restored (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->host->libvirt;

  stand_in_libvirt_set_state (libvirt, WEB, STATE_PAUSED_MIGRATION);
  guest_input (fixture->guest, MIGRATION_INPUT_STARTED);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 1);
  g_assert_cmpuint (stand_in_libvirt_count (libvirt, "SetMetadata", WEB), ==, 1);
  g_assert_cmpuint (event_tape_count ("arrival-announced"), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  event_tape_start ();

#define ADD(path, function) g_test_add ("/guest/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("report-overtaken", test_report_overtaken);
  ADD ("report-of-a-dead-qemu", test_report_of_a_dead_qemu);
  ADD ("report-before-the-end", test_report_before_the_end);
  ADD ("gone-before-the-report", test_gone_before_the_report);
  ADD ("freed", test_freed);
  ADD ("look/still-arriving", test_still_arriving);
  ADD ("look/missed-arrival", test_missed_arrival);
  ADD ("look/missed-paused-arrival", test_missed_paused_arrival);
  ADD ("look/another-attempt", test_another_attempt);
  ADD ("restored", test_restored);
#undef ADD
  return g_test_run ();
}
