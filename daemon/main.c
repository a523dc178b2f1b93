/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clockferryd - hands the clocks of virtual machines over on live migration
 */

#include <glib-unix.h>
#include <glib/gi18n.h>
#include <locale.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "build-config.h"
#include "identity.h"
#include "log-writer.h"
#include "manager.h"
#include "settings.h"

typedef struct {
  GMainLoop *loop;
  int exit_status;
} Run;

static gboolean
on_terminate (gpointer user_data)
{
  Run *run = user_data;

  g_main_loop_quit (run->loop);
  return G_SOURCE_REMOVE;
}

static void
on_bus_closed (GDBusConnection *bus, gboolean vanished, GError *error, gpointer user_data)
{
  Run *run = user_data;

  g_warning ("the system bus closed the connection: %s",
             error != NULL ? error->message : "no reason given");
  run->exit_status = EXIT_FAILURE;
  g_main_loop_quit (run->loop);
}

static gboolean
on_reload (gpointer manager)
{
  g_autoptr (GError) error = NULL;

  sd_notifyf (0, "RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT, g_get_monotonic_time ());
  /* the journal was told */
  if (!manager_reload (manager, &error))
    g_debug ("%s", error->message);
  sd_notify (0, "READY=1");
  return G_SOURCE_CONTINUE;
}

static gboolean
run_daemon (const char *config_path, const char *state_dir, Run *run, GError **error)
{
  g_autoptr (Settings) settings = settings_load (config_path, error);
  g_autoptr (GTlsCertificate) identity = NULL;
  g_autoptr (GDBusConnection) bus = NULL;
  g_autoptr (Manager) manager = NULL;

  if (settings == NULL)
    return FALSE;
  identity = settings->certificate_authority != NULL
               ? identity_load_files (settings->certificate, settings->private_key, error)
               : identity_load (state_dir, error);
  if (identity == NULL)
    return FALSE;
  bus = g_bus_get_sync (G_BUS_TYPE_SYSTEM, NULL, error);
  if (bus == NULL) {
    g_prefix_error (error, "cannot connect to the system bus: ");
    return FALSE;
  }
  g_dbus_connection_set_exit_on_close (bus, FALSE);
  g_signal_connect (bus, "closed", G_CALLBACK (on_bus_closed), run);

  manager = manager_new (bus, settings, identity, error);
  if (manager == NULL)
    return FALSE;

  g_unix_signal_add (SIGHUP, on_reload, manager);
  g_unix_signal_add (SIGTERM, on_terminate, run);
  g_unix_signal_add (SIGINT, on_terminate, run);
  sd_notify (0, "READY=1");
  g_main_loop_run (run->loop);
  sd_notify (0, "STOPPING=1");
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autofree char *config_path = NULL;
  g_autofree char *state_dir = NULL;
  gboolean show_version = FALSE;
  const GOptionEntry entries[] = {
    { "config", 'c', 0, G_OPTION_ARG_FILENAME, &config_path, N_ ("Read this file"), N_ ("FILE") },
    { "state-dir", 's', 0, G_OPTION_ARG_FILENAME, &state_dir, N_ ("Keep key and certificate here"),
      N_ ("FOLDER") },
    { "version", 'V', 0, G_OPTION_ARG_NONE, &show_version, N_ ("Print the version and exit"),
      NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = NULL;
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GError) error = NULL;
  Run run = { .loop = loop, .exit_status = EXIT_SUCCESS };

  /* NOLINTBEGIN(concurrency-mt-unsafe): there is no other thread yet */
  /* GIO shakes hands in the threads of a pool, and each would keep an arena of its own */
  (void) mallopt (M_ARENA_MAX, 1);
  setlocale (LC_ALL, "");
  /* NOLINTEND(concurrency-mt-unsafe) */
  bindtextdomain (CLOCKFERRY_TEXT_DOMAIN, CLOCKFERRY_LOCALE_DIR);
  bind_textdomain_codeset (CLOCKFERRY_TEXT_DOMAIN, "UTF-8");
  textdomain (CLOCKFERRY_TEXT_DOMAIN);
  context = g_option_context_new (_ ("- hand over guests' clocks"));
  g_option_context_add_main_entries (context, entries, CLOCKFERRY_TEXT_DOMAIN);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc > 1) {
    fprintf (stderr, _ ("clockferryd: %s; see clockferryd --help\n"),
             error != NULL ? error->message : _ ("it takes options only"));
    return 2;
  }
  if (show_version) {
    printf ("clockferryd %s\n", CLOCKFERRY_VERSION);
    return EXIT_SUCCESS;
  }

  /* the journal's entries are an interface: no decimal comma, and no translated reason of a library */
  setlocale (LC_ALL, "C.UTF-8"); /* NOLINT(concurrency-mt-unsafe): still none */
  log_writer_install ();
  if (!run_daemon (config_path != NULL ? config_path : CLOCKFERRY_CONFIG_FILE,
                   state_dir != NULL ? state_dir : CLOCKFERRY_STATE_DIR, &run, &error)) {
    g_warning ("%s", error->message);
    return EXIT_FAILURE;
  }
  return run.exit_status;
}
