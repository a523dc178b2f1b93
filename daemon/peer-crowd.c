/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-crowd.h"

/* Counts of connections by a text that they own; free with g_hash_table_unref(). */
typedef GHashTable Tally;

static guint
tally_get (Tally *tally, const char *key)
{
  return GPOINTER_TO_UINT (g_hash_table_lookup (tally, key));
}

static Tally *
tally_origins (const GQueue *queue)
{
  Tally *tally = g_hash_table_new (g_str_hash, g_str_equal);

  for (GList *l = queue->head; l != NULL; l = l->next) {
    const char *origin = peer_connection_get_origin (l->data);

    g_hash_table_insert (tally, (gpointer) origin,
                         GUINT_TO_POINTER (tally_get (tally, origin) + 1));
  }
  return tally;
}

static bool
is_from (PeerConnection *connection, const char *origin)
{
  return origin == NULL || g_str_equal (peer_connection_get_origin (connection), origin);
}

static bool
is_claim_of (PeerConnection *connection, const char *domain, const char *address)
{
  return (domain == NULL || g_str_equal (peer_connection_get_domain (connection), domain)) &&
         (address == NULL || g_str_equal (peer_connection_get_address (connection), address));
}

/* What is claimed, and from where. */
static char *
make_pair (PeerConnection *connection)
{
  return g_strconcat (peer_connection_get_domain (connection), " ",
                      peer_connection_get_address (connection), NULL);
}

/* Does @a go before @b, by the rules of peer_crowd_find_idler()? */
static bool
idles_more (Tally *origins, PeerConnection *a, PeerConnection *b)
{
  bool a_is_silent = peer_connection_get_phase (a) == PEER_PHASE_SILENT;
  bool b_is_silent = peer_connection_get_phase (b) == PEER_PHASE_SILENT;
  guint a_count = tally_get (origins, peer_connection_get_origin (a));
  guint b_count = tally_get (origins, peer_connection_get_origin (b));

  if (a_is_silent != b_is_silent)
    return a_is_silent;
  if (a_count != b_count)
    return a_count > b_count;
  return peer_connection_get_phase_since_us (a) < peer_connection_get_phase_since_us (b);
}

static bool
is_awaited (PeerConnection *connection)
{
  switch (peer_connection_get_phase (connection)) {
  case PEER_PHASE_SILENT:
    return !peer_connection_has_spoken (connection);
  case PEER_PHASE_STRANGER:
  case PEER_PHASE_CHECKED:
    return g_get_monotonic_time () - peer_connection_get_phase_since_us (connection) >
           PEER_CROWD_GRACE_MS * 1000;
  case PEER_PHASE_READY:   /* waits for us */
  case PEER_PHASE_SHAKING: /* has its own time */
  case PEER_PHASE_CLAIMED:
    break;
  }
  return false;
}

/* Of those in @phase, one from the origin with the most connections, or the fewest; of several, the one that
 * has been in it the longest. */
static PeerConnection *
find_by_origin (const GQueue *queue, PeerPhase phase, bool wants_most)
{
  g_autoptr (GHashTable) origins = tally_origins (queue);
  PeerConnection *found = NULL;
  guint found_count = 0;

  for (GList *l = queue->head; l != NULL; l = l->next) {
    guint count = tally_get (origins, peer_connection_get_origin (l->data));

    if (peer_connection_get_phase (l->data) != phase)
      continue;
    if (found == NULL || (wants_most ? count > found_count : count < found_count) ||
        (count == found_count && peer_connection_get_phase_since_us (l->data) <
                                   peer_connection_get_phase_since_us (found))) {
      found = l->data;
      found_count = count;
    }
  }
  return found;
}

/* public functions */

guint
peer_crowd_count_from (const GQueue *strangers, const char *origin)
{
  guint count = 0;

  for (GList *l = strangers->head; l != NULL; l = l->next)
    count += is_from (l->data, origin);
  return count;
}

guint
peer_crowd_count_claims (const GQueue *claimed, const char *domain, const char *address)
{
  guint count = 0;

  for (GList *l = claimed->head; l != NULL; l = l->next)
    count += is_claim_of (l->data, domain, address);
  return count;
}

guint
peer_crowd_count_in (const GQueue *queue, PeerPhase phase)
{
  guint count = 0;

  for (GList *l = queue->head; l != NULL; l = l->next)
    count += peer_connection_get_phase (l->data) == phase;
  return count;
}

PeerConnection *
peer_crowd_find_crowded (const GQueue *queue, PeerPhase phase)
{
  return find_by_origin (queue, phase, true);
}

PeerConnection *
peer_crowd_find_lonely (const GQueue *queue, PeerPhase phase)
{
  return find_by_origin (queue, phase, false);
}

PeerConnection *
peer_crowd_find_idler (const GQueue *strangers, const char *origin, guint crowd)
{
  g_autoptr (GHashTable) origins = tally_origins (strangers);
  PeerConnection *idler = NULL;

  for (GList *l = strangers->head; l != NULL; l = l->next) {
    /* asking the socket last, as that costs a system call */
    if (is_from (l->data, origin) &&
        tally_get (origins, peer_connection_get_origin (l->data)) >= crowd &&
        (idler == NULL || idles_more (origins, l->data, idler)) && is_awaited (l->data))
      idler = l->data;
  }
  return idler;
}

PeerConnection *
peer_crowd_find_surplus (const GQueue *strangers, guint crowd)
{
  g_autoptr (GHashTable) origins = tally_origins (strangers);
  PeerConnection *surplus = NULL;
  guint most = crowd;

  for (GList *l = strangers->head; l != NULL; l = l->next) {
    guint count = tally_get (origins, peer_connection_get_origin (l->data));

    if (peer_connection_get_phase (l->data) == PEER_PHASE_READY && count >= most) {
      surplus = l->data;
      most = count;
    }
  }
  return surplus;
}

PeerConnection *
peer_crowd_find_repeater (const GQueue *claimed, PeerConnection *claimant, const char *domain,
                          const char *address)
{
  g_autoptr (GHashTable) pairs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  PeerConnection *repeater = NULL;
  guint most = 1;

  g_hash_table_insert (pairs, make_pair (claimant), GUINT_TO_POINTER (1));
  /* from the newest to the oldest: the last that is counted of a pair is its oldest */
  for (GList *l = claimed->tail; l != NULL; l = l->prev) {
    g_autofree char *pair = NULL;
    guint count;

    if (!is_claim_of (l->data, domain, address))
      continue;
    pair = make_pair (l->data);
    count = tally_get (pairs, pair) + 1;
    g_hash_table_replace (pairs, g_steal_pointer (&pair), GUINT_TO_POINTER (count));
    if (count > most) {
      most = count;
      repeater = l->data;
    }
  }
  return repeater;
}
