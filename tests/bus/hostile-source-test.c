/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile-source-test - the daemon of a destination, and guests whose source lies, floods or is silent
 *
 * The hostile source has the key and the tickets: it is a host that libvirt lets migrate. It may keep its
 * own guests from being fixed, and that is all: an honest guest arrives with its clocks meanwhile, and the
 * daemon stays small.
 */

#include "daemon-pair.h"
#include "hostile-lies.h"
#include "hostile-source.h"
#include "wait-until.h"

#define MEMORY_MAX_KIB (64 * 1024)

/* Sanitizers take memory of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED TRUE
#else
#define IS_SANITIZED FALSE
#endif

/* More than GIO has threads for handshakes at first. */
#define EVIL_GUESTS 12

typedef struct Fixture Fixture;

typedef struct {
  const char *path;
  HostileLie lie;
  guint attempts;      /* connections to wait for before the guest resumes */
  const char *step;    /* that the report blames; NULL: whatever it was at just then */
  gboolean is_fixable; /* what it sends is a record for all that can be known */
  void (*check) (Fixture *fixture);
} Case;

struct Fixture {
  DaemonPair pair;
  PairGuest honest;
  PairGuest evil[EVIL_GUESTS];
  char *uuids[EVIL_GUESTS];
  char *names[EVIL_GUESTS];
  HostileSource source;
};

static void
set_up (Fixture *fixture, gconstpointer data)
{
  const Case *attack = data;
  DaemonHost *dest = &fixture->pair.dest;

  daemon_pair_set_up (&fixture->pair, data);
  pair_guest_boot (&fixture->honest, &fixture->pair, WEB, "web", 1);
  hostile_source_start (&fixture->source, &attack->lie, EVIL_GUESTS);
  for (guint i = 0; i < EVIL_GUESTS; i++) {
    fixture->uuids[i] = g_strdup_printf ("66666666-2222-4333-8444-%012u", i);
    fixture->names[i] = g_strdup_printf ("evil%u", i);
    fixture->evil[i].uuid = fixture->uuids[i];
    fixture->evil[i].name = fixture->names[i];
    fixture->evil[i].dest =
      stand_in_qemu_start (dest->folders, fixture->names[i], (int) (100 + i), fixture->uuids[i]);
    stand_in_libvirt_add_domain (dest->host->libvirt, fixture->uuids[i], fixture->names[i],
                                 (int) (100 + i));
  }
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  pair_guest_end (&fixture->honest);
  for (guint i = 0; i < EVIL_GUESTS; i++) {
    pair_guest_end (&fixture->evil[i]);
    g_free (fixture->uuids[i]);
    g_free (fixture->names[i]);
  }
  daemon_pair_tear_down (&fixture->pair, data);
  hostile_source_stop (&fixture->source);
}

/* How many fix-ups the helper of @guest got; the last one is of @last_ns. */
static guint
count_fixups (PairGuest *guest, guint64 *last_ns)
{
  guint count = 0;

  while (stand_in_qemu_count (guest->dest) > 0) {
    gboolean is_fixup = stand_in_qemu_peek (guest->dest) == HELPER_MESSAGE_FIXUP;
    g_autofree struct helper_fixup *message =
      stand_in_qemu_take (guest->dest, stand_in_qemu_peek (guest->dest));

    if (is_fixup) {
      *last_ns = message->record.guest_src_ns;
      count++;
    }
  }
  return count;
}

static guint
count_at_dest (Fixture *fixture, const char *event, const char *text)
{
  return daemon_process_count (fixture->pair.dest.daemon, event, text);
}

/* tests */

static void
test_lie (Fixture *fixture, gconstpointer data)
{
  const Case *attack = data;
  g_autofree char *blame = g_strconcat ("STEP=", attack->step, NULL); /* of a NULL: any */
  guint64 last_ns = 0;

  for (guint i = 0; i < EVIL_GUESTS; i++)
    pair_guest_announce (&fixture->evil[i], &fixture->pair, fixture->source.element);
  WAIT_UNTIL (fixture->source.attempts >= EVIL_GUESTS);
  pair_guest_migrate (&fixture->honest, &fixture->pair);
  WAIT_UNTIL (fixture->source.attempts >= attack->attempts);
  if (attack->check != NULL)
    attack->check (fixture);

  for (guint i = 0; i < EVIL_GUESTS; i++) {
    guint fixups = count_fixups (&fixture->evil[i], &last_ns);

    if (attack->is_fixable)
      continue;
    g_assert_cmpuint (fixups, ==, 0);
    stand_in_libvirt_set_state (fixture->pair.dest.host->libvirt, fixture->uuids[i], STATE_RUNNING);
    stand_in_qemu_send_report (fixture->evil[i].dest, HELPER_VERDICT_STOCK,
                               HELPER_REASON_NO_RECORD);
    g_assert_true (stand_in_libvirt_emit (fixture->pair.dest.host->libvirt, fixture->uuids[i],
                                          RESUMED_MIGRATED));
  }
  if (!attack->is_fixable)
    WAIT_UNTIL (count_at_dest (fixture, "migration-stock", blame) == EVIL_GUESTS);
  g_test_message ("%u attempts, peak %" G_GUINT64_FORMAT " KiB", fixture->source.attempts,
                  daemon_process_get_peak_kib (fixture->pair.dest.daemon));
  if (!IS_SANITIZED)
    g_assert_cmpuint (daemon_process_get_peak_kib (fixture->pair.dest.daemon), <, MEMORY_MAX_KIB);
}

static gboolean
on_time_over (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

static void
pass_seconds (guint seconds)
{
  gboolean is_over = FALSE;

  g_timeout_add_seconds (seconds, on_time_over, &is_over);
  WAIT_UNTIL (is_over);
}

/* What it says reaches the journal short, and in one line. */
static void
check_words (Fixture *fixture)
{
  g_autofree char *filler = g_strnfill (300, 'x');

  WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", "STEP=peer") >= EVIL_GUESTS);
  g_assert_cmpuint (count_at_dest (fixture, NULL, "?migration-fixed: all is well?xxx"), >=,
                    EVIL_GUESTS);
  g_assert_cmpuint (count_at_dest (fixture, NULL, "\x1b"), ==, 0);
  g_assert_cmpuint (count_at_dest (fixture, NULL, filler), ==, 0);
  g_assert_cmpuint (count_at_dest (fixture, "migration-fixed", "all is well"), ==, 0);
}

/* The journal has some of it, and the helper what its socket takes. */
static void
check_flood (Fixture *fixture)
{
  pass_seconds (5);
  for (guint i = 0; i < EVIL_GUESTS; i++) {
    g_autofree char *domain = g_strconcat ("DOMAIN=", fixture->uuids[i], NULL);
    guint64 last_ns = 0;

    g_assert_cmpuint (count_at_dest (fixture, NULL, domain), <, 60);
    g_assert_cmpuint (count_fixups (&fixture->evil[i], &last_ns), >, 0);
  }
}

/* A helper reads nothing before its guest resumes: each message then fails for want of room. */
static void
check_unread_flood (Fixture *fixture)
{
  for (guint i = 0; i < EVIL_GUESTS; i++)
    stand_in_qemu_stop_reading (fixture->evil[i].dest);
  for (guint i = 0; i < EVIL_GUESTS; i++) {
    g_autofree char *domain = g_strconcat ("DOMAIN=", fixture->uuids[i], NULL);

    WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", domain) > 0);
  }
  pass_seconds (6);
  for (guint i = 0; i < EVIL_GUESTS; i++) {
    g_autofree char *domain = g_strconcat ("DOMAIN=", fixture->uuids[i], NULL);

    g_test_message ("%u entries", count_at_dest (fixture, NULL, domain));
    g_assert_cmpuint (count_at_dest (fixture, NULL, domain), <, 150);
  }
}

/* Each attempt ends with its first question. */
static void
check_timed_out (Fixture *fixture)
{
  g_assert_cmpuint (fixture->source.answers, <=, fixture->source.attempts);
}

static void
check_old_record (Fixture *fixture)
{
  for (guint i = 0; i < EVIL_GUESTS; i++)
    pair_guest_expect_fixup (&fixture->evil[i], 2000);
  pass_seconds (2);
  for (guint i = 0; i < EVIL_GUESTS; i++) {
    guint64 last_ns = 2000;

    (void) count_fixups (&fixture->evil[i], &last_ns);
    g_assert_cmpuint (last_ns, ==, 2000);
  }
}

static void
check_machine_id (Fixture *fixture)
{
  pass_seconds (2);
  g_assert_false (fixture->source.is_asked_back);
}

/* It is told, and not once an answer. */
static void
check_restless (Fixture *fixture)
{
  WAIT_UNTIL (fixture->source.answers > EVIL_GUESTS * 20);
  g_assert_cmpuint (count_at_dest (fixture, NULL, "drift apart"), >, 0);
  g_assert_cmpuint (count_at_dest (fixture, NULL, "drift apart"), <=, fixture->source.attempts);
}

static const Case cases[] = {
  { "silent/without-tls", .lie = { .is_mute = TRUE }, .attempts = 2 * EVIL_GUESTS, .step = "peer" },
  { "silent/to-claims", .attempts = EVIL_GUESTS },
  { "silent/of-its-time", .lie = { .claim = hostile_claim_send_good }, .attempts = EVIL_GUESTS,
    .step = "clock-offset" },
  { "words", .lie = { .claim = hostile_claim_refuse_noisily }, .attempts = EVIL_GUESTS,
    .step = "peer", .check = check_words },
  { "words/cancelled", .lie = { .claim = hostile_claim_refuse_as_cancelled },
    .attempts = 2 * EVIL_GUESTS, .step = "peer" },
  { "nonsense", .lie = { .claim = hostile_claim_answer_with_nonsense }, .attempts = 2 * EVIL_GUESTS,
    .step = "peer" },
  { "record/impossible",
    .lie = { .claim = hostile_claim_send_impossible, .time = hostile_time_tell },
    .attempts = 10 * EVIL_GUESTS },
  { "record/of-2200", .lie = { .claim = hostile_claim_send_of_2200, .time = hostile_time_tell },
    .attempts = EVIL_GUESTS, .step = "clock-offset" },
  { "record/of-1970", .lie = { .claim = hostile_claim_send_of_1970, .time = hostile_time_tell },
    .attempts = EVIL_GUESTS, .step = "clock-offset" },
  { "record/booted-in-the-future",
    .lie = { .claim = hostile_claim_send_of_late_boot, .time = hostile_time_tell },
    .attempts = EVIL_GUESTS, .step = "clock-offset" },
  { "record/of-other-domain",
    .lie = { .claim = hostile_claim_send_of_other_domain, .time = hostile_time_tell },
    .attempts = 2 * EVIL_GUESTS },
  { "record/old-after-new",
    .lie = { .claim = hostile_claim_send_old_last, .time = hostile_time_tell },
    .attempts = EVIL_GUESTS, .is_fixable = TRUE, .check = check_old_record },
  { "time/negative",
    .lie = { .claim = hostile_claim_send_good, .time = hostile_time_tell_negative },
    .attempts = 2 * EVIL_GUESTS },
  { "time/at-its-end", .lie = { .claim = hostile_claim_send_good, .time = hostile_time_tell_last },
    .attempts = 2 * EVIL_GUESTS },
  { "time/backwards", .lie = { .claim = hostile_claim_accept, .time = hostile_time_tell_backwards },
    .attempts = EVIL_GUESTS, .step = "record", .check = check_restless },
  { "time/timed-out",
    .lie = { .claim = hostile_claim_accept, .time = hostile_time_refuse_as_timed_out },
    .attempts = 2 * EVIL_GUESTS, .check = check_timed_out },
  { "flood", .lie = { .claim = hostile_claim_flood, .time = hostile_time_tell },
    .attempts = EVIL_GUESTS, .is_fixable = TRUE, .check = check_flood },
  { "flood/unread", .lie = { .claim = hostile_claim_flood, .time = hostile_time_tell },
    .attempts = EVIL_GUESTS, .is_fixable = TRUE, .check = check_unread_flood },
  { "burst", .lie = { .claim = hostile_claim_burst, .time = hostile_time_tell },
    .attempts = 3 * EVIL_GUESTS },
  { "huge", .lie = { .claim = hostile_claim_send_huge, .time = hostile_time_tell },
    .attempts = 3 * EVIL_GUESTS },
  { "asks-back", .lie = { .claim = hostile_claim_ask_back, .time = hostile_time_tell },
    .attempts = EVIL_GUESTS, .step = "record", .check = check_machine_id },
};

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_strconcat ("/hostile-source/", cases[i].path, NULL);

    g_test_add (path, Fixture, &cases[i], set_up, test_lie, tear_down);
  }
  return g_test_run ();
}
