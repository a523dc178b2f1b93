/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * metric-family - figures in the text form of OpenMetrics 1.0, or as JSON
 *
 * Only what means the same in the older text form of Prometheus is used, as node_exporter's textfile
 * collector reads no other: gauges, counters and histograms, none of the types info, stateset and
 * unknown. It takes a counter, NAME_total, for untyped, since TYPE names it NAME; to rate() it is all
 * the same. "# UNIT" and "# EOF" are comments there.
 */

#include <json-glib/json-glib.h>

typedef enum {
  METRIC_GAUGE,
  METRIC_COUNTER,
  METRIC_HISTOGRAM,
} MetricType;

typedef struct MetricFamily MetricFamily;

/*
 * @name is without "_total", and ends in "_@unit" where there is one; @unit may be NULL. The strings
 * are constant, and English: the text is an interface.
 */
MetricFamily *metric_family_new (const char *name, MetricType type, const char *unit,
                                 const char *help);
void metric_family_free (MetricFamily *family);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MetricFamily, metric_family_free)

/* Add a sample "NAME@suffix{LABELS} @number": pairs of label and value follow, then NULL. */
void metric_family_add (MetricFamily *family, const char *suffix, const char *number,
                        ...) G_GNUC_NULL_TERMINATED;

/* The same with a whole number. */
void metric_family_add_count (MetricFamily *family, const char *suffix, guint64 count,
                              ...) G_GNUC_NULL_TERMINATED;

/* Nanoseconds as seconds, exactly: "0.415123456"; owned by the caller. */
char *metric_format_seconds (gint64 ns);

/* All of @families (of MetricFamily) as text, "# EOF" at its end; those without a sample are left
 * out. Owned by the caller. */
char *metric_families_format (const GPtrArray *families);

/* The same as JSON, an object. */
JsonNode *metric_families_to_json (const GPtrArray *families);
