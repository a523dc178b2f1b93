/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n.h>

#include "ctl-error.h"
#include "migration-history.h"
#include "migration-json.h"
#include "migration-words.h"
#include "plot-style.h"

#define NS_PER_MS G_GINT64_CONSTANT (1000000)

/* How far the guest's clocks were from true time after the blackout, ns. */
typedef struct {
  gint64 blackout_ns;
  gint64 stock_kvmclock_ns; /* with stock QEMU */
  gboolean has_stock_tsc;
  gint64 stock_tsc_ns;
  gboolean is_handed_over; /* in truth, or as it would have been */
  gboolean is_tsc_handed_over;
  gint64 residual_ns;
  gboolean has_bound;
  gint64 bound_ns;
} ClockErrors;

/* The unit of an axis. */
typedef struct {
  const char *symbol;
  gint64 ns;
} AxisUnit;

/* figures */

static void
set_untold (GError **error, const MigrationRecord *record)
{
  const char *peer = migration_record_get (record, "PEER");
  const char *reason = migration_record_get (record, "REASON");
  g_autofree char *id = g_strndup (record->id, MIGRATION_ID_SHOWN);

  if (!record->is_arriving)
    g_set_error (
      error, CTL_ERROR, CTL_ERROR_FAILED,
      /* TRANSLATORS: the id of a migration, a host */
      _ ("%s left this host: what became of its clocks is known at its destination (%s); "
         "draw it there"),
      id, peer != NULL ? peer : _ ("not known"));
  else
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 /* TRANSLATORS: the id of a migration, "stock", why */
                 _ ("there are no clocks of %s to draw: it is %s (%s)"), id,
                 migration_record_get_result (record),
                 reason != NULL ? reason : _ ("no reason given"));
}

/* What QEMU had loaded against what the first vCPU was given, or would have been. */
static gboolean
read_stock_tsc (const MigrationRecord *record, gint64 *error_ns)
{
  g_autoptr (GArray) offsets = migration_offsets_parse (migration_record_get (record, "OFFSETS"));
  const VcpuOffsets *first = offsets->len > 0 ? &g_array_index (offsets, VcpuOffsets, 0) : NULL;
  gint64 freq_khz = 0, ticks;
  __int128 ns;

  if (first == NULL || first->after_ticks == 0 ||
      !migration_record_get_int (record, "FREQ_KHZ", &freq_khz) || freq_khz <= 0)
    return FALSE;
  /* offsets wrap as the TSC does */
  ticks = (gint64) ((guint64) first->before_ticks - (guint64) first->after_ticks);
  ns = (__int128) ticks * NS_PER_MS / freq_khz;
  if (ns < -MIGRATION_VALUE_MAX || ns > MIGRATION_VALUE_MAX)
    return FALSE;
  *error_ns = (gint64) ns;
  return TRUE;
}

static gboolean
read_errors (const MigrationRecord *record, ClockErrors *errors, GError **error)
{
  const char *result = migration_record_get_result (record);
  gboolean is_stock = g_str_equal (result, "stock");
  gint64 advance_ns = 0;

  if (!record->is_arriving || g_str_equal (result, "unknown") ||
      !migration_record_get_blackout (record, &errors->blackout_ns) || errors->blackout_ns <= 0) {
    set_untold (error, record);
    return FALSE;
  }
  /* nothing was advanced, or undone, where it is stock */
  if (is_stock || !migration_record_get_int (record, "ADVANCE_NS", &advance_ns))
    advance_ns = errors->blackout_ns;
  errors->stock_kvmclock_ns = -advance_ns;
  errors->is_handed_over = !is_stock;
  errors->is_tsc_handed_over = !is_stock && !g_str_equal (result, "kvmclock-only");
  errors->has_stock_tsc = errors->is_tsc_handed_over &&
                          read_stock_tsc (record, &errors->stock_tsc_ns);
  /* of one that is observed it is the guest's own error, which stays */
  if (!g_str_equal (result, "observed"))
    migration_record_get_int (record, "RESIDUAL_NS", &errors->residual_ns);
  errors->has_bound = migration_record_get_bound (record, &errors->bound_ns);
  return TRUE;
}

/* words */

static char *
make_title (const MigrationRecord *record)
{
  g_autofree char *way = migration_words_way (record);
  g_autofree char *time = output_time (migration_record_get_time (record));

  /* TRANSLATORS: a domain, "from HOST", a time, "fixed" */
  return g_strdup_printf (_ ("%s %s, %s: %s"), migration_record_get_label (record), way, time,
                          migration_record_get_result (record));
}

static char *
describe_handed_over (const MigrationRecord *record, const ClockErrors *errors)
{
  g_autofree char *residual = output_difference (errors->residual_ns);
  g_autofree char *bound = errors->has_bound ? output_duration (errors->bound_ns) : NULL;

  if (g_str_equal (migration_record_get_result (record), "observed"))
    return g_strdup (_ ("as clockferry would hand them over"));
  if (bound == NULL)
    /* TRANSLATORS: a time with its sign */
    return g_strdup_printf (_ ("as handed over: %s, nobody knows how well"), residual);
  if (!errors->is_tsc_handed_over)
    /* TRANSLATORS: a time with its sign, and how far from the truth it can be */
    return g_strdup_printf (_ ("kvmclock as handed over: %s, ± %s"), residual, bound);
  /* TRANSLATORS: a time with its sign, and how far from the truth it can be */
  return g_strdup_printf (_ ("both as handed over: %s, ± %s"), residual, bound);
}

static char *
describe_stock (const char *clock, gint64 error_ns)
{
  g_autofree char *text = output_difference (error_ns);

  /* TRANSLATORS: "kvmclock" or "TSC", and how far it was off */
  return g_strdup_printf (_ ("%s as stock QEMU has it: %s"), clock, text);
}

/* script */

static AxisUnit
choose_unit (gint64 span_ns)
{
  static const AxisUnit axis_units[] = {
    { "s", 1000 * NS_PER_MS }, { "ms", NS_PER_MS }, { "µs", 1000 }, { "ns", 1 }
  };

  for (gsize i = 0; i < G_N_ELEMENTS (axis_units); i++) {
    if (span_ns >= 3 * axis_units[i].ns)
      return axis_units[i];
  }
  return axis_units[G_N_ELEMENTS (axis_units) - 1];
}

/* A clock at @error_ns between two times; those are in ns since the pause. */
static void
add_level (GString *script, const char *block, gint64 begin_ns, gint64 end_ns, gint64 error_ns)
{
  plot_style_add (script, "%s << EOD", block);
  plot_style_add (script, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT, begin_ns, error_ns);
  plot_style_add (script, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT, end_ns, error_ns);
  plot_style_add (script, "EOD");
}

/* Of the same width before the blackout as after it. */
static gint64
get_aside_ns (const ClockErrors *errors)
{
  return errors->blackout_ns / 2 + errors->blackout_ns / 10;
}

static void
add_data (GString *script, const ClockErrors *errors)
{
  gint64 begin_ns = errors->blackout_ns;
  gint64 end_ns = begin_ns + get_aside_ns (errors);
  gint64 low_ns = errors->residual_ns - errors->bound_ns;
  gint64 high_ns = errors->residual_ns + errors->bound_ns;

  add_level (script, "$before", -get_aside_ns (errors), 0, 0);
  add_level (script, "$kvmclock", begin_ns, end_ns, errors->stock_kvmclock_ns);
  if (errors->has_stock_tsc)
    add_level (script, "$tsc", begin_ns, end_ns, errors->stock_tsc_ns);
  if (!errors->is_handed_over)
    return;
  add_level (script, "$handed", begin_ns, end_ns, errors->residual_ns);
  plot_style_add (script, "$band << EOD");
  plot_style_add (script, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT, begin_ns,
                  low_ns, high_ns);
  plot_style_add (script, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT, end_ns,
                  low_ns, high_ns);
  plot_style_add (script, "EOD");
}

static void
add_axes (GString *script, const ClockErrors *errors)
{
  g_autofree char *blackout = output_duration (errors->blackout_ns);
  g_autofree char *text = g_strdup_printf (_ ("blackout %s"), blackout);
  g_autofree char *label = plot_style_quote (text);

  plot_style_add (script, "begin = -%" G_GINT64_FORMAT " / 1e6", get_aside_ns (errors));
  plot_style_add (script, "resumed = %" G_GINT64_FORMAT " / 1e6", errors->blackout_ns);
  plot_style_add (script, "set xrange [begin:resumed - begin]");
  plot_style_add (script, "set style rect fc rgb '#eeeeee' fs solid noborder");
  plot_style_add (script, "set object 1 rect from 0, graph 0 to resumed, graph 1 behind");
  plot_style_add (script, "set label 1 %s at resumed / 2, graph 0.94 center tc rgb '%s'", label,
                  PLOT_COLOUR_QUIET);
  plot_style_add (script, "set key bottom left Left reverse samplen 2 spacing 1.2");
  plot_style_add (script, "set offsets 0, 0, graph 0.15, graph 0.1");
}

/* The whole way, in milliseconds. */
static void
add_upper_panel (GString *script, const MigrationRecord *record, const ClockErrors *errors)
{
  g_autofree char *ylabel = plot_style_quote (_ ("clock − true time, ms"));
  g_autofree char *kvmclock = describe_stock ("kvmclock", errors->stock_kvmclock_ns);
  g_autofree char *tsc = describe_stock ("TSC", errors->stock_tsc_ns);
  g_autofree char *handed = describe_handed_over (record, errors);
  g_autofree char *before_title = plot_style_quote (_ ("on the source"));
  g_autofree char *kvmclock_title = plot_style_quote (kvmclock);
  g_autofree char *tsc_title = plot_style_quote (tsc);
  g_autofree char *handed_title = plot_style_quote (handed);

  plot_style_add (script, "set ylabel %s", ylabel);
  plot_style_add (script,
                  "plot $before using ($1/1e6):($2/1e6) with lines lw 3 lc rgb '%s' title %s, \\",
                  PLOT_COLOUR_QUIET, before_title);
  if (errors->is_handed_over)
    plot_style_add (script,
                    "  $handed using ($1/1e6):($2/1e6) with lines lw 3 lc rgb '%s' title %s, \\",
                    PLOT_COLOUR_FIXED, handed_title);
  if (errors->has_stock_tsc)
    plot_style_add (script,
                    "  $tsc using ($1/1e6):($2/1e6) with lines lw 3 dt 2 lc rgb '%s' title %s, \\",
                    PLOT_COLOUR_TSC, tsc_title);
  plot_style_add (script,
                  "  $kvmclock using ($1/1e6):($2/1e6) with lines lw 3 dt 2 lc rgb '%s' title %s",
                  PLOT_COLOUR_STOCK, kvmclock_title);
}

/* What was handed over, close up. */
static void
add_lower_panel (GString *script, const ClockErrors *errors)
{
  gint64 farthest_ns = ABS (errors->residual_ns) + errors->bound_ns;
  gint64 span_ns = MAX (farthest_ns + farthest_ns / 2, 3);
  AxisUnit unit = choose_unit (span_ns);
  /* TRANSLATORS: the label of an axis, with its unit */
  g_autofree char *label = g_strdup_printf (_ ("the same, close up, %s"), unit.symbol);
  g_autofree char *ylabel = plot_style_quote (label);
  g_autofree char *title =
    plot_style_quote (_ ("as far as the hosts' clocks are known to each other"));

  plot_style_add (script, "unit = %" G_GINT64_FORMAT ".0", unit.ns);
  plot_style_add (script, "unset label 1");
  plot_style_add (script, "set ylabel %s", ylabel);
  plot_style_add (script, "set yrange [-%" G_GINT64_FORMAT " / unit:%" G_GINT64_FORMAT " / unit]",
                  span_ns, span_ns);
  plot_style_add (script,
                  "plot $band using ($1/1e6):($2/unit):($3/unit) with filledcurves fc rgb '%s' "
                  "fs transparent solid 0.2 title %s, \\",
                  PLOT_COLOUR_FIXED, title);
  plot_style_add (script,
                  "  $before using ($1/1e6):($2/unit) with lines lw 3 lc rgb '%s' notitle, \\",
                  PLOT_COLOUR_QUIET);
  plot_style_add (script, "  $handed using ($1/1e6):($2/unit) with lines lw 3 lc rgb '%s' notitle",
                  PLOT_COLOUR_FIXED);
}

/* public functions */

char *
plot_script_migration (const MigrationRecord *record, PlotFormat format, GError **error)
{
  ClockErrors errors = { 0 };
  g_autofree char *xlabel = plot_style_quote (_ ("milliseconds since the guest was paused"));
  g_autofree char *title = NULL;
  GString *script;

  if (!read_errors (record, &errors, error))
    return NULL;
  title = make_title (record);
  script = plot_style_begin (format, title, errors.is_handed_over ? 2 : 1);
  add_data (script, &errors);
  add_axes (script, &errors);
  if (!errors.is_handed_over)
    plot_style_add (script, "set xlabel %s", xlabel);
  add_upper_panel (script, record, &errors);
  if (errors.is_handed_over) {
    plot_style_add (script, "set xlabel %s", xlabel);
    add_lower_panel (script, &errors);
  }
  return plot_style_end (script);
}
