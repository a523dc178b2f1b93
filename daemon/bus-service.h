/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * bus-service - what people and programs of this host see of the daemon: org.clockferry1
 *
 * data/org.clockferry1.xml is the contract, and data/org.clockferry1.conf says who may do what.
 * Only shows what it is told: of domains by their guests, of migrations and peers by the journal's
 * entries.
 */

#include <gio/gio.h>

#include "bus-manager.h"
#include "event-log.h"
#include "guest.h"
#include "settings.h"

typedef struct BusService BusService;

/* Export all objects on @bus. @reload is what Manager.Reload does. */
BusService *bus_service_new (GDBusConnection *bus, BusManagerReload reload, gpointer user_data);

/* Takes objects and name off the bus. */
void bus_service_free (BusService *service);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BusService, bus_service_free)

/*
 * Take the name on the bus. FALSE with CLOCKFERRY_ERROR_FAILED when another daemon has it: there
 * can be one on a host. Where the bus does not let us have it, guests come first: the journal is
 * told, and TRUE returned. Blocks for an answer of the bus.
 */
gboolean bus_service_own_name (BusService *service, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* How peers find this daemon. */
void bus_service_set_address (BusService *service, const char *address, guint16 port,
                              const char *pin);

void bus_service_set_settings (BusService *service, const Settings *settings);

/* Why libvirt is not followed; NULL: it is. */
void bus_service_set_libvirt_problem (BusService *service, const char *problem);

/* What the domain @uuid is now; without an object when it is absent. */
void bus_service_set_domain (BusService *service, const char *uuid, const GuestView *view);

/* An entry about a migration was logged. */
void bus_service_take_entry (BusService *service, const EventEntry *entry);
