/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-uuid.h"

void
domain_uuid_parse (const char *text, guint8 bytes[DOMAIN_UUID_BYTES])
{
  const char *digit = text;

  for (gsize i = 0; i < DOMAIN_UUID_BYTES; i++) {
    if (*digit == '-')
      digit++;
    bytes[i] = (guint8) (g_ascii_xdigit_value (digit[0]) << 4 | g_ascii_xdigit_value (digit[1]));
    digit += 2;
  }
}
