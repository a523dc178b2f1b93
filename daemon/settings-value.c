/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings-value.h"

#include <string.h>

#include "settings.h"

/* Of host names, of addresses, and of patterns for them. */
#define PEER_CHARACTERS G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-._:*?"

/* strings */

static void
set_string (char **string, const char *value)
{
  g_free (*string);
  *string = g_strdup (value);
}

static char *
format_string (gconstpointer field)
{
  return g_strdup (*(char *const *) field);
}

static void
clear_string (gpointer field)
{
  g_clear_pointer ((char **) field, g_free);
}

static gboolean
parse_host_name (gpointer field, const char *value)
{
  if (*value == '\0' || strpbrk (value, " \t<>&'\"/") != NULL)
    return FALSE;
  set_string (field, value);
  return TRUE;
}

static gboolean
parse_ip_address (gpointer field, const char *value)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (value);

  return address != NULL && parse_host_name (field, value);
}

static gboolean
parse_path (gpointer field, const char *value)
{
  if (!g_path_is_absolute (value))
    return FALSE;
  set_string (field, value);
  return TRUE;
}

/* lists */

static gboolean
parse_patterns (gpointer field, const char *value)
{
  g_auto (GStrv) words = g_strsplit_set (value, " \t,", -1);
  g_autoptr (GStrvBuilder) patterns = g_strv_builder_new ();
  gboolean is_empty = TRUE;

  for (guint i = 0; words[i] != NULL; i++) {
    if (words[i][0] == '\0')
      continue;
    if (words[i][strspn (words[i], PEER_CHARACTERS)] != '\0')
      return FALSE;
    g_strv_builder_add (patterns, words[i]);
    is_empty = FALSE;
  }
  /* nobody, or anybody? */
  if (is_empty)
    return FALSE;
  g_strfreev (*(GStrv *) field);
  *(GStrv *) field = g_strv_builder_end (patterns);
  return TRUE;
}

static char *
format_patterns (gconstpointer field)
{
  const GStrv *patterns = field;

  return *patterns != NULL ? g_strjoinv (" ", *patterns) : NULL;
}

static void
clear_patterns (gpointer field)
{
  g_clear_pointer ((GStrv *) field, g_strfreev);
}

/* numbers */

static gboolean
parse_port (gpointer field, const char *value)
{
  guint64 port = 0;

  if (!g_ascii_string_to_unsigned (value, 10, 1, G_MAXUINT16, &port, NULL))
    return FALSE;
  *(guint16 *) field = (guint16) port;
  return TRUE;
}

static char *
format_port (gconstpointer field)
{
  return g_strdup_printf ("%u", (guint) * (const guint16 *) field);
}

static gboolean
parse_advance (gpointer field, const char *value)
{
  guint64 seconds = 0;

  if (!g_ascii_string_to_unsigned (value, 10, 1, SETTINGS_MAX_ADVANCE_LIMIT_S, &seconds, NULL))
    return FALSE;
  *(guint *) field = (guint) seconds;
  return TRUE;
}

static char *
format_advance (gconstpointer field)
{
  return g_strdup_printf ("%u", *(const guint *) field);
}

/* words */

static gboolean
parse_host_clock (gpointer field, const char *value)
{
  return host_clock_mode_parse (value, field);
}

static char *
format_host_clock (gconstpointer field)
{
  return g_strdup (host_clock_mode_name (*(const HostClockMode *) field));
}

static gboolean
parse_mode (gpointer field, const char *value)
{
  return settings_mode_parse (value, field);
}

static char *
format_mode (gconstpointer field)
{
  return g_strdup (settings_mode_name (*(const SettingsMode *) field));
}

const SettingKind setting_kind_host_name = { parse_host_name, format_string, clear_string };
const SettingKind setting_kind_ip_address = { parse_ip_address, format_string, clear_string };
const SettingKind setting_kind_path = { parse_path, format_string, clear_string };
const SettingKind setting_kind_patterns = { parse_patterns, format_patterns, clear_patterns };
const SettingKind setting_kind_port = { parse_port, format_port, NULL };
const SettingKind setting_kind_advance = { parse_advance, format_advance, NULL };
const SettingKind setting_kind_host_clock = { parse_host_clock, format_host_clock, NULL };
const SettingKind setting_kind_mode = { parse_mode, format_mode, NULL };
