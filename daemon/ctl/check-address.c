/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-address.h"

#include <glib/gi18n.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "build-config.h"
#include "check-host.h"
#include "check-remedy.h"
#include "name-lookup.h"
#include "output.h"
#include "peer-check.h"

#define TCP_LISTEN "0A"

/* An address for documentation (RFC 5737), to which no host sends but by its default route. */
#define OUTWARD_ADDRESS "192.0.2.1"
#define OUTWARD_PORT    9

/* Of names that hosts ask each other for (RFC 6762). */
#define MULTICAST_SUFFIX ".local"

/* addresses */

static gboolean
is_among (GPtrArray *addresses, GInetAddress *address)
{
  for (guint i = 0; i < addresses->len; i++) {
    if (g_inet_address_equal (g_ptr_array_index (addresses, i), address))
      return TRUE;
  }
  return FALSE;
}

static gboolean
is_known (GPtrArray *addresses)
{
  return addresses != NULL && addresses->len > 0;
}

/* The first of @addresses (may be NULL) that other hosts could mean by it, one of this host's own, as
 * text; NULL: none. */
static char *
find_reachable (GPtrArray *addresses, GPtrArray *local)
{
  for (guint i = 0; addresses != NULL && i < addresses->len; i++) {
    GInetAddress *address = g_ptr_array_index (addresses, i);

    if (!g_inet_address_get_is_loopback (address) && is_among (local, address))
      return g_inet_address_to_string (address);
  }
  return NULL;
}

static gboolean
all_are_loopback (GPtrArray *addresses)
{
  for (guint i = 0; i < addresses->len; i++) {
    if (!g_inet_address_get_is_loopback (g_ptr_array_index (addresses, i)))
      return FALSE;
  }
  return addresses->len > 0;
}

static GPtrArray *
list_local (void)
{
  GPtrArray *local = g_ptr_array_new_with_free_func (g_object_unref);
  struct ifaddrs *interfaces = NULL;

  if (getifaddrs (&interfaces) < 0)
    return local;
  for (struct ifaddrs *each = interfaces; each != NULL; each = each->ifa_next) {
    g_autoptr (GSocketAddress) address = NULL;
    gsize size;

    if (each->ifa_addr == NULL)
      continue;
    if (each->ifa_addr->sa_family == AF_INET)
      size = sizeof (struct sockaddr_in);
    else if (each->ifa_addr->sa_family == AF_INET6)
      size = sizeof (struct sockaddr_in6);
    else
      continue;
    address = g_socket_address_new_from_native (each->ifa_addr, size);
    if (address != NULL)
      g_ptr_array_add (
        local, g_object_ref (g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (address))));
  }
  freeifaddrs (interfaces);
  return local;
}

/* By which of its addresses this host would reach others; sends nothing. NULL: by none. */
static char *
find_outward (void)
{
  g_autoptr (GSocket) socket =
    g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_DATAGRAM, G_SOCKET_PROTOCOL_UDP, NULL);
  g_autoptr (GSocketAddress)
    far = g_inet_socket_address_new_from_string (OUTWARD_ADDRESS, OUTWARD_PORT);
  g_autoptr (GSocketAddress) near = NULL;

  if (socket == NULL || !g_socket_connect (socket, far, NULL, NULL))
    return NULL;
  near = g_socket_get_local_address (socket, NULL);
  if (near == NULL)
    return NULL;
  return g_inet_address_to_string (
    g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (near)));
}

static char *
set_address_remedy (const char *outward)
{
  if (outward == NULL)
    return NULL;
  return remedy_format ("mkdir -p " CLOCKFERRY_CONFIG_FILE
                        ".d && printf '[clockferry]\\nAddress=%s\\n' > " CLOCKFERRY_CONFIG_FILE
                        ".d/address.conf && systemctl restart clockferryd",
                        outward);
}

static void
check_name (const CheckHost *host, CheckList *list)
{
  const char *running = check_host_get_manager_text (host, "Address");
  const char *wanted = host->settings != NULL ? host->settings->address : NULL;
  const char *name = running != NULL ? running : wanted != NULL ? wanted : g_get_host_name ();
  g_autoptr (GPtrArray) found = NULL;
  g_autoptr (GPtrArray) by_file = NULL;
  g_autoptr (GPtrArray) by_dns = NULL;
  g_autoptr (GPtrArray) local = list_local ();
  g_autofree char *outward = find_outward ();
  AddressFacts facts;

  check_list_begin (list, "address", _ ("address for other hosts"));
  found = name_lookup_here (name);
  if (!g_hostname_is_ip_address (name)) {
    by_file = name_lookup_by_file (name);
    by_dns = name_lookup_by_dns (name, host->bus);
  }
  facts = (AddressFacts){
    .name = name,
    .found = found,
    .by_file = by_file,
    .by_dns = by_dns,
    .local = local,
    .outward = outward,
  };
  check_address_judge (&facts, list);
}

/* the port */

static guint16
get_port (const CheckHost *host)
{
  guint16 port = 0;

  if (host->manager != NULL && g_variant_lookup (host->manager, "Port", "q", &port))
    return port;
  return host->settings != NULL ? host->settings->port : 0;
}

static GArray *
list_listeners (const CheckHost *host, guint16 port)
{
  static const char *const tables[] = { "/proc/net/tcp", "/proc/net/tcp6" };
  GArray *uids = g_array_new (FALSE, FALSE, sizeof (guint));

  for (gsize i = 0; i < G_N_ELEMENTS (tables); i++) {
    g_autofree char *path = check_host_path (host, tables[i]);
    g_autofree char *text = NULL;

    if (g_file_get_contents (path, &text, NULL, NULL))
      check_address_find_listeners (text, port, uids);
  }
  return uids;
}

static void
check_port (const CheckHost *host, CheckList *list)
{
  guint16 port = get_port (host);
  g_autoptr (GArray) uids = list_listeners (host, port);
  const struct passwd *user = getpwnam (CLOCKFERRY_USER);
  guint foreign_count = 0;
  g_autofree char *remedy = g_strdup_printf ("ss -ltnp 'sport = :%u'", port);

  for (guint i = 0; i < uids->len; i++)
    foreign_count += user == NULL || g_array_index (uids, guint, i) != user->pw_uid;

  check_list_begin (list, "port", _ ("port for other hosts"));
  if (uids->len > foreign_count)
    check_list_ok (list, _ ("clockferryd listens at TCP port %u"), port);
  else if (foreign_count > 0)
    check_list_fail (list, remedy,
                     _ ("another program has TCP port %u: stop it, or set Port= on this host"),
                     port);
  else if (host->manager != NULL)
    check_list_fail (list, "systemctl restart clockferryd",
                     _ ("clockferryd does not listen at TCP port %u"), port);
  else
    check_list_drop (list); /* it does not run, as was reported */
}

/* the channel */

/* As another host would, by the metadata of a domain that runs here. */
static void
check_channel (const CheckHost *host, CheckList *list)
{
  g_auto (PeerCheckResult) result = { 0 };
  g_autoptr (GError) error = NULL;
  g_autofree char *round_trip = NULL;

  check_list_begin (list, "peer-channel", _ ("peer channel"));
  if (!host->is_root) {
    check_list_skip (list);
  } else if (!peer_check_run ("qemu:///system", host->settings, &result, &error)) {
    check_list_fail (list, NULL, "%s", error->message);
  } else if (result.problem != NULL) {
    check_list_drop (list); /* no domain says how: the port is all that could be looked at */
  } else {
    round_trip = output_duration ((gint64) result.round_trip_ns);
    check_list_ok (list,
                   _ ("%s port %u lets in a connection made by the metadata of %s, round trip %s"),
                   result.address, result.port, result.domain, round_trip);
  }
}

/* public functions */

void
check_address_judge (const AddressFacts *facts, CheckList *list)
{
  g_autofree char *here = find_reachable (facts->found, facts->local);
  g_autofree char *by_file = find_reachable (facts->by_file, facts->local);
  g_autofree char *by_dns = find_reachable (facts->by_dns, facts->local);
  g_autofree char *remedy = set_address_remedy (facts->outward);

  if (here != NULL && facts->by_dns == NULL)
    check_list_ok (list, "%s", here);
  else if (by_dns != NULL)
    check_list_ok (list, _ ("%s, which is %s by DNS"), facts->name, by_dns);
  else if (by_file != NULL)
    /* TRANSLATORS: a host's name and its address */
    check_list_ok (list,
                   _ ("%s, which is %s by /etc/hosts, not by DNS: it has to be in the "
                      "/etc/hosts of other hosts as well"),
                   facts->name, by_file);
  else if (here != NULL && g_str_has_suffix (facts->name, MULTICAST_SUFFIX))
    /* TRANSLATORS: a host's name and its address */
    check_list_ok (list, _ ("%s, which is %s"), facts->name, here);
  else if (here != NULL && !is_known (facts->by_dns))
    check_list_warn (list, remedy,
                     _ ("other hosts are told to connect to %s, a name that this host gives to "
                        "itself and DNS does not know"),
                     facts->name);
  else if (facts->found->len == 0)
    check_list_warn (
      list, remedy,
      _ ("other hosts are told to connect to %s, a name that this host does not know"),
      facts->name);
  else if (all_are_loopback (facts->found) && !is_known (facts->by_dns))
    check_list_warn (list, remedy,
                     _ ("other hosts are told to connect to %s, which means nothing but this host "
                        "itself here, and DNS does not know it"),
                     facts->name);
  else
    check_list_warn (list, remedy,
                     _ ("other hosts are told to connect to %s, which is no address of this host"),
                     facts->name);
}

void
check_address_find_listeners (const char *text, guint16 port, GArray *uids)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autofree char *suffix = g_strdup_printf (":%04X", port);

  for (guint i = 0; lines[i] != NULL; i++) {
    g_autofree char *address = g_malloc (strlen (lines[i]) + 1);
    char state[3];
    guint uid;

    /* sl local remote state queues timer retransmissions uid (proc_net_tcp.rst) */
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's number, of a type as wide */
    if (sscanf (lines[i], " %*u: %s %*s %2s %*s %*s %*s %u", address, state, &uid) == 3 &&
        g_str_equal (state, TCP_LISTEN) && g_str_has_suffix (address, suffix))
      g_array_append_val (uids, uid);
  }
}

void
check_address (CheckHost *host, CheckList *list)
{
  check_name (host, list);
  if (get_port (host) != 0)
    check_port (host, list);
  if (host->manager != NULL && host->settings != NULL && host->domain_count > 0)
    check_channel (host, list);
}
