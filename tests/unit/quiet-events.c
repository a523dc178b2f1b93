/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quiet-events.h"

#include <glib.h>

static GLogWriterOutput
drop (GLogLevelFlags level, const GLogField *fields, gsize count, gpointer user_data)
{
  for (gsize i = 0; i < count; i++) {
    if (g_str_equal (fields[i].key, "CLOCKFERRY_EVENT"))
      return G_LOG_WRITER_HANDLED;
  }
  return g_log_writer_default (level, fields, count, user_data);
}

/* public functions */

void
quiet_events_begin (void)
{
  g_log_set_writer_func (drop, NULL, NULL);
}
