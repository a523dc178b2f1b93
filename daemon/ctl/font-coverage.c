/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "font-coverage.h"

#include <gio/gio.h>
#include <glib/gi18n.h>

#include "ctl-error.h"

/* fontconfig's; what draws uses the same fonts. */
#define PROGRAM "fc-list"

/* European letters and the signs of mathematics: every font that a picture is drawn with has them. */
static gboolean
is_common (gunichar c)
{
  return c < 0x0590 || (c >= 0x2000 && c < 0x2300);
}

/* Those of @text that are not, each once. */
static GArray *
list_uncommon (const char *text)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  GArray *letters = g_array_new (FALSE, FALSE, sizeof (gunichar));

  for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (!is_common (c) && g_hash_table_add (seen, GUINT_TO_POINTER (c)))
      g_array_append_val (letters, c);
  }
  return letters;
}

/* Whether a font has all of @count @letters; TRUE where nobody can tell. */
static gboolean
has_font (const gunichar *letters, guint count)
{
  g_autoptr (GString) pattern = g_string_new (":charset=");
  g_autoptr (GSubprocess) process = NULL;
  g_autofree char *fonts = NULL;

  for (guint i = 0; i < count; i++)
    g_string_append_printf (pattern, "%s%x", i > 0 ? " " : "", letters[i]);
  process = g_subprocess_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE,
                              NULL, PROGRAM, pattern->str, "family", NULL);
  if (process == NULL || !g_subprocess_communicate_utf8 (process, NULL, NULL, &fonts, NULL, NULL) ||
      !g_subprocess_get_successful (process))
    return TRUE;
  return *g_strstrip (fonts) != '\0';
}

/* public functions */

gboolean
font_coverage_check (const char *text, GError **error)
{
  g_autoptr (GArray) letters = list_uncommon (text);
  const gunichar *data = (const gunichar *) (gpointer) letters->data;

  /* one font mostly has them all; else each may have its own */
  if (letters->len == 0 || has_font (data, letters->len))
    return TRUE;
  for (guint i = 0; i < letters->len; i++) {
    char letter[7] = { 0 };

    if (has_font (&data[i], 1))
      continue;
    g_unichar_to_utf8 (data[i], letter);
    g_set_error (
      error, CTL_ERROR, CTL_ERROR_FAILED,
      _ ("no font of this host has “%s”: install one (fonts-noto, fonts-noto-cjk), or let "
         "the name of the picture end in .svg"),
      letter);
    return FALSE;
  }
  return TRUE;
}
