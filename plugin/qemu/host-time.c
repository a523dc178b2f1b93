/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "host-time.h"

#include "host-calls.h"

/* Undisturbed, three readings take some 60 ns; one attempt of four is undisturbed. */
#define READ_ATTEMPTS 4
/* A disturbed one is off by microseconds. Time services slew what is less than milliseconds. */
#define STEP_MIN_NS 100000

int64_t
host_real_minus_boot_ns (void)
{
  uint64_t width_ns = UINT64_MAX;
  int64_t distance_ns = 0;

  for (int i = 0; i < READ_ATTEMPTS; i++) {
    uint64_t before_ns = host_calls.clock_ns (CLOCK_BOOTTIME);
    uint64_t real_ns = host_calls.clock_ns (CLOCK_REALTIME);
    uint64_t after_ns = host_calls.clock_ns (CLOCK_BOOTTIME);

    if (after_ns - before_ns >= width_ns)
      continue;
    width_ns = after_ns - before_ns;
    distance_ns = (int64_t) (real_ns - before_ns - width_ns / 2);
  }
  return distance_ns;
}

int64_t
host_clock_step_ns (int64_t before_ns, int64_t after_ns)
{
  int64_t step_ns = (int64_t) ((uint64_t) after_ns - (uint64_t) before_ns);

  return step_ns > -STEP_MIN_NS && step_ns < STEP_MIN_NS ? 0 : step_ns;
}
