/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

/*
 * PeerConnection - the source's end of one connection: TLS, the claim, then records
 *
 * From the start it has a fixed time to become claimed; until then its peer is a stranger and gets
 * nothing. Afterwards it serves the claimed domain, and no other, until either side closes.
 */

#define PEER_TYPE_CONNECTION (peer_connection_get_type ())
G_DECLARE_FINAL_TYPE (PeerConnection, peer_connection, PEER, CONNECTION, GObject)

/*
 * Tells the ticket of a domain of this host, or NULL for an unknown domain. @domain is what a
 * stranger sent, bounded and in the form of a UUID. The comparison with the stranger's ticket, in
 * constant time, is not the owner's business: it is done in peer-connection.c.
 *
 * Returns: (transfer none): valid until the main context runs again
 */
typedef const char *(*PeerTicketLookup) (const char *domain, gpointer user_data);

/*
 * Take over the accepted @socket. Nothing happens before peer_connection_start().
 *
 * Signals, each once at most, in this order:
 *   "claimed" ()          a valid ticket came; records may be pushed from inside the handler
 *   "closed" (GError *)   the connection is gone, whoever ended it; nothing comes after it
 */
PeerConnection *peer_connection_new (GSocketConnection *socket, PeerTicketLookup lookup,
                                     gpointer lookup_data);

/* Begin the handshake as the one who has @certificate; closes unless claimed in @claim_ms. */
void peer_connection_start (PeerConnection *self, GTlsCertificate *certificate, guint claim_ms);

/* The claimed domain, or NULL before the claim. */
const char *peer_connection_get_domain (PeerConnection *self);

/* The peer's IP address, in text. */
const char *peer_connection_get_address (PeerConnection *self);

/* Send a record, or take all records back; ignored unless claimed and open. */
void peer_connection_push_record (PeerConnection *self, GBytes *record);
void peer_connection_withdraw (PeerConnection *self, const char *reason);

/* Close after what is queued was sent. Emits "closed" before it returns. */
void peer_connection_close (PeerConnection *self);
