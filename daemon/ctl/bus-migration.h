/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * bus-migration - a migration that the daemon remembers, as one from the journal
 */

#include "bus-client.h"
#include "migration-record.h"

/*
 * A record of @migration's end, or of what is known of it until then: then its one event is the
 * phase it is in, "armed" for instance, and no event of the journal. Owned by the caller.
 */
MigrationRecord *bus_migration_read (BusMigration *migration) G_GNUC_WARN_UNUSED_RESULT;

/* The one of @migrations (of BusMigration) that ended last; borrowed, NULL if none has. */
BusMigration *bus_migration_find_last (const GPtrArray *migrations);
