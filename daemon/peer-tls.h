/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * peer-tls - the two ends of TLS on the peer channel, before their handshake
 *
 * Neither knows any authority: pin, ticket and peer-authority decide. A connection that is not told
 * so as it is made reads those of the system, in the main loop: tens of ms, and on the server's side
 * 4 MiB for each stranger (glib-networking 2.74, update_credentials_cb()).
 */

#include <gio/gio.h>

/* NULL with a GTlsError. The caller owns it; it has a reference to @socket. */
GTlsConnection *peer_tls_new_client (GSocketConnection *socket, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/* The same, and it shows @certificate. */
GTlsConnection *peer_tls_new_server (GSocketConnection *socket, GTlsCertificate *certificate,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
