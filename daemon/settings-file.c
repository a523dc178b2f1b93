/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings-file.h"

#include <string.h>

#include "error.h"

#define SETTINGS_SECTION "[clockferry]"

typedef struct {
  const char *path;
  guint line; /* the one that is read */
  gboolean is_in_section;
  GPtrArray *assignments;
} Reading;

static void set_line_error (GError **error, const Reading *reading, const char *format, ...)
  G_GNUC_PRINTF (3, 4);

static void
set_line_error (GError **error, const Reading *reading, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list arguments;

  va_start (arguments, format);
  message = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING, "%s:%u: %s",
               reading->path, reading->line, message);
}

static gboolean
read_section (Reading *reading, const char *text, GError **error)
{
  if (text[strlen (text) - 1] != ']') {
    set_line_error (error, reading, "\"%s\" lacks the ] of a section", text);
    return FALSE;
  }
  if (!g_str_equal (text, SETTINGS_SECTION)) {
    set_line_error (error, reading, "there is no section %s, only " SETTINGS_SECTION, text);
    return FALSE;
  }
  reading->is_in_section = TRUE;
  return TRUE;
}

static gboolean
read_assignment (Reading *reading, const char *text, GError **error)
{
  const char *equals = strchr (text, '=');
  SettingsAssignment *assignment;

  if (equals == NULL || equals == text) {
    set_line_error (error, reading, "\"%s\" is no comment, section or KEY=VALUE", text);
    return FALSE;
  }
  if (!reading->is_in_section) {
    set_line_error (error, reading, "\"%s\" comes before the section " SETTINGS_SECTION, text);
    return FALSE;
  }
  assignment = g_new0 (SettingsAssignment, 1);
  assignment->key = g_strchomp (g_strndup (text, (gsize) (equals - text)));
  assignment->value = g_strchug (g_strdup (equals + 1));
  assignment->path = g_strdup (reading->path);
  assignment->line = reading->line;
  g_ptr_array_add (reading->assignments, assignment);
  return TRUE;
}

/* @text: stripped. */
static gboolean
read_line (Reading *reading, const char *text, GError **error)
{
  if (text[0] == '\0' || text[0] == '#')
    return TRUE;
  /* the journal and the bus want UTF-8 of whatever will quote it */
  if (!g_utf8_validate (text, -1, NULL)) {
    set_line_error (error, reading, "the line is not UTF-8");
    return FALSE;
  }
  return text[0] == '[' ? read_section (reading, text, error)
                        : read_assignment (reading, text, error);
}

/* public functions */

void
settings_assignment_free (SettingsAssignment *assignment)
{
  g_free (assignment->key);
  g_free (assignment->value);
  g_free (assignment->path);
  g_free (assignment);
}

gboolean
settings_file_read (const char *path, GPtrArray *assignments, GError **error)
{
  Reading reading = { .path = path, .assignments = assignments };
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  gsize length = 0;

  if (!g_file_get_contents (path, &text, &length, error))
    return FALSE;
  if (strlen (text) != length) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING,
                 "%s: not a text file: it has a zero byte", path);
    return FALSE;
  }
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++) {
    reading.line = i + 1;
    if (!read_line (&reading, g_strstrip (lines[i]), error))
      return FALSE;
  }
  return TRUE;
}
