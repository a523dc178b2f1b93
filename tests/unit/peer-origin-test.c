/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peer-origin-test - what counts as one place that connections come from
 *
 * First by itself, then as a listener has it: in a network namespace, where its peers can have addresses that
 * this machine has not.
 */

#include "peer-origin.h"

#include "peer-fixture.h"

#include <linux/ipv6.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void
test_describe (void)
{
  static const char *const origins[][2] = {
    { "192.0.2.1", "192.0.2.1" },
    { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
    { "2001:db8:1:2::", "2001:db8:1:2::/64" },
    { "2001:db8:1:3::", "2001:db8:1:3::/64" },
    { "fe80::1", "fe80::/64" },
    { "::1", "::/64" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (origins); i++) {
    g_autoptr (GInetAddress) address = g_inet_address_new_from_string (origins[i][0]);
    g_autofree char *origin = peer_origin_describe (address);

    g_assert_cmpstr (origin, ==, origins[i][1]);
  }
}

/* as a listener has it */

static void
enter_empty_network (void)
{
  struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
  int fd;

  /* who is not root may do it as the only user of a namespace */
  if (unshare (CLONE_NEWNET) < 0)
    g_assert_no_errno (unshare (CLONE_NEWUSER | CLONE_NEWNET));
  fd = socket (AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (fd, >=, 0);
  g_assert_no_errno (ioctl (fd, SIOCSIFFLAGS, &lo));
  close (fd);
}

static void
add_address (const char *text)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (text);
  struct in6_ifreq request = { .ifr6_prefixlen = 128, .ifr6_ifindex = (int) if_nametoindex ("lo") };
  int fd = socket (AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  memcpy (&request.ifr6_addr, g_inet_address_to_bytes (address), sizeof request.ifr6_addr);
  g_assert_cmpint (fd, >=, 0);
  g_assert_no_errno (ioctl (fd, SIOCSIFADDR, &request));
  close (fd);
}

static void
on_refused (PeerListener *listener, const GError *error, gpointer user_data)
{
  g_test_message ("%s", error->message);
  (*(guint *) user_data)++;
}

/* A silent stranger at @to that is @from. */
static GSocketConnection *
connect_from (const char *from, const char *to, uint16_t port)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketAddress) local = g_inet_socket_address_new_from_string (from, 0);
  g_autoptr (GSocketAddress) remote = g_inet_socket_address_new_from_string (to, port);
  g_autoptr (GError) error = NULL;
  GSocketConnection *connection;

  g_socket_client_set_enable_proxy (client, FALSE);
  g_socket_client_set_local_address (client, local);
  connection = g_socket_client_connect (client, G_SOCKET_CONNECTABLE (remote), NULL, &error);
  g_assert_no_error (error);
  return connection;
}

/* Half of the strangers that one origin may have come from each of @from, and then one more from the second: is
 * that one too many? */
static void
assert_one_origin (const char *const *from, const char *to, bool expected)
{
  g_autoptr (GTlsCertificate) certificate = peer_fixture_make_identity ();
  PeerListener *listener = peer_listener_new (certificate, NULL, peer_fixture_look_up_ticket, NULL);
  g_autoptr (GPtrArray) crowd = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GError) error = NULL;
  guint refusals = 0;

  g_signal_connect (listener, "refused", G_CALLBACK (on_refused), &refusals);
  g_assert_true (peer_listener_start (listener, NULL, 0, &error));
  g_assert_no_error (error);
  for (guint i = 0; i <= PEER_LISTENER_STRANGERS_PER_ORIGIN; i++)
    g_ptr_array_add (crowd, connect_from (from[i >= PEER_LISTENER_STRANGERS_PER_ORIGIN / 2], to,
                                          peer_listener_get_port (listener)));
  if (expected)
    wait_for (refusals > 0);
  else
    wait_settle ();
  g_assert_cmpuint (refusals, ==, expected);
  g_signal_handlers_disconnect_by_data (listener, &refusals);
  peer_listener_stop (listener);
  wait_for_last_unref (listener);
}

static void
test_listener (void)
{
  static const char *const one_network[] = { "2001:db8:1:2::1", "2001:db8:1:2::2" };
  static const char *const two_networks[] = { "2001:db8:1:2::1", "2001:db8:1:3::1" };
  static const char *const two_mapped[] = { "127.0.0.1", "127.0.0.2" };
  static const char *const one_mapped[] = { "127.0.0.1", "127.0.0.1" };

  enter_empty_network ();
  add_address ("2001:db8:1:2::1");
  add_address ("2001:db8:1:2::2");
  add_address ("2001:db8:1:3::1");
  assert_one_origin (one_network, "::1", true);
  assert_one_origin (two_networks, "::1", false);
  /* the listener for all addresses sees these as of IPv6 */
  assert_one_origin (two_mapped, "127.0.0.1", false);
  assert_one_origin (one_mapped, "127.0.0.1", true);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/peer-origin/describe", test_describe);
  g_test_add_func ("/peer-origin/listener", test_listener);
  return g_test_run ();
}
