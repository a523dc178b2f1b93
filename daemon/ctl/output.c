/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <glib/gi18n.h>
#include <stdarg.h>
#include <stdio.h>

#define COLUMN_GAP   2
#define LABEL_INDENT 2
#define LABEL_WIDTH  16
#define NOTHING      "-"

typedef struct {
  char *text;
  guint width;
  OutputStyle style;
} Cell;

struct Table {
  guint columns;
  GArray *cells; /* of Cell: the headings, then row by row */
};

/* text */

/* Those that a terminal obeys, and those that turn the order of what follows around. */
static gboolean
is_obeyed (gunichar c)
{
  return g_unichar_iscntrl (c) || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
         c == 0x2028 || c == 0x2029;
}

static guint
get_char_width (gunichar c)
{
  if (g_unichar_iszerowidth (c))
    return 0;
  return g_unichar_iswide (c) ? 2 : 1;
}

/* durations */

static const struct {
  double ns;
  const char *symbol;
} units[] = { { 1, "ns" }, { 1e3, "µs" }, { 1e6, "ms" }, { 1e9, "s" } };

#define SECONDS_LIMIT 99.5

/* Three digits, @magnitude being below 1000. */
static int
count_decimals (double magnitude)
{
  if (magnitude >= 99.95)
    return 0;
  return magnitude >= 9.995 ? 1 : 2;
}

static char *
format_long (const char *sign, gint64 seconds)
{
  const gint64 minute = 60, hour = 60 * minute, day = 24 * hour;

  if (seconds < hour)
    return g_strdup_printf ("%s%" G_GINT64_FORMAT " min %" G_GINT64_FORMAT " s", sign,
                            seconds / minute, seconds % minute);
  if (seconds < day)
    return g_strdup_printf ("%s%" G_GINT64_FORMAT " h %" G_GINT64_FORMAT " min", sign,
                            seconds / hour, seconds % hour / minute);
  return g_strdup_printf ("%s%" G_GINT64_FORMAT " d %" G_GINT64_FORMAT " h", sign, seconds / day,
                          seconds % day / hour);
}

static char *
format_duration (const char *sign, double ns)
{
  gsize unit = 0;
  double magnitude;

  if (ns >= SECONDS_LIMIT * 1e9)
    return format_long (sign, (gint64) (ns / 1e9 + 0.5));
  while (unit + 1 < G_N_ELEMENTS (units) && ns >= 999.5 * units[unit].ns)
    unit++;
  magnitude = ns / units[unit].ns;
  return g_strdup_printf ("%s%.*f %s", sign, unit == 0 ? 0 : count_decimals (magnitude), magnitude,
                          units[unit].symbol);
}

/* tables */

static void
cell_clear (gpointer data)
{
  Cell *cell = data;

  g_free (cell->text);
}

static void
add_cell (Table *table, const char *text, OutputStyle style)
{
  gboolean is_empty = text == NULL || *text == '\0';
  Cell cell = { .text = output_clean (is_empty ? NOTHING : text), .style = style };

  cell.width = output_width (cell.text);
  g_array_append_val (table->cells, cell);
}

static guint *
measure_columns (const Table *table)
{
  guint *widths = g_new0 (guint, table->columns);

  for (guint i = 0; i < table->cells->len; i++) {
    const Cell *cell = &g_array_index (table->cells, Cell, i);

    widths[i % table->columns] = MAX (widths[i % table->columns], cell->width);
  }
  return widths;
}

static void
append_cell (GString *line, const Cell *cell, guint padding, const CtlContext *context)
{
  const char *begin = cell->style != OUTPUT_PLAIN ? output_style (context, cell->style) : "";

  g_string_append_printf (line, "%s%s%s%*s", begin, cell->text,
                          *begin != '\0' ? output_style (context, OUTPUT_PLAIN) : "", (int) padding,
                          "");
}

/* JSON */

static void
print_json (JsonNode *node, gboolean is_pretty)
{
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autofree char *text = NULL;

  json_generator_set_pretty (generator, is_pretty);
  json_generator_set_root (generator, node);
  text = json_generator_to_data (generator, NULL);
  /* in UTF-8 whatever the locale: not by g_print() */
  fprintf (stdout, "%s\n", text);
  json_node_unref (node);
}

/* public functions */

const char *
output_style (const CtlContext *context, OutputStyle style)
{
  static const char *const sequences[] = {
    [OUTPUT_PLAIN] = "\033[0m", [OUTPUT_GOOD] = "\033[32m", [OUTPUT_WARNING] = "\033[33m",
    [OUTPUT_BAD] = "\033[31m",  [OUTPUT_BOLD] = "\033[1m",
  };

  return context->has_colour ? sequences[style] : "";
}

char *
output_clean (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *clean = g_string_new (NULL);

  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    g_string_append_unichar (clean, is_obeyed (c) ? '?' : c);
  }
  return g_string_free (clean, FALSE);
}

guint
output_width (const char *text)
{
  guint width = 0;

  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
    width += get_char_width (g_utf8_get_char (p));
  return width;
}

char *
output_duration (gint64 ns)
{
  return format_duration (ns < 0 ? "-" : "", ABS ((double) ns));
}

char *
output_difference (gint64 ns)
{
  return format_duration (ns < 0 ? "-" : "+", ABS ((double) ns));
}

char *
output_time (gint64 us)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (us / G_USEC_PER_SEC);

  return time != NULL ? g_date_time_format (time, "%Y-%m-%d %H:%M:%S") : g_strdup (NOTHING);
}

char *
output_age (gint64 us)
{
  gint64 seconds = (g_get_real_time () - us) / G_USEC_PER_SEC;
  const gint64 minute = 60, hour = 60 * minute, day = 24 * hour;

  if (seconds < 1)
    return g_strdup (_ ("just now"));
  if (seconds < minute)
    return g_strdup_printf (_ ("%d s ago"), (int) seconds);
  if (seconds < hour)
    return g_strdup_printf (_ ("%d min ago"), (int) (seconds / minute));
  if (seconds < 2 * day)
    return g_strdup_printf (_ ("%d h ago"), (int) (seconds / hour));
  return g_strdup_printf (ngettext ("%d day ago", "%d days ago", (gulong) (seconds / day)),
                          (int) (seconds / day));
}

void
output_field (const CtlContext *context, const char *label, OutputStyle style, const char *value)
{
  g_autofree char *clean = output_clean (value != NULL ? value : NOTHING);
  guint width = output_width (label);
  guint padding = width < LABEL_WIDTH ? LABEL_WIDTH - width : 1;
  const char *begin = style != OUTPUT_PLAIN ? output_style (context, style) : "";

  g_print ("%*s%s%*s%s%s%s\n", LABEL_INDENT, "", label, (int) padding, "", begin, clean,
           *begin != '\0' ? output_style (context, OUTPUT_PLAIN) : "");
}

void
output_heading (const CtlContext *context, const char *text)
{
  g_print ("%s%s%s\n", output_style (context, OUTPUT_BOLD), text,
           output_style (context, OUTPUT_PLAIN));
}

Table *
table_new (const char *const *headings)
{
  Table *table = g_new0 (Table, 1);

  table->cells = g_array_new (FALSE, FALSE, sizeof (Cell));
  g_array_set_clear_func (table->cells, cell_clear);
  for (guint i = 0; headings[i] != NULL; i++) {
    add_cell (table, headings[i], OUTPUT_BOLD);
    table->columns++;
  }
  return table;
}

void
table_free (Table *table)
{
  g_array_unref (table->cells);
  g_free (table);
}

void
table_add_row (Table *table, ...)
{
  va_list cells;

  va_start (cells, table);
  for (guint i = 0; i < table->columns; i++)
    add_cell (table, va_arg (cells, const char *), OUTPUT_PLAIN);
  va_end (cells);
}

void
table_style_cell (Table *table, guint column, OutputStyle style)
{
  g_return_if_fail (column < table->columns);
  g_array_index (table->cells, Cell, table->cells->len - table->columns + column).style = style;
}

void
table_print (const Table *table, const CtlContext *context)
{
  g_autofree guint *widths = measure_columns (table);
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < table->cells->len; i++) {
    const Cell *cell = &g_array_index (table->cells, Cell, i);
    guint column = i % table->columns;
    gboolean is_last = column + 1 == table->columns;
    guint padding = context->is_terminal && !is_last ? widths[column] - cell->width + COLUMN_GAP
                                                     : 0;

    append_cell (text, cell, padding, context);
    if (is_last)
      g_string_append_c (text, '\n');
    else if (!context->is_terminal)
      g_string_append_c (text, '\t');
  }
  g_print ("%s", text->str);
}

void
output_json (JsonNode *node)
{
  print_json (node, TRUE);
}

void
output_json_line (JsonNode *node)
{
  print_json (node, FALSE);
  fflush (stdout);
}

void
output_json_text (JsonBuilder *builder, const char *name, const char *value)
{
  g_autofree char *valid = value != NULL ? g_utf8_make_valid (value, -1) : NULL;

  json_builder_set_member_name (builder, name);
  if (valid != NULL && *valid != '\0')
    json_builder_add_string_value (builder, valid);
  else
    json_builder_add_null_value (builder);
}

void
output_json_number (JsonBuilder *builder, const char *name, gboolean is_known, gint64 value)
{
  json_builder_set_member_name (builder, name);
  if (is_known)
    json_builder_add_int_value (builder, value);
  else
    json_builder_add_null_value (builder);
}

void
output_json_bool (JsonBuilder *builder, const char *name, gboolean value)
{
  json_builder_set_member_name (builder, name);
  json_builder_add_boolean_value (builder, value);
}
