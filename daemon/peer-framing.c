/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-framing.h"

#include <string.h>

#define HEADER_BODY_LENGTH     4
#define HEADER_FIELDS_LENGTH   12
#define HEADER_ALIGNMENT_BYTES 8

static uint32_t
header_read_u32 (const PeerFraming *self, gsize offset)
{
  uint32_t value;

  memcpy (&value, self->header + offset, sizeof (value));
  return self->header[0] == 'l' ? GUINT32_FROM_LE (value) : GUINT32_FROM_BE (value);
}

/* public functions */

gsize
peer_framing_follow (PeerFraming *self, const uint8_t *bytes, gsize count, bool *is_header)
{
  gsize step;

  if (self->body_bytes > 0) {
    step = (gsize) MIN (self->body_bytes, count);
    self->body_bytes -= step;
    *is_header = false;
    return step;
  }
  step = MIN (PEER_FRAMING_HEADER_BYTES - self->header_bytes, count);
  memcpy (self->header + self->header_bytes, bytes, step);
  self->header_bytes += step;
  *is_header = self->header_bytes == PEER_FRAMING_HEADER_BYTES;
  return step;
}

bool
peer_framing_is_dbus (const PeerFraming *self)
{
  return self->header[0] == 'l' || self->header[0] == 'B';
}

uint64_t
peer_framing_get_bytes (const PeerFraming *self)
{
  uint64_t fields_bytes = header_read_u32 (self, HEADER_FIELDS_LENGTH);

  fields_bytes = (fields_bytes + HEADER_ALIGNMENT_BYTES - 1) &
                 ~(uint64_t) (HEADER_ALIGNMENT_BYTES - 1);
  return PEER_FRAMING_HEADER_BYTES + fields_bytes + header_read_u32 (self, HEADER_BODY_LENGTH);
}

void
peer_framing_enter_body (PeerFraming *self)
{
  self->body_bytes = peer_framing_get_bytes (self) - PEER_FRAMING_HEADER_BYTES;
  self->header_bytes = 0;
}
