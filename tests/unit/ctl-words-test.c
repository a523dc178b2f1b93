/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-words-test - that there are words for whatever can be the reason or the end of a migration
 */

#include "arrival.h"
#include "helper-protocol.h"
#include "migration-words.h"
#include "reason-words.h"

static void
test_helper_reasons (void)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint reason = HELPER_REASON_NONE + 1; reason < HELPER_REASON_COUNT; reason++) {
    ReasonWords words = { 0 };

    g_test_message ("%s", helper_reason_name (reason));
    g_assert_true (reason_words_find (helper_reason_name (reason), &words));
    g_assert_true (g_str_has_suffix (words.meaning, "."));
    g_assert_true (g_hash_table_add (seen, (gpointer) words.meaning));
    g_assert_true (words.advice == NULL || g_str_has_suffix (words.advice, "."));
  }
}

static void
test_other_reasons (void)
{
  ReasonWords words = { 0 };

  g_assert_true (reason_words_find ("arrived-paused", &words));
  g_assert_cmpstr (words.advice, ==, NULL);
  g_assert_false (reason_words_find ("none", &words));
  g_assert_false (reason_words_find ("the source's daemon did not answer in time", &words));
}

static void
test_steps (void)
{
  for (guint step = ARRIVAL_STEP_NONE + 1; step < ARRIVAL_STEP_COUNT; step++) {
    g_test_message ("%s", arrival_step_name (step));
    g_assert_nonnull (reason_words_advise_step (arrival_step_name (step)));
  }
  g_assert_null (reason_words_advise_step ("none"));
  g_assert_null (reason_words_advise_step (NULL));
  g_assert_true (g_str_has_suffix (reason_words_advise_unknown (), "."));
}

static MigrationRecord *
make_record (const char *event)
{
  MigrationRecord *record = migration_record_new ("6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39",
                                                  migration_event_is_of_arrival (event));
  GHashTable *fields = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);

  g_hash_table_insert (fields, g_strdup ("EVENT"), g_strdup (event));
  g_hash_table_insert (fields, g_strdup ("PEER"), g_strdup ("hv1"));
  migration_record_add (record, 0, fields);
  return record;
}

static void
test_results (void)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (MigrationRecord) going_on = make_record ("arrival-armed");

  for (const char *const *event = migration_event_list_ends (); *event != NULL; event++) {
    g_autoptr (MigrationRecord) record = make_record (*event);
    g_autofree char *way = migration_words_way (record);

    g_test_message ("%s", *event);
    g_assert_true (g_hash_table_add (seen, (gpointer) migration_record_get_result (record)));
    g_assert_true (g_hash_table_add (seen, (gpointer) migration_words_result (record)));
    g_assert_cmpstr (way, ==, record->is_arriving ? "from hv1" : "to hv1");
  }
  g_assert_cmpstr (migration_record_get_result (going_on), ==, "unfinished");
  g_assert_true (g_hash_table_add (seen, (gpointer) migration_words_result (going_on)));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl-words/helper-reasons", test_helper_reasons);
  g_test_add_func ("/ctl-words/other-reasons", test_other_reasons);
  g_test_add_func ("/ctl-words/steps", test_steps);
  g_test_add_func ("/ctl-words/results", test_results);
  return g_test_run ();
}
