/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "peer-authority.h"

#include <gio/gio.h>
#include <stdint.h>

/*
 * PeerDial - the way to the daemon of another host: TCP, TLS 1.3 with the right key, D-Bus
 *
 * The other end must hold the key of the pin, and with an authority show a certificate that it lets
 * in. What is said on the connection then, if anything, is not the dial's business. It has no
 * deadline but the caller's cancellable.
 */

#define PEER_TYPE_DIAL (peer_dial_get_type ())
G_DECLARE_FINAL_TYPE (PeerDial, peer_dial, PEER, DIAL, GObject)

/*
 * A dial to @port of @address, a host name or IP address. @pin is identity_pin() of the other end's
 * certificate; NULL accepts every key, for one who only wants to know it. With @authority (nullable)
 * the other end is shown this host's certificate.
 */
PeerDial *peer_dial_new (const char *address, uint16_t port, const char *pin,
                         PeerAuthority *authority);

/*
 * Dial, once. The error is CLOCKFERRY_ERROR_WRONG_KEY, _NOT_AUTHORIZED (a certificate that the
 * authority does not let in), _BAD_MESSAGE (not TLS 1.3), or one of GIO.
 */
void peer_dial_async (PeerDial *self, GCancellable *cancellable, GAsyncReadyCallback callback,
                      gpointer user_data);

/*
 * Returns: (transfer full): a connection whose message processing has not been started, or NULL; even
 * after @cancellable was cancelled there may be one, to be closed
 */
GDBusConnection *peer_dial_finish (PeerDial *self, GAsyncResult *result, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/* What is under way or has failed, "connect to" or "verify"; completes "cannot ...". Constant. */
const char *peer_dial_get_aim (PeerDial *self);

/* The pin of the key that the other end has shown, right or wrong; NULL before. Owned by the dial. */
const char *peer_dial_get_shown_pin (PeerDial *self);
