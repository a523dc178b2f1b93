/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * gnuplot - drawing with the program of that name
 */

#include <glib.h>

/*
 * Have gnuplot run @script, which writes a picture to stdout; returns the picture. NULL with
 * CTL_ERROR_FAILED, also where gnuplot is not installed. Owned by the caller.
 */
GBytes *gnuplot_draw (const char *script, GError **error) G_GNUC_WARN_UNUSED_RESULT;
