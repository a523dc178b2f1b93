/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peers-seen-test - who is in the list, in which order, with what
 */

#include "peers-seen.h"

static void
assert_peer (PeersSeen *peers, gsize index, const char *address, gint64 realtime_us,
             gint64 theta_ns, guint64 bound_ns)
{
  g_autoptr (GVariant) list = g_variant_ref_sink (peers_seen_to_variant (peers));
  const char *found;
  gint64 at_us, theta;
  guint64 bound;

  g_variant_get_child (list, index, "(&sxxt)", &found, &at_us, &theta, &bound);
  g_assert_cmpstr (found, ==, address);
  g_assert_cmpint (at_us, ==, realtime_us);
  g_assert_cmpint (theta, ==, theta_ns);
  g_assert_cmpuint (bound, ==, bound_ns);
}

static gsize
count (PeersSeen *peers)
{
  g_autoptr (GVariant) list = g_variant_ref_sink (peers_seen_to_variant (peers));

  g_assert_cmpstr (g_variant_get_type_string (list), ==, "a(sxxt)");
  return g_variant_n_children (list);
}

static void
test_order (void)
{
  g_autoptr (PeersSeen) peers = peers_seen_new ();

  g_assert_cmpuint (count (peers), ==, 0);
  peers_seen_note (peers, "a", 1);
  peers_seen_note (peers, "b", 2);
  peers_seen_note (peers, "c", 3);
  peers_seen_note (peers, "a", 4);
  g_assert_cmpuint (count (peers), ==, 3);
  assert_peer (peers, 0, "a", 4, 0, PEERS_SEEN_UNKNOWN);
  assert_peer (peers, 1, "c", 3, 0, PEERS_SEEN_UNKNOWN);
  assert_peer (peers, 2, "b", 2, 0, PEERS_SEEN_UNKNOWN);
}

static void
test_clock (void)
{
  g_autoptr (PeersSeen) peers = peers_seen_new ();

  peers_seen_measure (peers, "a", 1, G_MININT64, 7);
  assert_peer (peers, 0, "a", 1, G_MININT64, 7);
  peers_seen_measure (peers, "a", 2, -5, 6);
  assert_peer (peers, 0, "a", 2, -5, 6);
  /* what was measured stays until it is measured again */
  peers_seen_note (peers, "a", 3);
  assert_peer (peers, 0, "a", 3, -5, 6);
  g_assert_cmpuint (count (peers), ==, 1);
}

static void
test_bound (void)
{
  g_autoptr (PeersSeen) peers = peers_seen_new ();

  for (guint i = 0; i < 3 * PEERS_SEEN_MAX; i++) {
    g_autofree char *address = g_strdup_printf ("192.0.2.%u", i);

    peers_seen_note (peers, address, i);
    peers_seen_note (peers, "always", i);
  }
  g_assert_cmpuint (count (peers), ==, PEERS_SEEN_MAX);
  assert_peer (peers, 0, "always", 3 * PEERS_SEEN_MAX - 1, 0, PEERS_SEEN_UNKNOWN);
  assert_peer (peers, 1, "192.0.2.191", 191, 0, PEERS_SEEN_UNKNOWN);
  assert_peer (peers, PEERS_SEEN_MAX - 1, "192.0.2.129", 129, 0, PEERS_SEEN_UNKNOWN);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/peers-seen/order", test_order);
  g_test_add_func ("/peers-seen/clock", test_clock);
  g_test_add_func ("/peers-seen/bound", test_bound);
  return g_test_run ();
}
