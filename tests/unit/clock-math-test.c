/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * clock-math-test - the arithmetic against another way to compute the same
 *
 * Products are taken bit by bit or in long double, never in the __int128 of the code under test.
 */

#include <glib.h>
#include <math.h>
#include <stdlib.h>

#include "clock-math.h"

#define NS_PER_S 1000000000ull

/* value * ratio >> frac_bits, by schoolbook addition of shifted values in two 64-bit halves. */
static uint64_t
long_multiply_shift (uint64_t value, uint64_t ratio, uint32_t frac_bits)
{
  uint64_t high = 0, low = 0;

  for (int bit = 63; bit >= 0; bit--) {
    high = high << 1 | low >> 63;
    low <<= 1;
    if ((ratio >> bit & 1) != 0) {
      low += value;
      if (low < value)
        high++;
    }
  }
  return frac_bits == 0 ? low : high << (64 - frac_bits) | low >> frac_bits;
}

static uint64_t
random_u64 (void)
{
  return (uint64_t) (guint32) g_test_rand_int () << 32 | (guint32) g_test_rand_int ();
}

static uint32_t
random_khz (void)
{
  return (uint32_t) g_test_rand_int_range (1000000, 5000000);
}

static void
test_scale_none (void)
{
  struct clock_scale none = { 0 };

  g_assert_cmpuint (clock_scale_ticks (none, 0), ==, 0);
  g_assert_cmpuint (clock_scale_ticks (none, UINT64_MAX), ==, UINT64_MAX);
}

static void
test_scale_known (void)
{
  struct clock_scale half = { .ratio = 1ull << 47, .frac_bits = 48 };
  struct clock_scale triple = { .ratio = 3ull << 32, .frac_bits = 32 };

  g_assert_cmpuint (clock_scale_ticks (half, 7), ==, 3);
  g_assert_cmpuint (clock_scale_ticks (half, UINT64_MAX), ==, UINT64_MAX / 2);
  g_assert_cmpuint (clock_scale_ticks (triple, 5), ==, 15);
}

static void
test_scale_random (gconstpointer frac_bits_pointer)
{
  uint32_t frac_bits = GPOINTER_TO_UINT (frac_bits_pointer);

  for (int i = 0; i < 20000; i++) {
    uint64_t value = random_u64 () >> (g_test_rand_int () & 31);
    struct clock_scale scale = clock_scale_make (random_khz (), random_khz (), frac_bits);

    g_assert_cmpuint (scale.frac_bits, ==, frac_bits);
    g_assert_cmphex (clock_scale_ticks (scale, value), ==,
                     long_multiply_shift (value, scale.ratio, frac_bits));
  }
}

/* The ratio is the largest that does not run the guest too fast. */
static void
test_scale_make (void)
{
  struct clock_scale scale;

  for (int i = 0; i < 20000; i++) {
    uint32_t guest_khz = random_khz ();
    uint32_t host_khz = random_khz ();

    scale = clock_scale_make (guest_khz, host_khz, 32);
    g_assert_cmpuint (scale.ratio * host_khz, <=, (uint64_t) guest_khz << 32);
    g_assert_cmpuint ((scale.ratio + 1) * host_khz, >, (uint64_t) guest_khz << 32);
  }
  scale = clock_scale_make (2400000, 2400000, 48);
  g_assert_cmphex (scale.ratio, ==, 1ull << 48);
  scale = clock_scale_make (2400000, 3000000, 48);
  g_assert_cmphex (scale.ratio, ==, 0xcccccccccccc);
  g_assert_cmpuint (clock_scale_make (2400000, 3000000, 0).frac_bits, ==, 0);
  g_assert_cmpuint (clock_scale_make (2400000, 0, 48).frac_bits, ==, 0);
}

static void
test_ns_to_ticks (void)
{
  g_assert_cmpint (clock_ns_to_ticks (0, 2400000), ==, 0);
  g_assert_cmpint (clock_ns_to_ticks (1000000, 2400000), ==, 2400000);
  g_assert_cmpint (clock_ns_to_ticks (5, 2500000), ==, 12);
  g_assert_cmpint (clock_ns_to_ticks (-5, 2500000), ==, -13);
  g_assert_cmpint (clock_ns_to_ticks (-4, 2500000), ==, -10);
  /* ten years at 5 GHz: the product alone has 91 bits */
  g_assert_cmpint (clock_ns_to_ticks (315360000ll * (int64_t) NS_PER_S, 5000000), ==,
                   315360000ll * 5000000000ll);

  for (int i = 0; i < 20000; i++) {
    int64_t ns = (int64_t) random_u64 () >> g_test_rand_int_range (8, 40);
    uint32_t khz = random_khz ();
    long double exact = (long double) ns * khz / 1000000.0L;

    g_assert_cmpfloat (fabsl (exact - (long double) clock_ns_to_ticks (ns, khz)), <=,
                       1.0L + fabsl (exact) * 1e-18L);
  }
}

/* The documented formula, without scaling (Documentation/virt/kvm/devices/vcpu.rst, 4.1). */
static void
test_delta_documented (void)
{
  for (int i = 0; i < 20000; i++) {
    uint32_t freq_khz = random_khz ();
    struct clock_pair src = { .tsc_ticks = random_u64 (), .guest_ns = random_u64 () >> 2 };
    uint64_t advance_us = (uint64_t) (guint32) g_test_rand_int_range (0, 400000000);
    struct clock_pair dest = {
      .tsc_ticks = random_u64 (),
      .guest_ns = src.guest_ns + advance_us * 1000,
    };
    /* microseconds times kHz stays in 64 bits */
    uint64_t expected = advance_us * freq_khz / 1000 + (src.tsc_ticks - dest.tsc_ticks);

    g_assert_cmphex (clock_offset_delta (&src, &dest, freq_khz), ==, expected);
  }
}

static void
test_delta_negative_elapsed (void)
{
  struct clock_pair src = { .tsc_ticks = 1000, .guest_ns = 5000 };
  struct clock_pair dest = { .tsc_ticks = 1000, .guest_ns = 4000 };

  g_assert_cmpint ((int64_t) clock_offset_delta (&src, &dest, 2000000), ==, -2000);
}

static void
test_delta_wraps (void)
{
  struct clock_pair src = { .tsc_ticks = 10, .guest_ns = 0 };
  struct clock_pair dest = { .tsc_ticks = UINT64_MAX - 4, .guest_ns = 1000 };
  uint64_t ofs_src = UINT64_MAX - 20;
  uint64_t ofs_dest = ofs_src + clock_offset_delta (&src, &dest, 1000000);

  /* guest TSC 10 + ofs_src - 1 microsecond later - is what the destination shows */
  g_assert_cmphex (dest.tsc_ticks + ofs_dest, ==, src.tsc_ticks + ofs_src + 1000);
}

/*
 * A guest whose TSC ran on: at any instant after, on a host of any frequency, it must read what it
 * would on the source. The instants come from real frequencies, not from the formula.
 */
static void
test_delta_runs_on (gconstpointer frac_bits_pointer)
{
  uint32_t frac_bits = GPOINTER_TO_UINT (frac_bits_pointer);

  for (int i = 0; i < 5000; i++) {
    uint32_t guest_khz = random_khz (), src_khz = random_khz (), dest_khz = random_khz ();
    uint64_t src_base = random_u64 () >> 12, dest_base = random_u64 () >> 12;
    uint64_t blackout_ms = (uint64_t) (guint32) g_test_rand_int_range (1, 300000);
    struct clock_pair src = {
      .tsc_ticks = src_base,
      .guest_ns = 7 * NS_PER_S,
      .scale = clock_scale_make (guest_khz, src_khz, frac_bits),
    };
    struct clock_pair dest = {
      .tsc_ticks = dest_base + blackout_ms * dest_khz,
      .guest_ns = src.guest_ns + blackout_ms * 1000000,
      .scale = clock_scale_make (guest_khz, dest_khz, frac_bits),
    };
    uint64_t ofs_src = random_u64 ();
    uint64_t ofs_dest = ofs_src + clock_offset_delta (&src, &dest, guest_khz);
    uint64_t still_on_src = long_multiply_shift (src_base, src.scale.ratio, frac_bits) + ofs_src +
                            blackout_ms * guest_khz;
    uint64_t on_dest = long_multiply_shift (dest.tsc_ticks, dest.scale.ratio, frac_bits) + ofs_dest;

    g_assert_cmphex (on_dest, ==, still_on_src);
  }
}

/* Equal offsets stay equal to the bit, or KVM's master clock goes off. */
static void
test_delta_is_shared (void)
{
  struct clock_pair src = { .tsc_ticks = 123456789,
                            .guest_ns = 1000000001,
                            .scale = { .ratio = 0xcccccccccccd, .frac_bits = 48 } };
  struct clock_pair dest = { .tsc_ticks = 987654321,
                             .guest_ns = 3000000007,
                             .scale = { .ratio = 0x155555555, .frac_bits = 32 } };
  uint64_t delta = clock_offset_delta (&src, &dest, 2399998);
  uint64_t ofs[] = { 0xfffffffffffffff0, 0xfffffffffffffff0, 0x10 };

  g_assert_cmphex (ofs[0] + delta, ==, ofs[1] + delta);
  g_assert_cmphex (ofs[2] + delta - (ofs[0] + delta), ==, 0x20);
}

/* First remark of the thread: the pairs may be read at any time, and the result is the same. */
static void
test_pairs_at_any_time (void)
{
  const uint32_t khz = 2600000;
  struct clock_pair src = { .tsc_ticks = 26000000000, .guest_ns = 3 * NS_PER_S };
  struct clock_pair dest = { .tsc_ticks = 5200000000, .guest_ns = 5 * NS_PER_S };
  uint64_t delta = clock_offset_delta (&src, &dest, khz);

  for (uint64_t later_ms = 1; later_ms < 100000; later_ms += 777) {
    struct clock_pair src_later = src, dest_later = dest;

    src_later.tsc_ticks += later_ms * khz;
    src_later.guest_ns += later_ms * 1000000;
    g_assert_cmphex (clock_offset_delta (&src_later, &dest, khz), ==, delta);
    dest_later.tsc_ticks += later_ms * khz;
    dest_later.guest_ns += later_ms * 1000000;
    g_assert_cmphex (clock_offset_delta (&src, &dest_later, khz), ==, delta);
  }
}

/* ... and again from the result: nothing moves. */
static void
test_idempotent (void)
{
  const uint32_t khz = 2600000;
  struct clock_pair src = { .tsc_ticks = 26000000000, .guest_ns = 3 * NS_PER_S };
  struct clock_pair dest = { .tsc_ticks = 5200000000, .guest_ns = 5 * NS_PER_S };
  struct clock_pair later = { .tsc_ticks = dest.tsc_ticks + 10 * khz,
                              .guest_ns = dest.guest_ns + 10000000 };
  uint64_t ofs_src = 42;
  uint64_t ofs_dest = ofs_src + clock_offset_delta (&src, &dest, khz);

  /* from the destination to itself */
  g_assert_cmphex (ofs_dest + clock_offset_delta (&dest, &later, khz), ==, ofs_dest);
}

/* Second remark: the blackout is credited once. A kvmclock that stood still credits nothing. */
static void
test_credited_once (void)
{
  const uint32_t khz = 2000000;
  struct clock_pair src = { .tsc_ticks = 1000000, .guest_ns = NS_PER_S };
  /* two seconds later on a host with the same TSC */
  struct clock_pair dest = { .tsc_ticks = 1000000 + 2000 * khz };
  uint64_t guest_src = src.tsc_ticks;

  dest.guest_ns = src.guest_ns + 2 * NS_PER_S;
  g_assert_cmpuint (dest.tsc_ticks + clock_offset_delta (&src, &dest, khz) - guest_src, ==,
                    2000ull * khz);
  dest.guest_ns = src.guest_ns;
  g_assert_cmpuint (dest.tsc_ticks + clock_offset_delta (&src, &dest, khz) - guest_src, ==, 0);
}

static void
test_residual (void)
{
  g_assert_cmpint (clock_residual (100, 5000, 400, 5300, 0), ==, 0);
  g_assert_cmpint (clock_residual (100, 5000, 411, 5300, 0), ==, 11);
  g_assert_cmpint (clock_residual (100, 5000, 389, 5300, 0), ==, -11);
  /* the destination's clock is 50 ahead: 50 of what it shows did not pass */
  g_assert_cmpint (clock_residual (100, 5000, 400, 5350, 50), ==, 0);
  g_assert_cmpint (clock_residual (100, 5000, 400, 5250, -50), ==, 0);
}

static void
test_freq_distance (void)
{
  g_assert_cmpuint (clock_freq_distance_ppm (2600000, 2600000), ==, 0);
  g_assert_cmpuint (clock_freq_distance_ppm (2600650, 2600000), ==, 250);
  g_assert_cmpuint (clock_freq_distance_ppm (2600651, 2600000), ==, 251);
  g_assert_cmpuint (clock_freq_distance_ppm (2599350, 2600000), ==, 250);
  g_assert_cmpuint (clock_freq_distance_ppm (2599349, 2600000), ==, 251);
  g_assert_cmpuint (clock_freq_distance_ppm (UINT32_MAX, 1), ==, UINT32_MAX);
  g_assert_cmpuint (clock_freq_distance_ppm (1, 0), ==, UINT32_MAX);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/clock-math/scale/none", test_scale_none);
  g_test_add_func ("/clock-math/scale/known", test_scale_known);
  g_test_add_data_func ("/clock-math/scale/random/vmx", GUINT_TO_POINTER (48), test_scale_random);
  g_test_add_data_func ("/clock-math/scale/random/svm", GUINT_TO_POINTER (32), test_scale_random);
  g_test_add_func ("/clock-math/scale/make", test_scale_make);
  g_test_add_func ("/clock-math/ns-to-ticks", test_ns_to_ticks);
  g_test_add_func ("/clock-math/delta/documented", test_delta_documented);
  g_test_add_func ("/clock-math/delta/negative-elapsed", test_delta_negative_elapsed);
  g_test_add_func ("/clock-math/delta/wraps", test_delta_wraps);
  g_test_add_data_func ("/clock-math/delta/runs-on/vmx", GUINT_TO_POINTER (48), test_delta_runs_on);
  g_test_add_data_func ("/clock-math/delta/runs-on/svm", GUINT_TO_POINTER (32), test_delta_runs_on);
  g_test_add_func ("/clock-math/delta/is-shared", test_delta_is_shared);
  g_test_add_func ("/clock-math/delta/pairs-at-any-time", test_pairs_at_any_time);
  g_test_add_func ("/clock-math/delta/idempotent", test_idempotent);
  g_test_add_func ("/clock-math/delta/credited-once", test_credited_once);
  g_test_add_func ("/clock-math/residual", test_residual);
  g_test_add_func ("/clock-math/freq-distance", test_freq_distance);

  return g_test_run ();
}
