/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * test-journal - a journal file on cue, made by systemd-journal-remote
 *
 * It takes entries with any fields, those that journald alone adds included.
 */

#include <glib.h>

#define TEST_JOURNAL_UNIT "clockferryd.service"

/* of two boots */
#define TEST_JOURNAL_BOOT       "0123456789abcdef0123456789abcdef"
#define TEST_JOURNAL_OTHER_BOOT "fedcba9876543210fedcba9876543210"

typedef struct TestJournal TestJournal;

TestJournal *test_journal_new (void);

/* Removes the file as well. */
void test_journal_free (TestJournal *journal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestJournal, test_journal_free)

/* The entries that follow are of @unit (TEST_JOURNAL_UNIT at first) and of @boot. */
void test_journal_set_unit (TestJournal *journal, const char *unit);
void test_journal_set_boot (TestJournal *journal, const char *boot);

/*
 * Add an entry: pairs of field and value follow, then NULL; MESSAGE as it is, and others without
 * CLOCKFERRY_. Entries must be added in the order of their time. Values are of one line.
 */
void test_journal_add (TestJournal *journal, gint64 realtime_us, ...) G_GNUC_NULL_TERMINATED;

/* Write the file, the first time that it is asked for. Returns its path, borrowed. */
const char *test_journal_write (TestJournal *journal);

/* of migrations; every one takes these */

#define TEST_WEB  "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
#define TEST_MAIL "11111111-2222-4333-8444-555555555555"

/* The four entries of an arrival of the domain TEST_WEB, @name, that ends at @realtime_us as fixed:
 * three seconds, a blackout of 415.123456 ms, a residual of 43 ns, hosts 1.25 ms +- 4.3 ms apart. */
void test_journal_add_fixed (TestJournal *journal, gint64 realtime_us, const char *id,
                             const char *name);

/* One that ended with an entry of @event, with VERDICT @verdict, and @reason. */
void test_journal_add_end (TestJournal *journal, gint64 realtime_us, const char *id,
                           const char *event, const char *verdict, const char *reason);
