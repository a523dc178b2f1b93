/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "peer-authority.h"
#include "peer-service.h"

#include <gio/gio.h>
#include <stdbool.h>

/*
 * PeerConnection - the source's end of one connection, from the first byte to the last
 *
 * What is said on it is up to its PeerService; here is the way there, and how long it may take.
 *
 * From the start it has a fixed time to become claimed; until then its peer is a stranger and gets
 * nothing, or the time alone if it has shown a ticket for a check. Afterwards it serves the claimed
 * domain, and no other, until either side closes.
 */

#define PEER_TYPE_CONNECTION (peer_connection_get_type ())
G_DECLARE_FINAL_TYPE (PeerConnection, peer_connection, PEER, CONNECTION, GObject)

typedef enum {
  PEER_PHASE_SILENT,   /* connected, and not a byte came */
  PEER_PHASE_READY,    /* waits for peer_connection_shake_hands() */
  PEER_PHASE_SHAKING,  /* TLS handshake; GIO gives it a thread, of which there are few */
  PEER_PHASE_STRANGER, /* encrypted, to claim a domain */
  PEER_PHASE_CHECKED,  /* has shown a ticket, claims nothing, may ask for the time until closed */
  PEER_PHASE_CLAIMED,  /* records may be pushed */
} PeerPhase;

/*
 * Take over the accepted @socket. Nothing happens before peer_connection_start().
 *
 * Signals:
 *   "advanced" ()         the phase is another one, always a later one
 *   "abandoned" ()        claimed, and now the peer says that the domain does not come; "closed"
 *                         follows
 *   "closed" (GError *)   the connection is gone, whoever ended it; nothing comes after it
 */
PeerConnection *peer_connection_new (GSocketConnection *socket, PeerTicketLookup lookup,
                                     gpointer lookup_data);

/*
 * Who is asked before a claim with a right ticket is accepted, the domain of which peer_connection_get_domain()
 * knows by then: NULL, or a constant clause that says why there is no place for it. Then the peer is told that,
 * and that it may come again. Must not close this connection.
 */
typedef const char *(*PeerClaimGate) (PeerConnection *connection, gpointer user_data);

/* Without a gate there always is a place. */
void peer_connection_set_gate (PeerConnection *self, PeerClaimGate gate, gpointer user_data);

/* Wait for the first bytes; closes unless claimed in @claim_ms. */
void peer_connection_start (PeerConnection *self, guint claim_ms);

/*
 * In PEER_PHASE_READY: go on, as the one who has @certificate. With @authority (nullable), a peer
 * that shows no certificate, or one that is not let in, ends with the handshake.
 */
void peer_connection_shake_hands (PeerConnection *self, GTlsCertificate *certificate,
                                  PeerAuthority *authority);

PeerPhase peer_connection_get_phase (PeerConnection *self);

/* When the phase began, in g_get_monotonic_time(). */
gint64 peer_connection_get_phase_since_us (PeerConnection *self);

/* Whether the peer has sent a byte, be it one that only waits to be noticed. */
bool peer_connection_has_spoken (PeerConnection *self);

/* The claimed domain, or NULL before a claim with its ticket. */
const char *peer_connection_get_domain (PeerConnection *self);

/* What migration it was claimed for (migration-id.h), or NULL likewise. */
const char *peer_connection_get_migration (PeerConnection *self);

/* The peer's IP address, in text. */
const char *peer_connection_get_address (PeerConnection *self);

/* What it counts as where strangers are counted: peer_origin_describe(). */
const char *peer_connection_get_origin (PeerConnection *self);

/* Send a record, or take all records back; ignored unless claimed and open. */
void peer_connection_push_record (PeerConnection *self, GBytes *record);
void peer_connection_withdraw (PeerConnection *self, const char *reason);

/* Close after what is queued was sent. Emits "closed", with @why, before it returns. */
void peer_connection_close (PeerConnection *self, const char *why);
