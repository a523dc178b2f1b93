/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * figures - what a benchmark has measured, each figure one line of JSON on the standard output
 *
 * A figure is a series of samples, and that of its control: the same work without what is measured,
 * or the nearest thing to it, in the same run and in turns with it, since one machine's nanoseconds
 * mean little on the next. table.py makes a table of the lines, and its key to their fields is this
 * header.
 */

#include <glib.h>

/* What of the samples a figure is known by. */
typedef enum {
  FIGURE_MEDIAN, /* its spread: the quartiles */
  FIGURE_P99,    /* what 99 of 100 samples do not exceed; its spread: median and worst */
} FigureStatistic;

/* What a goal is about. No test fails by one: the table says whether it was met. */
typedef enum {
  FIGURE_NO_GOAL,
  FIGURE_GOAL_VALUE,      /* the figure itself, in its unit */
  FIGURE_GOAL_RATIO,      /* median of subject / control, sample by sample */
  FIGURE_GOAL_DIFFERENCE, /* median of subject - control, likewise, in its unit */
} FigureGoal;

typedef struct {
  const char *part; /* of the product: "helper" or "daemon" */
  const char *what; /* is measured; a noun */
  const char *unit; /* of all samples */
  GArray *samples;  /* of double, at least one */
  FigureStatistic statistic;
  const char *against; /* what the control is, NULL without */
  GArray *control;     /* of double, as many as there are samples, taken in turns with them */
  FigureGoal goal;
  double limit;       /* of the goal: at most this */
  const char *remark; /* what a reader must know of it, NULL for nothing */
} Figure;

GArray *samples_new (void);
void samples_add (GArray *samples, double value);

/* The smallest sample that at least @share of them do not exceed; @share from 0 to 1. */
double samples_get_quantile (const GArray *samples, double share);

/* Texts are plain ASCII without quotes and backslashes. */
void figure_print (const Figure *figure);
