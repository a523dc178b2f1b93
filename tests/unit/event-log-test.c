/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * event-log-test - what reaches the journal, field by field
 */

#include <string.h>

#include "event-log.h"

#define UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"

/* fields of the last entry, by name */
static GHashTable *written;
static GLogLevelFlags written_level;

static GLogWriterOutput
keep_fields (GLogLevelFlags level, const GLogField *fields, gsize count, gpointer user_data)
{
  g_hash_table_remove_all (written);
  written_level = level;
  for (gsize i = 0; i < count; i++) {
    g_assert_false (g_hash_table_contains (written, fields[i].key));
    g_assert_cmpint (fields[i].length, ==, -1);
    g_hash_table_insert (written, g_strdup (fields[i].key), g_strdup (fields[i].value));
  }
  return G_LOG_WRITER_HANDLED;
}

static const char *
get (const char *field)
{
  return g_hash_table_lookup (written, field);
}

static void
test_fields (void)
{
  EventEntry *entry = event_entry_new (EVENT_MIGRATION_FIXED, UUID, "web");

  event_entry_add_int (entry, "CLOCKFERRY_THETA_NS", G_MININT64);
  event_entry_add_uint (entry, "CLOCKFERRY_GUEST_SRC_NS", G_MAXUINT64);
  event_entry_add (entry, "CLOCKFERRY_REASON", NULL);
  event_entry_log (entry, "%s is %d%% right", "web", 100);

  g_assert_cmpstr (get ("MESSAGE"), ==, "web is 100% right");
  g_assert_cmpstr (get ("MESSAGE_ID"), ==, event_kind_message_id (EVENT_MIGRATION_FIXED));
  g_assert_cmpstr (get ("PRIORITY"), ==, "5");
  g_assert_cmpstr (get ("CLOCKFERRY_EVENT"), ==, "migration-fixed");
  g_assert_cmpstr (get ("CLOCKFERRY_DOMAIN"), ==, UUID);
  g_assert_cmpstr (get ("CLOCKFERRY_DOMAIN_NAME"), ==, "web");
  g_assert_cmpstr (get ("CLOCKFERRY_THETA_NS"), ==, "-9223372036854775808");
  g_assert_cmpstr (get ("CLOCKFERRY_GUEST_SRC_NS"), ==, "18446744073709551615");
  g_assert_false (g_hash_table_contains (written, "CLOCKFERRY_REASON"));
  g_assert_cmpint (written_level & G_LOG_LEVEL_MASK, ==, G_LOG_LEVEL_MESSAGE);
}

static void
test_no_domain (void)
{
  event_entry_log (event_entry_new (EVENT_LIBVIRT_LOST, NULL, NULL), "gone");

  g_assert_false (g_hash_table_contains (written, "CLOCKFERRY_DOMAIN"));
  g_assert_false (g_hash_table_contains (written, "CLOCKFERRY_DOMAIN_NAME"));
  g_assert_cmpstr (get ("PRIORITY"), ==, "4");
}

/* Every kind: an id and a name of its own, in the form that journalctl and the catalogue want. */
static void
test_kinds (void)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint kind = 0; kind < EVENT_COUNT; kind++) {
    const char *name = event_kind_name (kind);
    const char *id = event_kind_message_id (kind);

    g_assert_cmpuint (strlen (id), ==, 32);
    g_assert_cmpuint (strspn (id, "0123456789abcdef"), ==, 32);
    g_assert_cmpuint (strspn (name, "abcdefghijklmnopqrstuvwxyz-"), ==, strlen (name));
    g_assert_true (g_hash_table_add (seen, (gpointer) name));
    g_assert_true (g_hash_table_add (seen, (gpointer) id));

    event_entry_log (event_entry_new (kind, NULL, NULL), "x");
    g_assert_cmpstr (get ("CLOCKFERRY_EVENT"), ==, name);
  }
}

/* Told of the whole entry, message included, when it was written; of others it is not. */
static void
observe (const EventEntry *entry, gpointer user_data)
{
  gsize count;
  const GLogField *fields = event_entry_get_fields (entry, &count);

  (*(guint *) user_data)++;
  g_assert_cmpint (event_entry_get_kind (entry), ==, EVENT_HELPER_LOST);
  g_assert_cmpstr (event_entry_get (entry, "MESSAGE"), ==, "gone");
  g_assert_cmpstr (event_entry_get (entry, "CLOCKFERRY_DOMAIN"), ==, UUID);
  g_assert_null (event_entry_get (entry, "CLOCKFERRY_REASON"));
  g_assert_cmpstr (get ("CLOCKFERRY_DOMAIN"), ==, UUID);
  g_assert_cmpuint (count, ==, g_hash_table_size (written));
  for (gsize i = 0; i < count; i++)
    g_assert_cmpstr (get (fields[i].key), ==, fields[i].value);
}

static void
test_observed (void)
{
  guint times = 0;
  const EventObserver observer = { observe, &times };
  const EventObserver nobody = { 0 };
  EventEntry *entry = event_entry_new (EVENT_HELPER_LOST, UUID, "web");

  event_entry_set_observer (entry, &observer);
  event_entry_log (entry, "gone");
  g_assert_cmpuint (times, ==, 1);

  entry = event_entry_new (EVENT_HELPER_LOST, UUID, "web");
  event_entry_set_observer (entry, &nobody);
  event_entry_log (entry, "gone");
  event_entry_log (event_entry_new (EVENT_HELPER_LOST, UUID, "web"), "gone");
  g_assert_cmpuint (times, ==, 1);
}

/* GDBus quotes what a stranger sent. */
static void
test_message_is_a_line (void)
{
  event_entry_log (event_entry_new (EVENT_PEER_REFUSED, NULL, NULL), "a client was refused: %s",
                   "\xc3\xa4\n\x1b[31m\xff\xc2\x9b\x7f");
  g_assert_cmpstr (get ("MESSAGE"), ==, "a client was refused: \xc3\xa4??[31m\xef\xbf\xbd??");
}

static void
test_unlogged (void)
{
  g_autoptr (EventEntry) entry = event_entry_new (EVENT_HELPER_LOST, UUID, "web");

  event_entry_add (entry, "CLOCKFERRY_REASON", "thought better of it");
}

/* the longest report there can be still has room for the fields that are added last */
static void
test_many_fields (void)
{
  static const char *const names[] = {
    "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "B1", "B2", "B3", "B4", "B5",
    "B6", "B7", "B8", "B9", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "D1",
  };
  EventEntry *entry = event_entry_new (EVENT_MIGRATION_FIXED, UUID, "web");

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    event_entry_add_uint (entry, names[i], i);
  event_entry_log (entry, "long");
  g_assert_cmpstr (get ("D1"), ==, "27");
  g_assert_cmpstr (get ("MESSAGE"), ==, "long");
  g_assert_cmpstr (get ("PRIORITY"), ==, "5");
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  written = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_log_set_writer_func (keep_fields, NULL, NULL);

  g_test_add_func ("/event-log/fields", test_fields);
  g_test_add_func ("/event-log/no-domain", test_no_domain);
  g_test_add_func ("/event-log/kinds", test_kinds);
  g_test_add_func ("/event-log/observed", test_observed);
  g_test_add_func ("/event-log/message-is-a-line", test_message_is_a_line);
  g_test_add_func ("/event-log/unlogged", test_unlogged);
  g_test_add_func ("/event-log/many-fields", test_many_fields);
  status = g_test_run ();
  g_hash_table_unref (written);
  return status;
}
