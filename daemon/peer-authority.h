/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

/*
 * PeerAuthority - CertificateAuthority= and AllowedPeers=: whose certificates are let in
 *
 * For both ends of the peer channel, beside the pin and the ticket. A certificate is let in if this
 * authority, and no other, has issued it, perhaps by way of others that came with it; if none of
 * them is out of its time or used for what it is not for; and if it is of an allowed host. There
 * are no revocation lists.
 */

#define PEER_TYPE_AUTHORITY (peer_authority_get_type ())
G_DECLARE_FINAL_TYPE (PeerAuthority, peer_authority, PEER, AUTHORITY, GObject)

/* What the one who shows a certificate is in this connection; one that says what it is for
 * (extendedKeyUsage) must say this. */
typedef enum {
  PEER_ROLE_CLIENT,
  PEER_ROLE_SERVER,
} PeerRole;

/*
 * Load the authority from the PEM file @path. @allowed_peers as in peer-names.h, or NULL for all.
 * @own is this host's certificate with its key, which must be of that authority and good for both
 * roles; that it is out of its time only gets a warning, as at boot the clock may be what is wrong.
 *
 * Returns: (transfer full): NULL with CLOCKFERRY_ERROR_BAD_IDENTITY or a GFileError that names
 * @path, or _NOT_AUTHORIZED about @own
 */
PeerAuthority *peer_authority_new (const char *path, const char *const *allowed_peers,
                                   GTlsCertificate *own, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Have AllowedPeers= say something else from now on; connections that were let in stay. */
void peer_authority_set_allowed_peers (PeerAuthority *self, const char *const *allowed_peers);

/* What this host shows to its peers. Returns: (transfer none) */
GTlsCertificate *peer_authority_get_own (PeerAuthority *self);

/* Before its handshake: have @tls, a server's, demand a certificate that is let in. */
void peer_authority_demand (PeerAuthority *self, GTlsConnection *tls);

/*
 * Whether a peer's certificate, with the chain behind it, is let in; else
 * CLOCKFERRY_ERROR_NOT_AUTHORIZED, or _BAD_IDENTITY for one that GnuTLS cannot read, with its
 * subject and the reason. @certificate may be NULL: none was shown.
 */
bool peer_authority_check (PeerAuthority *self, GTlsCertificate *certificate, PeerRole role,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
