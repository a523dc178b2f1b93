/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <stdint.h>

/*
 * PeerStream - a stream of D-Bus messages that a stranger may write to
 *
 * GDBus allocates up to 128 MiB on the word of a 16-byte message header, and takes in messages as
 * fast as they come. This stands between GDBus and the TLS connection: it follows the framing
 * and ends the connection, with CLOCKFERRY_ERROR_BAD_MESSAGE, at a header that announces more than
 * the limit, before GDBus sees that header; at one that is not D-Bus; and at a sender that keeps
 * above PEER_STREAM_MESSAGES_PER_S. An honest one sends 32 messages in a row to compare the clocks, 16 a
 * second after that, and a few records.
 */

#define PEER_STREAM_MESSAGES_PER_S 50
#define PEER_STREAM_MESSAGES_BURST 64

#define PEER_TYPE_STREAM (peer_stream_get_type ())
G_DECLARE_FINAL_TYPE (PeerStream, peer_stream, PEER, STREAM, GIOStream)

/*
 * Wrap @base; closing the wrapper closes it. @message_max_bytes counts a whole message, its header
 * included.
 *
 * Returns: (transfer full): the stream, for g_dbus_connection_new()
 */
GIOStream *peer_stream_new (GIOStream *base, uint32_t message_max_bytes);

/*
 * End the connection as well when more than @unanswered_max messages have come in that no message has
 * gone out for since: the peer asks, and does not read what it is told, which would pile up here. To be
 * set before the first message, where each one that comes gets an answer.
 */
void peer_stream_set_unanswered_max (PeerStream *self, guint unanswered_max);

/*
 * Close @bus, which is on such a stream, after what is queued was sent, or after two seconds: a peer
 * that does not read may not keep it longer. Does not block.
 */
void peer_stream_end_bus (GDBusConnection *bus);

/*
 * Set what both ends want of a TCP socket: no delay, and a dead peer noticed within ten seconds.
 * Best effort: a socket that refuses an option still works.
 */
void peer_stream_tune_socket (GSocket *socket);
