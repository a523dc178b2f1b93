/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "peer-connection.h"

/*
 * peer-crowd - who of many connections is next, and who makes room for another
 *
 * The rules are such that a crowd is in its own way first: what one origin, or one ticket, has much
 * of goes before what others have little of.
 *
 * Strangers are counted by their origin (peer-origin.h). Claims are so by their addresses: who has one has
 * shown a ticket, and the hosts of a cluster are of one IPv6 network as a rule.
 *
 * Queues are of PeerConnection, oldest first. What is returned is borrowed from them.
 */

/* Who has gone through the handshake has this long to show its ticket, whoever else comes. */
#define PEER_CROWD_GRACE_MS 200

/* How many are from @origin. */
guint peer_crowd_count_from (const GQueue *strangers, const char *origin);

/* How many have claimed @domain from @address; NULL for any. */
guint peer_crowd_count_claims (const GQueue *claimed, const char *domain, const char *address);

/* How many are in @phase. */
guint peer_crowd_count_in (const GQueue *queue, PeerPhase phase);

/* Of those in @phase the one whose origin has the most in the queue, and of these the one that has been
 * in it the longest, or NULL. */
PeerConnection *peer_crowd_find_crowded (const GQueue *queue, PeerPhase phase);

/* The same with the fewest. */
PeerConnection *peer_crowd_find_lonely (const GQueue *queue, PeerPhase phase);

/*
 * A stranger that may go for a new one to come: it keeps us waiting, and not the other way round, and
 * is past PEER_CROWD_GRACE_MS if it has gone through the handshake. Who has not said a word goes before
 * who has; then who has most others from its origin beside it; then who has kept us waiting the
 * longest. Only if its origin has @crowd of them at least, and is @origin, if that is not NULL. NULL if
 * there is none.
 */
PeerConnection *peer_crowd_find_idler (const GQueue *strangers, const char *origin, guint crowd);

/*
 * A stranger that waits for its handshake and may go all the same, to one from less of a crowd: the last
 * to come of the origin that has most of them, @crowd at least. NULL if there is none.
 */
PeerConnection *peer_crowd_find_surplus (const GQueue *strangers, guint crowd);

/*
 * The oldest claim of the domain and address that have most of them in @claimed and with @claimant, which is
 * to come; of @domain and of @address if these are not NULL. NULL if nobody has claimed the same twice.
 */
PeerConnection *peer_crowd_find_repeater (const GQueue *claimed, PeerConnection *claimant,
                                          const char *domain, const char *address);
