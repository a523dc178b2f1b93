/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tight_pair.h - a clock reading between two TSC readings, the closest of several tries
 *
 * The clock was read somewhere between the two; the smaller their distance, the tighter the pair. A try that was
 * interrupted is simply a wide one and loses.
 */
#pragma once

#include <stdint.h>
#include <time.h>
#include <x86intrin.h>

struct tight_pair {
  uint64_t tsc_before_ticks;
  uint64_t width_ticks;
  int64_t clock_ns;
};

static inline int64_t
clock_read_ns (clockid_t clock)
{
  struct timespec now;

  clock_gettime (clock, &now);
  return now.tv_sec * INT64_C (1000000000) + now.tv_nsec;
}

static inline uint64_t
tsc_read_ordered (void)
{
  uint64_t ticks;

  _mm_lfence ();
  ticks = __rdtsc ();
  _mm_lfence ();
  return ticks;
}

static inline struct tight_pair
tight_pair_take (clockid_t clock, int tries)
{
  struct tight_pair best = { .width_ticks = UINT64_MAX };

  for (int i = 0; i < tries; i++) {
    uint64_t before_ticks = tsc_read_ordered ();
    int64_t clock_ns = clock_read_ns (clock);
    uint64_t width_ticks = tsc_read_ordered () - before_ticks;

    if (width_ticks < best.width_ticks)
      best = (struct tight_pair){ before_ticks, width_ticks, clock_ns };
  }
  return best;
}
