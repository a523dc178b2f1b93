/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peers-seen.h"

typedef struct {
  char *address;
  gint64 realtime_us;
  gint64 theta_ns;
  guint64 bound_ns;
} Peer;

struct PeersSeen {
  GQueue peers; /* of Peer, the latest first */
};

static void
peer_free (Peer *peer)
{
  g_free (peer->address);
  g_free (peer);
}

/* The one at @address, known or new, brought to the front. */
static Peer *
bring_up (PeersSeen *peers, const char *address, gint64 realtime_us)
{
  Peer *peer = NULL;

  for (GList *l = peers->peers.head; l != NULL; l = l->next) {
    Peer *known = l->data;

    if (g_str_equal (known->address, address)) {
      peer = known;
      g_queue_delete_link (&peers->peers, l);
      break;
    }
  }
  if (peer == NULL) {
    peer = g_new0 (Peer, 1);
    peer->address = g_strdup (address);
    peer->bound_ns = PEERS_SEEN_UNKNOWN;
  }
  peer->realtime_us = realtime_us;
  g_queue_push_head (&peers->peers, peer);
  if (peers->peers.length > PEERS_SEEN_MAX)
    peer_free (g_queue_pop_tail (&peers->peers));
  return peer;
}

/* public functions */

PeersSeen *
peers_seen_new (void)
{
  PeersSeen *peers = g_new0 (PeersSeen, 1);

  g_queue_init (&peers->peers);
  return peers;
}

void
peers_seen_free (PeersSeen *peers)
{
  g_queue_clear_full (&peers->peers, (GDestroyNotify) peer_free);
  g_free (peers);
}

void
peers_seen_note (PeersSeen *peers, const char *address, gint64 realtime_us)
{
  (void) bring_up (peers, address, realtime_us);
}

void
peers_seen_measure (PeersSeen *peers, const char *address, gint64 realtime_us, gint64 theta_ns,
                    guint64 bound_ns)
{
  Peer *peer = bring_up (peers, address, realtime_us);

  peer->theta_ns = theta_ns;
  peer->bound_ns = bound_ns;
}

GVariant *
peers_seen_to_variant (const PeersSeen *peers)
{
  g_auto (GVariantBuilder) builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a(sxxt)"));

  for (const GList *l = peers->peers.head; l != NULL; l = l->next) {
    const Peer *peer = l->data;

    g_variant_builder_add (&builder, "(sxxt)", peer->address, peer->realtime_us, peer->theta_ns,
                           peer->bound_ns);
  }
  return g_variant_builder_end (&builder);
}
