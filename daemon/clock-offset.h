/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "host-clock.h"

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * clock-offset - how far this host's CLOCK_REALTIME is ahead of a peer's (theta)
 *
 * Theory of operation. While the peer answered "my time is remote", this host's clock was somewhere
 * between sent and received; so (time here) - (time there) lies between sent - remote and
 * received - remote. Every sample gives such an interval; the truth is in all of them, hence in their
 * intersection, which is never wider than the shortest round trip and is the tighter the more
 * lopsided the other samples are. As time passes it grows by what two clocks can drift apart.
 *
 * The clocks that are compared are CLOCK_BOOTTIME, at both ends: it is slewed together with
 * CLOCK_REALTIME, but nobody can set it. What CLOCK_REALTIME is ahead of it comes in when theta is
 * asked for: here as it is now, there as it was at the record that theta is to go with. So neither
 * clock's being set at any time spoils a comparison, or makes theta go with another time than the
 * record's.
 *
 * Pure computation on caller-supplied readings; no clock is read here.
 */

/*
 * What two clocks may drift apart: each is slewed by 500 ppm at most by its frequency (adjtimex(2),
 * MAXFREQ). An NTP client may slew faster, by the length of a tick (chronyd does, to take off a large
 * offset): then samples contradict each other sooner or later, and the latest ones hold, but until
 * then the bound may be too small.
 */
#define CLOCK_OFFSET_DRIFT_PPM 1000

typedef struct {
  int64_t sent_ns;     /* CLOCK_BOOTTIME here, before the question left */
  int64_t received_ns; /* CLOCK_BOOTTIME here, after the answer came */
  int64_t remote_ns;   /* CLOCK_BOOTTIME there, in between */
} ClockSample;

/* Zero-initialise; a plain value without anything to free. */
typedef struct {
  uint64_t samples; /* how many the interval is made of */
  int64_t at_ns;    /* CLOCK_BOOTTIME here for which the interval stands */
  int64_t low_ns;   /* CLOCK_BOOTTIME here minus there, at least */
  int64_t high_ns;  /* and at most */
} ClockOffset;

/* theta, and how far from the truth it can be. */
typedef struct {
  int64_t theta_ns; /* not credible for absurd clocks, see clock_choice_is_credible() */
  uint64_t bound_ns;
  int64_t real_minus_boot_ns; /* CLOCK_REALTIME here minus CLOCK_BOOTTIME, for which theta stands */
} ClockEstimate;

/* Configuration key HostClock=. */
typedef enum {
  HOST_CLOCK_AUTO,
  HOST_CLOCK_TRUST,
  HOST_CLOCK_MEASURE,
} HostClockMode;

/* Why HOST_CLOCK_AUTO does not take the clocks of two hosts for one. */
typedef enum {
  CLOCK_DISTRUST_NONE,                  /* it does, or the mode did not ask */
  CLOCK_DISTRUST_SOURCE_UNSYNCHRONISED, /* says its kernel */
  CLOCK_DISTRUST_DESTINATION_UNSYNCHRONISED,
  CLOCK_DISTRUST_BOTH_UNSYNCHRONISED,
  CLOCK_DISTRUST_APART, /* both kernels say otherwise, but the measurement leaves no room for 0 */
} ClockDistrust;

typedef struct {
  int64_t theta_ns;
  uint64_t bound_ns; /* the true theta was within this of theta_ns at the time of the choice,
                        whichever was used; CLOCK_BOUND_UNKNOWN_NS: nobody knows */
  bool measured;     /* false: trusted, theta_ns is 0 */
  ClockDistrust distrust;
  int64_t real_minus_boot_ns; /* of the estimate; 0 without one */
} ClockChoice;

/*
 * A bound that stands for "anything". When HOST_CLOCK_TRUST has to do without a measurement, the
 * kernels' maximum errors bound the distance of each clock from true time, and their sum bounds
 * theta; but a kernel that does not call its clock synchronised promises nothing.
 */
#define CLOCK_BOUND_UNKNOWN_NS (365ll * 24 * 3600 * 1000000000)

/* Whether the hosts' clocks are known to be less than a year apart, or trusted to be: more is not
 * credible, and no fix-up may have it. */
bool clock_choice_is_credible (const ClockChoice *choice);

/*
 * Whether a helper that was told @sent must be told @fresh: theta has moved by more than was admitted,
 * or it is a good deal better known now, or a good deal worse than was said. That this host's clock was
 * set is no reason: the helper sees it by itself.
 */
bool clock_choice_supersedes (const ClockChoice *fresh, const ClockChoice *sent);

/* "apart" for instance; a constant, and NULL for CLOCK_DISTRUST_NONE. */
const char *clock_distrust_name (ClockDistrust distrust);

/* "auto", "trust" or "measure"; a constant. */
const char *host_clock_mode_name (HostClockMode mode);

/* Find the mode called @name, exactly as host_clock_mode_name() spells it. */
bool host_clock_mode_parse (const char *name, HostClockMode *mode);

/* What two clocks drift apart in @age_ns at most, rounded up. */
int64_t clock_offset_drift_ns (int64_t age_ns);

/* Whether the peer's time is one that the arithmetic here can hold, and the local ones in order. */
bool clock_sample_is_plausible (const ClockSample *sample);

/*
 * Take in a plausible sample, not older than the last one. False if it contradicts the earlier
 * ones, which are forgotten then: the clocks drift apart faster than CLOCK_OFFSET_DRIFT_PPM.
 */
bool clock_offset_add (ClockOffset *self, const ClockSample *sample);

/*
 * theta at the time of @now, for a record of the peer that was made when its CLOCK_REALTIME was ahead
 * of its CLOCK_BOOTTIME by @remote_real_minus_boot_ns. False without any sample.
 */
bool clock_offset_get (const ClockOffset *self, const HostClockReading *now,
                       int64_t remote_real_minus_boot_ns, ClockEstimate *estimate);

/*
 * Decide which theta a fix-up uses on the destination, whose clock is @local. @estimate may be NULL
 * when nothing was measured; then only HOST_CLOCK_TRUST has an answer.
 *
 * The bound holds for theta as it is used: a theta that is taken as 0 although the estimate says
 * otherwise is that much further from the truth. Without an estimate see CLOCK_BOUND_UNKNOWN_NS.
 * @choice->distrust calls for a warning: the hosts' clocks were to be taken for one, and cannot be.
 *
 * Fails with CLOCKFERRY_ERROR_FAILED when a measurement is needed and there is none.
 */
bool clock_offset_choose (HostClockMode mode, const ClockEstimate *estimate,
                          const HostClockState *local, const HostClockState *remote,
                          ClockChoice *choice, GError **error) G_GNUC_WARN_UNUSED_RESULT;
