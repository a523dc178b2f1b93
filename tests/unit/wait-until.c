/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wait-until.h"

static gboolean
on_deadline (gpointer user_data)
{
  WaitDeadline *deadline = user_data;

  deadline->timer_id = 0;
  deadline->is_over = TRUE;
  return G_SOURCE_REMOVE;
}

/* public functions */

void
wait_begin (WaitDeadline *deadline)
{
  deadline->timer_id = g_timeout_add_seconds (WAIT_UNTIL_DEADLINE_S, on_deadline, deadline);
}

void
wait_step (WaitDeadline *deadline, const char *condition, const char *file, int line)
{
  if (deadline->is_over)
    g_error ("%s:%d: waited %d s in vain for: %s", file, line, WAIT_UNTIL_DEADLINE_S, condition);
  g_main_context_iteration (NULL, TRUE);
}

void
wait_end (WaitDeadline *deadline)
{
  g_clear_handle_id (&deadline->timer_id, g_source_remove);
}
