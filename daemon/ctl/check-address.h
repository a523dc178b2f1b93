/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * check-address - what other hosts are told to connect to; check-host.h has the part itself
 */

#include <gio/gio.h>

#include "host-check.h"

/* Of GInetAddress, each array. */
typedef struct {
  const char *name;    /* Address=, or this host's name */
  GPtrArray *found;    /* what it is for this host; empty: it is not known here */
  GPtrArray *by_file;  /* what /etc/hosts alone says of it; NULL: it is an address itself */
  GPtrArray *by_dns;   /* what DNS alone says of it, likewise */
  GPtrArray *local;    /* the addresses of this host's interfaces */
  const char *outward; /* this host's address on its way to others, as text; NULL: not known */
} AddressFacts;

/* Add what the facts mean to @list. */
void check_address_judge (const AddressFacts *facts, CheckList *list);

/* Add who listens at TCP @port, by the text of /proc/net/tcp or tcp6, to @uids, of guint. */
void check_address_find_listeners (const char *text, guint16 port, GArray *uids);
