/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * settings-file - the syntax of a configuration file: which line sets which key
 *
 * One section, [clockferry], that may be repeated; KEY=VALUE lines, one line each; lines that begin
 * with # are comments. This is the syntax of GKeyFile, read here because that tells no line.
 */

#include <glib.h>

/* One line that sets a key. */
typedef struct {
  char *key;
  char *value; /* without the white space around it */
  char *path;  /* of the file */
  guint line;  /* counted from 1 */
} SettingsAssignment;

void settings_assignment_free (SettingsAssignment *assignment);

/*
 * Add what the file @path sets to @assignments (of SettingsAssignment), in order, whether there are
 * such keys or not. FALSE with a GFileError that names @path where it cannot be read, or with
 * CLOCKFERRY_ERROR_INVALID_SETTING, "FILE:LINE: ", where it is not in this syntax.
 */
gboolean settings_file_read (const char *path, GPtrArray *assignments, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
