/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * hostile-peer - clients of a daemon's peer port that mean it no good
 *
 * Everything blocks, for threads of a test. The loopback has millions of addresses to come from.
 */

#include <gio/gio.h>

typedef struct HostilePeer HostilePeer;

/* Connect from @address, one of 127.0.0.0/8. NULL if that was not to be. */
HostilePeer *hostile_peer_connect (const char *address, guint port);

void hostile_peer_free (HostilePeer *peer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HostilePeer, hostile_peer_free)

/* TLS to the end, whoever the daemon says it is. */
gboolean hostile_peer_shake_hands (HostilePeer *peer);

/* Send bytes, inside TLS after the handshake. */
gboolean hostile_peer_send (HostilePeer *peer, gconstpointer data, gsize size);

/* The bytes of a call of org.clockferry1.Peer; @arguments (nullable) is consumed. */
GBytes *hostile_peer_make_call (const char *method, GVariant *arguments);

/* Whether the daemon has closed the connection; what it had to say is read away. */
gboolean hostile_peer_is_closed (HostilePeer *peer);

/* Threads */

/* One attack: called again and again by a thread of its own, until the test has seen enough. */
typedef struct HostileCrowd HostileCrowd;
typedef void (*HostileAct) (HostileCrowd *crowd, const char *address);

struct HostileCrowd {
  guint port;
  HostileAct act;
  guint addresses;     /* how many it comes from */
  gboolean is_at_home; /* 127.0.0.1 is one of them, which honest peers come from */
  const char *domain;  /* for those with a ticket */
  const char *ticket;
  guint held_max; /* how many connections it holds open at a time */

  int acts; /* atomic: so far */
  int is_over;
  GQueue held; /* of HostilePeer */
  GThread *thread;
};

/* Begin; @crowd is filled in down to held_max, and must stay where it is. */
void hostile_crowd_start (HostileCrowd *crowd);

/* How many times it acted so far. */
guint hostile_crowd_count (HostileCrowd *crowd);

/* End it, and hang up. */
void hostile_crowd_stop (HostileCrowd *crowd);

/* For an act: keep @peer open, for as long as there are not too many of them. */
void hostile_crowd_hold (HostileCrowd *crowd, HostilePeer *peer);
