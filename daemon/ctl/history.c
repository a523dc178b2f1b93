/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n.h>

#include "bus-client.h"
#include "commands.h"
#include "ctl-error.h"
#include "migration-history.h"
#include "migration-json.h"
#include "migration-words.h"
#include "output.h"
#include "time-option.h"

#define NAME          "history"
#define LIMIT_DEFAULT 20

typedef struct {
  char *domain;
  char *since;
  char *until;
  char *journal;
  int limit;
} HistoryOptions;

static void
history_options_clear (HistoryOptions *options)
{
  g_free (options->domain);
  g_free (options->since);
  g_free (options->until);
  g_free (options->journal);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HistoryOptions, history_options_clear)

enum { COLUMN_RESULT = 5 };

static void
add_row (Table *table, const MigrationRecord *record)
{
  g_autofree char *time = output_time (migration_record_get_time (record));
  g_autofree char *id = g_strndup (record->id, MIGRATION_ID_SHOWN);
  g_autofree char *way = migration_words_way (record);
  g_autofree char *blackout = NULL;
  gint64 blackout_ns = 0;

  if (migration_record_get_blackout (record, &blackout_ns))
    blackout = output_duration (blackout_ns);
  table_add_row (table, time, id, migration_record_get_label (record), way, blackout,
                 migration_record_get_result (record), migration_record_get (record, "REASON"));
  table_style_cell (table, COLUMN_RESULT, migration_words_style (record));
}

static void
print_table (const CtlContext *context, const GPtrArray *records)
{
  const char *const headings[] = {
    /* TRANSLATORS: headings of a table */
    _ ("TIME"),
    _ ("ID"),
    _ ("DOMAIN"),
    /* TRANSLATORS: from or to which host */
    _ ("WAY"),
    /* TRANSLATORS: how long the guest stood still */
    _ ("BLACKOUT"),
    _ ("RESULT"),
    _ ("REASON"),
    NULL,
  };
  g_autoptr (Table) table = table_new (headings);

  for (guint i = 0; i < records->len; i++)
    add_row (table, g_ptr_array_index (records, i));
  table_print (table, context);
}

/* A domain that runs here and has not migrated yet has no history, but is no mistake. */
static gboolean
runs_here (const char *domain)
{
  g_autoptr (BusClient) client = bus_client_new (NULL);
  g_autoptr (BusDomain) found = client != NULL ? bus_client_find_domain (client, domain, NULL)
                                               : NULL;

  return found != NULL;
}

static GPtrArray *
read_history (const HistoryOptions *options, GError **error)
{
  HistoryQuery query = { .domain = options->domain, .limit = (guint) options->limit };
  g_autoptr (GPtrArray) records = NULL;
  g_autoptr (sd_journal) journal = NULL;

  if (!time_option_parse_range (options->since, options->until, &query.since_us, &query.until_us,
                                error))
    return NULL;
  journal = journal_open (options->journal, error);
  if (journal == NULL)
    return NULL;
  records = migration_history_read (journal, &query, error);
  if (records != NULL && records->len == 0 && query.domain != NULL &&
      !migration_history_knows_domain (journal, query.domain) && !runs_here (query.domain)) {
    g_set_error (error, CTL_ERROR, CTL_ERROR_NOT_FOUND,
                 _ ("no domain “%s” is known; name one by UUID or name as clockferryctl list does"),
                 query.domain);
    return NULL;
  }
  return g_steal_pointer (&records);
}

/* public functions */

int
history_run (const CtlContext *context, int argc, char **argv)
{
  g_auto (HistoryOptions) options = { .limit = LIMIT_DEFAULT };
  const GOptionEntry entries[] = {
    { "domain", 'd', 0, G_OPTION_ARG_STRING, &options.domain, N_ ("Of this domain only"),
      N_ ("NAME|UUID") },
    { "since", 'S', 0, G_OPTION_ARG_STRING, &options.since,
      N_ ("From then on: \"2026-11-23 05:09\", today, yesterday, -2h"), N_ ("TIME") },
    { "until", 'U', 0, G_OPTION_ARG_STRING, &options.until, N_ ("Until then"), N_ ("TIME") },
    { "limit", 'n', 0, G_OPTION_ARG_INT, &options.limit,
      N_ ("The newest so many, 20 unless told; 0 for all"), N_ ("NUMBER") },
    { "journal", 'j', 0, G_OPTION_ARG_FILENAME, &options.journal,
      N_ ("Read this journal: a file, or a folder of files"), N_ ("PATH") },
    { NULL },
  };
  g_autoptr (GPtrArray) records = NULL;
  g_autoptr (GError) error = NULL;

  if (!command_parse (NAME, NULL, entries, &argc, &argv, 0, 0))
    return CTL_EXIT_USAGE;
  if (options.limit < 0)
    return command_fail (NAME, CTL_EXIT_USAGE,
                         _ ("--limit %d is no number of migrations: give 1 or "
                            "more, or 0 for all"),
                         options.limit);
  records = read_history (&options, &error);
  if (records == NULL)
    return ctl_error_report (NAME, error);

  if (context->is_json)
    migration_json_print (records, migration_json_add);
  else if (records->len == 0)
    g_printerr ("%s\n", _ ("No migration found."));
  else
    print_table (context, records);
  return CTL_EXIT_OK;
}
