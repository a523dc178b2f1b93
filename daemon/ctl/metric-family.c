/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "metric-family.h"

#include <stdarg.h>
#include <string.h>

#include "output.h"

#define NS_PER_S G_GUINT64_CONSTANT (1000000000)

typedef struct {
  char *suffix;
  char *number;
  GPtrArray *labels; /* name and value in turn */
} Sample;

struct MetricFamily {
  const char *name;
  MetricType type;
  const char *unit;
  const char *help;
  GPtrArray *samples; /* of Sample */
};

static const char *const type_names[] = {
  [METRIC_GAUGE] = "gauge",
  [METRIC_COUNTER] = "counter",
  [METRIC_HISTOGRAM] = "histogram",
};

static void
sample_free (gpointer data)
{
  Sample *sample = data;

  g_ptr_array_unref (sample->labels);
  g_free (sample->number);
  g_free (sample->suffix);
  g_free (sample);
}

static void
add_sample (MetricFamily *family, const char *suffix, const char *number, va_list labels)
{
  Sample *sample = g_new0 (Sample, 1);
  const char *label;

  sample->suffix = g_strdup (suffix);
  sample->number = g_strdup (number);
  sample->labels = g_ptr_array_new_with_free_func (g_free);
  while ((label = va_arg (labels, const char *)) != NULL)
    g_ptr_array_add (sample->labels, g_strdup (label));
  g_ptr_array_add (family->samples, sample);
}

/* Both forms want these three escaped. */
static void
append_label_value (GString *text, const char *value)
{
  for (const char *p = value; *p != '\0'; p++) {
    if (*p == '\n')
      g_string_append (text, "\\n");
    else if (*p == '"' || *p == '\\')
      g_string_append_printf (text, "\\%c", *p);
    else
      g_string_append_c (text, *p);
  }
}

static void
append_sample (GString *text, const MetricFamily *family, const Sample *sample)
{
  g_string_append_printf (text, "%s%s", family->name, sample->suffix);
  for (guint i = 0; i + 1 < sample->labels->len; i += 2) {
    g_string_append_printf (text, "%s%s=\"", i == 0 ? "{" : ",",
                            (const char *) g_ptr_array_index (sample->labels, i));
    append_label_value (text, g_ptr_array_index (sample->labels, i + 1));
    g_string_append_c (text, '"');
  }
  g_string_append_printf (text, "%s %s\n", sample->labels->len > 0 ? "}" : "", sample->number);
}

static void
append_family (GString *text, const MetricFamily *family)
{
  g_string_append_printf (text, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help,
                          family->name, type_names[family->type]);
  if (family->unit != NULL)
    g_string_append_printf (text, "# UNIT %s %s\n", family->name, family->unit);
  for (guint i = 0; i < family->samples->len; i++)
    append_sample (text, family, g_ptr_array_index (family->samples, i));
}

static void
add_sample_json (JsonBuilder *builder, const MetricFamily *family, const Sample *sample)
{
  g_autofree char *name = g_strconcat (family->name, sample->suffix, NULL);

  json_builder_begin_object (builder);
  output_json_text (builder, "name", name);
  json_builder_set_member_name (builder, "labels");
  json_builder_begin_object (builder);
  for (guint i = 0; i + 1 < sample->labels->len; i += 2)
    output_json_text (builder, g_ptr_array_index (sample->labels, i),
                      g_ptr_array_index (sample->labels, i + 1));
  json_builder_end_object (builder);
  json_builder_set_member_name (builder, "value");
  if (strchr (sample->number, '.') != NULL)
    json_builder_add_double_value (builder, g_ascii_strtod (sample->number, NULL));
  else
    json_builder_add_int_value (builder, g_ascii_strtoll (sample->number, NULL, 10));
  json_builder_end_object (builder);
}

static void
add_family_json (JsonBuilder *builder, const MetricFamily *family)
{
  json_builder_begin_object (builder);
  output_json_text (builder, "name", family->name);
  output_json_text (builder, "type", type_names[family->type]);
  output_json_text (builder, "unit", family->unit);
  output_json_text (builder, "help", family->help);
  json_builder_set_member_name (builder, "samples");
  json_builder_begin_array (builder);
  for (guint i = 0; i < family->samples->len; i++)
    add_sample_json (builder, family, g_ptr_array_index (family->samples, i));
  json_builder_end_array (builder);
  json_builder_end_object (builder);
}

/* public functions */

MetricFamily *
metric_family_new (const char *name, MetricType type, const char *unit, const char *help)
{
  MetricFamily *family = g_new0 (MetricFamily, 1);

  family->name = name;
  family->type = type;
  family->unit = unit;
  family->help = help;
  family->samples = g_ptr_array_new_with_free_func (sample_free);
  return family;
}

void
metric_family_free (MetricFamily *family)
{
  g_ptr_array_unref (family->samples);
  g_free (family);
}

void
metric_family_add (MetricFamily *family, const char *suffix, const char *number, ...)
{
  va_list labels;

  va_start (labels, number);
  add_sample (family, suffix, number, labels);
  va_end (labels);
}

void
metric_family_add_count (MetricFamily *family, const char *suffix, guint64 count, ...)
{
  g_autofree char *number = g_strdup_printf ("%" G_GUINT64_FORMAT, count);
  va_list labels;

  va_start (labels, count);
  add_sample (family, suffix, number, labels);
  va_end (labels);
}

char *
metric_format_seconds (gint64 ns)
{
  /* of G_MININT64 as well */
  guint64 magnitude = ns < 0 ? -(guint64) ns : (guint64) ns;

  return g_strdup_printf ("%s%" G_GUINT64_FORMAT ".%09" G_GUINT64_FORMAT, ns < 0 ? "-" : "",
                          magnitude / NS_PER_S, magnitude % NS_PER_S);
}

char *
metric_families_format (const GPtrArray *families)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < families->len; i++) {
    const MetricFamily *family = g_ptr_array_index (families, i);

    if (family->samples->len > 0)
      append_family (text, family);
  }
  g_string_append (text, "# EOF\n");
  return g_string_free (text, FALSE);
}

JsonNode *
metric_families_to_json (const GPtrArray *families)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "metrics");
  json_builder_begin_array (builder);
  for (guint i = 0; i < families->len; i++)
    add_family_json (builder, g_ptr_array_index (families, i));
  json_builder_end_array (builder);
  json_builder_end_object (builder);
  return json_builder_get_root (builder);
}
