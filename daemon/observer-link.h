/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * observer-link - the daemon's end of the channel to clockferry-observer, one for all guests
 *
 * Connected while there is a guest that may have to be observed, as the observer takes a moment to
 * start; nothing is watched by that. It is connected again when the observer went away, and asked
 * again after a while where it could not observe.
 */

#include <glib.h>

#include "observer-protocol.h"

typedef struct ObserverLink ObserverLink;
typedef struct ObserverSeat ObserverSeat;

/* Of one guest. May free the seat. */
typedef struct {
  /* observer_seat_get_state() or its problem is another. */
  void (*changed) (gpointer user_data);
  /* The process that is watched asked KVM_GET_CLOCK. @record is checked, @size bytes, borrowed. */
  void (*record) (const struct clock_record *record, gsize size, gpointer user_data);
  /* It did, and @obstacle, a clause, is why there is no record. */
  void (*missed) (const char *obstacle, gpointer user_data);
  /* It is not watched for now; @obstacle, a clause, is why no record comes meanwhile. */
  void (*lost) (const char *obstacle, gpointer user_data);
} ObserverSeatCallbacks;

typedef enum {
  OBSERVER_ASKED,  /* it has not answered yet */
  OBSERVER_READY,  /* it can observe */
  OBSERVER_UNABLE, /* it can not, or is not to be had */
} ObserverState;

/* @path: of its socket, NULL: OBSERVER_SOCKET_PATH. Does nothing before the first seat is taken. */
ObserverLink *observer_link_new (const char *path);

/* When no seat is taken any more. */
void observer_link_free (ObserverLink *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ObserverLink, observer_link_free)

/* Something was changed on this host: if it could not observe, ask it anew. */
void observer_link_ask_again (ObserverLink *link);

/* A guest may have to be observed, from now until the seat is freed. @callbacks must outlive it. */
ObserverSeat *observer_seat_new (ObserverLink *link, const ObserverSeatCallbacks *callbacks,
                                 gpointer user_data);
void observer_seat_free (ObserverSeat *seat);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ObserverSeat, observer_seat_free)

ObserverState observer_seat_get_state (const ObserverSeat *seat);

/* Of OBSERVER_UNABLE: why, a clause. Borrowed, until the next change. */
const char *observer_seat_get_problem (const ObserverSeat *seat);

/* Have the process @pid watched for this guest, and no other; 0: none. */
void observer_seat_watch (ObserverSeat *seat, gint32 pid);

/* The observer said that it does. */
gboolean observer_seat_is_watched (const ObserverSeat *seat);

/* Deliver now what the observer has already written. */
void observer_seat_drain (ObserverSeat *seat);
