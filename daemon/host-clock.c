/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-clock.h"

#include <errno.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

/* Undisturbed, the three reads take some 60 ns; one attempt of four is undisturbed. */
#define READ_ATTEMPTS 4

/* internal methods */

static int64_t
clock_read_ns (clockid_t clock)
{
  struct timespec ts;

  /* cannot fail: both clocks exist on every Linux, and ts is ours */
  (void) clock_gettime (clock, &ts);
  return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* public methods */

int64_t
host_clock_boottime_ns (void)
{
  return clock_read_ns (CLOCK_BOOTTIME);
}

int64_t
host_clock_monotonic_ns (void)
{
  return clock_read_ns (CLOCK_MONOTONIC);
}

void
host_clock_read (HostClockReading *reading)
{
  for (unsigned int i = 0; i < READ_ATTEMPTS; i++) {
    int64_t before_ns = clock_read_ns (CLOCK_BOOTTIME);
    int64_t realtime_ns = clock_read_ns (CLOCK_REALTIME);
    int64_t after_ns = clock_read_ns (CLOCK_BOOTTIME);
    int64_t slack_ns = (after_ns - before_ns + 1) / 2;

    if (i > 0 && slack_ns >= reading->slack_ns)
      continue;
    reading->boottime_ns = before_ns + (after_ns - before_ns) / 2;
    reading->realtime_ns = realtime_ns;
    reading->slack_ns = slack_ns;
  }
}

bool
host_clock_read_state (HostClockState *state, GError **error)
{
  struct timex timex = { .modes = 0 };

  g_return_val_if_fail (error == NULL || *error == NULL, false);

  *state = (HostClockState){ .synchronised = false, .max_error_us = HOST_CLOCK_MAX_ERROR_US };
  if (adjtimex (&timex) < 0) {
    int saved_errno = errno;

    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno),
                 "cannot ask the kernel about this host's clock (adjtimex): %s",
                 g_strerror (saved_errno));
    return false;
  }

  /*
   * Not STA_UNSYNC: chronyd clears it only with "rtcsync" configured, but keeps maxerror right
   * either way. timedatectl decides by maxerror as well.
   */
  state->max_error_us = (uint64_t) CLAMP (timex.maxerror, 0, HOST_CLOCK_MAX_ERROR_US);
  state->synchronised = state->max_error_us < HOST_CLOCK_MAX_ERROR_US;
  return true;
}
