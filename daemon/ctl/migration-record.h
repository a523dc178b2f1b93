/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * migration-record - one migration of a domain as one host saw it, made of its entries in the journal
 */

#include <glib.h>

typedef struct {
  gint64 realtime_us; /* when the journal got it, CLOCK_REALTIME */
  GHashTable *fields; /* by name, those of clockferry without CLOCKFERRY_, and MESSAGE */
} MigrationEvent;

typedef struct {
  char *id; /* 32 hexadecimal digits */
  gboolean is_arriving;
  GPtrArray *events;         /* of MigrationEvent, the latest last; at least one */
  const MigrationEvent *end; /* the one that ended it, one of @events; NULL while it goes on */
} MigrationRecord;

MigrationRecord *migration_record_new (const char *id, gboolean is_arriving);
void migration_record_free (MigrationRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MigrationRecord, migration_record_free)

/* Append what an entry says. Takes @fields, which must have EVENT. */
void migration_record_add (MigrationRecord *record, gint64 realtime_us, GHashTable *fields);

/*
 * The value of @field, "PEER" for instance, in the latest event that has it, or NULL. VERDICT, STEP
 * and REASON are those of the end: what was mended before is not why it ended so.
 */
const char *migration_record_get (const MigrationRecord *record, const char *field);

/*
 * What a number is believed to be at most, either way: in ns 146 years, and there is room for half as
 * much again in a gint64.
 */
#define MIGRATION_VALUE_MAX (G_GINT64_CONSTANT (1) << 62)

/* The same as a number, within +-MIGRATION_VALUE_MAX; FALSE where there is none. */
gboolean migration_record_get_int (const MigrationRecord *record, const char *field, gint64 *value);

/* The domain's name, or its UUID. */
const char *migration_record_get_label (const MigrationRecord *record);

/*
 * What became of it: "fixed", "kvmclock-only", "observed", "stock", "unknown" and "abandoned" where it
 * arrived, "sent", "unclaimed", "rolled-back" and "cancelled" where it left or was to leave; "unfinished"
 * while it goes on. A constant.
 */
const char *migration_record_get_result (const MigrationRecord *record);

/* Whether the guest was given the time of its blackout, in kvmclock at least. */
gboolean migration_record_is_credited (const MigrationRecord *record);

/*
 * How long the guest's clocks stood still, as far as the two hosts' clocks tell: from the guest's last
 * KVM_GET_CLOCK on the source to its first clock on the destination, within +-MIGRATION_VALUE_MAX. FALSE where it is not known.
 */
gboolean migration_record_get_blackout (const MigrationRecord *record, gint64 *blackout_ns);

/* theta's bound, or FALSE where nobody knows theta. */
gboolean migration_record_get_bound (const MigrationRecord *record, gint64 *bound_ns);

/* When it ended, or when the latest that is known of it was. */
gint64 migration_record_get_time (const MigrationRecord *record);

/* events, by name, "arrival-armed" for instance */

/* Those that end a migration, NULL-terminated. Constant. */
const char *const *migration_event_list_ends (void);

/* Whether the destination says it, and not the source. */
gboolean migration_event_is_of_arrival (const char *event);
