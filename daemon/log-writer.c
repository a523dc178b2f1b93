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
write_line (const GLogField *fields, gsize count)
{
  g_autoptr (GString) line = g_string_new (NULL);
  g_autoptr (GString) details = g_string_new (NULL);

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

static gboolean
is_ours (const GLogField *fields, gsize count)
{
  for (gsize i = 0; i < count; i++) {
    if (g_str_equal (fields[i].key, "CLOCKFERRY_EVENT"))
      return TRUE;
  }
  return FALSE;
}

/* Our events are all meant to be read. Of libraries' debug and information, G_MESSAGES_DEBUG decides
 * as usual: the journald writer would print everything. */
static GLogWriterOutput
write_entry (GLogLevelFlags level, const GLogField *fields, gsize count, gpointer to_journal)
{
  if (!is_ours (fields, count) && g_log_writer_default_would_drop (level, NULL))
    return G_LOG_WRITER_HANDLED;
  if (GPOINTER_TO_INT (to_journal))
    return g_log_writer_journald (level, fields, count, NULL);
  return write_line (fields, count);
}

void
log_writer_install (void)
{
  gboolean to_journal = g_log_writer_is_journald (fileno (stderr));

  g_log_set_writer_func (write_entry, GINT_TO_POINTER (to_journal), NULL);
}
