/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "figures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef double (*Comparison) (double subject, double control);

static double
divide (double subject, double control)
{
  return subject / control;
}

static double
subtract (double subject, double control)
{
  return subject - control;
}

static GArray *
compare (const Figure *figure, Comparison comparison)
{
  GArray *results = samples_new ();

  g_assert_cmpuint (figure->samples->len, ==, figure->control->len);
  for (guint i = 0; i < figure->samples->len; i++)
    samples_add (results, comparison (g_array_index (figure->samples, double, i),
                                      g_array_index (figure->control, double, i)));
  return results;
}

/* "name": [the figure, from, to] */
static void
print_series (const char *name, const GArray *samples, FigureStatistic statistic)
{
  if (statistic == FIGURE_P99)
    printf (", \"%s\": [%.9g, %.9g, %.9g]", name, samples_get_quantile (samples, 0.99),
            samples_get_quantile (samples, 0.5), samples_get_quantile (samples, 1));
  else
    printf (", \"%s\": [%.9g, %.9g, %.9g]", name, samples_get_quantile (samples, 0.5),
            samples_get_quantile (samples, 0.25), samples_get_quantile (samples, 0.75));
}

static gboolean
is_positive (const GArray *samples)
{
  for (guint i = 0; i < samples->len; i++) {
    if (g_array_index (samples, double, i) <= 0)
      return FALSE;
  }
  return TRUE;
}

static void
print_text (const char *name, const char *text)
{
  if (text == NULL)
    return;
  g_assert_null (strpbrk (text, "\"\\\n"));
  printf (", \"%s\": \"%s\"", name, text);
}

static const char *
goal_name (FigureGoal goal)
{
  static const char *const names[] = {
    [FIGURE_NO_GOAL] = NULL,
    [FIGURE_GOAL_VALUE] = "samples",
    [FIGURE_GOAL_RATIO] = "ratio",
    [FIGURE_GOAL_DIFFERENCE] = "difference",
  };

  return names[goal];
}

static gint
order (gconstpointer a, gconstpointer b)
{
  double left = *(const double *) a;
  double right = *(const double *) b;

  return (left > right) - (left < right);
}

/* public functions */

GArray *
samples_new (void)
{
  return g_array_new (FALSE, FALSE, sizeof (double));
}

void
samples_add (GArray *samples, double value)
{
  g_array_append_val (samples, value);
}

double
samples_get_quantile (const GArray *samples, double share)
{
  g_autoptr (GArray) sorted = samples_new ();
  double rank = ceil (share * samples->len);

  g_assert_cmpuint (samples->len, >, 0);
  g_array_append_vals (sorted, samples->data, samples->len);
  g_array_sort (sorted, order);
  return g_array_index (sorted, double, rank < 1 ? 0 : (guint) rank - 1);
}

void
figure_print (const Figure *figure)
{
  printf ("{\"part\": \"%s\"", figure->part);
  print_text ("what", figure->what);
  print_text ("unit", figure->unit);
  printf (", \"count\": %u, \"statistic\": \"%s\"", figure->samples->len,
          figure->statistic == FIGURE_P99 ? "p99" : "median");
  print_series ("samples", figure->samples, figure->statistic);
  if (figure->control != NULL) {
    g_autoptr (GArray) differences = compare (figure, subtract);

    print_text ("against", figure->against);
    print_series ("control", figure->control, figure->statistic);
    print_series ("difference", differences, FIGURE_MEDIAN);
    if (is_positive (figure->control)) {
      g_autoptr (GArray) ratios = compare (figure, divide);

      print_series ("ratio", ratios, FIGURE_MEDIAN);
    }
  }
  print_text ("goal", goal_name (figure->goal));
  if (figure->goal != FIGURE_NO_GOAL)
    printf (", \"limit\": %.9g", figure->limit);
  print_text ("remark", figure->remark);
  printf ("}\n");
  fflush (stdout);
}
