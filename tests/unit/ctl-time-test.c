/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-time-test - times as people give them
 */

#include <string.h>
#include <time.h>

#include "ctl-error.h"
#include "time-option.h"

#define HOUR_US (G_GINT64_CONSTANT (3600) * G_USEC_PER_SEC)

/* Monday, 2026-11-23 05:09:18 UTC, half a second on */
#define NOW_US (G_GINT64_CONSTANT (1795410558) * G_USEC_PER_SEC + 500000)

static void
set_zone (const char *zone)
{
  g_setenv ("TZ", zone, TRUE);
  tzset ();
}

static gint64
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  gint64 us = -1;

  time_option_parse ("--since", text, NOW_US, &us, &error);
  g_assert_no_error (error);
  return us;
}

static void
assert_refused (const char *text)
{
  g_autoptr (GError) error = NULL;
  gint64 us = -1;

  g_assert_false (time_option_parse ("--since", text, NOW_US, &us, &error));
  g_assert_error (error, CTL_ERROR, CTL_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "--since"));
  g_assert_nonnull (strstr (error->message, "YYYY-MM-DD HH:MM"));
  g_assert_null (strchr (error->message, '\n'));
  g_assert_cmpint (us, ==, -1);
}

static void
test_relative (void)
{
  set_zone ("UTC");
  g_assert_cmpint (parse ("now"), ==, NOW_US);
  g_assert_cmpint (parse ("-90s"), ==, NOW_US - 90 * G_USEC_PER_SEC);
  g_assert_cmpint (parse ("-30min"), ==, NOW_US - HOUR_US / 2);
  g_assert_cmpint (parse ("-2h"), ==, NOW_US - 2 * HOUR_US);
  g_assert_cmpint (parse ("-2 h"), ==, NOW_US - 2 * HOUR_US);
  g_assert_cmpint (parse ("-7d"), ==, NOW_US - 7 * 24 * HOUR_US);
  g_assert_cmpint (parse ("-4w"), ==, NOW_US - 28 * 24 * HOUR_US);
}

static void
test_words (void)
{
  set_zone ("UTC");
  g_assert_cmpint (parse ("today"), ==, parse ("2026-11-23"));
  g_assert_cmpint (parse ("yesterday"), ==, parse ("2026-11-22"));
  /* there it is the day before */
  set_zone ("<-08>8");
  g_assert_cmpint (parse ("today"), ==, parse ("2026-11-22"));
  set_zone ("UTC");
}

static void
test_dates (void)
{
  set_zone ("UTC");
  g_assert_cmpint (parse ("2026-11-23 05:09:18"), ==, NOW_US - 500000);
  g_assert_cmpint (parse ("2026-11-23 05:09"), ==, NOW_US - 500000 - 18 * G_USEC_PER_SEC);
  g_assert_cmpint (parse ("2026-11-23"), ==, parse ("2026-11-23 00:00:00"));
  g_assert_cmpint (parse ("2024-02-29"), <, parse ("2024-03-01"));
  set_zone ("<+05>-5");
  g_assert_cmpint (parse ("2026-11-23 10:09:18"), ==, NOW_US - 500000);
  set_zone ("UTC");
}

/* Whatever could be taken for two things, or for none. */
static void
test_refused (void)
{
  static const char *const texts[] = {
    "",
    "foo",
    "2h",
    "-2",
    "-2m",
    "-h",
    "+2h",
    "--2h",
    "-2hours",
    "-99999999999999999999h",
    "-999999999d",
    "2026-11",
    "2026-1-1",
    "23.11.2026",
    "11/23/2026",
    "2026-02-30",
    "2026-13-01",
    "2026-11-23 25:00",
    "2026-11-23 5:09",
    "2026-11-23 05:09:18.5",
    "2026-11-23T05:09",
    "05:09",
    "1795410558",
    "2026-11-23 ",
    "1969-12-31",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    assert_refused (texts[i]);
}

static void
test_range (void)
{
  g_autoptr (GError) error = NULL;
  gint64 since_us = 0, until_us = 0;

  g_assert_true (time_option_parse_range (NULL, NULL, &since_us, &until_us, &error));
  g_assert_cmpint (since_us, ==, 0);
  g_assert_cmpint (until_us, ==, 0);
  g_assert_true (time_option_parse_range ("-2h", "-1h", &since_us, &until_us, &error));
  g_assert_cmpint (until_us - since_us, ==, HOUR_US);
  g_assert_false (time_option_parse_range ("-1h", "-2h", &since_us, &until_us, &error));
  g_assert_error (error, CTL_ERROR, CTL_ERROR_INVALID);
  g_clear_error (&error);
  g_assert_false (time_option_parse_range ("-1h", "soon", &since_us, &until_us, &error));
  g_assert_error (error, CTL_ERROR, CTL_ERROR_INVALID);
  g_assert_nonnull (strstr (error->message, "--until"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl-time/relative", test_relative);
  g_test_add_func ("/ctl-time/words", test_words);
  g_test_add_func ("/ctl-time/dates", test_dates);
  g_test_add_func ("/ctl-time/refused", test_refused);
  g_test_add_func ("/ctl-time/range", test_range);
  return g_test_run ();
}
