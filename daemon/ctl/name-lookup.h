/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * name-lookup - what addresses a host's name has, and by whose word
 *
 * Other hosts see neither this host's /etc/hosts nor what it makes up for its own name
 * (nss-myhostname, systemd-resolved), so one that all of these know can be unknown to them.
 */

#include <gio/gio.h>

/* All of GInetAddress, and empty where the name is not known, or there is no answer in some seconds.
 * Owned by the caller. */

/* As every program on this host finds it. */
GPtrArray *name_lookup_here (const char *name);

/* By /etc/hosts alone. */
GPtrArray *name_lookup_by_file (const char *name);

/*
 * By DNS alone. systemd-resolved, where it runs, is asked on @bus, the system's (may be NULL): who
 * asks it by DNS gets what it makes up as well.
 */
GPtrArray *name_lookup_by_dns (const char *name, GDBusConnection *bus);
