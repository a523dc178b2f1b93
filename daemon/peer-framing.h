/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * peer-framing - where the messages of a D-Bus stream begin and end, before anybody parses them
 */

/* D-Bus specification, "Message Format": what precedes the array of header fields. */
#define PEER_FRAMING_HEADER_BYTES 16

/* Zero-initialise; a plain value. */
typedef struct {
  uint8_t header[PEER_FRAMING_HEADER_BYTES];
  gsize header_bytes;  /* how much of header[] is there */
  uint64_t body_bytes; /* how much of the message is still to come after its header */
} PeerFraming;

/*
 * Follow some of @count bytes of the stream, at least one, in whatever pieces they come. Returns how
 * many. With @is_header, a header is complete with them: judge it, then peer_framing_enter_body().
 */
gsize peer_framing_follow (PeerFraming *self, const uint8_t *bytes, gsize count, bool *is_header);

/* Whether the complete header begins as a D-Bus message does. */
bool peer_framing_is_dbus (const PeerFraming *self);

/* The length of the message whose header is complete, header included. */
uint64_t peer_framing_get_bytes (const PeerFraming *self);

/* Go on with what follows the complete header. */
void peer_framing_enter_body (PeerFraming *self);
