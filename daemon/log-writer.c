/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log-writer.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIELD_PREFIX "CLOCKFERRY_"

/* Values of events are strings that end in NUL; GLib's own may be anything. */
static void
append_value (GString *line, const GLogField *field)
{
  g_string_append_len (line, field->value,
                       field->length < 0 ? (gssize) strlen (field->value) : field->length);
}

static GLogWriterOutput
write_line (GLogLevelFlags level, const GLogField *fields, gsize count, gpointer user_data)
{
  g_autoptr (GString) line = g_string_new (NULL);
  g_autoptr (GString) details = g_string_new (NULL);

  if (level & G_LOG_LEVEL_DEBUG)
    return G_LOG_WRITER_HANDLED;

  for (gsize i = 0; i < count; i++) {
    if (g_str_equal (fields[i].key, "CLOCKFERRY_EVENT")) {
      g_string_prepend (line, ": ");
      g_string_prepend (line, fields[i].value);
    } else if (g_str_equal (fields[i].key, "MESSAGE")) {
      append_value (line, &fields[i]);
    } else if (g_str_has_prefix (fields[i].key, FIELD_PREFIX)) {
      g_string_append_printf (details, " %s=", fields[i].key + strlen (FIELD_PREFIX));
      append_value (details, &fields[i]);
    }
  }
  fprintf (stderr, "%s%s%s%s\n", line->str, details->len > 0 ? " [" : "",
           details->len > 0 ? details->str + 1 : "", details->len > 0 ? "]" : "");
  return G_LOG_WRITER_HANDLED;
}

void
log_writer_install (void)
{
  gboolean to_journal = g_log_writer_is_journald (fileno (stderr));

  g_log_set_writer_func (to_journal ? g_log_writer_journald : write_line, NULL, NULL);
}
