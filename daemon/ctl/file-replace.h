/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * file-replace - writing a file that others read, never half of it
 */

#include <glib.h>

/*
 * Put @size bytes at @data in place of the file @path, or of none: readers find all of the old file or
 * all of the new. @mode is that of a new file, less the umask. CTL_ERROR_FAILED names the file.
 */
gboolean file_replace (const char *path, const void *data, gsize size, int mode, GError **error);
