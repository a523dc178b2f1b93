/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-journal.h"

#include <gio/gio.h>
#include <stdarg.h>

#include "temp-folder.h"

#define MACHINE "00112233445566778899aabbccddeeff"

struct TestJournal {
  char *folder;
  char *path; /* NULL until it is written */
  GString *entries;
  const char *unit;
  const char *boot;
  guint64 monotonic_us;
};

/* https://systemd.io/JOURNAL_EXPORT_FORMATS */
static void
begin_entry (TestJournal *journal, gint64 realtime_us)
{
  journal->monotonic_us += 1000;
  g_string_append_printf (journal->entries,
                          "__REALTIME_TIMESTAMP=%" G_GINT64_FORMAT "\n"
                          "__MONOTONIC_TIMESTAMP=%" G_GUINT64_FORMAT "\n"
                          "_BOOT_ID=%s\n_MACHINE_ID=" MACHINE "\n_SYSTEMD_UNIT=%s\n",
                          realtime_us, journal->monotonic_us, journal->boot, journal->unit);
}

static void
add_fields (TestJournal *journal, va_list fields)
{
  const char *field;

  while ((field = va_arg (fields, const char *)) != NULL)
    g_string_append_printf (journal->entries, "%s%s=%s\n",
                            g_str_equal (field, "MESSAGE") ? "" : "CLOCKFERRY_", field,
                            va_arg (fields, const char *));
  g_string_append_c (journal->entries, '\n');
}

/* public functions */

TestJournal *
test_journal_new (void)
{
  TestJournal *journal = g_new0 (TestJournal, 1);

  journal->folder = temp_folder_make ();
  journal->entries = g_string_new (NULL);
  journal->unit = TEST_JOURNAL_UNIT;
  journal->boot = TEST_JOURNAL_BOOT;
  return journal;
}

void
test_journal_free (TestJournal *journal)
{
  temp_folder_remove (journal->folder);
  g_string_free (journal->entries, TRUE);
  g_free (journal->path);
  g_free (journal);
}

void
test_journal_set_unit (TestJournal *journal, const char *unit)
{
  journal->unit = unit;
}

void
test_journal_set_boot (TestJournal *journal, const char *boot)
{
  journal->boot = boot;
}

void
test_journal_add (TestJournal *journal, gint64 realtime_us, ...)
{
  va_list fields;

  begin_entry (journal, realtime_us);
  va_start (fields, realtime_us);
  add_fields (journal, fields);
  va_end (fields);
}

const char *
test_journal_write (TestJournal *journal)
{
  g_autoptr (GSubprocess) writer = NULL;
  g_autoptr (GError) error = NULL;

  if (journal->path != NULL)
    return journal->path;
  journal->path = g_build_filename (journal->folder, "test.journal", NULL);
  writer = g_subprocess_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE,
                             &error, JOURNAL_REMOTE, "--split-mode=none", "--output", journal->path,
                             "-", NULL);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (writer, journal->entries->str, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_successful (writer));
  return journal->path;
}

void
test_journal_add_fixed (TestJournal *journal, gint64 realtime_us, const char *id, const char *name)
{
  test_journal_add (journal, realtime_us - 3000000, "EVENT", "arrival-announced", "MIGRATION", id,
                    "DOMAIN", TEST_WEB, "DOMAIN_NAME", name, "MESSAGE", "is arriving", NULL);
  test_journal_add (journal, realtime_us - 2500000, "EVENT", "arrival-claimed", "MIGRATION", id,
                    "DOMAIN", TEST_WEB, "DOMAIN_NAME", name, "PEER", "hv1.example.org", "MESSAGE",
                    "claimed", NULL);
  test_journal_add (journal, realtime_us - 300000, "EVENT", "arrival-armed", "MIGRATION", id,
                    "DOMAIN", TEST_WEB, "DOMAIN_NAME", name, "PEER", "hv1.example.org", "THETA_NS",
                    "1300000", "THETA_BOUND_NS", "9000000", "MESSAGE", "has a record", NULL);
  test_journal_add (journal, realtime_us, "EVENT", "migration-fixed", "MIGRATION", id, "DOMAIN",
                    TEST_WEB, "DOMAIN_NAME", name, "PEER", "hv1.example.org", "VERDICT", "fixed",
                    "MODE", "apply", "THETA_NS", "1250000", "THETA_BOUND_NS", "4300000",
                    "THETA_USED", "measured", "SOURCE", "helper", "GUEST_SRC_NS", "83421123456789",
                    "HOST_SRC_NS", "1795384020923282000", "TSC_SRC_TICKS", "216894921087651",
                    "FREQ_KHZ", "2600000", "GUEST_DEST_NS", "83421538580288", "HOST_DEST_NS",
                    "1795384021339655456", "TSC_DEST_TICKS", "99894921087651", "ADVANCE_NS",
                    "415123499", "RESIDUAL_NS", "43", "WAITED_NS", "0", "SPENT_NS", "85432",
                    "ATTEMPTS", "2", "KVM_FLAGS", "14", "VCPUS", "2", "OFFSETS",
                    "0:-216894921087651:-98990323796295:-98990000000000 2:-:5:-98990000000000",
                    "MESSAGE", "advanced by 415.123 ms", NULL);
}

void
test_journal_add_end (TestJournal *journal, gint64 realtime_us, const char *id, const char *event,
                      const char *verdict, const char *reason)
{
  test_journal_add (journal, realtime_us, "EVENT", event, "MIGRATION", id, "DOMAIN", TEST_WEB,
                    "DOMAIN_NAME", "web", "VERDICT", verdict, "REASON", reason, "MESSAGE", "ended",
                    NULL);
}
