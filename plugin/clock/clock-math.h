/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * clock-math - the arithmetic of the hand-over, and nothing else
 *
 * Units are in the names: _ticks are TSC ticks modulo 2^64, _ns nanoseconds, _khz kilohertz.
 * Products are formed in 128 bits. No function fails: ranges are checked by clock_record_check().
 */

#include <stdint.h>

/* TSC scaling of one host: guest ticks = host ticks * ratio >> frac_bits; frac_bits 0 is none. */
struct clock_scale {
  uint64_t ratio;
  uint32_t frac_bits;
};

/* S(x) of the design: @host_ticks in guest ticks, without offset. */
uint64_t clock_scale_ticks (struct clock_scale scale, uint64_t host_ticks);

/*
 * The ratio KVM computes for a guest of @guest_khz on a host of @host_khz with @frac_bits:
 * floor (2^frac_bits * guest_khz / host_khz), as set_tsc_khz() in arch/x86/kvm/x86.c.
 */
struct clock_scale clock_scale_make (uint32_t guest_khz, uint32_t host_khz, uint32_t frac_bits);

/* @ns of either sign in ticks at @freq_khz, rounded towards minus infinity. */
int64_t clock_ns_to_ticks (int64_t ns, uint32_t freq_khz);

/* One reading of (host TSC, kvmclock) by KVM_GET_CLOCK on one host, and that host's scaling. */
struct clock_pair {
  uint64_t tsc_ticks;
  uint64_t guest_ns;
  struct clock_scale scale;
};

/*
 * The part of ofs_dest[i] - ofs_src[i] that all vCPUs share:
 *   S_src(tsc_src) + (guest_dest - guest_src) * freq / 10^6 - S_dest(tsc_dest)   modulo 2^64.
 * Computed once and added to each ofs_src[i], so that equal offsets stay equal to the bit.
 */
uint64_t clock_offset_delta (const struct clock_pair *src, const struct clock_pair *dest,
                             uint32_t freq_khz);

/*
 * How far kvmclock is ahead of where CLOCK_REALTIME puts it, in ns:
 *   (guest_dest - guest_src) - (host_dest - host_src - theta).
 */
int64_t clock_residual (uint64_t guest_src_ns, uint64_t host_src_ns, uint64_t guest_dest_ns,
                        uint64_t host_dest_ns, int64_t theta_ns);

/* The distance of two frequencies in parts per million of @b_khz, rounded up. */
uint32_t clock_freq_distance_ppm (uint32_t a_khz, uint32_t b_khz);
