/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * dial-turn - not all migrations from one host call its daemon in the same moment
 *
 * A daemon bears PEER_LISTENER_STRANGERS_PER_ORIGIN of one origin that have not claimed yet, and does
 * a few handshakes at a time: whoever calls for hundreds of domains at once is refused, and comes
 * through no faster. For the main thread alone.
 */

#include "peer-listener.h"

#include <glib.h>

typedef struct DialTurn DialTurn;

/* Half of what it bears. Of one that does not answer, the others have to wait for these to give up. */
#define DIAL_TURNS_MAX (PEER_LISTENER_STRANGERS_PER_ORIGIN / 2)

/* It is this one's turn. */
typedef void (*DialTurnGo) (gpointer user_data);

/*
 * Queue for @peer, a host and port in any form. @go is called once: in here already if fewer than
 * DIAL_TURNS_MAX have their turn, in dial_turn_end() of another otherwise.
 */
DialTurn *dial_turn_new (const char *peer, DialTurnGo go, gpointer user_data);

/* This one is through, has failed, or is not needed any longer. */
void dial_turn_end (DialTurn *turn);
