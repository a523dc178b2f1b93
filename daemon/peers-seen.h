/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * peers-seen - the daemons of other hosts that this one dealt with, the latest first
 *
 * By address: a host that domains come from under a name, and go to under its IP address, is there
 * twice. Bounded, as addresses come from domains' metadata and from whoever claims.
 */

#include <glib.h>

#define PEERS_SEEN_MAX 64

/* What theta's bound is where theta is not known. */
#define PEERS_SEEN_UNKNOWN G_MAXUINT64

typedef struct PeersSeen PeersSeen;

PeersSeen *peers_seen_new (void);

void peers_seen_free (PeersSeen *peers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (PeersSeen, peers_seen_free)

/* There was something with @address, at @realtime_us; what is known of its clock stays. */
void peers_seen_note (PeersSeen *peers, const char *address, gint64 realtime_us);

/* The same, and this host's CLOCK_REALTIME was found to be @theta_ns ahead of its own, within
 * @bound_ns. */
void peers_seen_measure (PeersSeen *peers, const char *address, gint64 realtime_us, gint64 theta_ns,
                         guint64 bound_ns);

/* "a(sxxt)": address, time, theta and its bound of each, as org.clockferry1.Manager has them. A
 * floating reference. */
GVariant *peers_seen_to_variant (const PeersSeen *peers);
