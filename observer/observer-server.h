/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * observer-server - the observer's end of the channel to clockferryd: who wants to know of which
 * process
 *
 * Needs no kernel: what watches is behind callbacks.
 */

#include <glib.h>

#include "observer-protocol.h"

typedef struct ObserverServer ObserverServer;

typedef struct {
  /* The first client wants @pid watched, which is there. Not OBSERVER_REASON_NONE: it is not. */
  enum observer_reason (*watch) (gint32 pid, gpointer user_data);
  /* The last one does not any more, or the process ended. */
  void (*unwatch) (gint32 pid, gpointer user_data);
  /* There was no client for a while; called once. */
  void (*idle) (gpointer user_data);
} ObserverServerCallbacks;

/*
 * Serve whoever connects to @listen_fd, a listening SOCK_SEQPACKET socket that is closed in the end.
 * @problem: why nothing can be observed, which is all that clients are told then; NULL: it can.
 * @callbacks must outlive the server.
 */
ObserverServer *observer_server_new (int listen_fd, const char *problem, guint idle_ms,
                                     const ObserverServerCallbacks *callbacks, gpointer user_data);

/* Unwatches all. */
void observer_server_free (ObserverServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ObserverServer, observer_server_free)

/* Whoever connects from now on waits for the next one that serves the socket. */
void observer_server_stop_listening (ObserverServer *server);

/*
 * Tell those who want to know of @pid. @record, @size bytes, is checked, and NULL if there is none,
 * for @reason with @detail.
 */
void observer_server_tell (ObserverServer *server, gint32 pid, const struct clock_record *record,
                           gsize size, enum observer_reason reason, guint32 detail);
