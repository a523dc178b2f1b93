/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * bus-client - what the daemon of this host says of itself, its domains and its migrations
 *
 * The objects are those of data/org.clockferry1.xml: proxies with all properties at hand, so that
 * reading one asks nobody. They are kept up to date while the default main context is run.
 */

#include <gio/gio.h>

#include "service-bus.h"

typedef struct BusClient BusClient;

/*
 * Ask the daemon on the system bus for all it has. NULL with CTL_ERROR_NOT_RUNNING, or with
 * CTL_ERROR_FAILED where the bus or the daemon does not answer or the user may not ask.
 */
BusClient *bus_client_new (GError **error) G_GNUC_WARN_UNUSED_RESULT;

void bus_client_free (BusClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BusClient, bus_client_free)

/* Borrowed. */
BusManager *bus_client_get_manager (const BusClient *client);

/* All objects of the daemon, for their signals: they go and come with it. Borrowed. */
GDBusObjectManager *bus_client_get_objects (const BusClient *client);

/* Process id of the daemon. */
guint bus_client_get_pid (const BusClient *client);

/* When the daemon was started, microseconds of CLOCK_REALTIME; 0 where /proc does not tell. */
gint64 bus_client_get_started_us (const BusClient *client);

/* The domains that run here or are on their way here, by name; of BusDomain, owned by the caller. */
GPtrArray *bus_client_list_domains (const BusClient *client) G_GNUC_WARN_UNUSED_RESULT;

/* The migrations that the daemon remembers, the latest start last; of BusMigration, owned by the
 * caller. */
GPtrArray *bus_client_list_migrations (const BusClient *client) G_GNUC_WARN_UNUSED_RESULT;

/* The domain that is called @domain, by UUID or by name; NULL with CTL_ERROR_NOT_FOUND. Owned by the
 * caller. */
BusDomain *bus_client_find_domain (const BusClient *client, const char *domain, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
