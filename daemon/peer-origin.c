/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-origin.h"

#include <string.h>

#define NETWORK_BITS 64

char *
peer_origin_describe (GInetAddress *address)
{
  guint8 network[16] = { 0 };
  g_autoptr (GInetAddress) base = NULL;
  g_autofree char *text = NULL;

  if (g_inet_address_get_family (address) != G_SOCKET_FAMILY_IPV6)
    return g_inet_address_to_string (address);
  memcpy (network, g_inet_address_to_bytes (address), NETWORK_BITS / 8);
  base = g_inet_address_new_from_bytes (network, G_SOCKET_FAMILY_IPV6);
  text = g_inet_address_to_string (base);
  return g_strdup_printf ("%s/%d", text, NETWORK_BITS);
}
