/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file-replace.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "ctl-error.h"

static gboolean
write_all (int fd, const char *data, gsize size)
{
  while (size > 0) {
    gssize count = write (fd, data, size);

    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return FALSE;
    data += count;
    size -= (gsize) count;
  }
  return TRUE;
}

/* Fill the file behind @fd, and close it. */
static gboolean
fill (int fd, const void *data, gsize size)
{
  gboolean is_written = write_all (fd, data, size) && fsync (fd) == 0;
  int failed_errno = errno;

  if (close (fd) != 0 && is_written)
    return FALSE;
  errno = failed_errno;
  return is_written;
}

/* public functions */

gboolean
file_replace (const char *path, const void *data, gsize size, int mode, GError **error)
{
  g_autofree char *new_path = g_strconcat (path, ".XXXXXX", NULL);
  int fd = g_mkstemp_full (new_path, O_WRONLY | O_CLOEXEC, mode);
  gboolean is_done = fd >= 0 && fill (fd, data, size) && g_rename (new_path, path) == 0;
  int failed_errno = errno;

  if (is_done)
    return TRUE;
  if (fd >= 0)
    g_unlink (new_path);
  g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
               _ ("cannot write %s: %s; see that its folder is there, writable and not full"), path,
               g_strerror (failed_errno));
  return FALSE;
}
