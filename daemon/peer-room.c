/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-room.h"

#include "error.h"
#include "peer-crowd.h"
#include "peer-listener.h"

static void
refuse (PeerRoom *room, PeerConnection *connection, const char *why)
{
  g_autoptr (GError) error = g_error_new (CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_FAILED,
                                          "refused a connection from %s: %s",
                                          peer_connection_get_address (connection), why);

  room->refused (error, room->user_data);
}

/* strangers */

/* Have one stranger fewer, of an origin that has @crowd of them or more: of @origin unless it is NULL. */
static bool
make_room_at (PeerRoom *room, const char *origin, guint crowd)
{
  PeerConnection *idler = peer_crowd_find_idler (&room->strangers, origin, crowd);

  if (idler == NULL)
    return false;
  peer_connection_close (idler, "it kept this daemon waiting, and others came");
  return true;
}

/* Have one stranger fewer for one of an origin that has @crowd of them: nobody who comes from less of a
 * crowd goes for it. */
static bool
make_room_anywhere (PeerRoom *room, guint crowd)
{
  PeerConnection *surplus;

  if (make_room_at (room, NULL, crowd))
    return true;
  /* one more than it would have with this one */
  surplus = peer_crowd_find_surplus (&room->strangers, crowd + 2);
  if (surplus == NULL)
    return false;
  peer_connection_close (surplus, "too many connections from there without a claim");
  return true;
}

/* claims */

/* Have one claim fewer, of @domain and from @address unless these are NULL, as somebody has claimed the same
 * more than once, with @claimant. */
static bool
push_out_claim (PeerRoom *room, PeerConnection *claimant, const char *domain, const char *address,
                const char *why)
{
  PeerConnection *repeater = peer_crowd_find_repeater (&room->claimed, claimant, domain, address);

  if (repeater == NULL)
    return false;
  refuse (room, repeater, why);
  peer_connection_close (repeater, why);
  return true;
}

/* public functions */

void
peer_room_init (PeerRoom *room, void (*refused) (const GError *error, gpointer user_data),
                gpointer user_data)
{
  *room = (PeerRoom){ .refused = refused, .user_data = user_data };
  g_queue_init (&room->strangers);
  g_queue_init (&room->claimed);
}

bool
peer_room_make_for_stranger (PeerRoom *room, PeerConnection *newcomer)
{
  const char *origin = peer_connection_get_origin (newcomer);
  guint crowd = peer_crowd_count_from (&room->strangers, origin);

  if (crowd >= PEER_LISTENER_STRANGERS_PER_ORIGIN && !make_room_at (room, origin, crowd)) {
    refuse (room, newcomer, "too many connections from there without a claim");
    return false;
  }
  if (room->strangers.length >= PEER_LISTENER_STRANGERS_MAX && !make_room_anywhere (room, crowd)) {
    refuse (room, newcomer, "too many connections without a claim");
    return false;
  }
  return true;
}

const char *
peer_room_make_for_claim (PeerRoom *room, PeerConnection *claimant)
{
  static const char of_domain[] = "too many connections claim one domain";
  static const char of_address[] = "too many connections of one address have a claim";
  static const char of_all[] = "too many connections have a claim";
  const char *address = peer_connection_get_address (claimant);
  const char *domain = peer_connection_get_domain (claimant);

  if (peer_crowd_count_claims (&room->claimed, domain, NULL) >= PEER_LISTENER_CLAIMED_PER_DOMAIN &&
      !push_out_claim (room, claimant, domain, NULL, of_domain))
    return of_domain;
  if (peer_crowd_count_claims (&room->claimed, NULL, address) >=
        PEER_LISTENER_CLAIMED_PER_ADDRESS &&
      !push_out_claim (room, claimant, NULL, address, of_address))
    return of_address;
  if (room->claimed.length >= PEER_LISTENER_CLAIMED_MAX &&
      !push_out_claim (room, claimant, NULL, NULL, of_all))
    return of_all;
  return NULL;
}
