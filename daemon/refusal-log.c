/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "refusal-log.h"

#include "event-log.h"

struct RefusalLog {
  guint period_ms;
  guint period_id;   /* 0: no period is running */
  guint said;        /* in this period */
  guint unsaid;      /* likewise */
  char *last_unsaid; /* the reason, NULL without */
};

static void
say_rest (RefusalLog *log)
{
  EventEntry *entry;

  if (log->unsaid == 0)
    return;
  entry = event_entry_new (EVENT_PEER_REFUSED, NULL, NULL);
  event_entry_add_uint (entry, "CLOCKFERRY_REFUSALS", log->unsaid);
  event_entry_log (entry, "%u more clients were refused, the last one: %s", log->unsaid,
                   log->last_unsaid);
}

static void
end_period (RefusalLog *log)
{
  g_clear_handle_id (&log->period_id, g_source_remove);
  say_rest (log);
  g_clear_pointer (&log->last_unsaid, g_free);
  log->said = 0;
  log->unsaid = 0;
}

static gboolean
on_period_over (gpointer user_data)
{
  RefusalLog *log = user_data;

  log->period_id = 0;
  end_period (log);
  return G_SOURCE_REMOVE;
}

/* public functions */

RefusalLog *
refusal_log_new (guint period_ms)
{
  RefusalLog *log = g_new0 (RefusalLog, 1);

  log->period_ms = period_ms != 0 ? period_ms : REFUSAL_LOG_PERIOD_MS;
  return log;
}

void
refusal_log_free (RefusalLog *log)
{
  end_period (log);
  g_free (log);
}

void
refusal_log_take (RefusalLog *log, const char *reason)
{
  if (log->period_id == 0)
    log->period_id = g_timeout_add (log->period_ms, on_period_over, log);
  if (log->said == REFUSAL_LOG_BURST) {
    log->unsaid++;
    g_free (log->last_unsaid);
    log->last_unsaid = g_strdup (reason);
    return;
  }
  log->said++;
  event_entry_log (event_entry_new (EVENT_PEER_REFUSED, NULL, NULL), "a client was refused: %s",
                   reason);
}
