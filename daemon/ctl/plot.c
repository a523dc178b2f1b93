/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n.h>

#include "commands.h"
#include "ctl-error.h"
#include "file-replace.h"
#include "font-coverage.h"
#include "gnuplot.h"
#include "migration-history.h"
#include "output.h"
#include "plot-script.h"
#include "time-option.h"

#define NAME "plot"

typedef struct {
  gboolean is_history;
  char *domain;
  char *since;
  char *until;
  char *journal;
  char *output;
} PlotOptions;

static void
plot_options_clear (PlotOptions *options)
{
  g_free (options->domain);
  g_free (options->since);
  g_free (options->until);
  g_free (options->journal);
  g_free (options->output);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (PlotOptions, plot_options_clear)

/* What is to be drawn, and where to. */
typedef struct {
  PlotFormat format;
  char *script;
  char *path;
  guint migrations;
} Picture;

static void
picture_clear (Picture *picture)
{
  g_free (picture->script);
  g_free (picture->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Picture, picture_clear)

/* options */

static gboolean
find_format (const char *path, PlotFormat *format, GError **error)
{
  g_autofree char *lower = g_ascii_strdown (path, -1);

  if (g_str_has_suffix (lower, ".svg")) {
    *format = PLOT_SVG;
    return TRUE;
  }
  if (g_str_has_suffix (lower, ".png")) {
    *format = PLOT_PNG;
    return TRUE;
  }
  g_set_error (error, CTL_ERROR, CTL_ERROR_INVALID,
               _ ("--output %s: the name has to end in .svg or .png"), path);
  return FALSE;
}

/* One migration, or a history that may be narrowed. */
static gboolean
check_form (const PlotOptions *options, int operands, GError **error)
{
  gboolean is_narrowed = options->domain != NULL || options->since != NULL ||
                         options->until != NULL;

  if (options->is_history ? operands == 0 : operands == 1 && !is_narrowed)
    return TRUE;
  g_set_error (error, CTL_ERROR, CTL_ERROR_INVALID,
               _ ("its form is: clockferryctl plot ID|last, or clockferryctl plot --history with "
                  "--domain, --since or --until"));
  return FALSE;
}

/* reading and drawing */

/* The one that arrived tells of its clocks, where both ends are in the journal. */
static const MigrationRecord *
choose_record (const GPtrArray *records)
{
  for (guint i = 0; i < records->len; i++) {
    const MigrationRecord *record = g_ptr_array_index (records, i);

    if (record->is_arriving)
      return record;
  }
  return g_ptr_array_index (records, 0);
}

static gboolean
plan_migration (sd_journal *journal, const char *id, Picture *picture, GError **error)
{
  g_autoptr (GPtrArray) records = migration_history_find (journal, id, error);
  const MigrationRecord *record;

  if (records == NULL)
    return FALSE;
  record = choose_record (records);
  picture->migrations = 1;
  picture->script = plot_script_migration (record, picture->format, error);
  if (picture->path == NULL)
    picture->path = g_strdup_printf ("clockferry-%.*s.svg", MIGRATION_ID_SHOWN, record->id);
  return picture->script != NULL;
}

static gboolean
plan_history (sd_journal *journal, const PlotOptions *options, Picture *picture, GError **error)
{
  HistoryQuery query = { .domain = options->domain };
  g_autoptr (GPtrArray) records = NULL;

  if (!time_option_parse_range (options->since, options->until, &query.since_us, &query.until_us,
                                error))
    return FALSE;
  records = migration_history_read (journal, &query, error);
  if (records == NULL)
    return FALSE;
  if (records->len == 0 && options->domain != NULL &&
      !migration_history_knows_domain (journal, options->domain)) {
    g_set_error (error, CTL_ERROR, CTL_ERROR_NOT_FOUND,
                 _ ("no domain “%s” is in the journal; clockferryctl history names them"),
                 options->domain);
    return FALSE;
  }
  picture->script = plot_script_history (records, picture->format, &picture->migrations, error);
  if (picture->path == NULL)
    picture->path = g_strdup ("clockferry-history.svg");
  return picture->script != NULL;
}

static gboolean
plan (const PlotOptions *options, const char *id, Picture *picture, GError **error)
{
  g_autoptr (sd_journal) journal = NULL;

  picture->path = g_strdup (options->output);
  if (picture->path != NULL && !find_format (picture->path, &picture->format, error))
    return FALSE;
  journal = journal_open (options->journal, error);
  if (journal == NULL)
    return FALSE;
  return options->is_history ? plan_history (journal, options, picture, error)
                             : plan_migration (journal, id, picture, error);
}

static gboolean
draw (const Picture *picture, GError **error)
{
  g_autoptr (GBytes) drawing = NULL;

  if (picture->format == PLOT_PNG && !font_coverage_check (picture->script, error))
    return FALSE;
  drawing = gnuplot_draw (picture->script, error);
  return drawing != NULL && file_replace (picture->path, g_bytes_get_data (drawing, NULL),
                                          g_bytes_get_size (drawing), 0666, error);
}

static void
print_result (const CtlContext *context, const Picture *picture)
{
  g_autoptr (JsonBuilder) builder = NULL;

  if (!context->is_json) {
    /* TRANSLATORS: the name of a file */
    g_print (_ ("Drawn: %s\n"), picture->path);
    return;
  }
  builder = json_builder_new ();
  json_builder_begin_object (builder);
  output_json_text (builder, "file", picture->path);
  output_json_number (builder, "migrations", TRUE, picture->migrations);
  json_builder_end_object (builder);
  output_json (json_builder_get_root (builder));
}

/* public functions */

int
plot_run (const CtlContext *context, int argc, char **argv)
{
  g_auto (PlotOptions) options = { 0 };
  g_auto (Picture) picture = { .format = PLOT_SVG };
  const GOptionEntry entries[] = {
    { "history", 'H', 0, G_OPTION_ARG_NONE, &options.is_history,
      N_ ("Draw all migrations to this host over time"), NULL },
    { "domain", 'd', 0, G_OPTION_ARG_STRING, &options.domain,
      N_ ("Of this domain only, with --history"), N_ ("NAME|UUID") },
    { "since", 'S', 0, G_OPTION_ARG_STRING, &options.since,
      N_ ("From then on: \"2026-11-23 05:09\", today, yesterday, -2h"), N_ ("TIME") },
    { "until", 'U', 0, G_OPTION_ARG_STRING, &options.until, N_ ("Until then"), N_ ("TIME") },
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output,
      N_ ("Write to this file; its name ends in .svg or .png"), N_ ("FILE") },
    { "journal", 'j', 0, G_OPTION_ARG_FILENAME, &options.journal,
      N_ ("Read this journal: a file, or a folder of files"), N_ ("PATH") },
    { NULL },
  };
  g_autoptr (GError) error = NULL;

  if (!command_parse (NAME, _ ("ID|last"), entries, &argc, &argv, 0, 1))
    return CTL_EXIT_USAGE;
  if (!check_form (&options, argc - 1, &error) ||
      !plan (&options, argc > 1 ? argv[1] : NULL, &picture, &error) || !draw (&picture, &error))
    return ctl_error_report (NAME, error);
  print_result (context, &picture);
  return CTL_EXIT_OK;
}
