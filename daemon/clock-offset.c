/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clock-offset.h"

#include "error.h"

/* 146 years since the peer was booted. Half the range leaves room for every sum of a few below. */
#define REMOTE_MAX_NS (INT64_MAX / 2)
#define INCREDIBLE_NS (INT64_MAX / 4)

static const char *const mode_names[] = {
  [HOST_CLOCK_AUTO] = "auto",
  [HOST_CLOCK_TRUST] = "trust",
  [HOST_CLOCK_MEASURE] = "measure",
};

G_STATIC_ASSERT (G_N_ELEMENTS (mode_names) == HOST_CLOCK_MEASURE + 1);

static const char *const distrust_names[] = {
  [CLOCK_DISTRUST_NONE] = NULL,
  [CLOCK_DISTRUST_SOURCE_UNSYNCHRONISED] = "source-unsynchronised",
  [CLOCK_DISTRUST_DESTINATION_UNSYNCHRONISED] = "destination-unsynchronised",
  [CLOCK_DISTRUST_BOTH_UNSYNCHRONISED] = "both-unsynchronised",
  [CLOCK_DISTRUST_APART] = "apart",
};

G_STATIC_ASSERT (G_N_ELEMENTS (distrust_names) == CLOCK_DISTRUST_APART + 1);

/* internal methods */

static uint64_t
distance_ns (int64_t a_ns, int64_t b_ns)
{
  return a_ns > b_ns ? (uint64_t) a_ns - (uint64_t) b_ns : (uint64_t) b_ns - (uint64_t) a_ns;
}

static ClockDistrust
judge_clocks (const ClockEstimate *estimate, const HostClockState *local,
              const HostClockState *remote)
{
  if (!local->synchronised && !remote->synchronised)
    return CLOCK_DISTRUST_BOTH_UNSYNCHRONISED;
  if (!local->synchronised)
    return CLOCK_DISTRUST_DESTINATION_UNSYNCHRONISED;
  if (!remote->synchronised)
    return CLOCK_DISTRUST_SOURCE_UNSYNCHRONISED;
  return distance_ns (estimate->theta_ns, 0) > estimate->bound_ns ? CLOCK_DISTRUST_APART
                                                                  : CLOCK_DISTRUST_NONE;
}

/* How far apart two clocks can be that nobody has compared. */
static uint64_t
bound_by_kernels_ns (const HostClockState *local, const HostClockState *remote)
{
  if (!local->synchronised || !remote->synchronised)
    return CLOCK_BOUND_UNKNOWN_NS;
  return (local->max_error_us + remote->max_error_us) * 1000;
}

/* public methods */

int64_t
clock_offset_drift_ns (int64_t age_ns)
{
  if (age_ns <= 0)
    return 0;
  /* in two parts, as an age of months times the rate would overflow */
  return age_ns / 1000000 * CLOCK_OFFSET_DRIFT_PPM +
         age_ns % 1000000 * CLOCK_OFFSET_DRIFT_PPM / 1000000 + 1;
}

const char *
clock_distrust_name (ClockDistrust distrust)
{
  g_return_val_if_fail (distrust < G_N_ELEMENTS (distrust_names), "unknown");

  return distrust_names[distrust];
}

const char *
host_clock_mode_name (HostClockMode mode)
{
  g_return_val_if_fail (mode < G_N_ELEMENTS (mode_names), "unknown");

  return mode_names[mode];
}

bool
host_clock_mode_parse (const char *name, HostClockMode *mode)
{
  for (gsize i = 0; i < G_N_ELEMENTS (mode_names); i++) {
    if (g_str_equal (name, mode_names[i])) {
      *mode = (HostClockMode) i;
      return true;
    }
  }
  return false;
}

bool
clock_sample_is_plausible (const ClockSample *sample)
{
  return sample->remote_ns >= 0 && sample->remote_ns <= REMOTE_MAX_NS && sample->sent_ns >= 0 &&
         sample->received_ns >= sample->sent_ns && sample->received_ns <= REMOTE_MAX_NS;
}

bool
clock_offset_add (ClockOffset *self, const ClockSample *sample)
{
  /*
   * The peer's answer can be from any moment of the round trip, and its clock went on drifting
   * until received_ns, for which the interval is to stand.
   */
  int64_t wander_ns = clock_offset_drift_ns (sample->received_ns - sample->sent_ns);
  ClockOffset fresh = {
    .samples = 1,
    .at_ns = sample->received_ns,
    .low_ns = sample->sent_ns - sample->remote_ns - wander_ns,
    .high_ns = sample->received_ns - sample->remote_ns + wander_ns,
  };
  int64_t growth_ns;
  int64_t low_ns;
  int64_t high_ns;

  g_return_val_if_fail (clock_sample_is_plausible (sample), false);

  if (self->samples == 0) {
    *self = fresh;
    return true;
  }

  growth_ns = clock_offset_drift_ns (fresh.at_ns - self->at_ns);
  low_ns = MAX (self->low_ns - growth_ns, fresh.low_ns);
  high_ns = MIN (self->high_ns + growth_ns, fresh.high_ns);
  if (low_ns > high_ns) {
    *self = fresh;
    return false;
  }

  self->samples++;
  self->at_ns = fresh.at_ns;
  self->low_ns = low_ns;
  self->high_ns = high_ns;
  return true;
}

bool
clock_offset_get (const ClockOffset *self, const HostClockReading *now,
                  int64_t remote_real_minus_boot_ns, ClockEstimate *estimate)
{
  int64_t width_ns;
  __int128 theta_ns;

  if (self->samples == 0)
    return false;

  width_ns = self->high_ns - self->low_ns;
  estimate->real_minus_boot_ns = now->realtime_ns - now->boottime_ns;
  /* in 128 bits: the peer's clock is only known to be a number */
  theta_ns = (__int128) self->low_ns + width_ns / 2 + estimate->real_minus_boot_ns -
             remote_real_minus_boot_ns;
  estimate->theta_ns = (int64_t) CLAMP (theta_ns, -INCREDIBLE_NS, INCREDIBLE_NS);
  estimate->bound_ns =
    (uint64_t) ((width_ns + 1) / 2 + clock_offset_drift_ns (now->boottime_ns - self->at_ns) +
                now->slack_ns);
  return true;
}

bool
clock_offset_choose (HostClockMode mode, const ClockEstimate *estimate, const HostClockState *local,
                     const HostClockState *remote, ClockChoice *choice, GError **error)
{
  g_return_val_if_fail (error == NULL || *error == NULL, false);

  if (estimate == NULL && mode != HOST_CLOCK_TRUST) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_FAILED,
                 "the hosts' clocks were not compared: the source has not answered yet, and "
                 "HostClock=%s needs a measurement",
                 host_clock_mode_name (mode));
    return false;
  }

  choice->distrust = mode == HOST_CLOCK_AUTO ? judge_clocks (estimate, local, remote)
                                             : CLOCK_DISTRUST_NONE;
  choice->measured = mode == HOST_CLOCK_MEASURE || choice->distrust != CLOCK_DISTRUST_NONE;
  choice->theta_ns = choice->measured ? estimate->theta_ns : 0;
  choice->real_minus_boot_ns = estimate != NULL ? estimate->real_minus_boot_ns : 0;
  if (estimate != NULL)
    choice->bound_ns = estimate->bound_ns + distance_ns (estimate->theta_ns, choice->theta_ns);
  else
    choice->bound_ns = bound_by_kernels_ns (local, remote);
  return true;
}

bool
clock_choice_is_credible (const ClockChoice *choice)
{
  return distance_ns (choice->theta_ns, 0) <= CLOCK_BOUND_UNKNOWN_NS &&
         choice->bound_ns <= CLOCK_BOUND_UNKNOWN_NS;
}

bool
clock_choice_supersedes (const ClockChoice *fresh, const ClockChoice *sent)
{
  int64_t moved_ns =
    (fresh->theta_ns - fresh->real_minus_boot_ns) - (sent->theta_ns - sent->real_minus_boot_ns);
  uint64_t quarter_ns = sent->bound_ns / 4;

  return sent->measured != fresh->measured ||
         (fresh->measured && distance_ns (moved_ns, 0) > sent->bound_ns) ||
         fresh->bound_ns < sent->bound_ns - quarter_ns ||
         fresh->bound_ns > sent->bound_ns + quarter_ns;
}
