/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "peer-connection.h"

/*
 * peer-crowd - who of many connections is next, and who makes room for another
 *
 * The rules are such that a crowd is in its own way first: what one address, or one ticket, has much
 * of goes before what others have little of.
 *
 * Queues are of PeerConnection, oldest first. What is returned is borrowed from them.
 */

/* Who has gone through the handshake has this long to show its ticket, whoever else comes. */
#define PEER_CROWD_GRACE_MS 200

/* How many are from @address. */
guint peer_crowd_count_from (const GQueue *queue, const char *address);

/* How many are for @domain, which all in the queue have claimed one of. */
guint peer_crowd_count_for (const GQueue *claimed, const char *domain);

/* How many are in @phase. */
guint peer_crowd_count_in (const GQueue *queue, PeerPhase phase);

/* Of those in @phase the one whose address has the most in the queue, and of these the one that has been
 * in it the longest, or NULL. */
PeerConnection *peer_crowd_find_crowded (const GQueue *queue, PeerPhase phase);

/* The same with the fewest. */
PeerConnection *peer_crowd_find_lonely (const GQueue *queue, PeerPhase phase);

/*
 * A stranger that may go for a new one to come: it keeps us waiting, and not the other way round, and
 * is past PEER_CROWD_GRACE_MS if it has gone through the handshake. Who has not said a word goes before
 * who has; then who has most others from its address beside it; then who has kept us waiting the
 * longest. Only if its address has @crowd of them at least, and is @address, if that is not NULL. NULL if
 * there is none.
 */
PeerConnection *peer_crowd_find_idler (const GQueue *strangers, const char *address, guint crowd);

/*
 * A stranger that waits for its handshake and may go all the same, to one from less of a crowd: the last
 * to come of the address that has most of them, @crowd at least. NULL if there is none.
 */
PeerConnection *peer_crowd_find_surplus (const GQueue *strangers, guint crowd);

/*
 * The oldest claim of the domain and address that have most of them in @claimed, of @domain and of
 * @address if these are not NULL; NULL if nobody has claimed the same twice.
 */
PeerConnection *peer_crowd_find_repeater (const GQueue *claimed, const char *domain,
                                          const char *address);
