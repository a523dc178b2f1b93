/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * bus-tape - a client of org.clockferry1: what it can ask for, and a record of all it is told
 *
 * On a connection of its own. The daemon may live in the same main context.
 */

#include "private-bus.h"

typedef struct BusTape BusTape;

/* Record from now on; what the daemon had to say before is past. */
BusTape *bus_tape_start (PrivateBus *bus);

void bus_tape_free (BusTape *tape);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BusTape, bus_tape_free)

/*
 * What was told about the object at @path so far, in order, with spaces between: "added",
 * "removed", "{Peer,Phase}" for properties that changed, "!armed" for a PhaseChanged. Owned by the
 * caller.
 */
char *bus_tape_describe (BusTape *tape, const char *path);

/* Whether @text is part of anything that was told. */
gboolean bus_tape_mentions (BusTape *tape, const char *text);

/* Call a method without arguments. Returns the reply, or NULL with an error of the daemon. */
GVariant *bus_tape_call (BusTape *tape, const char *path, const char *interface, const char *method,
                         GError **error);

/* Everything there is: "a{oa{sa{sv}}}". Owned by the caller. */
GVariant *bus_tape_get_objects (BusTape *tape);

/* The paths of all objects below @prefix, in order. */
GStrv bus_tape_list (BusTape *tape, const char *prefix);

/* A property as text: a string as it is, anything else as GVariant prints it; NULL when there is no
 * such object. Owned by the caller. */
char *bus_tape_get (BusTape *tape, const char *path, const char *interface, const char *property);
