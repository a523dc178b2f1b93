/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n.h>
#include <unistd.h>

#include "commands.h"
#include "hook-file.h"
#include "output.h"
#include "systemd-unit.h"

/* What was done. */
typedef struct {
  HookPaths *paths;
  HookFileChange change;
  gboolean has_systemd; /* it runs, so that services can */
  GPtrArray *reloaded;  /* services, constants */
  gboolean daemon_runs;
  char *reload_problem;       /* NULL: what runs was reloaded */
  const char *reload_service; /* what to try by hand then, a constant */
} Outcome;

static void
outcome_clear (Outcome *outcome)
{
  g_clear_pointer (&outcome->paths, hook_paths_free);
  g_clear_pointer (&outcome->reloaded, g_ptr_array_unref);
  g_free (outcome->reload_problem);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Outcome, outcome_clear)

/* libvirt's daemon */

/* FALSE: outcome->reload_problem says why. */
static gboolean
reload_service (GDBusConnection *bus, const char *service, Outcome *outcome)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (SystemdUnit) unit = systemd_unit_read (bus, service, &error);

  if (unit != NULL && !systemd_unit_is_active (unit))
    return TRUE;
  if (unit != NULL && systemd_unit_reload (bus, service, &error)) {
    g_ptr_array_add (outcome->reloaded, (gpointer) service);
    return TRUE;
  }
  outcome->reload_problem = g_strdup (error->message);
  outcome->reload_service = service;
  return FALSE;
}

static void
reload_libvirt (Outcome *outcome)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusConnection) bus = NULL;
  g_autoptr (SystemdUnit) daemon = NULL;

  /* it does not where an image is being built (sd_booted(3)) */
  outcome->has_systemd = access ("/run/systemd/system", F_OK) == 0;
  if (!outcome->has_systemd)
    return;
  bus = g_bus_get_sync (G_BUS_TYPE_SYSTEM, NULL, &error);
  if (bus == NULL) {
    outcome->reload_service = "libvirtd";
    outcome->reload_problem = g_strdup (error->message);
    return;
  }
  g_dbus_connection_set_exit_on_close (bus, FALSE);
  for (guint i = 0; systemd_libvirt_services[i] != NULL; i++) {
    if (!reload_service (bus, systemd_libvirt_services[i], outcome))
      return;
  }
  daemon = systemd_unit_read (bus, SYSTEMD_DAEMON_SERVICE, NULL);
  outcome->daemon_runs = daemon != NULL && systemd_unit_is_active (daemon);
}

/* saying what was done */

static void
print_change (const Outcome *outcome, gboolean is_put)
{
  const char *path = outcome->paths->installed;

  switch (outcome->change) {
  case HOOK_FILE_PUT:
    g_print (_ ("The hook is in place now: %s\n"), path);
    break;
  case HOOK_FILE_REPLACED:
    g_print (_ ("The hook was there, but not as it should be, and was replaced: %s\n"), path);
    break;
  case HOOK_FILE_RELABELLED:
    g_print (_ ("The hook was in place, with a wrong SELinux label, which was set right: %s\n"),
             path);
    break;
  case HOOK_FILE_REMOVED:
    g_print (_ ("The hook was taken away: %s\n"), path);
    break;
  case HOOK_FILE_UNCHANGED:
    if (is_put)
      g_print (_ ("The hook was in place already: %s\n"), path);
    else
      g_print (_ ("There was no hook to take away: %s\n"), path);
    break;
  }
}

static void
print_outcome (const Outcome *outcome, gboolean is_put)
{
  print_change (outcome, is_put);
  for (guint i = 0; i < outcome->reloaded->len; i++)
    g_print (_ ("Reloaded, so that it looks for hooks again: %s\n"),
             (const char *) g_ptr_array_index (outcome->reloaded, i));
  if (!outcome->has_systemd)
    g_print (_ ("systemd does not run here: no service was looked at, and none reloaded.\n"));
  else if (outcome->reloaded->len == 0 && outcome->reload_problem == NULL)
    g_print (_ ("Neither virtqemud nor libvirtd runs: it looks for hooks when it is started.\n"));
  if (is_put && outcome->has_systemd && !outcome->daemon_runs)
    g_print (_ ("clockferryd does not run; start it: systemctl enable --now clockferryd\n"));
  if (!is_put && outcome->daemon_runs)
    g_print (_ ("Guests that arrive get no helper any more; those that have it keep it, and "
                "clockferryd goes on serving them. To end that as well: systemctl disable --now "
                "clockferryd\n"));
}

static void
print_json (const Outcome *outcome, gboolean is_put)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();

  json_builder_begin_object (builder);
  output_json_text (builder, "hook", outcome->paths->installed);
  output_json_bool (builder, "in_place", is_put);
  output_json_bool (builder, "changed", outcome->change != HOOK_FILE_UNCHANGED);
  json_builder_set_member_name (builder, "reloaded");
  json_builder_begin_array (builder);
  for (guint i = 0; i < outcome->reloaded->len; i++)
    json_builder_add_string_value (builder, g_ptr_array_index (outcome->reloaded, i));
  json_builder_end_array (builder);
  output_json_bool (builder, "daemon_running", outcome->daemon_runs);
  json_builder_end_object (builder);
  output_json (json_builder_get_root (builder));
}

static int
run (const CtlContext *context, gboolean is_put, int argc, char **argv)
{
  const char *name = is_put ? "enable" : "disable";
  g_autoptr (GError) error = NULL;
  g_auto (Outcome) outcome = { 0 };
  gboolean is_done;

  if (!command_parse (name, NULL, NULL, &argc, &argv, 0, 0))
    return CTL_EXIT_USAGE;
  if (geteuid () != 0)
    return command_fail (name, CTL_EXIT_FAILURE,
                         _ ("only root may change libvirt's hooks: sudo clockferryctl %s"), name);

  outcome.paths = hook_paths_new ("");
  outcome.reloaded = g_ptr_array_new ();
  is_done = is_put ? hook_file_put (outcome.paths, &outcome.change, &error)
                   : hook_file_remove (outcome.paths, &outcome.change, &error);
  if (!is_done)
    return command_fail (name, CTL_EXIT_FAILURE, "%s", error->message);
  reload_libvirt (&outcome);
  if (context->is_json)
    print_json (&outcome, is_put);
  else
    print_outcome (&outcome, is_put);
  if (outcome.reload_problem == NULL)
    return CTL_EXIT_OK;
  return command_fail (
    name, CTL_EXIT_FAILURE,
    _ ("libvirt could not be told, and may not know of it yet: %s; try systemctl "
       "reload %s"),
    outcome.reload_problem, outcome.reload_service);
}

/* public functions */

int
enable_run (const CtlContext *context, int argc, char **argv)
{
  return run (context, TRUE, argc, argv);
}

int
disable_run (const CtlContext *context, int argc, char **argv)
{
  return run (context, FALSE, argc, argv);
}
