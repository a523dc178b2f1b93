/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * migration-history - the migrations in the journal
 *
 * Anybody may write anything to the journal, but for the fields that journald adds itself: only what
 * the unit clockferryd.service wrote (_SYSTEMD_UNIT) is believed.
 */

#include "journal-access.h"
#include "migration-record.h"

/* How many digits of an id name a migration, at least, and how many people are shown. */
#define MIGRATION_ID_MIN   4
#define MIGRATION_ID_SHOWN 8

/* Zero-initialise; what is 0 or NULL does not narrow anything. */
typedef struct {
  const char *domain;    /* its UUID or its name */
  gint64 since_us;       /* microseconds of CLOCK_REALTIME, as the next */
  gint64 until_us;       /* the last one that counts */
  gboolean is_last_boot; /* of the boot that the newest entry of anybody is of: the running one */
  gboolean is_every_end; /* also earlier ends of one that was taken up again */
  guint limit;           /* the newest so many */
} HistoryQuery;

/*
 * The migrations that ended, each with the event that ended it, the newest last; of MigrationRecord,
 * owned by the caller. NULL with CTL_ERROR_FAILED.
 */
GPtrArray *migration_history_read (sd_journal *journal, const HistoryQuery *query, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/*
 * The migration whose id begins with @id, or the one that ended last where @id is "last", with all
 * its events; of MigrationRecord, owned by the caller. A journal of two hosts has two, as it left and
 * as it arrived; there is always one. NULL with CTL_ERROR_NOT_FOUND, CTL_ERROR_INVALID (no id, or the beginning of
 * several) or CTL_ERROR_FAILED.
 */
GPtrArray *migration_history_find (sd_journal *journal, const char *id, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/* Whether the daemon ever said anything of @domain, UUID or name. */
gboolean migration_history_knows_domain (sd_journal *journal, const char *domain);

/* When the oldest entry of that last boot is of, microseconds of CLOCK_REALTIME; 0 in an empty
 * journal. */
gint64 migration_history_get_boot_begin (sd_journal *journal);
