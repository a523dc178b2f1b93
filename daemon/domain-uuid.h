/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * domain-uuid - a domain's UUID between its text form and the 16 bytes of the helper's messages
 */

#include <glib.h>

#define DOMAIN_UUID_BYTES 16

/* @text must be valid (g_uuid_string_is_valid); the bytes are in the order of the text. */
void domain_uuid_parse (const char *text, guint8 bytes[DOMAIN_UUID_BYTES]);
