/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plot-style.h"

#include "output.h"

static const char *const terminals[] = {
  [PLOT_SVG] = "svg noenhanced size 900,640 dynamic font 'sans-serif,13' background '#ffffff'",
  [PLOT_PNG] = "pngcairo noenhanced size 1350,960 font 'sans,15' background '#ffffff'",
};

/* public functions */

GString *
plot_style_begin (PlotFormat format, const char *title, guint panels)
{
  GString *script = g_string_new (NULL);
  g_autofree char *quoted = plot_style_quote (title);

  plot_style_add (script, "set encoding utf8");
  plot_style_add (script, "set terminal %s", terminals[format]);
  plot_style_add (script, "set multiplot layout %u,1 title %s font ',16'", panels, quoted);
  plot_style_add (script, "set lmargin 13");
  plot_style_add (script, "set rmargin 4");
  plot_style_add (script, "set grid lt 1 lw 1 lc rgb '#e4e4e4'");
  plot_style_add (script, "set border 3 lc rgb '#555555'");
  plot_style_add (script, "set tics nomirror");
  return script;
}

char *
plot_style_end (GString *script)
{
  plot_style_add (script, "unset multiplot");
  return g_string_free (script, FALSE);
}

char *
plot_style_quote (const char *text)
{
  g_autofree char *clean = output_clean (text);
  g_auto (GStrv) parts = g_strsplit (clean, "'", -1);
  g_autofree char *doubled = g_strjoinv ("''", parts);

  return g_strdup_printf ("'%s'", doubled);
}

void
plot_style_add (GString *script, const char *format, ...)
{
  va_list values;

  va_start (values, format);
  g_string_append_vprintf (script, format, values);
  va_end (values);
  g_string_append_c (script, '\n');
}
