/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "peer-connection.h"

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * PeerListener - where destination hosts fetch the records of this host's domains
 *
 * What strangers can take up is bounded: each has PEER_LISTENER_CLAIM_MS to show a ticket, and there
 * are PEER_LISTENER_STRANGERS_MAX of them at most, PEER_LISTENER_STRANGERS_PER_ORIGIN from one IPv4 address or
 * one IPv6 network of 64 bits (peer-origin.h), which the hosts of a cluster may have to share.
 * At either limit a new one pushes out one that keeps us waiting, or that comes from more of a crowd
 * (peer-crowd.h), so that a flood cannot keep out a peer that claims at once; if there is none, it is
 * refused.
 *
 * Peers with a ticket count apart: PEER_LISTENER_CLAIMED_MAX in all, PEER_LISTENER_CLAIMED_PER_ADDRESS from
 * one address, and PEER_LISTENER_CLAIMED_PER_DOMAIN for one domain, since whoever may read a domain's XML has
 * its ticket. These count by whole addresses, as it takes a ticket for each domain. At a limit the oldest of
 * those goes that have claimed the same domain from the same address more than once; if nobody has, the new
 * one is told to come again. One that uses its ticket only to check
 * stays a stranger in all this, though no signal tells of it.
 *
 * GIO does a TLS handshake in a thread of the pool that all of GIO uses, ten at first; so there are
 * PEER_LISTENER_HANDSHAKES_MAX at a time, none for a peer that said nothing yet. While others wait, one
 * that takes longer than PEER_LISTENER_HANDSHAKE_MS makes room, and if many wait sooner, so that none
 * waits for more than PEER_LISTENER_READY_MS. The next is of the origin that has the fewest strangers,
 * and the one that makes room of that with the most.
 */

#define PEER_LISTENER_CLAIM_MS             5000
#define PEER_LISTENER_STRANGERS_MAX        128
#define PEER_LISTENER_STRANGERS_PER_ORIGIN 32
#define PEER_LISTENER_HANDSHAKES_MAX       6
#define PEER_LISTENER_HANDSHAKE_MS         300
#define PEER_LISTENER_READY_MS             2000
#define PEER_LISTENER_CLAIMED_MAX          512
#define PEER_LISTENER_CLAIMED_PER_ADDRESS  128
#define PEER_LISTENER_CLAIMED_PER_DOMAIN   8

#define PEER_TYPE_LISTENER (peer_listener_get_type ())
G_DECLARE_FINAL_TYPE (PeerListener, peer_listener, PEER, LISTENER, GObject)

/*
 * A listener that shows @certificate (identity.h) and asks @lookup for tickets; with @authority
 * (nullable), only of peers with a certificate that it lets in. Set the property "claim-ms" to give
 * strangers another time than PEER_LISTENER_CLAIM_MS.
 *
 * Signals:
 *   "claimed" (const char *domain, const char *migration, const char *address)  a peer claimed a
 *       domain; the newest record, if there is one, should be pushed from the handler. The same
 *       domain can be claimed again, for the same migration (migration-id.h) or another.
 *   "gone" (const char *domain, const char *migration)  a peer that had claimed it went away
 *   "abandoned" (const char *domain, const char *migration)  a peer that had claimed it says that it
 *       does not come; "gone" follows
 *   "refused" (const GError *error)  a stranger failed, message ready for the journal
 */
PeerListener *peer_listener_new (GTlsCertificate *certificate, PeerAuthority *authority,
                                 PeerTicketLookup lookup, gpointer lookup_data);

/*
 * Listen at @address, an IP address or NULL for all of this host; @port 0 takes any free one.
 * Fails, naming both, if the address is not one or is not to be had.
 */
bool peer_listener_start (PeerListener *self, const char *address, uint16_t port, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/* Stop listening and close every connection; "gone" is emitted for those with a claim. */
void peer_listener_stop (PeerListener *self);

/* The port that start() got, 0 while not listening. */
uint16_t peer_listener_get_port (PeerListener *self);

/* Whether a peer is connected that has claimed @domain for @migration. */
bool peer_listener_has_claim (PeerListener *self, const char *domain, const char *migration);

/* Send a record to every peer that has claimed @domain. Returns how many those are. */
guint peer_listener_push_record (PeerListener *self, const char *domain, GBytes *record);

/* Tell them to forget the record; @reason is a lower-case word such as "rolled-back". */
void peer_listener_withdraw (PeerListener *self, const char *domain, const char *reason);

/* Close the connections of those that have claimed @domain: the domain is no longer here. */
void peer_listener_release (PeerListener *self, const char *domain);
