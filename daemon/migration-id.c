/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "migration-id.h"

#include <string.h>

char *
migration_id_make (void)
{
  g_autofree char *uuid = g_uuid_string_random ();
  g_auto (GStrv) parts = g_strsplit (uuid, "-", -1);

  return g_strjoinv ("", parts);
}

gboolean
migration_id_is_valid (const char *text)
{
  return strlen (text) == MIGRATION_ID_LENGTH &&
         strspn (text, "0123456789abcdef") == MIGRATION_ID_LENGTH;
}
