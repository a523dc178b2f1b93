/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * time-option - times as people give them to --since and --until
 *
 *   2026-11-23, 2026-11-23 05:09, 2026-11-23 05:09:18   local time
 *   now, today, yesterday                               the latter two at midnight
 *   -90s, -30min, -2h, -7d, -4w                         before now
 */

#include <glib.h>

/*
 * Parse @text, at @now_us, into *@us; both are microseconds of CLOCK_REALTIME. CTL_ERROR_INVALID
 * names @option and the right forms.
 */
gboolean time_option_parse (const char *option, const char *text, gint64 now_us, gint64 *us,
                            GError **error);

/*
 * Parse the values of --since and --until, NULL for one that was not given, which leaves 0.
 * CTL_ERROR_INVALID also where the one is not before the other.
 */
gboolean time_option_parse_range (const char *since, const char *until, gint64 *since_us,
                                  gint64 *until_us, GError **error);
