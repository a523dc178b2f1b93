/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "migration-metrics.h"

#include "metric-family.h"
#include "migration-record.h"

#define NS_PER_US G_GINT64_CONSTANT (1000)

/* The upper end of a bucket, and how OpenMetrics wants it written. */
typedef struct {
  gint64 limit_ns;
  const char *le;
} Bucket;

static const Bucket advance_buckets[] = {
  { 10000000, "0.01" },      { 30000000, "0.03" },    { 100000000, "0.1" },
  { 300000000, "0.3" },      { 1000000000, "1.0" },   { 3000000000, "3.0" },
  { 10000000000, "10.0" },   { 30000000000, "30.0" }, { 100000000000, "100.0" },
  { 300000000000, "300.0" },
};

static const Bucket bound_buckets[] = {
  { 1000, "1e-06" },    { 10000, "1e-05" },   { 100000, "0.0001" },  { 1000000, "0.001" },
  { 10000000, "0.01" }, { 100000000, "0.1" }, { 1000000000, "1.0" },
};

static const struct {
  const char *direction;
  const char *result;
} outcomes[] = {
  { "arriving", "fixed" },    { "arriving", "kvmclock-only" }, { "arriving", "observed" },
  { "arriving", "stock" },    { "arriving", "unknown" },       { "arriving", "abandoned" },
  { "leaving", "sent" },      { "leaving", "unclaimed" },      { "leaving", "rolled-back" },
  { "leaving", "cancelled" },
};

static const char *
get_direction (const MigrationRecord *record)
{
  return record->is_arriving ? "arriving" : "leaving";
}

static guint
count_outcome (const GPtrArray *records, const char *direction, const char *result)
{
  guint count = 0;

  for (guint i = 0; i < records->len; i++) {
    const MigrationRecord *record = g_ptr_array_index (records, i);

    count += g_str_equal (get_direction (record), direction) &&
                 g_str_equal (migration_record_get_result (record), result)
               ? 1
               : 0;
  }
  return count;
}

/* counter */

/* Each kind is there from the first scrape on, so that its first one counts. */
static void
add_counter (GPtrArray *families, const GPtrArray *records, gint64 since_us)
{
  MetricFamily *family = metric_family_new (
    "clockferry_migrations", METRIC_COUNTER, NULL,
    "Migrations that ended, in the journal of this boot, by what became of the guest's clocks.");
  g_autofree char *since = metric_format_seconds (since_us * NS_PER_US);

  for (gsize i = 0; i < G_N_ELEMENTS (outcomes); i++) {
    const char *direction = outcomes[i].direction;
    const char *result = outcomes[i].result;

    metric_family_add_count (family, "_total", count_outcome (records, direction, result),
                             "direction", direction, "result", result, NULL);
    if (since_us != 0)
      metric_family_add (family, "_created", since, "direction", direction, "result", result, NULL);
  }
  g_ptr_array_add (families, family);
}

/* histograms */

typedef gboolean (*ReadValue) (const MigrationRecord *record, gint64 *ns);

static gboolean
read_advance (const MigrationRecord *record, gint64 *ns)
{
  return migration_record_is_credited (record) &&
         migration_record_get_int (record, "ADVANCE_NS", ns) && *ns >= 0;
}

static gboolean
read_bound (const MigrationRecord *record, gint64 *ns)
{
  return migration_record_is_credited (record) && migration_record_get_bound (record, ns);
}

static GArray *
collect_values (const GPtrArray *records, ReadValue read)
{
  GArray *values = g_array_new (FALSE, FALSE, sizeof (gint64));

  for (guint i = 0; i < records->len; i++) {
    gint64 ns = 0;

    if (read (g_ptr_array_index (records, i), &ns))
      g_array_append_val (values, ns);
  }
  return values;
}

static guint
count_up_to (const GArray *values, gint64 limit_ns)
{
  guint count = 0;

  for (guint i = 0; i < values->len; i++)
    count += g_array_index (values, gint64, i) <= limit_ns ? 1 : 0;
  return count;
}

/* Takes @family and @values. */
static void
add_histogram (GPtrArray *families, MetricFamily *family, const Bucket *buckets, gsize bucket_count,
               GArray *values, gint64 since_us)
{
  gint64 sum_ns = 0;
  g_autofree char *sum = NULL;
  g_autofree char *since = metric_format_seconds (since_us * NS_PER_US);

  for (guint i = 0; i < values->len; i++) {
    /* none is negative; 292 years is as much as can be said */
    if (__builtin_add_overflow (sum_ns, g_array_index (values, gint64, i), &sum_ns))
      sum_ns = G_MAXINT64;
  }
  sum = metric_format_seconds (sum_ns);
  for (gsize i = 0; i < bucket_count; i++)
    metric_family_add_count (family, "_bucket", count_up_to (values, buckets[i].limit_ns), "le",
                             buckets[i].le, NULL);
  metric_family_add_count (family, "_bucket", values->len, "le", "+Inf", NULL);
  metric_family_add_count (family, "_count", values->len, NULL);
  metric_family_add (family, "_sum", sum, NULL);
  if (since_us != 0)
    metric_family_add (family, "_created", since, NULL);
  g_array_unref (values);
  g_ptr_array_add (families, family);
}

/* the last one */

static const MigrationRecord *
find_last_credited (const GPtrArray *records)
{
  for (guint i = records->len; i > 0; i--) {
    const MigrationRecord *record = g_ptr_array_index (records, i - 1);

    if (migration_record_is_credited (record))
      return record;
  }
  return NULL;
}

static void
add_last_gauge (GPtrArray *families, const char *name, const char *help, gint64 ns)
{
  MetricFamily *family = metric_family_new (name, METRIC_GAUGE, "seconds", help);
  g_autofree char *seconds = metric_format_seconds (ns);

  metric_family_add (family, "", seconds, NULL);
  g_ptr_array_add (families, family);
}

static void
add_last (GPtrArray *families, const GPtrArray *records)
{
  const MigrationRecord *last = find_last_credited (records);
  gint64 ns = 0;

  if (last == NULL)
    return;
  add_last_gauge (families, "clockferry_last_fixed_timestamp_seconds",
                  "When the last migration whose clocks were advanced ended, Unix time.",
                  migration_record_get_time (last) * NS_PER_US);
  if (migration_record_get_int (last, "ADVANCE_NS", &ns))
    add_last_gauge (families, "clockferry_last_fixed_advance_seconds",
                    "The time that was credited to the guest in that migration.", ns);
  if (migration_record_get_int (last, "RESIDUAL_NS", &ns))
    add_last_gauge (families, "clockferry_last_fixed_residual_seconds",
                    "How far the guest's kvmclock then was from where CLOCK_REALTIME put it.", ns);
  if (migration_record_get_bound (last, &ns))
    add_last_gauge (families, "clockferry_last_fixed_theta_bound_seconds",
                    "Within what the distance of the two hosts' clocks was known in it.", ns);
}

/* public functions */

void
migration_metrics_add (GPtrArray *families, const GPtrArray *records, gint64 since_us)
{
  add_counter (families, records, since_us);
  add_histogram (families,
                 metric_family_new ("clockferry_advance_seconds", METRIC_HISTOGRAM, "seconds",
                                    "The time that was credited to guests that arrived."),
                 advance_buckets, G_N_ELEMENTS (advance_buckets),
                 collect_values (records, read_advance), since_us);
  add_histogram (families,
                 metric_family_new ("clockferry_theta_bound_seconds", METRIC_HISTOGRAM, "seconds",
                                    "Within what the distance of the two hosts' clocks was known."),
                 bound_buckets, G_N_ELEMENTS (bound_buckets), collect_values (records, read_bound),
                 since_us);
  add_last (families, records);
}
