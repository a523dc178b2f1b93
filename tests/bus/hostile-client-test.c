/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile-client-test - the daemon of a source under attack through its peer port, while guests leave
 *
 * Whatever the crowd does, honest guests are migrated with their clocks meanwhile, the daemon keeps below
 * MEMORY_MAX_KIB at all times, and afterwards it is as before: no connection is left, and nothing turns.
 */

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon-pair.h"
#include "hostile-peer.h"
#include "refusal-log.h"
#include "wait-until.h"

#define MEMORY_MAX_KIB (64 * 1024)

/* For what happens in threads and other processes. */
#define POLL_MS 20

/* Sanitizers take memory of their own, and time: under them a crowd does a tenth of what it else does. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED TRUE
#define ACTS_DIVISOR 10
#else
#define IS_SANITIZED FALSE
#define ACTS_DIVISOR 1
#endif

#if defined(__SANITIZE_ADDRESS__)
/* LeakSanitizer's tracer crashes in this process, after threads of it spoke TLS (gcc 12). The daemon's leaks
 * are looked for all the same. */
int __lsan_is_turned_off (void);

int
__lsan_is_turned_off (void)
{
  return 1;
}
#endif

/* Honest guests in a row, each of which is migrated while the crowd is at it. */
#define GUESTS 3
static const char *const uuids[GUESTS] = { WEB, MAIL, OTHER };
static const char *const names[GUESTS] = { "web", "mail", "other" };

/* One that stays. */
#define BYSTANDER "88888888-2222-4333-8444-555555555555"

typedef struct {
  DaemonPair pair;
  PairGuest guests[GUESTS];
  guint fds; /* of the source's daemon before the attack */
} Fixture;

/* What people see of the source's daemon */

static guint
count_fds (Fixture *fixture)
{
  g_autofree char *path =
    g_strdup_printf ("/proc/%d/fd", daemon_process_get_pid (fixture->pair.source.daemon));
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  guint count = 0;

  g_assert_nonnull (dir);
  while (g_dir_read_name (dir) != NULL)
    count++;
  return count;
}

/* User and system time so far. */
static guint64
get_cpu_ms (Fixture *fixture)
{
  g_autofree char *path =
    g_strdup_printf ("/proc/%d/stat", daemon_process_get_pid (fixture->pair.source.daemon));
  g_autofree char *stat = NULL;
  g_auto (GStrv) fields = NULL;
  g_autoptr (GError) error = NULL;

  g_file_get_contents (path, &stat, NULL, &error);
  g_assert_no_error (error);
  /* after the name, which may contain anything: state is the first of what follows */
  fields = g_strsplit (strrchr (stat, ')') + 2, " ", -1);
  return (g_ascii_strtoull (fields[11], NULL, 10) + g_ascii_strtoull (fields[12], NULL, 10)) *
         1000 / (guint64) sysconf (_SC_CLK_TCK);
}

static gboolean
on_time_over (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

static void
pass_time (guint ms)
{
  gboolean is_over = FALSE;

  g_timeout_add (ms, on_time_over, &is_over);
  WAIT_UNTIL (is_over);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  daemon_pair_set_up (&fixture->pair, data);
  for (guint i = 0; i < GUESTS; i++)
    pair_guest_boot (&fixture->guests[i], &fixture->pair, uuids[i], names[i], (int) i + 1);
  bus_host_boot_and_wait (fixture->pair.source.host, BYSTANDER, "bystander", GUESTS + 1);
  fixture->fds = count_fds (fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  for (guint i = 0; i < GUESTS; i++)
    pair_guest_end (&fixture->guests[i]);
  daemon_pair_tear_down (&fixture->pair, data);
}

static char *
steal_ticket (Fixture *fixture, const char *uuid)
{
  const char *element = stand_in_libvirt_get_element (fixture->pair.source.host->libvirt, uuid);
  const char *ticket = strstr (element, "ticket='") + strlen ("ticket='");

  return g_strndup (ticket, 64);
}

/*
 * The crowd comes, and has done at least @acts_before before the first guest goes and @acts_min when it
 * ends; the guests leave meanwhile. Then all must be as before.
 */
static void
endure (Fixture *fixture, HostileCrowd *crowd, guint acts_before, guint acts_min)
{
  g_autofree char *ticket = steal_ticket (fixture, crowd->domain);
  gint64 since_us = g_get_monotonic_time ();
  guint periods;
  guint64 busy_ms;

  crowd->port = fixture->pair.source.host->port;
  crowd->ticket = ticket;
  hostile_crowd_start (crowd);
  while (hostile_crowd_count (crowd) < acts_before)
    pass_time (POLL_MS);
  for (guint i = 0; i < GUESTS; i++)
    pair_guest_migrate (&fixture->guests[i], &fixture->pair);
  while (hostile_crowd_count (crowd) < acts_min)
    pass_time (POLL_MS);
  g_test_message ("%u acts, peak %" G_GUINT64_FORMAT " KiB, %u descriptors",
                  hostile_crowd_count (crowd),
                  daemon_process_get_peak_kib (fixture->pair.source.daemon), count_fds (fixture));
  hostile_crowd_stop (crowd);

  while (count_fds (fixture) > fixture->fds)
    pass_time (POLL_MS);
  if (!IS_SANITIZED)
    g_assert_cmpuint (daemon_process_get_peak_kib (fixture->pair.source.daemon), <, MEMORY_MAX_KIB);
  busy_ms = get_cpu_ms (fixture);
  pass_time (1000);
  g_assert_cmpuint (get_cpu_ms (fixture) - busy_ms, <, 500);
  /* strangers do not fill the journal */
  periods = (guint) ((g_get_monotonic_time () - since_us) / 1000 / REFUSAL_LOG_PERIOD_MS) + 2;
  g_assert_cmpuint (daemon_process_count (fixture->pair.source.daemon, "peer-refused", NULL), <=,
                    periods * (REFUSAL_LOG_BURST + 1));
}

/* what a crowd does */

/* Connect, and say nothing. */
static void
act_silent (HostileCrowd *crowd, const char *address)
{
  HostilePeer *peer = hostile_peer_connect (address, crowd->port);

  if (peer != NULL)
    hostile_crowd_hold (crowd, peer);
}

/* The first byte of a TLS handshake, and no second. */
static void
act_half_word (HostileCrowd *crowd, const char *address)
{
  HostilePeer *peer = hostile_peer_connect (address, crowd->port);

  if (peer == NULL)
    return;
  (void) hostile_peer_send (peer, "\x16", 1);
  hostile_crowd_hold (crowd, peer);
}

/* One more byte to each that is still there: slow-loris, in a handshake that announces 16 KiB. */
static void
act_dribble_tls (HostileCrowd *crowd, const char *address)
{
  HostilePeer *peer = hostile_peer_connect (address, crowd->port);

  if (peer == NULL)
    return;
  (void) hostile_peer_send (peer, "\x16\x03\x01\x40\x00", 5);
  hostile_crowd_hold (crowd, peer);
  for (GList *l = crowd->held.head; l != NULL; l = l->next)
    (void) hostile_peer_send (l->data, "\x01", 1);
}

/* Encrypted, and then silent, as one who looks for its ticket. */
static void
act_shy (HostileCrowd *crowd, const char *address)
{
  HostilePeer *peer = hostile_peer_connect (address, crowd->port);

  if (peer == NULL)
    return;
  (void) hostile_peer_shake_hands (peer);
  hostile_crowd_hold (crowd, peer);
}

/* A claim, a byte at a time: slow-loris, inside a message. */
static void
act_dribble_claim (HostileCrowd *crowd, const char *address)
{
  HostilePeer *peer = hostile_peer_connect (address, crowd->port);

  if (peer == NULL)
    return;
  if (hostile_peer_shake_hands (peer))
    (void) hostile_peer_send (peer, "l\1\0\1", 4);
  hostile_crowd_hold (crowd, peer);
  for (GList *l = crowd->held.head; l != NULL; l = l->next)
    (void) hostile_peer_send (l->data, "\1", 1);
}

/* The SASL that other buses begin with, a byte and then nothing: there is none here. */
static void
act_sasl (HostileCrowd *crowd, const char *address)
{
  HostilePeer *peer = hostile_peer_connect (address, crowd->port);

  if (peer == NULL)
    return;
  if (hostile_peer_shake_hands (peer))
    (void) hostile_peer_send (peer, "\0AUTH EXTERNAL 30\r\n", 19);
  hostile_crowd_hold (crowd, peer);
}

/* A message of 128 MiB, as long as it is let. */
static void
send_huge (HostilePeer *peer)
{
  static const guint8 header[16] = { 'l', 1, 0, 1, 0, 0, 0, 8, 1 };
  static const guint8 filler[64 * 1024];
  gboolean is_taken = hostile_peer_send (peer, header, sizeof header);

  for (guint i = 0; i < 2048 && is_taken && !hostile_peer_is_closed (peer); i++)
    is_taken = hostile_peer_send (peer, filler, sizeof filler);
  g_assert_true (hostile_peer_is_closed (peer) || !is_taken);
}

static void
act_huge (HostileCrowd *crowd, const char *address)
{
  g_autoptr (HostilePeer) peer = hostile_peer_connect (address, crowd->port);

  if (peer != NULL && hostile_peer_shake_hands (peer))
    send_huge (peer);
}

/* As many messages as one may send at once, each as long as may be, and none with a ticket. */
static void
act_burst (HostileCrowd *crowd, const char *address)
{
  HostilePeer *peer = hostile_peer_connect (address, crowd->port);
  g_autofree char *long_text = g_strnfill (700, 'a');
  g_autoptr (GBytes)
    call = hostile_peer_make_call ("Claim", g_variant_new ("(sss)", crowd->domain, long_text, ""));

  if (peer == NULL)
    return;
  if (hostile_peer_shake_hands (peer)) {
    for (guint i = 0; i < 64; i++)
      (void) hostile_peer_send (peer, g_bytes_get_data (call, NULL), g_bytes_get_size (call));
  }
  hostile_crowd_hold (crowd, peer);
}

static void
claim (HostileCrowd *crowd, HostilePeer *peer)
{
  g_autofree char *migration = g_strnfill (32, '7');
  g_autoptr (GBytes) call = hostile_peer_make_call (
    "Claim", g_variant_new ("(sss)", crowd->domain, crowd->ticket, migration));

  (void) hostile_peer_send (peer, g_bytes_get_data (call, NULL), g_bytes_get_size (call));
}

/* With a ticket, and so without a time limit: hoard claims. */
static void
act_hoard (HostileCrowd *crowd, const char *address)
{
  HostilePeer *peer = hostile_peer_connect (address, crowd->port);

  if (peer == NULL)
    return;
  if (hostile_peer_shake_hands (peer))
    claim (crowd, peer);
  hostile_crowd_hold (crowd, peer);
}

/* With a ticket: a claim, then what may not be. */
static void
act_claim_and_huge (HostileCrowd *crowd, const char *address)
{
  g_autoptr (HostilePeer) peer = hostile_peer_connect (address, crowd->port);

  if (peer == NULL || !hostile_peer_shake_hands (peer))
    return;
  claim (crowd, peer);
  send_huge (peer);
}

/* Tickets by guessing. */
static void
act_guess (HostileCrowd *crowd, const char *address)
{
  HostilePeer *peer = hostile_peer_connect (address, crowd->port);
  g_autofree char *guess = g_strdup_printf ("%032x%032x", g_random_int (), g_random_int ());
  g_autoptr (GBytes)
    call = hostile_peer_make_call ("Claim", g_variant_new ("(sss)", crowd->domain, guess, guess));

  if (peer == NULL)
    return;
  if (hostile_peer_shake_hands (peer))
    (void) hostile_peer_send (peer, g_bytes_get_data (call, NULL), g_bytes_get_size (call));
  hostile_crowd_hold (crowd, peer);
}

/* tests */

typedef struct {
  const char *path;
  HostileAct act;
  guint addresses;
  gboolean is_at_home;
  guint held_max;
  guint acts_before;
  guint acts_min;
  const char *domain; /* whose ticket it has; NULL: BYSTANDER's */
} Attack;

/*
 * Those at home are behind the address of an honest peer. Of the others four addresses are enough to
 * reach what all strangers together may have, and a thousand to be one of a kind each.
 */
static const Attack attacks[] = {
  { "connections/from-one-address", act_silent, 1, FALSE, 1000, 500, 10000 },
  { "connections/from-everywhere", act_silent, 1000, FALSE, 1000, 500, 10000 },
  { "connections/from-home", act_silent, 1, TRUE, 1000, 500, 3000 },
  { "half-words/from-four-addresses", act_half_word, 4, FALSE, 200, 150, 0 },
  { "half-words/from-home", act_half_word, 1, TRUE, 200, 30, 0 },
  { "slow-loris/tls", act_dribble_tls, 4, FALSE, 130, 150, 0 },
  { "slow-loris/no-claim", act_shy, 4, FALSE, 130, 150, 0 },
  { "slow-loris/sasl", act_sasl, 4, FALSE, 130, 20, 0 },
  { "slow-loris/message", act_dribble_claim, 4, FALSE, 130, 150, 0 },
  { "huge-messages/without-ticket", act_huge, 4, FALSE, 0, 8, 100 },
  { "huge-messages/with-ticket", act_claim_and_huge, 4, FALSE, 0, 8, 100 },
  { "bursts", act_burst, 130, FALSE, 130, 100, 200 },
  { "guesses", act_guess, 1, FALSE, 20, 50, 300, OTHER },
  { "hoarded-claims", act_hoard, 4, FALSE, 600, 20, 200 },
  { "hoarded-claims/from-home", act_hoard, 1, TRUE, 600, 20, 200 },
  { "hoarded-claims/of-a-guest-that-leaves", act_hoard, 4, FALSE, 600, 20, 200, OTHER },
};

static void
test_attack (Fixture *fixture, gconstpointer data)
{
  const Attack *attack = data;
  HostileCrowd crowd = {
    .act = attack->act,
    .addresses = attack->addresses,
    .is_at_home = attack->is_at_home,
    .domain = attack->domain != NULL ? attack->domain : BYSTANDER,
    .held_max = attack->held_max,
  };

  endure (fixture, &crowd, attack->acts_before, attack->acts_min / ACTS_DIVISOR);
  /* a crowd of few addresses is in its own way: who is alone at another gets in at the first attempt */
  if (!attack->is_at_home && attack->addresses <= 4)
    g_assert_cmpuint (daemon_process_count (fixture->pair.dest.daemon, "arrival-step-failed", NULL),
                      ==, 0);
}

int
main (int argc, char **argv)
{
  struct rlimit files;

  g_test_init (&argc, &argv, NULL);
  /* a thousand sockets of ours */
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &files), ==, 0);
  files.rlim_cur = files.rlim_max;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &files), ==, 0);

  for (gsize i = 0; i < G_N_ELEMENTS (attacks); i++) {
    g_autofree char *path = g_strconcat ("/hostile-client/", attacks[i].path, NULL);

    g_test_add (path, Fixture, &attacks[i], set_up, test_attack, tear_down);
  }
  return g_test_run ();
}
