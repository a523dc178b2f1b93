/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * bus-users - a bus with the policy file that is installed, and somebody of each kind on it
 *
 * For tests that are run as root. The users that the policy names need not exist where tests are run:
 * others, which are everywhere, stand in for them.
 */

#include "private-bus.h"

typedef struct {
  char *folder;
  PrivateBus *bus;
  GDBusConnection *daemon;   /* of the daemon's user */
  GDBusConnection *root;     /* of an administrator */
  GDBusConnection *reader;   /* of a member of the group libvirt */
  GDBusConnection *stranger; /* of any other user */
} BusUsers;

/*
 * @is_strict: as on the system's bus, names and calls are for those that the policy allows them;
 * otherwise everybody may do everything. @more_policy, nullable: elements for the policy file.
 */
BusUsers *bus_users_new (gboolean is_strict, const char *more_policy);
void bus_users_free (BusUsers *users);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BusUsers, bus_users_free)

/* One more connection of the daemon's user. */
GDBusConnection *bus_users_connect_daemon (BusUsers *users);

void bus_users_close (GDBusConnection *connection);

/* Skips the test, and says so, where it is not run as root. */
gboolean bus_users_skip (void);

/*
 * Call, as @client, a service that may answer from this very main context. @interface may be NULL for a
 * message that names none, and so may @parameters. The reply, or NULL with an error.
 */
GVariant *bus_users_call (GDBusConnection *client, const char *name, const char *path,
                          const char *interface, const char *method, GVariant *parameters,
                          GError **error);

/* Whether @error of a call is the bus's own doing: the service did not hear of it. */
gboolean bus_users_is_denied (const GError *error);
