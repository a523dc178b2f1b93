/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * bus-manager - org.clockferry1.Manager, as far as it does more than keep what it was told
 *
 * The properties about this host's clock are read whenever somebody asks for them. Reload is for
 * root alone, whatever the policy of the bus lets through.
 */

#include "service-bus.h"

/* Read the settings anew. FALSE with an error for who asked. */
typedef gboolean (*BusManagerReload) (gpointer user_data, GError **error);

/* A skeleton to be exported; all other properties are up to the caller. */
BusManager *bus_manager_live_new (BusManagerReload reload, gpointer user_data);

/* Do not call back any more: @manager may outlive who made it, by a call that is under way. */
void bus_manager_live_stop (BusManager *manager);
