/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * temp-folder - a folder of a test's own, and files in it
 */

#include <glib.h>

/* A fresh folder; remove it, with all that is in it, with temp_folder_remove(). */
char *temp_folder_make (void);
void temp_folder_remove (char *folder);

typedef char TempFolder;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TempFolder, temp_folder_remove)

/* Write @text into the file @name, which may be in sub-folders that do not exist yet. Returns its
 * path. */
char *temp_folder_write (const char *folder, const char *name, const char *text);
