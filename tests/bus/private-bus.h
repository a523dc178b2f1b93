/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * private-bus - a message bus of a test's own, where everybody may do everything unless asked
 * otherwise
 *
 * GTestDBus would do for one host; it sets the environment of the whole process, though, and its
 * bus outlives a test that fails while several run.
 */

#include <gio/gio.h>

typedef struct PrivateBus PrivateBus;

PrivateBus *private_bus_start (void);

/* One where, as on the system's, names and calls are for those that @policy_file allows them. */
PrivateBus *private_bus_start_strict (const char *policy_file);

/* End it; every connection to it is closed. */
void private_bus_end (PrivateBus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (PrivateBus, private_bus_end)

const char *private_bus_get_address (PrivateBus *bus);

/* Who calls @name is to have @command_line run, as if it was installed; after this call at once. */
void private_bus_add_service (PrivateBus *bus, const char *name, const char *command_line);

GDBusConnection *private_bus_connect (PrivateBus *bus);

/* Connect as another user, whom /etc/passwd must know, in its own group alone. For tests that are
 * run as root. */
GDBusConnection *private_bus_connect_as (PrivateBus *bus, uid_t uid);
