/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-names.h"

#include "error.h"

#include <gnutls/gnutls.h>
#include <string.h>

#define NAME_MAX_BYTES 255 /* of a host name, RFC 1035 */

#define IPV4_BYTES 4
#define IPV6_BYTES 16

/* internal methods */

/* Take a name if it can be that of a host: printable, without the NUL that makes a name of another
 * authority look like one of ours. */
static void
add_host_name (GPtrArray *names, const char *name, gsize length)
{
  for (gsize i = 0; i < length; i++) {
    if (!g_ascii_isgraph (name[i]))
      return;
  }
  if (length > 0)
    g_ptr_array_add (names, g_ascii_strdown (name, (gssize) length));
}

static void
add_address (GPtrArray *names, const guint8 *bytes, gsize length)
{
  g_autoptr (GInetAddress) address = NULL;

  if (length != IPV4_BYTES && length != IPV6_BYTES)
    return;
  address = g_inet_address_new_from_bytes (bytes, length == IPV4_BYTES ? G_SOCKET_FAMILY_IPV4
                                                                       : G_SOCKET_FAMILY_IPV6);
  g_ptr_array_add (names, g_inet_address_to_string (address));
}

/* Returns: whether the certificate has alternative names, of whatever kind */
static bool
add_alternative_names (GPtrArray *names, X509Cert cert)
{
  for (unsigned int i = 0;; i++) {
    char name[NAME_MAX_BYTES + 1]; /* GnuTLS ends it with a NUL that it does not count */
    size_t size = sizeof (name);
    int kind = gnutls_x509_crt_get_subject_alt_name (cert, i, name, &size, NULL);

    if (kind == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
      return i > 0;
    if (kind == GNUTLS_SAN_DNSNAME)
      add_host_name (names, name, size);
    else if (kind == GNUTLS_SAN_IPADDRESS)
      add_address (names, (const guint8 *) name, size);
    else if (kind < 0 && kind != GNUTLS_E_SHORT_MEMORY_BUFFER)
      return true; /* not to be read, but there */
  }
}

static void
add_common_name (GPtrArray *names, X509Cert cert)
{
  char name[NAME_MAX_BYTES + 1];
  char second[NAME_MAX_BYTES + 1];
  size_t size = sizeof (name);
  size_t second_size = sizeof (second);

  if (gnutls_x509_crt_get_dn_by_oid (cert, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size) >= 0 &&
      gnutls_x509_crt_get_dn_by_oid (cert, GNUTLS_OID_X520_COMMON_NAME, 1, 0, second,
                                     &second_size) == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
    add_host_name (names, name, size);
}

static GPtrArray *
list_names (X509Cert cert)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);

  if (!add_alternative_names (names, cert))
    add_common_name (names, cert);
  return names;
}

/* public functions */

GStrv
peer_names_normalise (const char *const *patterns)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (; *patterns != NULL; patterns++) {
    g_autoptr (GInetAddress) address = g_inet_address_new_from_string (*patterns);
    g_autofree char *pattern = address != NULL ? g_inet_address_to_string (address)
                                               : g_ascii_strdown (*patterns, -1);

    g_strv_builder_add (builder, pattern);
  }
  return g_strv_builder_end (builder);
}

bool
peer_names_check (const char *const *patterns, X509Cert cert, GError **error)
{
  g_autoptr (GPtrArray) names = list_names (cert);
  g_autofree char *all = NULL;

  for (; *patterns != NULL; patterns++) {
    for (guint i = 0; i < names->len; i++) {
      if (g_pattern_match_simple (*patterns, names->pdata[i]))
        return true;
    }
  }
  g_ptr_array_add (names, NULL);
  all = names->len == 1 ? g_strdup ("no host") : g_strjoinv (", ", (char **) names->pdata);
  g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED,
               "it is of %s, and AllowedPeers= names none of these", all);
  return false;
}
