/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "time-option.h"

#include <glib/gi18n.h>
#include <stdio.h>

#include "ctl-error.h"

static const struct {
  const char *symbol;
  gint64 seconds;
} units[] = {
  { "s", 1 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 }, { "w", 7 * 86400 },
};

/* forms */

static gboolean
parse_relative (const char *text, gint64 now_us, gint64 *us)
{
  char *rest = NULL;
  guint64 count;

  if (text[0] != '-' || !g_ascii_isdigit (text[1]))
    return FALSE;
  count = g_ascii_strtoull (text + 1, &rest, 10);
  while (*rest == ' ')
    rest++;
  for (gsize i = 0; i < G_N_ELEMENTS (units); i++) {
    if (g_str_equal (rest, units[i].symbol) &&
        count <= (guint64) (now_us / units[i].seconds / G_USEC_PER_SEC)) {
      *us = now_us - (gint64) count * units[i].seconds * G_USEC_PER_SEC;
      return TRUE;
    }
  }
  return FALSE;
}

static gboolean
parse_word (const char *text, gint64 now_us, gint64 *us)
{
  g_autoptr (GDateTime) now = g_date_time_new_from_unix_local (now_us / G_USEC_PER_SEC);
  g_autoptr (GDateTime) day = NULL;
  g_autoptr (GDateTime) midnight = NULL;

  if (g_str_equal (text, "now")) {
    *us = now_us;
    return TRUE;
  }
  if (!g_str_equal (text, "today") && !g_str_equal (text, "yesterday"))
    return FALSE;
  day = g_date_time_add_days (now, g_str_equal (text, "yesterday") ? -1 : 0);
  midnight = g_date_time_new_local (g_date_time_get_year (day), g_date_time_get_month (day),
                                    g_date_time_get_day_of_month (day), 0, 0, 0);
  *us = g_date_time_to_unix (midnight) * G_USEC_PER_SEC;
  return TRUE;
}

/* Digits where @form has "0", anything else as it is there. */
static gboolean
has_form (const char *text, const char *form)
{
  for (; *form != '\0' && *text != '\0'; form++, text++) {
    if (*form == '0' ? !g_ascii_isdigit (*text) : *text != *form)
      return FALSE;
  }
  return *form == '\0' && *text == '\0';
}

static gboolean
parse_date (const char *text, gint64 *us)
{
  guint year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  g_autoptr (GDateTime) time = NULL;

  if (!has_form (text, "0000-00-00") && !has_form (text, "0000-00-00 00:00") &&
      !has_form (text, "0000-00-00 00:00:00"))
    return FALSE;
  /* NOLINTNEXTLINE(cert-err34-c): digits by has_form(), and few enough for a guint by their width */
  (void) sscanf (text, "%4u-%2u-%2u %2u:%2u:%2u", &year, &month, &day, &hour, &minute, &second);
  /* NULL for the 30th of February and the like */
  time =
    g_date_time_new_local ((int) year, (int) month, (int) day, (int) hour, (int) minute, second);
  if (time == NULL || g_date_time_to_unix (time) <= 0)
    return FALSE;
  *us = g_date_time_to_unix (time) * G_USEC_PER_SEC;
  return TRUE;
}

/* public functions */

gboolean
time_option_parse (const char *option, const char *text, gint64 now_us, gint64 *us, GError **error)
{
  if (parse_relative (text, now_us, us) || parse_word (text, now_us, us) || parse_date (text, us))
    return TRUE;
  g_set_error (error, CTL_ERROR, CTL_ERROR_INVALID,
               _ ("%s %s is no time: give \"YYYY-MM-DD\", \"YYYY-MM-DD HH:MM\" or "
                  "\"YYYY-MM-DD HH:MM:SS\", or now, today, yesterday, -30min, -2h, -7d"),
               option, text);
  return FALSE;
}

gboolean
time_option_parse_range (const char *since, const char *until, gint64 *since_us, gint64 *until_us,
                         GError **error)
{
  gint64 now_us = g_get_real_time ();

  if (since != NULL && !time_option_parse ("--since", since, now_us, since_us, error))
    return FALSE;
  if (until != NULL && !time_option_parse ("--until", until, now_us, until_us, error))
    return FALSE;
  if (since != NULL && until != NULL && *since_us >= *until_us) {
    g_set_error (error, CTL_ERROR, CTL_ERROR_INVALID,
                 _ ("--since %s is not before --until %s: swap them"), since, until);
    return FALSE;
  }
  return TRUE;
}
