/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clock-choice-test - which theta a fix-up uses, how well it is known, and what to warn of
 */

#include <string.h>

#include "clock-offset.h"
#include "error.h"

#define SOURCE CLOCK_DISTRUST_SOURCE_UNSYNCHRONISED
#define DEST   CLOCK_DISTRUST_DESTINATION_UNSYNCHRONISED
#define BOTH   CLOCK_DISTRUST_BOTH_UNSYNCHRONISED
#define APART  CLOCK_DISTRUST_APART

static void
test_choose (void)
{
  /* what the source's kernel said may be 10 s old: at 1000 ppm, rounded up */
  const HostClockState synchronised = { .synchronised = true, .max_error_us = 3000 };
  const HostClockState free_running = { .synchronised = false, .max_error_us = 16000000 };
  const ClockEstimate zero_inside = { -90, 100, 55 };
  const ClockEstimate zero_at_edge = { 100, 100, 55 };
  const ClockEstimate zero_outside = { -101, 100, 55 };
  const struct {
    HostClockMode mode;
    const ClockEstimate *estimate;
    const HostClockState *local;
    const HostClockState *remote;
    ClockChoice want;
  } cases[] = {
    { HOST_CLOCK_AUTO, &zero_inside, &synchronised, &synchronised, { 0, 190, false } },
    { HOST_CLOCK_AUTO, &zero_at_edge, &synchronised, &synchronised, { 0, 200, false } },
    { HOST_CLOCK_AUTO, &zero_outside, &synchronised, &synchronised, { -101, 100, true, APART } },
    { HOST_CLOCK_AUTO, &zero_inside, &free_running, &synchronised, { -90, 100, true, DEST } },
    { HOST_CLOCK_AUTO, &zero_inside, &synchronised, &free_running, { -90, 100, true, SOURCE } },
    { HOST_CLOCK_AUTO, &zero_inside, &free_running, &free_running, { -90, 100, true, BOTH } },
    /* that a kernel says so is the better reason of two */
    { HOST_CLOCK_AUTO, &zero_outside, &synchronised, &free_running, { -101, 100, true, SOURCE } },
    /* asked for, and so nothing to warn of */
    { HOST_CLOCK_MEASURE, &zero_inside, &synchronised, &synchronised, { -90, 100, true } },
    { HOST_CLOCK_MEASURE, &zero_outside, &free_running, &free_running, { -101, 100, true } },
    { HOST_CLOCK_TRUST, &zero_outside, &free_running, &free_running, { 0, 201, false } },
    { HOST_CLOCK_TRUST, NULL, &synchronised, &synchronised, { 0, 6000000, false } },
    { HOST_CLOCK_TRUST, NULL, &synchronised, &free_running, { 0, CLOCK_BOUND_UNKNOWN_NS } },
    { HOST_CLOCK_TRUST, NULL, &free_running, &synchronised, { 0, CLOCK_BOUND_UNKNOWN_NS } },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    ClockChoice choice;

    g_assert_true (clock_offset_choose (cases[i].mode, cases[i].estimate, cases[i].local,
                                        cases[i].remote, &choice, &error));
    g_assert_no_error (error);
    g_assert_cmpint (choice.theta_ns, ==, cases[i].want.theta_ns);
    g_assert_cmpuint (choice.bound_ns, ==, cases[i].want.bound_ns);
    g_assert_true (choice.measured == cases[i].want.measured);
    g_assert_cmpstr (clock_distrust_name (choice.distrust), ==,
                     clock_distrust_name (cases[i].want.distrust));
    g_assert_cmpint (choice.real_minus_boot_ns, ==, cases[i].estimate != NULL ? 55 : 0);
  }
}

/* Whatever is used for theta, and whatever it is: it lies within the bound. */
static void
test_bound_of_choice (void)
{
  for (guint run = 0; run < 1000; run++) {
    gint64 truth_ns = g_test_rand_int_range (-1000000000, 1000000000) * G_GINT64_CONSTANT (1000);
    guint64 error_ns = (guint64) g_test_rand_int_range (0, 1000000000);
    gint64 offset_ns = (gint64) (g_test_rand_double_range (-1, 1) * (double) error_ns);
    const ClockEstimate estimate = { .theta_ns = truth_ns + offset_ns, .bound_ns = error_ns };
    const HostClockState states[] = { { .synchronised = true }, { .synchronised = false } };
    ClockChoice choice;

    g_assert_true (clock_offset_choose ((HostClockMode) g_test_rand_int_range (0, 3), &estimate,
                                        &states[g_test_rand_bit ()], &states[g_test_rand_bit ()],
                                        &choice, NULL));
    g_assert_cmpuint ((guint64) ABS (truth_ns - choice.theta_ns), <=, choice.bound_ns);
  }
}

static void
test_choose_without_measurement (void)
{
  const HostClockState synchronised = { .synchronised = true, .max_error_us = 3000 };
  const HostClockMode modes[] = { HOST_CLOCK_AUTO, HOST_CLOCK_MEASURE };

  for (gsize i = 0; i < G_N_ELEMENTS (modes); i++) {
    g_autoptr (GError) error = NULL;
    ClockChoice choice;

    g_assert_false (
      clock_offset_choose (modes[i], NULL, &synchronised, &synchronised, &choice, &error));
    g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_FAILED);
    g_assert_nonnull (strstr (error->message, host_clock_mode_name (modes[i])));
  }
}

/* an interface: they stand in the journal */
static void
test_distrust_names (void)
{
  g_assert_cmpstr (clock_distrust_name (CLOCK_DISTRUST_NONE), ==, NULL);
  g_assert_cmpstr (clock_distrust_name (SOURCE), ==, "source-unsynchronised");
  g_assert_cmpstr (clock_distrust_name (DEST), ==, "destination-unsynchronised");
  g_assert_cmpstr (clock_distrust_name (BOTH), ==, "both-unsynchronised");
  g_assert_cmpstr (clock_distrust_name (APART), ==, "apart");
}

static void
test_credible (void)
{
  const gint64 year_ns = 365 * G_GINT64_CONSTANT (86400000000000);
  const struct {
    ClockChoice choice;
    bool is_credible;
  } cases[] = {
    { { .theta_ns = 0, .bound_ns = 0 }, true },
    { { .theta_ns = year_ns, .bound_ns = (guint64) year_ns }, true },
    { { .theta_ns = -year_ns - 1, .bound_ns = 1 }, false },
    { { .theta_ns = G_MININT64, .bound_ns = 1 }, false },
    { { .theta_ns = 0, .bound_ns = (guint64) year_ns + 1 }, false },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_true (clock_choice_is_credible (&cases[i].choice) == cases[i].is_credible);
}

static void
test_supersedes (void)
{
  const ClockChoice sent = { .theta_ns = 5000, .bound_ns = 1000, .measured = true };
  const ClockChoice trusted = { .bound_ns = 1000, .measured = false };
  const struct {
    ClockChoice fresh;
    ClockChoice sent;
    bool is_news;
  } cases[] = {
    { sent, sent, false },
    /* moved, within what was admitted and beyond it */
    { { .theta_ns = 6000, .bound_ns = 1000, .measured = true }, sent, false },
    { { .theta_ns = 6001, .bound_ns = 1000, .measured = true }, sent, true },
    { { .theta_ns = 3999, .bound_ns = 1000, .measured = true }, sent, true },
    /* this host's clock was set */
    { { .theta_ns = 1000005000,
        .bound_ns = 1000,
        .measured = true,
        .real_minus_boot_ns = 1000000000 },
      sent,
      false },
    /* better known, and worse */
    { { .theta_ns = 5000, .bound_ns = 750, .measured = true }, sent, false },
    { { .theta_ns = 5000, .bound_ns = 749, .measured = true }, sent, true },
    { { .theta_ns = 5000, .bound_ns = 1250, .measured = true }, sent, false },
    { { .theta_ns = 5000, .bound_ns = 1251, .measured = true }, sent, true },
    /* trusted on the kernels' word, and then compared: three seconds apart */
    { { .bound_ns = 3000001000, .measured = false }, trusted, true },
    { { .theta_ns = 0, .bound_ns = 1000, .measured = true }, trusted, true },
    /* trusted: where theta is measured to be does not matter */
    { { .bound_ns = 1000, .measured = false, .real_minus_boot_ns = 1000000000 }, trusted, false },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_true (clock_choice_supersedes (&cases[i].fresh, &cases[i].sent) == cases[i].is_news);
}

static void
test_mode_names (void)
{
  HostClockMode mode;

  for (guint i = HOST_CLOCK_AUTO; i <= HOST_CLOCK_MEASURE; i++) {
    g_assert_true (host_clock_mode_parse (host_clock_mode_name (i), &mode));
    g_assert_cmpint (mode, ==, i);
  }
  g_assert_false (host_clock_mode_parse ("Auto", &mode));
  g_assert_false (host_clock_mode_parse ("", &mode));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/clock-choice/choose", test_choose);
  g_test_add_func ("/clock-choice/bound-of-choice", test_bound_of_choice);
  g_test_add_func ("/clock-choice/choose-without-measurement", test_choose_without_measurement);
  g_test_add_func ("/clock-choice/distrust-names", test_distrust_names);
  g_test_add_func ("/clock-choice/mode-names", test_mode_names);
  g_test_add_func ("/clock-choice/credible", test_credible);
  g_test_add_func ("/clock-choice/supersedes", test_supersedes);
  return g_test_run ();
}
