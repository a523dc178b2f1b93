/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * output - what a person or a program reads on stdout: aligned tables, colours, JSON
 *
 * Whatever is printed here may come from somebody else (a domain's name, a reason): characters that
 * a terminal would obey are shown as "?".
 */

#include <json-glib/json-glib.h>

#include "command.h"

typedef enum {
  OUTPUT_PLAIN,
  OUTPUT_GOOD,
  OUTPUT_WARNING,
  OUTPUT_BAD,
  OUTPUT_BOLD,
} OutputStyle;

/* The escape sequence that begins @style, or "" without colours. OUTPUT_PLAIN ends any other. */
const char *output_style (const CtlContext *context, OutputStyle style);

/* A copy of @text, invalid UTF-8 and control characters replaced by "?"; owned by the caller. */
char *output_clean (const char *text);

/* Columns that @text takes on a terminal, East Asian width counted. */
guint output_width (const char *text);

/* "4.3 ms", "12 ns", "-1.5 s", "2 min 5 s": @ns to three digits in a unit that suits it; owned by the
 * caller. */
char *output_duration (gint64 ns);

/* The same with a sign in any case, "+0.35 ms". */
char *output_difference (gint64 ns);

/* Local time of @us, microseconds of CLOCK_REALTIME: "2026-11-23 05:09:18"; owned by the caller. */
char *output_time (gint64 us);

/* What lies @us before now, "5 min ago"; owned by the caller. */
char *output_age (gint64 us);

/*
 * Print a line of a list of properties: "  @label      @value"; "" goes on with the line before, NULL
 * as @value is shown as "-". @style is of the value.
 */
void output_field (const CtlContext *context, const char *label, OutputStyle style,
                   const char *value);

/* Print a heading over such lines. */
void output_heading (const CtlContext *context, const char *text);

/* Aligned on a terminal; else the columns are separated by one tab. */
typedef struct Table Table;

/* @headings: translated, NULL-terminated. */
Table *table_new (const char *const *headings);
void table_free (Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Table, table_free)

/* One string a column, copied; NULL and "" are shown as "-". */
void table_add_row (Table *table, ...);

/* Give a cell of the row that was added last a style; columns count from 0. */
void table_style_cell (Table *table, guint column, OutputStyle style);

void table_print (const Table *table, const CtlContext *context);

/* Print @node as indented JSON and a newline at its end; takes ownership. */
void output_json (JsonNode *node);

/* The same on one line, flushed: one object of a stream. */
void output_json_line (JsonNode *node);

/* Add a member. What is not known is null: a NULL or empty @value, a number that @is_known denies. */
void output_json_text (JsonBuilder *builder, const char *name, const char *value);
void output_json_number (JsonBuilder *builder, const char *name, gboolean is_known, gint64 value);
void output_json_bool (JsonBuilder *builder, const char *name, gboolean value);
