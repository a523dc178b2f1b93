/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n.h>

#include "ctl-error.h"
#include "plot-style.h"

#define HOUR_S 3600
#define DAY_S  (24 * HOUR_S)

/* What is drawn of a migration; FALSE where it has none. */
typedef gboolean (*ReadValue) (const MigrationRecord *record, gint64 *ns);

typedef struct {
  const char *result;
  const char *colour;
  int point; /* gnuplot's number of its form */
} ResultLook;

static const ResultLook looks[] = {
  { "fixed", PLOT_COLOUR_FIXED, 7 },
  { "kvmclock-only", PLOT_COLOUR_KVMCLOCK, 9 },
  { "observed", PLOT_COLOUR_QUIET, 6 },
  { "stock", PLOT_COLOUR_STOCK, 2 },
};

/* In local time. */
typedef struct {
  gint64 first_s;
  gint64 last_s;
} TimeSpan;

/* figures */

static gboolean
read_blackout (const MigrationRecord *record, gint64 *ns)
{
  return migration_record_get_blackout (record, ns) && *ns > 0;
}

/* On an axis of powers of ten there is no 0. */
static gboolean
read_residual (const MigrationRecord *record, gint64 *ns)
{
  if (!migration_record_is_credited (record) ||
      !migration_record_get_int (record, "RESIDUAL_NS", ns))
    return FALSE;
  *ns = MAX (ABS (*ns), 1);
  return TRUE;
}

static gboolean
read_bound (const MigrationRecord *record, gint64 *ns)
{
  return migration_record_is_credited (record) && migration_record_get_bound (record, ns) &&
         *ns > 0;
}

/* gnuplot knows no time zones: seconds as if local time were UTC. */
static gint64
get_local_s (const MigrationRecord *record)
{
  gint64 s = migration_record_get_time (record) / G_USEC_PER_SEC;
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (s);

  return time != NULL ? s + g_date_time_get_utc_offset (time) / G_USEC_PER_SEC : s;
}

static GPtrArray *
list_arrivals (const GPtrArray *records)
{
  GPtrArray *arrivals = g_ptr_array_new ();

  for (guint i = 0; i < records->len; i++) {
    MigrationRecord *record = g_ptr_array_index (records, i);

    if (record->is_arriving && !g_str_equal (migration_record_get_result (record), "abandoned"))
      g_ptr_array_add (arrivals, record);
  }
  return arrivals;
}

static TimeSpan
get_span (const GPtrArray *arrivals)
{
  TimeSpan span = { G_MAXINT64, G_MININT64 };

  for (guint i = 0; i < arrivals->len; i++) {
    gint64 s = get_local_s (g_ptr_array_index (arrivals, i));

    span.first_s = MIN (span.first_s, s);
    span.last_s = MAX (span.last_s, s);
  }
  return span;
}

/* script */

static gboolean
has_result (const MigrationRecord *record, const char *result)
{
  return result == NULL || g_str_equal (migration_record_get_result (record), result);
}

/* A data block of those with @result (NULL for any) that have the value; FALSE if it would be empty. */
static gboolean
add_block (GString *script, const char *name, const GPtrArray *arrivals, const char *result,
           ReadValue read)
{
  g_autoptr (GString) rows = g_string_new (NULL);

  for (guint i = 0; i < arrivals->len; i++) {
    const MigrationRecord *record = g_ptr_array_index (arrivals, i);
    gint64 ns = 0;

    if (has_result (record, result) && read (record, &ns))
      g_string_append_printf (rows, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n",
                              get_local_s (record), ns);
  }
  if (rows->len > 0)
    plot_style_add (script, "$%s << EOD\n%sEOD", name, rows->str);
  return rows->len > 0;
}

/* Of those whose blackout nobody knows, the times. */
static gboolean
add_unknown (GString *script, const GPtrArray *arrivals)
{
  g_autoptr (GString) rows = g_string_new (NULL);

  for (guint i = 0; i < arrivals->len; i++) {
    const MigrationRecord *record = g_ptr_array_index (arrivals, i);
    gint64 ns = 0;

    if (!read_blackout (record, &ns))
      g_string_append_printf (rows, "%" G_GINT64_FORMAT " 0.04\n", get_local_s (record));
  }
  if (rows->len > 0)
    plot_style_add (script, "$unknown << EOD\n%sEOD", rows->str);
  return rows->len > 0;
}

static void
add_axes (GString *script, const TimeSpan *span)
{
  gint64 length_s = span->last_s - span->first_s;
  gint64 pad_s = MAX (length_s / 20, HOUR_S / 2);
  const char *form = length_s < 7 * DAY_S ? "%H:%M\\n%m-%d" : "%Y-%m-%d";

  plot_style_add (script, "set xdata time");
  plot_style_add (script, "set timefmt '%%s'");
  plot_style_add (script, "set format x \"%s\"", form);
  plot_style_add (script, "set xrange ['%" G_GINT64_FORMAT "':'%" G_GINT64_FORMAT "']",
                  span->first_s - pad_s, span->last_s + pad_s);
  plot_style_add (script, "set logscale y");
  plot_style_add (script, "set format y '%%.0s %%cs'");
  plot_style_add (script, "set micro");
  plot_style_add (script, "set tmargin 4");
  plot_style_add (
    script, "set key at graph 0, graph 1 left bottom horizontal maxrows 1 Left reverse samplen 1");
}

/* Of the values that @reads have (two at most): from a fifth of the least to five times the most. */
static void
add_range (GString *script, const GPtrArray *arrivals, const ReadValue reads[2])
{
  gint64 low_ns = G_MAXINT64, high_ns = 0;

  for (guint i = 0; i < arrivals->len; i++) {
    for (guint j = 0; j < 2; j++) {
      gint64 ns = 0;

      if (reads[j] == NULL || !reads[j](g_ptr_array_index (arrivals, i), &ns))
        continue;
      low_ns = MIN (low_ns, ns);
      high_ns = MAX (high_ns, ns);
    }
  }
  if (high_ns == 0) { /* nothing is known: any range will do */
    low_ns = 10000000;
    high_ns = 1000000000;
  }
  plot_style_add (script, "set yrange [%" G_GINT64_FORMAT " / 5e9:%" G_GINT64_FORMAT " * 5e-9]",
                  low_ns, high_ns);
}

/* Draw @curves, parts of a plot command. */
static void
add_plot (GString *script, GPtrArray *curves)
{
  g_autofree char *list = NULL;

  g_ptr_array_add (curves, NULL);
  list = g_strjoinv (", ", (char **) curves->pdata);
  plot_style_add (script, "plot %s", list);
}

static char *
make_curve (const char *block, const char *columns, int point, const char *colour,
            const char *title)
{
  g_autofree char *quoted = plot_style_quote (title);

  return g_strdup_printf ("$%s using %s with points pt %d ps 1 lw 2 lc rgb '%s' title %s", block,
                          columns, point, colour, quoted);
}

static void
add_upper_panel (GString *script, const GPtrArray *arrivals)
{
  const ReadValue reads[] = { read_blackout, NULL };
  g_autoptr (GPtrArray) curves = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *ylabel = plot_style_quote (_ ("blackout"));

  for (gsize i = 0; i < G_N_ELEMENTS (looks); i++) {
    g_autofree char *block = g_strdup_printf ("result%" G_GSIZE_FORMAT, i);

    if (add_block (script, block, arrivals, looks[i].result, read_blackout))
      g_ptr_array_add (
        curves, make_curve (block, "1:($2/1e9)", looks[i].point, looks[i].colour, looks[i].result));
  }
  if (add_unknown (script, arrivals))
    g_ptr_array_add (curves, make_curve ("unknown", "1:2 axes x1y2", 4, PLOT_COLOUR_STOCK,
                                         _ ("blackout not known")));
  plot_style_add (script, "set ylabel %s", ylabel);
  plot_style_add (script, "set y2range [0:1]");
  add_range (script, arrivals, reads);
  add_plot (script, curves);
}

/* How exact the hand-overs were. */
static void
add_lower_panel (GString *script, const GPtrArray *arrivals)
{
  const ReadValue reads[] = { read_residual, read_bound };
  g_autoptr (GPtrArray) curves = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *ylabel = plot_style_quote (_ ("error"));

  if (add_block (script, "bounds", arrivals, NULL, read_bound))
    g_ptr_array_add (curves, make_curve ("bounds", "1:($2/1e9)", 11, PLOT_COLOUR_TSC,
                                         _ ("claimed bound of the error")));
  if (add_block (script, "residuals", arrivals, NULL, read_residual))
    g_ptr_array_add (curves, make_curve ("residuals", "1:($2/1e9)", 7, PLOT_COLOUR_FIXED,
                                         _ ("residual of kvmclock")));
  plot_style_add (script, "set ylabel %s", ylabel);
  add_range (script, arrivals, reads);
  add_plot (script, curves);
}

static gboolean
has_credited (const GPtrArray *arrivals)
{
  for (guint i = 0; i < arrivals->len; i++) {
    if (migration_record_is_credited (g_ptr_array_index (arrivals, i)))
      return TRUE;
  }
  return FALSE;
}

/* public functions */

char *
plot_script_history (const GPtrArray *records, PlotFormat format, guint *count, GError **error)
{
  g_autoptr (GPtrArray) arrivals = list_arrivals (records);
  gboolean is_exactness_known = has_credited (arrivals);
  TimeSpan span = get_span (arrivals);
  g_autofree char *title = NULL;
  GString *script;

  *count = arrivals->len;
  if (arrivals->len == 0) {
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("no guest arrived in that time: there is nothing to draw"));
    return NULL;
  }
  title = g_strdup_printf (ngettext ("The clocks of %u migration to this host",
                                     "The clocks of %u migrations to this host", arrivals->len),
                           arrivals->len);
  script = plot_style_begin (format, title, is_exactness_known ? 2 : 1);
  add_axes (script, &span);
  add_upper_panel (script, arrivals);
  if (is_exactness_known)
    add_lower_panel (script, arrivals);
  return plot_style_end (script);
}
