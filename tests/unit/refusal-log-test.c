/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "refusal-log.h"

#include <string.h>

#include "event-log.h"
#include "wait-until.h"

#define PERIOD_MS 200

/* what the journal gets */

static guint entries;
static guint counted; /* the last CLOCKFERRY_REFUSALS, 0 for none */
static char *message;

static GLogWriterOutput
take_entry (GLogLevelFlags level, const GLogField *fields, gsize count, gpointer user_data)
{
  entries++;
  counted = 0;
  for (gsize i = 0; i < count; i++) {
    if (g_str_equal (fields[i].key, "CLOCKFERRY_REFUSALS"))
      counted = (guint) g_ascii_strtoull (fields[i].value, NULL, 10);
    if (g_str_equal (fields[i].key, "CLOCKFERRY_EVENT"))
      g_assert_cmpstr (fields[i].value, ==, "peer-refused");
    if (g_str_equal (fields[i].key, "MESSAGE")) {
      g_free (message);
      message = g_strdup (fields[i].value);
    }
  }
  return G_LOG_WRITER_HANDLED;
}

/* tests */

static void
test_few (void)
{
  g_autoptr (RefusalLog) log = refusal_log_new (0);

  entries = 0;
  for (guint i = 0; i < REFUSAL_LOG_BURST; i++)
    refusal_log_take (log, "192.0.2.1 has no valid ticket");
  g_assert_cmpuint (entries, ==, REFUSAL_LOG_BURST);
  g_assert_cmpuint (counted, ==, 0);
  g_assert_cmpstr (message, ==, "a client was refused: 192.0.2.1 has no valid ticket");
  g_clear_pointer (&log, refusal_log_free);
  g_assert_cmpuint (entries, ==, REFUSAL_LOG_BURST);
}

static void
test_many (void)
{
  g_autoptr (RefusalLog) log = refusal_log_new (PERIOD_MS);

  entries = 0;
  for (guint i = 0; i < 1000; i++)
    refusal_log_take (log, i < 999 ? "192.0.2.1" : "192.0.2.2");
  g_assert_cmpuint (entries, ==, REFUSAL_LOG_BURST);
  WAIT_UNTIL (entries == REFUSAL_LOG_BURST + 1);
  g_assert_cmpuint (counted, ==, 1000 - REFUSAL_LOG_BURST);
  g_assert_cmpstr (message, ==, "990 more clients were refused, the last one: 192.0.2.2");
  /* another period */
  refusal_log_take (log, "192.0.2.3");
  g_assert_cmpuint (entries, ==, REFUSAL_LOG_BURST + 2);
}

/* What was counted is not lost with the daemon's end. */
static void
test_end (void)
{
  RefusalLog *log = refusal_log_new (0);

  entries = 0;
  for (guint i = 0; i <= REFUSAL_LOG_BURST; i++)
    refusal_log_take (log, "192.0.2.1");
  refusal_log_free (log);
  g_assert_cmpuint (entries, ==, REFUSAL_LOG_BURST + 1);
  g_assert_cmpuint (counted, ==, 1);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  g_log_set_writer_func (take_entry, NULL, NULL);
  g_test_add_func ("/refusal-log/few", test_few);
  g_test_add_func ("/refusal-log/many", test_many);
  g_test_add_func ("/refusal-log/end", test_end);
  status = g_test_run ();
  g_free (message);
  return status;
}
