/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * journal-access - the journal of this host, or one that lies elsewhere
 */

#include <glib.h>
#include <systemd/sd-journal.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC (sd_journal, sd_journal_close)

/*
 * Open the journal file or the folder of journal files @path, or with NULL the system's journal of
 * this host. CTL_ERROR_FAILED where there is none, or where this user may not read it.
 */
sd_journal *journal_open (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Set CTL_ERROR_FAILED: reading the journal failed with @result, a negative errno. */
void journal_set_error (GError **error, int result);
