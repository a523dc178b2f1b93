/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-clock.h"

#include "host-clock.h"

/* Enough round trips to meet one without a delay. */
#define SAMPLES_ENOUGH 32
/* What is older has to be found out anew. */
#define AGE_MAX_NS (5 * G_GINT64_CONSTANT (1000000000))

struct PeerClock {
  char *peer;
  guint users;
  ClockOffset offset;
  guint samples;    /* since it was last taken up after AGE_MAX_NS */
  bool is_restless; /* its answers contradict each other */
};

static GHashTable *clocks; /* peer -> PeerClock; NULL without any */

static bool
is_old (const PeerClock *clock)
{
  return host_clock_boottime_ns () - clock->offset.at_ns > AGE_MAX_NS;
}

/* public functions */

PeerClock *
peer_clock_acquire (const char *peer)
{
  PeerClock *clock;

  if (clocks == NULL)
    clocks = g_hash_table_new (g_str_hash, g_str_equal);
  clock = g_hash_table_lookup (clocks, peer);
  if (clock == NULL) {
    clock = g_new0 (PeerClock, 1);
    clock->peer = g_strdup (peer);
    g_hash_table_insert (clocks, clock->peer, clock);
  }
  clock->users++;
  return clock;
}

void
peer_clock_release (PeerClock *clock)
{
  if (--clock->users > 0)
    return;
  g_hash_table_remove (clocks, clock->peer);
  if (g_hash_table_size (clocks) == 0)
    g_clear_pointer (&clocks, g_hash_table_unref);
  g_free (clock->peer);
  g_free (clock);
}

guint
peer_clock_get_users (const PeerClock *clock)
{
  return clock->users;
}

bool
peer_clock_add (PeerClock *clock, const ClockSample *sample)
{
  bool was_restless = clock->is_restless;

  if (is_old (clock))
    clock->samples = 0;
  clock->samples++;
  if (clock_offset_add (&clock->offset, sample))
    return true;
  clock->is_restless = true;
  return was_restless;
}

bool
peer_clock_is_known (const PeerClock *clock)
{
  return clock->samples >= SAMPLES_ENOUGH && !is_old (clock);
}

const ClockOffset *
peer_clock_get_offset (const PeerClock *clock)
{
  return &clock->offset;
}
