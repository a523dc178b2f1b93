/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "x509.h"

#include <gio/gio.h>
#include <stdbool.h>

/*
 * peer-names - AllowedPeers=: which hosts of an authority are let in
 *
 * A pattern is a host name or an IP address, with * for any characters, dots and none as well, and ?
 * for one. Case does not count. A certificate is of the names in its subjectAltName, DNS and IP; if
 * it has none of any kind, of the common name in its subject, provided that there is one only.
 */

/* Patterns as peer_names_check() takes them: in lower case, addresses in one form.
 * Returns: (transfer full): for g_strfreev() */
GStrv peer_names_normalise (const char *const *patterns) G_GNUC_WARN_UNUSED_RESULT;

/* Whether one of @patterns, normalised, fits a name of @cert; else CLOCKFERRY_ERROR_NOT_AUTHORIZED
 * with the names that it has. */
bool peer_names_check (const char *const *patterns, X509Cert cert, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
