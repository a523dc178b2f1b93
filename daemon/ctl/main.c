/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clockferryctl - what clockferry does on this host, for its operator
 */

#include <errno.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>

#include "build-config.h"
#include "command.h"

int
main (int argc, char **argv)
{
  int status;

  setlocale (LC_ALL, "");
  /* figures as the journal and JSON have them: a decimal point */
  setlocale (LC_NUMERIC, "C");
  bindtextdomain (CLOCKFERRY_TEXT_DOMAIN, CLOCKFERRY_LOCALE_DIR);
  bind_textdomain_codeset (CLOCKFERRY_TEXT_DOMAIN, "UTF-8");
  textdomain (CLOCKFERRY_TEXT_DOMAIN);

  /* who ends a pipe early, "| head", is no error; GLib ignores the signal from its first socket on */
  g_type_class_ref (G_TYPE_SOCKET);
  signal (SIGPIPE, SIG_DFL);

  status = command_main (argc, argv);

  /* half an answer must not pass for one */
  if (ferror (stdout) || fclose (stdout) != 0) {
    g_printerr (_ ("clockferryctl: cannot write to standard output: %s\n"), g_strerror (errno));
    return CTL_EXIT_FAILURE;
  }
  return status;
}
