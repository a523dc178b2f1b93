/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * font-coverage - whether this host can draw a text
 *
 * In a PNG file the letters are drawn here. One that no font has is drawn over the whole picture by
 * some versions of gnuplot and Pango. In an SVG file they are drawn by whoever shows it.
 */

#include <glib.h>

/* Whether the fonts of this host have every letter of @text, UTF-8; TRUE where nobody can tell.
 * CTL_ERROR_FAILED names one that is missing. */
gboolean font_coverage_check (const char *text, GError **error);
