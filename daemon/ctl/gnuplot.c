/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gnuplot.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ctl-error.h"

#define PROGRAM "gnuplot"
#define PACKAGE "gnuplot-nox"

/* @text as a file to read from, in memory: a pipe could fill up while gnuplot waits for its own to be
 * read. -1 with errno on failure. */
static int
open_text (const char *text)
{
  int fd = memfd_create (PROGRAM, MFD_CLOEXEC);
  gsize size = strlen (text);

  if (fd >= 0 && (write (fd, text, size) != (gssize) size || lseek (fd, 0, SEEK_SET) != 0)) {
    close (fd);
    return -1;
  }
  return fd;
}

static GSubprocess *
start (const char *script, GError **error)
{
  g_autoptr (GSubprocessLauncher) launcher =
    g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) cause = NULL;
  int fd = open_text (script);

  if (fd < 0) {
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED, _ ("cannot hand the data to %s: %s"), PROGRAM,
                 g_strerror (errno));
    return NULL;
  }
  g_subprocess_launcher_take_stdin_fd (launcher, fd);
  /* not what the user's own start-up file says */
  process = g_subprocess_launcher_spawn (launcher, &cause, PROGRAM, "--default-settings", NULL);
  if (process != NULL)
    return g_steal_pointer (&process);
  if (g_error_matches (cause, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT))
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("%s is not installed, which draws: install the package %s"), PROGRAM, PACKAGE);
  else
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED, _ ("cannot start %s: %s"), PROGRAM,
                 cause->message);
  return NULL;
}

/* The last line, which is the one that says what was wrong. */
static char *
get_complaint (GBytes *said)
{
  g_autofree char *text = g_strndup (g_bytes_get_data (said, NULL), g_bytes_get_size (said));
  char *line = strrchr (g_strstrip (text), '\n');

  return g_strdup (line != NULL ? line + 1 : text);
}

/* public functions */

GBytes *
gnuplot_draw (const char *script, GError **error)
{
  g_autoptr (GSubprocess) process = start (script, error);
  g_autoptr (GBytes) picture = NULL;
  g_autoptr (GBytes) said = NULL;
  g_autoptr (GError) cause = NULL;
  g_autofree char *complaint = NULL;

  if (process == NULL)
    return NULL;
  if (!g_subprocess_communicate (process, NULL, NULL, &picture, &said, &cause)) {
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED, _ ("cannot read from %s: %s"), PROGRAM,
                 cause->message);
    return NULL;
  }
  if (g_subprocess_get_successful (process) && g_bytes_get_size (picture) > 0)
    return g_steal_pointer (&picture);
  complaint = get_complaint (said);
  g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED, _ ("%s could not draw: %s"), PROGRAM, complaint);
  return NULL;
}
