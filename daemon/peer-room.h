/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * peer-room - the places of a listener: who gets one, and who makes room for it
 *
 * The limits, and whom they are for, are in peer-listener.h; the choice of who goes is in peer-crowd.h.
 */

#include "peer-connection.h"

typedef struct {
  /* of PeerConnection, oldest first, each owned by the queue it is in */
  GQueue strangers;
  GQueue claimed;
  /* Somebody gets no place, or loses the one it has claimed; message ready for the journal. Called before a
   * connection that loses it is closed. */
  void (*refused) (const GError *error, gpointer user_data);
  gpointer user_data;
} PeerRoom;

/* Empty, with these callbacks. */
void peer_room_init (PeerRoom *room, void (*refused) (const GError *error, gpointer user_data),
                     gpointer user_data);

/* Close whoever has to go for the stranger @newcomer. False: nobody goes for it, and it was refused. */
bool peer_room_make_for_stranger (PeerRoom *room, PeerConnection *newcomer);

/* The same for @claimant, a stranger that has shown a domain's ticket. NULL, or a clause that says why there
 * is no place: constant, and in words for both ends. */
const char *peer_room_make_for_claim (PeerRoom *room, PeerConnection *claimant);
