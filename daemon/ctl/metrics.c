/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n.h>
#include <string.h>
#include <sys/stat.h>

#include "bus-client.h"
#include "commands.h"
#include "ctl-error.h"
#include "file-replace.h"
#include "metric-family.h"
#include "migration-history.h"
#include "migration-metrics.h"
#include "output.h"

#define NAME      "metrics"
#define NS_PER_US 1000

/* of the daemon */

/* A gauge without labels; returns it. */
static MetricFamily *
add_gauge (GPtrArray *families, const char *name, const char *help, guint64 value)
{
  MetricFamily *family = metric_family_new (name, METRIC_GAUGE, NULL, help);

  metric_family_add_count (family, "", value, NULL);
  g_ptr_array_add (families, family);
  return family;
}

static void
add_version (GPtrArray *families, BusManager *manager)
{
  MetricFamily *family = metric_family_new ("clockferry_daemon_info", METRIC_GAUGE, NULL,
                                            "1, with the version of clockferryd.");

  metric_family_add_count (family, "", 1, "version", bus_manager_get_version (manager), NULL);
  g_ptr_array_add (families, family);
}

static void
add_clock (GPtrArray *families, BusManager *manager)
{
  MetricFamily *family =
    metric_family_new ("clockferry_host_clock_max_error_seconds", METRIC_GAUGE, "seconds",
                       "The kernel's own estimate of how far CLOCK_REALTIME may be off.");
  gint64 error_us = (gint64) MIN (bus_manager_get_clock_max_error_us (manager), G_MAXINT32);
  g_autofree char *error = metric_format_seconds (error_us * NS_PER_US);

  add_gauge (families, "clockferry_host_clock_synchronised",
             "Whether the kernel calls CLOCK_REALTIME synchronised.",
             bus_manager_get_clock_synchronised (manager) ? 1 : 0);
  metric_family_add (family, "", error, NULL);
  g_ptr_array_add (families, family);
}

static void
add_domains (GPtrArray *families, const BusClient *client)
{
  g_autoptr (GPtrArray) domains = bus_client_list_domains (client);
  guint emulated = 0, ready = 0, without_helper = 0, ignored_policy = 0;
  MetricFamily *family =
    metric_family_new ("clockferry_domains", METRIC_GAUGE, NULL,
                       "Domains that run here, by whether their clocks would be handed over.");

  for (guint i = 0; i < domains->len; i++) {
    BusDomain *domain = g_ptr_array_index (domains, i);
    gboolean is_emulated = bus_domain_get_emulated (domain);

    emulated += is_emulated ? 1 : 0;
    ready += bus_domain_get_ready (domain) ? 1 : 0;
    without_helper += !is_emulated && !bus_domain_get_helper_connected (domain) ? 1 : 0;
    ignored_policy += *bus_domain_get_policy_problem (domain) != '\0' ? 1 : 0;
  }
  metric_family_add_count (family, "", ready, "state", "ready", NULL);
  metric_family_add_count (family, "", domains->len - ready - emulated, "state", "not-ready", NULL);
  metric_family_add_count (family, "", emulated, "state", "emulated", NULL);
  g_ptr_array_add (families, family);
  add_gauge (families, "clockferry_domains_without_helper",
             "Domains of type kvm whose QEMU has no helper that the daemon is connected to.",
             without_helper);
  add_gauge (families, "clockferry_domains_with_ignored_policy",
             "Domains whose own clock policy is not valid.", ignored_policy);
}

static void
add_in_flight (GPtrArray *families, const BusClient *client)
{
  g_autoptr (GPtrArray) migrations = bus_client_list_migrations (client);
  guint arriving = 0, leaving = 0;
  MetricFamily *family = metric_family_new ("clockferry_migrations_in_flight", METRIC_GAUGE, NULL,
                                            "Migrations that have not ended yet.");

  for (guint i = 0; i < migrations->len; i++) {
    BusMigration *migration = g_ptr_array_index (migrations, i);

    if (bus_migration_get_ended (migration))
      continue;
    if (g_strcmp0 (bus_migration_get_direction (migration), "arriving") == 0)
      arriving++;
    else
      leaving++;
  }
  metric_family_add_count (family, "", arriving, "direction", "arriving", NULL);
  metric_family_add_count (family, "", leaving, "direction", "leaving", NULL);
  g_ptr_array_add (families, family);
}

/* That the daemon does not run is a figure, and no error. */
static gboolean
add_daemon (GPtrArray *families, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autoptr (BusClient) client = bus_client_new (&cause);
  BusManager *manager;

  if (client == NULL && !g_error_matches (cause, CTL_ERROR, CTL_ERROR_NOT_RUNNING)) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return FALSE;
  }
  add_gauge (families, "clockferry_up", "Whether clockferryd runs.", client != NULL ? 1 : 0);
  if (client == NULL)
    return TRUE;
  manager = bus_client_get_manager (client);
  add_version (families, manager);
  add_gauge (families, "clockferry_libvirt_connected", "Whether clockferryd follows libvirt.",
             bus_manager_get_libvirt_connected (manager) ? 1 : 0);
  add_clock (families, manager);
  add_domains (families, client);
  add_in_flight (families, client);
  return TRUE;
}

/* of the journal */

static gboolean
add_migrations (GPtrArray *families, const char *journal_path, GError **error)
{
  /* every end: what was counted once stays counted */
  const HistoryQuery query = { .is_last_boot = TRUE, .is_every_end = TRUE };
  g_autoptr (sd_journal) journal = journal_open (journal_path, error);
  g_autoptr (GPtrArray) records = journal != NULL ? migration_history_read (journal, &query, error)
                                                  : NULL;

  if (records == NULL)
    return FALSE;
  migration_metrics_add (families, records, migration_history_get_boot_begin (journal));
  return TRUE;
}

/* output */

static gboolean
put_out (const CtlContext *context, const GPtrArray *families, const char *path, GError **error)
{
  g_autofree char *text = metric_families_format (families);

  if (path != NULL) {
    umask (022); /* whoever reads it is another user */
    return file_replace (path, text, strlen (text), 0644, error);
  }
  if (context->is_json)
    output_json (metric_families_to_json (families));
  else
    g_print ("%s", text);
  return TRUE;
}

static void
family_free (gpointer data)
{
  metric_family_free (data);
}

/* public functions */

int
metrics_run (const CtlContext *context, int argc, char **argv)
{
  g_autofree char *output_path = NULL;
  g_autofree char *journal_path = NULL;
  const GOptionEntry entries[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output_path,
      N_ ("Write to this file, for node_exporter's textfile collector"), N_ ("FILE") },
    { "journal", 'j', 0, G_OPTION_ARG_FILENAME, &journal_path,
      N_ ("Read this journal: a file, or a folder of files"), N_ ("PATH") },
    { NULL },
  };
  g_autoptr (GPtrArray) families = g_ptr_array_new_with_free_func (family_free);
  g_autoptr (GError) error = NULL;

  if (!command_parse (NAME, NULL, entries, &argc, &argv, 0, 0))
    return CTL_EXIT_USAGE;
  if (output_path != NULL && context->is_json)
    return command_fail (NAME, CTL_EXIT_USAGE,
                         _ ("--output writes no JSON: leave out --json or --output"));
  if (!add_daemon (families, &error) || !add_migrations (families, journal_path, &error) ||
      !put_out (context, families, output_path, &error))
    return ctl_error_report (NAME, error);
  return CTL_EXIT_OK;
}
