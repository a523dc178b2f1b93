/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host_clock.c - read and compare the clocks of emulated hosts; step, slew and declare their CLOCK_REALTIME
 *
 * `pairs` ties a clock to the host's TSC. `ask` on one host and `answer` on the other play ping-pong through
 * memory that both hosts map (ivshmem): every round proves bounds for the offset between the two clocks, since the
 * answerer's stamp was taken between the asker's two. None of it shares code with clockferry, which it is to judge.
 *
 * Exit status: 0 done, 1 failed, 2 usage.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timex.h>
#include <unistd.h>

#include "tight_pair.h"

#define NS_PER_S                  INT64_C (1000000000)
#define PAIR_TRIES                64
#define RENDEZVOUS_TIMEOUT_NS     (30 * NS_PER_S)
#define ROUNDS_MAX_DURATION_NS    (NS_PER_S / 4)
#define SPINS_PER_DEADLINE_CHECK  4096
#define SYNCHRONISED_MAX_ERROR_US 1000

/* What the two hosts share; the nonce tells this run from what an earlier one left behind. */
struct mailbox {
  _Atomic uint64_t ask_nonce;
  _Atomic uint64_t answer_nonce;
  _Atomic uint64_t ask_round;
  _Atomic uint64_t answer_round;
  _Atomic int64_t answer_stamp_ns;
};

#define LAST_ROUND UINT64_MAX

static int
fail (const char *what)
{
  fprintf (stderr, "host-clock: %s: %s\n", what, strerror (errno));
  return 1;
}

/* CLOCK_MONOTONIC_RAW is neither stepped nor slewed: what a clock did is seen against it. */
static bool
parse_clock (const char *name, clockid_t *clock)
{
  *clock = strcmp (name, "raw") ? CLOCK_REALTIME : CLOCK_MONOTONIC_RAW;
  return !strcmp (name, "raw") || !strcmp (name, "realtime");
}

static int
print_pairs (clockid_t clock, int count)
{
  for (int i = 0; i < count; i++) {
    struct tight_pair pair = tight_pair_take (clock, PAIR_TRIES);

    printf ("%" PRIu64 " %" PRIu64 " %" PRId64 "\n", pair.tsc_before_ticks, pair.width_ticks,
            pair.clock_ns);
  }
  return 0;
}

static struct mailbox *
map_mailbox (const char *path)
{
  int fd = open (path, O_RDWR | O_SYNC | O_CLOEXEC);
  void *memory;

  if (fd < 0)
    return NULL;
  memory = mmap (NULL, sizeof (struct mailbox), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close (fd);
  return memory == MAP_FAILED ? NULL : memory;
}

/* Wait for the other host to write `wanted`, giving the CPU away meanwhile: the other may still be starting. */
static bool
wait_for_nonce (_Atomic uint64_t *nonce, uint64_t wanted)
{
  int64_t deadline_ns = clock_read_ns (CLOCK_MONOTONIC) + RENDEZVOUS_TIMEOUT_NS;

  while (atomic_load (nonce) != wanted) {
    if (clock_read_ns (CLOCK_MONOTONIC) > deadline_ns) {
      errno = ETIMEDOUT;
      return false;
    }
    sched_yield ();
  }
  return true;
}

/* Spin until the counter moves on from `previous`; every microsecond saved here is one less in the bound. */
static bool
spin_while (_Atomic uint64_t *counter, uint64_t previous)
{
  int64_t deadline_ns = clock_read_ns (CLOCK_MONOTONIC) + RENDEZVOUS_TIMEOUT_NS;

  for (;;) {
    for (int i = 0; i < SPINS_PER_DEADLINE_CHECK; i++)
      if (atomic_load (counter) != previous)
        return true;
    if (clock_read_ns (CLOCK_MONOTONIC) > deadline_ns) {
      errno = ETIMEDOUT;
      return false;
    }
  }
}

static int
answer (struct mailbox *mailbox, uint64_t nonce, clockid_t clock)
{
  uint64_t round = 0;

  atomic_store (&mailbox->answer_round, 0);
  if (!wait_for_nonce (&mailbox->ask_nonce, nonce))
    return fail ("waiting for the asking host");
  atomic_store (&mailbox->answer_nonce, nonce);

  for (;;) {
    if (!spin_while (&mailbox->ask_round, round))
      return fail ("waiting for the next question");
    round = atomic_load (&mailbox->ask_round);
    if (round == LAST_ROUND)
      return 0;
    atomic_store (&mailbox->answer_stamp_ns, clock_read_ns (clock));
    atomic_store (&mailbox->answer_round, round);
  }
}

/*
 * Prints the round with the shortest trip: when the question was sent and the answer received, on the asker's clock, and the
 * answerer's stamp. Bounds of several rounds are not put together: meanwhile the clocks may drift apart by more than these.
 */
static int
ask (struct mailbox *mailbox, uint64_t nonce, clockid_t clock, uint64_t rounds)
{
  int64_t best_sent_ns = 0, best_stamp_ns = 0, best_received_ns = INT64_MAX;
  int64_t end_ns;

  atomic_store (&mailbox->ask_round, 0);
  atomic_store (&mailbox->ask_nonce, nonce);
  if (!wait_for_nonce (&mailbox->answer_nonce, nonce))
    return fail ("waiting for the answering host");

  end_ns = clock_read_ns (CLOCK_MONOTONIC) + ROUNDS_MAX_DURATION_NS;
  for (uint64_t round = 1; round <= rounds && clock_read_ns (CLOCK_MONOTONIC) < end_ns; round++) {
    int64_t sent_ns = clock_read_ns (clock), received_ns;

    atomic_store (&mailbox->ask_round, round);
    if (!spin_while (&mailbox->answer_round, round - 1))
      return fail ("waiting for the answer");
    received_ns = clock_read_ns (clock);

    if (received_ns - sent_ns < best_received_ns - best_sent_ns) {
      best_sent_ns = sent_ns;
      best_stamp_ns = atomic_load (&mailbox->answer_stamp_ns);
      best_received_ns = received_ns;
    }
  }
  atomic_store (&mailbox->ask_round, LAST_ROUND);
  printf ("%" PRId64 " %" PRId64 " %" PRId64 "\n", best_sent_ns, best_stamp_ns, best_received_ns);
  return 0;
}

static int
step (int64_t offset_ns)
{
  struct timex change = { .modes = ADJ_SETOFFSET | ADJ_NANO };

  change.time.tv_sec = offset_ns / NS_PER_S;
  change.time.tv_usec = offset_ns % NS_PER_S;
  if (change.time.tv_usec < 0) {
    change.time.tv_sec--;
    change.time.tv_usec += NS_PER_S;
  }
  return clock_adjtime (CLOCK_REALTIME, &change) < 0 ? fail ("stepping the clock") : 0;
}

/* Let the clock run fast, or slow, by as much as a time service may have it. */
static int
slew (double ppm)
{
  /* 16 bits of fraction (adjtimex(2)) */
  struct timex change = { .modes = ADJ_FREQUENCY, .freq = (long) (ppm * 65536) };

  return clock_adjtime (CLOCK_REALTIME, &change) < 0 ? fail ("slewing the clock") : 0;
}

/* Make the kernel say what it would say with, or without, a time service that keeps the clock. */
static int
declare (bool synchronised)
{
  struct timex change = {
    .modes = ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR,
    .status = synchronised ? 0 : STA_UNSYNC,
    .maxerror = synchronised ? SYNCHRONISED_MAX_ERROR_US : 16000000,
    .esterror = synchronised ? SYNCHRONISED_MAX_ERROR_US : 16000000,
  };

  return clock_adjtime (CLOCK_REALTIME, &change) < 0 ? fail ("setting the clock's state") : 0;
}

/* One line of what `serve` is asked for. */
static int
obey (struct mailbox *mailbox, const char *line)
{
  char verb[8], clock_name[16];
  uint64_t nonce, rounds;
  clockid_t clock;
  int words = sscanf (line, "%7s %15s %" SCNu64 " %" SCNu64, verb, clock_name, &nonce, &rounds);

  if (words == 4 && !strcmp (verb, "ask") && parse_clock (clock_name, &clock))
    return ask (mailbox, nonce, clock, rounds);
  if (words == 3 && !strcmp (verb, "answer") && parse_clock (clock_name, &clock))
    return answer (mailbox, nonce, clock) ? 1 : puts ("answered") == EOF;
  errno = EINVAL;
  return fail (line);
}

/* A kernel that is locked down lets nobody map the memory any more; what is mapped stays. */
static int
serve (struct mailbox *mailbox)
{
  char line[128];

  while (fgets (line, sizeof line, stdin)) {
    if (obey (mailbox, line))
      puts ("failed");
    fflush (stdout);
  }
  return 0;
}

static int
use_mailbox (clockid_t clock, int argc, char **argv)
{
  bool serving = argc == 3;
  const char *path = argv[serving ? 2 : 3];
  struct mailbox *mailbox = map_mailbox (path);
  uint64_t nonce = serving ? 0 : strtoull (argv[4], NULL, 10);

  if (!mailbox)
    return fail (path);
  if (serving)
    return serve (mailbox);
  return argc == 6 ? ask (mailbox, nonce, clock, strtoull (argv[5], NULL, 10))
                   : answer (mailbox, nonce, clock);
}

int
main (int argc, char **argv)
{
  const char *verb = argc > 1 ? argv[1] : "";
  clockid_t clock = CLOCK_REALTIME;
  bool has_clock = argc > 2 && parse_clock (argv[2], &clock);

  if (!strcmp (verb, "pairs") && argc == 4 && has_clock)
    return print_pairs (clock, atoi (argv[3]));
  if ((!strcmp (verb, "answer") && argc == 5 && has_clock) ||
      (!strcmp (verb, "ask") && argc == 6 && has_clock) || (!strcmp (verb, "serve") && argc == 3))
    return use_mailbox (clock, argc, argv);
  if (!strcmp (verb, "step") && argc == 3)
    return step (strtoll (argv[2], NULL, 10));
  if (!strcmp (verb, "slew") && argc == 3)
    return slew (strtod (argv[2], NULL));
  if (!strcmp (verb, "declare") && argc == 3 && !strcmp (argv[2], "synchronised"))
    return declare (true);
  if (!strcmp (verb, "declare") && argc == 3 && !strcmp (argv[2], "unsynchronised"))
    return declare (false);

  fprintf (
    stderr,
    "usage: host-clock pairs CLOCK COUNT | answer CLOCK MEMORY NONCE |\n"
    "       ask CLOCK MEMORY NONCE ROUNDS | serve MEMORY | step NS | slew PPM |\n"
    "       declare synchronised|unsynchronised\n"
    "CLOCK is realtime or raw; serve reads lines: answer CLOCK NONCE, ask CLOCK NONCE ROUNDS.\n");
  return 2;
}
