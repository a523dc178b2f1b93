/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "migration-host.h"

#include <math.h>

#define NS_PER_MIN      (60 * 1000000000ull)
#define NEAR_PPM        240 /* KVM tolerates 250 */
#define FAR_PPM         300
#define SLEW_MAX_PPB    500000
#define CALIBRATION_PPM 50

static bool
is_far (uint32_t a_khz, uint32_t b_khz)
{
  return fabs ((double) a_khz - b_khz) * 1e6 > (double) FAR_PPM * b_khz;
}

/* public functions */

bool
migration_chance (GRand *dice, double probability)
{
  return g_rand_double (dice) < probability;
}

uint64_t
migration_chance_log (GRand *dice, double low, double high)
{
  return (uint64_t) (low * exp (g_rand_double (dice) * log (high / low)));
}

uint64_t
migration_chance_64 (GRand *dice)
{
  return (uint64_t) g_rand_int (dice) << 32 | g_rand_int (dice);
}

uint32_t
migration_far_khz_draw (GRand *dice, uint32_t guest_khz)
{
  uint32_t khz;

  do
    khz = (uint32_t) g_rand_int_range (dice, MIGRATION_KHZ_MIN, MIGRATION_KHZ_MAX + 1);
  while (!is_far (guest_khz, khz));
  return khz;
}

uint32_t
migration_scaling_draw (GRand *dice)
{
  return g_rand_boolean (dice) ? 48 : 32;
}

void
migration_host_draw (GRand *dice, uint32_t guest_khz, struct kvm_model_host *host)
{
  double kind = g_rand_double (dice);
  uint64_t uptime_ns = migration_chance (dice, 0.05)
                         ? MIGRATION_UPTIME_MAX_NS
                         : migration_chance_log (dice, NS_PER_MIN, MIGRATION_UPTIME_MAX_NS);
  int32_t near_khz = (int32_t) ((uint64_t) guest_khz * NEAR_PPM / 1000000);
  uint32_t jitter_ns;

  host->guest_khz = guest_khz;
  host->host_khz = guest_khz;
  host->frac_bits = migration_chance (dice, 0.5) ? migration_scaling_draw (dice) : 0;
  if (kind < 0.4) {
    host->host_khz += (uint32_t) g_rand_int_range (dice, -1, 2);
  } else if (kind < 0.6) {
    host->host_khz += (uint32_t) g_rand_int_range (dice, -near_khz, near_khz + 1);
  } else {
    host->frac_bits = migration_scaling_draw (dice);
    host->host_khz = migration_far_khz_draw (dice, guest_khz);
  }
  if (migration_chance (dice, 0.75)) {
    int32_t error_hz =
      migration_chance (dice, 0.8) ? 1000 : (int32_t) (host->host_khz / 1000) * CALIBRATION_PPM;

    host->tsc_error_hz = g_rand_int_range (dice, -error_hz, error_hz + 1);
  }
  if (migration_chance (dice, 0.5))
    host->real_slew_ppb = g_rand_int_range (dice, -SLEW_MAX_PPB, SLEW_MAX_PPB + 1);
  host->tsc_at_zero_ticks = (uint64_t) ((unsigned __int128) uptime_ns * host->host_khz / 1000000);
  host->raw_at_zero_ns = (int64_t) uptime_ns;
  host->real_at_zero_ns +=
    (uint64_t) (int64_t) ((g_rand_double (dice) - 0.5) * 2 * MIGRATION_NS_PER_HOUR);

  jitter_ns = migration_chance (dice, 0.6) ? 60
                                           : (uint32_t) migration_chance_log (dice, 100, 40000);
  host->gap_min_ns = (uint32_t) migration_chance_log (dice, 200, 15000);
  host->gap_max_ns = host->gap_min_ns + jitter_ns;
}
