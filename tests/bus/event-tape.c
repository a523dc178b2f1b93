/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "event-tape.h"

#include <string.h>

static GPtrArray *tape; /* of GHashTable, field -> value */

static const char *
get (GHashTable *fields, const char *name)
{
  return g_hash_table_lookup (fields, name);
}

static GLogWriterOutput
record (GLogLevelFlags level, const GLogField *fields, gsize count, gpointer user_data)
{
  g_autoptr (GHashTable) entry = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);

  for (gsize i = 0; i < count; i++) {
    const char *value = fields[i].value;

    g_hash_table_insert (entry, g_strdup (fields[i].key),
                         fields[i].length < 0 ? g_strdup (value)
                                              : g_strndup (value, (gsize) fields[i].length));
  }
  /* not one of the daemon's: criticals must still end the test */
  if (get (entry, "CLOCKFERRY_EVENT") == NULL)
    return g_log_writer_default (level, fields, count, user_data);
  g_test_message ("%s: %s", get (entry, "CLOCKFERRY_EVENT"), get (entry, "MESSAGE"));
  g_ptr_array_add (tape, g_steal_pointer (&entry));
  return G_LOG_WRITER_HANDLED;
}

/* public functions */

void
event_tape_start (void)
{
  g_assert_null (tape);
  tape = g_ptr_array_new_with_free_func ((GDestroyNotify) g_hash_table_unref);
  g_log_set_writer_func (record, NULL, NULL);
}

void
event_tape_clear (void)
{
  g_ptr_array_set_size (tape, 0);
}

guint
event_tape_length (void)
{
  return tape->len;
}

guint
event_tape_count (const char *event)
{
  guint count = 0;

  for (guint i = 0; i < tape->len; i++)
    count += g_str_equal (get (g_ptr_array_index (tape, i), "CLOCKFERRY_EVENT"), event);
  return count;
}

const char *
event_tape_get (const char *event, const char *field)
{
  for (guint i = tape->len; i > 0; i--) {
    GHashTable *entry = g_ptr_array_index (tape, i - 1);

    if (g_str_equal (get (entry, "CLOCKFERRY_EVENT"), event))
      return get (entry, field);
  }
  g_assert_not_reached ();
}

gboolean
event_tape_mentions (const char *text)
{
  for (guint i = 0; i < tape->len; i++) {
    GHashTableIter fields;
    gpointer value;

    g_hash_table_iter_init (&fields, g_ptr_array_index (tape, i));
    while (g_hash_table_iter_next (&fields, NULL, &value)) {
      if (strstr (value, text) != NULL)
        return TRUE;
    }
  }
  return FALSE;
}
