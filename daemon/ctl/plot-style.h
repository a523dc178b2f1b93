/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * plot-style - what all of clockferryctl's pictures have in common
 */

#include "plot-script.h"

#define PLOT_COLOUR_FIXED    "#1f6fb2"
#define PLOT_COLOUR_STOCK    "#c0392b"
#define PLOT_COLOUR_TSC      "#e08a1e"
#define PLOT_COLOUR_KVMCLOCK "#6c4aa0"
#define PLOT_COLOUR_QUIET    "#777777"

/* A new script that draws @panels panels under @title, one above the other. */
GString *plot_style_begin (PlotFormat format, const char *title, guint panels);

/* End it; owned by the caller. */
char *plot_style_end (GString *script);

/* @text as gnuplot's quoted text; owned by the caller. */
char *plot_style_quote (const char *text);

/* Append a line of script; %s are of plot_style_quote() or from here. */
void plot_style_add (GString *script, const char *format, ...) G_GNUC_PRINTF (2, 3);
