/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "clock-math.h"

typedef unsigned __int128 uint128;
typedef __int128 int128;

uint64_t
clock_scale_ticks (struct clock_scale scale, uint64_t host_ticks)
{
  if (scale.frac_bits == 0)
    return host_ticks;
  return (uint64_t) ((uint128) host_ticks * scale.ratio >> scale.frac_bits);
}

struct clock_scale
clock_scale_make (uint32_t guest_khz, uint32_t host_khz, uint32_t frac_bits)
{
  struct clock_scale scale = { 0 };

  if (frac_bits == 0 || host_khz == 0)
    return scale;
  scale.ratio = (uint64_t) (((uint128) guest_khz << frac_bits) / host_khz);
  scale.frac_bits = frac_bits;
  return scale;
}

int64_t
clock_ns_to_ticks (int64_t ns, uint32_t freq_khz)
{
  int128 product = (int128) ns * freq_khz;
  int128 ticks = product / 1000000;

  /* C rounds towards zero */
  if (product % 1000000 < 0)
    ticks--;
  return (int64_t) ticks;
}

uint64_t
clock_offset_delta (const struct clock_pair *src, const struct clock_pair *dest, uint32_t freq_khz)
{
  int64_t advance_ns = (int64_t) (dest->guest_ns - src->guest_ns);

  return clock_scale_ticks (src->scale, src->tsc_ticks) +
         (uint64_t) clock_ns_to_ticks (advance_ns, freq_khz) -
         clock_scale_ticks (dest->scale, dest->tsc_ticks);
}

int64_t
clock_residual (uint64_t guest_src_ns, uint64_t host_src_ns, uint64_t guest_dest_ns,
                uint64_t host_dest_ns, int64_t theta_ns)
{
  return (int64_t) ((guest_dest_ns - guest_src_ns) -
                    (host_dest_ns - host_src_ns - (uint64_t) theta_ns));
}

uint32_t
clock_freq_distance_ppm (uint32_t a_khz, uint32_t b_khz)
{
  uint64_t distance_khz = a_khz > b_khz ? a_khz - b_khz : b_khz - a_khz;
  uint64_t ppm;

  if (b_khz == 0)
    return UINT32_MAX;
  ppm = (distance_khz * 1000000 + b_khz - 1) / b_khz;
  return ppm > UINT32_MAX ? UINT32_MAX : (uint32_t) ppm;
}
