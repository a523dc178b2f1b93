/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clock-offset.h"

#define SECOND_NS  G_GINT64_CONSTANT (1000000000)
#define SLEW_PPM   500
#define RUNS       200
#define RUN_LENGTH 400

/* What two readings of clocks that tick in whole nanoseconds can add. */
#define RESOLUTION_NS 4

/* a world of two hosts whose clocks are known exactly */

typedef struct {
  gint64 now_ns;            /* true time */
  __int128 local;           /* CLOCK_BOOTTIME here, in 1e-6 ns, so that slewing needs no rounding */
  __int128 remote;          /* there, likewise */
  gint64 realtime_ahead_ns; /* CLOCK_REALTIME here minus CLOCK_BOOTTIME */
  gint64 remote_ahead_ns;   /* there */
  int local_ppm;
  int remote_ppm;
} World;

static void
world_pass (World *world, gint64 ns)
{
  world->now_ns += ns;
  world->local += (__int128) ns * (1000000 + world->local_ppm);
  world->remote += (__int128) ns * (1000000 + world->remote_ppm);
}

static gint64
world_local_ns (const World *world)
{
  return (gint64) (world->local / 1000000);
}

static gint64
world_remote_ns (const World *world)
{
  return (gint64) (world->remote / 1000000);
}

static gint64
world_theta_ns (const World *world)
{
  return world_local_ns (world) + world->realtime_ahead_ns - world_remote_ns (world) -
         world->remote_ahead_ns;
}

static HostClockReading
world_read (const World *world)
{
  return (HostClockReading){
    .boottime_ns = world_local_ns (world),
    .realtime_ns = world_local_ns (world) + world->realtime_ahead_ns,
    .slack_ns = 30,
  };
}

/* Mostly quick, sometimes slow, and never the same in both directions. */
static gint64
random_delay_ns (void)
{
  return g_test_rand_int_range (0, 20) == 0 ? g_test_rand_int_range (1000, 10000000)
                                            : g_test_rand_int_range (1000, 100000);
}

static ClockSample
world_exchange (World *world)
{
  ClockSample sample;

  sample.sent_ns = world_local_ns (world);
  world_pass (world, random_delay_ns ());
  sample.remote_ns = world_remote_ns (world);
  world_pass (world, random_delay_ns ());
  sample.received_ns = world_local_ns (world);
  return sample;
}

static World
world_new (void)
{
  return (World){
    .local = (__int128) g_test_rand_int_range (0, G_MAXINT) * SECOND_NS,
    .remote = (__int128) g_test_rand_int_range (0, G_MAXINT) * SECOND_NS + g_test_rand_int (),
    .realtime_ahead_ns = 1700000000 * SECOND_NS + g_test_rand_int (),
    .remote_ahead_ns = 1700000000 * SECOND_NS + g_test_rand_int (),
    .local_ppm = g_test_rand_int_range (-SLEW_PPM, SLEW_PPM + 1),
    .remote_ppm = g_test_rand_int_range (-SLEW_PPM, SLEW_PPM + 1),
  };
}

static void
assert_truth_in_bound (const World *world, const ClockOffset *offset)
{
  HostClockReading now = world_read (world);
  ClockEstimate estimate;
  gint64 error_ns;

  g_assert_true (clock_offset_get (offset, &now, world->remote_ahead_ns, &estimate));
  error_ns = ABS (estimate.theta_ns - world_theta_ns (world));
  g_assert_cmpint (error_ns, <=, (gint64) estimate.bound_ns + RESOLUTION_NS);
}

/* tests */

static void
test_nothing_known (void)
{
  ClockOffset offset = { 0 };
  HostClockReading now = { .boottime_ns = 1, .realtime_ns = 2 };
  ClockEstimate estimate;

  g_assert_false (clock_offset_get (&offset, &now, 0, &estimate));
}

static void
test_one_sample (void)
{
  ClockOffset offset = { 0 };
  const ClockSample sample = { .sent_ns = 1000, .remote_ns = 5000000, .received_ns = 1200 };
  const HostClockReading now = { .boottime_ns = 1200, .realtime_ns = 9000000 };
  ClockEstimate estimate;

  g_assert_true (clock_offset_add (&offset, &sample));
  g_assert_true (clock_offset_get (&offset, &now, 0, &estimate));
  /* at the middle of the exchange it was 5000000 there and 8999900 here */
  g_assert_cmpint (estimate.theta_ns, ==, 8999900 - 5000000);
  g_assert_cmpuint (estimate.bound_ns, >=, 100);
  g_assert_cmpuint (estimate.bound_ns, <=, 105);
}

/* Two lopsided exchanges of 100 us each tell more than one straight one of 100 us would. */
static void
test_lopsided_samples_complement (void)
{
  ClockOffset offset = { 0 };
  const ClockSample quick_there = { .sent_ns = 0, .remote_ns = 10000, .received_ns = 100000 };
  const ClockSample quick_back = { .sent_ns = 100000, .remote_ns = 190000, .received_ns = 200000 };
  const HostClockReading now = { .boottime_ns = 200000, .realtime_ns = 200000 };
  ClockEstimate estimate;

  g_assert_true (clock_offset_add (&offset, &quick_there));
  g_assert_true (clock_offset_add (&offset, &quick_back));
  g_assert_true (clock_offset_get (&offset, &now, 0, &estimate));
  g_assert_cmpint (ABS (estimate.theta_ns), <=, 200);
  g_assert_cmpuint (estimate.bound_ns, <=, 10000 + 2 * 200);
}

static void
test_bound_grows_with_age (void)
{
  ClockOffset offset = { 0 };
  const ClockSample sample = { .sent_ns = 0, .remote_ns = 0, .received_ns = 100 };
  const HostClockReading later = { .boottime_ns = 100 + SECOND_NS, .realtime_ns = SECOND_NS };
  ClockEstimate estimate;

  g_assert_true (clock_offset_add (&offset, &sample));
  g_assert_true (clock_offset_get (&offset, &later, 0, &estimate));
  g_assert_cmpuint (estimate.bound_ns, >=, CLOCK_OFFSET_DRIFT_PPM * 1000);
  g_assert_cmpuint (estimate.bound_ns, <=, CLOCK_OFFSET_DRIFT_PPM * 1000 + 100);
}

static void
test_truth_is_always_inside (void)
{
  for (guint run = 0; run < RUNS; run++) {
    World world = world_new ();
    ClockOffset offset = { 0 };

    for (guint i = 0; i < RUN_LENGTH; i++) {
      ClockSample sample = world_exchange (&world);

      g_assert_true (clock_sample_is_plausible (&sample));
      g_assert_true (clock_offset_add (&offset, &sample));
      assert_truth_in_bound (&world, &offset);
      if (g_test_rand_int_range (0, 10) == 0) {
        world.local_ppm = g_test_rand_int_range (-SLEW_PPM, SLEW_PPM + 1);
        world.remote_ppm = g_test_rand_int_range (-SLEW_PPM, SLEW_PPM + 1);
      }
      world_pass (&world, g_test_rand_int_range (0, 500) * 1000000);
      assert_truth_in_bound (&world, &offset);
    }
  }
}

/* Also with both clocks going apart as fast as they can, for as long as a long migration takes. */
static void
test_truth_is_inside_at_full_slew (void)
{
  World world = world_new ();
  ClockOffset offset = { 0 };
  ClockSample sample = world_exchange (&world);

  world.local_ppm = SLEW_PPM;
  world.remote_ppm = -SLEW_PPM;
  g_assert_true (clock_offset_add (&offset, &sample));
  for (guint i = 0; i < 3600; i++) {
    world_pass (&world, SECOND_NS);
    assert_truth_in_bound (&world, &offset);
  }
}

static gint64
random_step_ns (void)
{
  gint64 step_ns = g_test_rand_int_range (50, 3600000) * G_GINT64_CONSTANT (1000000);

  return g_test_rand_bit () ? step_ns : -step_ns;
}

/* The record was made before the peer's clock was set, or after it: the comparisons serve both. */
static void
test_remote_step (void)
{
  for (guint run = 0; run < RUNS; run++) {
    World world = world_new ();
    gint64 ahead_before_ns = world.remote_ahead_ns;
    gint64 ahead_after_ns = ahead_before_ns + random_step_ns ();
    ClockOffset offset = { 0 };

    for (guint i = 0; i < 40; i++) {
      ClockSample sample = world_exchange (&world);

      g_assert_true (clock_offset_add (&offset, &sample));
      world_pass (&world, 250000000);
      world.remote_ahead_ns = ahead_before_ns;
      assert_truth_in_bound (&world, &offset);
      world.remote_ahead_ns = ahead_after_ns;
      assert_truth_in_bound (&world, &offset);
    }
  }
}

/* Two clocks that drift apart by more than clocks do, as after a suspend that one did not notice. */
static void
test_drift_beyond_any (void)
{
  for (guint run = 0; run < RUNS; run++) {
    World world = world_new ();
    ClockOffset offset = { 0 };
    ClockSample sample = world_exchange (&world);

    g_assert_true (clock_offset_add (&offset, &sample));
    world.remote += (__int128) random_step_ns () * 1000000;
    if (world.remote < 0)
      continue;
    sample = world_exchange (&world);
    g_assert_false (clock_offset_add (&offset, &sample));
    assert_truth_in_bound (&world, &offset);
    g_assert_cmpuint (offset.samples, ==, 1);
  }
}

/* A step here needs no new sample: the old ones are as good as before. */
static void
test_local_step (void)
{
  for (guint run = 0; run < RUNS; run++) {
    World world = world_new ();
    ClockOffset offset = { 0 };
    ClockSample sample = world_exchange (&world);

    g_assert_true (clock_offset_add (&offset, &sample));
    world.realtime_ahead_ns += random_step_ns ();
    assert_truth_in_bound (&world, &offset);
    sample = world_exchange (&world);
    g_assert_true (clock_offset_add (&offset, &sample));
    assert_truth_in_bound (&world, &offset);
  }
}

static void
test_implausible_samples (void)
{
  const ClockSample samples[] = {
    { .sent_ns = 2, .remote_ns = 1, .received_ns = 1 },
    { .sent_ns = -1, .remote_ns = 1, .received_ns = 1 },
    { .sent_ns = 1, .remote_ns = -1, .received_ns = 1 },
    { .sent_ns = 1, .remote_ns = G_MININT64, .received_ns = 1 },
    { .sent_ns = 1, .remote_ns = G_MAXINT64, .received_ns = 1 },
    { .sent_ns = 1, .remote_ns = 1, .received_ns = G_MAXINT64 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (samples); i++)
    g_assert_false (clock_sample_is_plausible (&samples[i]));
}

/* What a hostile peer may say must not overflow anything; the sanitizers watch. */
static void
test_extreme_samples (void)
{
  const HostClockReading now = { .boottime_ns = G_MAXINT64 / 4,
                                 .realtime_ns = G_MAXINT64 / 2,
                                 .slack_ns = 1 };

  for (guint i = 0; i < 10000; i++) {
    ClockOffset offset = { 0 };
    ClockEstimate estimate;

    for (guint j = 0; j < 4; j++) {
      ClockSample sample = {
        .sent_ns = (gint64) j * SECOND_NS,
        .received_ns = (gint64) j * SECOND_NS + SECOND_NS / 2,
        .remote_ns = (gint64) ((guint64) (guint32) g_test_rand_int () << 30),
      };

      if (g_test_rand_bit ())
        sample.remote_ns = g_test_rand_bit () ? G_MAXINT64 / 2 : 0;
      g_assert_true (clock_sample_is_plausible (&sample));
      (void) clock_offset_add (&offset, &sample);
    }
    g_assert_true (clock_offset_get (&offset, &now, 0, &estimate));
    g_assert_true (clock_offset_get (&offset, &now, G_MAXINT64, &estimate));
    g_assert_cmpint (estimate.theta_ns, <, -G_MAXINT64 / 8);
    g_assert_true (clock_offset_get (&offset, &now, -G_MAXINT64, &estimate));
    g_assert_cmpint (estimate.theta_ns, >, G_MAXINT64 / 8);
  }
}

static void
test_host_clock (void)
{
  g_autoptr (GError) error = NULL;
  HostClockReading reading;
  HostClockState state;
  gint64 before_ns = host_clock_boottime_ns ();

  host_clock_read (&reading);
  g_assert_cmpint (reading.boottime_ns, >=, before_ns);
  g_assert_cmpint (reading.boottime_ns, <=, host_clock_boottime_ns ());
  g_assert_cmpint (reading.slack_ns, >=, 0);
  g_assert_cmpint (ABS (reading.realtime_ns - g_get_real_time () * 1000), <, 10 * SECOND_NS);

  if (!host_clock_read_state (&state, &error))
    g_assert_false (state.synchronised);
  g_assert_cmpuint (state.max_error_us, <=, HOST_CLOCK_MAX_ERROR_US);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/clock-offset/nothing-known", test_nothing_known);
  g_test_add_func ("/clock-offset/one-sample", test_one_sample);
  g_test_add_func ("/clock-offset/lopsided-samples-complement", test_lopsided_samples_complement);
  g_test_add_func ("/clock-offset/bound-grows-with-age", test_bound_grows_with_age);
  g_test_add_func ("/clock-offset/truth-is-always-inside", test_truth_is_always_inside);
  g_test_add_func ("/clock-offset/truth-is-inside-at-full-slew", test_truth_is_inside_at_full_slew);
  g_test_add_func ("/clock-offset/remote-step", test_remote_step);
  g_test_add_func ("/clock-offset/drift-beyond-any", test_drift_beyond_any);
  g_test_add_func ("/clock-offset/local-step", test_local_step);
  g_test_add_func ("/clock-offset/implausible-samples", test_implausible_samples);
  g_test_add_func ("/clock-offset/extreme-samples", test_extreme_samples);
  g_test_add_func ("/clock-offset/host-clock", test_host_clock);
  return g_test_run ();
}
