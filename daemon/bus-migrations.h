/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * bus-migrations - the migrations of this host as objects on the bus, made of their journal entries
 *
 * org.clockferry1.Migration in data/org.clockferry1.xml is the contract. Nothing else is told of a
 * migration, so that the bus cannot say what the journal does not.
 */

#include <gio/gio.h>

#include "event-log.h"

/* How many stay that have ended. */
#define BUS_MIGRATIONS_ENDED_MAX 16

typedef struct BusMigrations BusMigrations;

/* Export them on @server, which need not be on a bus. */
BusMigrations *bus_migrations_new (GDBusObjectManagerServer *server);

/* Takes them off @server. */
void bus_migrations_free (BusMigrations *migrations);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BusMigrations, bus_migrations_free)

/*
 * The entry @entry was logged at @realtime_us. Any entry will do, and one that is about no
 * migration changes nothing; neither does one whose id is that of another domain's migration here:
 * the ids of those that leave were made up by peers.
 */
void bus_migrations_take (BusMigrations *migrations, const EventEntry *entry, gint64 realtime_us);
