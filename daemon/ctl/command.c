/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command.h"

#include <glib/gi18n.h>
#include <stdio.h>
#include <unistd.h>

#include "build-config.h"
#include "commands.h"

#define PROGRAM "clockferryctl"

static const Command commands[] = {
  { "status", status_run, N_ ("Show the daemon, this host and the last migration") },
  { "list", list_run, N_ ("List running domains, and whether the next migration would be fixed") },
  { "history", history_run, N_ ("List the migrations in the journal") },
  { "show", show_run, N_ ("Show all that is known of one migration") },
  { "monitor", monitor_run, N_ ("Follow migrations as they happen") },
  { "metrics", metrics_run, N_ ("Print figures for Prometheus, in OpenMetrics form") },
  { "plot", plot_run, N_ ("Draw clock errors and blackouts, of one migration or of many") },
  { "check", check_run, N_ ("Find what would keep a migration from being fixed") },
  { "enable", enable_run, N_ ("Put the hook in place, so that arriving guests get the helper") },
  { "disable", disable_run, N_ ("Take the hook away") },
  { "config", config_run, N_ ("Show the settings, and where each comes from") },
};

typedef struct {
  gboolean is_json;
  gboolean is_colourless;
  gboolean wants_version;
} CommonOptions;

static const Command *
find_command (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++) {
    if (g_str_equal (commands[i].name, name))
      return &commands[i];
  }
  return NULL;
}

/* common options */

static gboolean
take_common_option (const char *argument, CommonOptions *options)
{
  if (g_str_equal (argument, "--json"))
    options->is_json = TRUE;
  else if (g_str_equal (argument, "--no-color"))
    options->is_colourless = TRUE;
  else if (g_str_equal (argument, "--version"))
    options->wants_version = TRUE;
  else
    return FALSE;
  return TRUE;
}

/* Takes them out of the arguments, up to "--". Returns what is left, its strings borrowed. */
static GPtrArray *
take_common_options (int argc, char **argv, CommonOptions *options)
{
  GPtrArray *rest = g_ptr_array_new ();
  gboolean is_over = FALSE;

  for (int i = 1; i < argc; i++) {
    is_over = is_over || g_str_equal (argv[i], "--");
    if (is_over || !take_common_option (argv[i], options))
      g_ptr_array_add (rest, argv[i]);
  }
  return rest;
}

static gboolean
wants_colour (const CommonOptions *options, gboolean is_terminal)
{
  const char *no_color = g_getenv ("NO_COLOR");
  gboolean is_dumb = g_strcmp0 (g_getenv ("TERM"), "dumb") == 0;

  return is_terminal && !is_dumb && !options->is_colourless &&
         (no_color == NULL || *no_color == '\0');
}

static const char *
describe_common_options (void)
{
  return _ ("Common options, before or after the command:\n"
            "  --json                   Print JSON\n"
            "  --no-color               Print without colours, as with NO_COLOR set\n"
            "  --version                Print the version and exit");
}

/* help */

static void
print_help (FILE *stream)
{
  g_autoptr (GString) text = g_string_new (NULL);

  g_string_append_printf (text, "%s\n\n%s\n", _ ("Usage: clockferryctl COMMAND [OPTION…]"),
                          _ ("Commands:"));
  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    g_string_append_printf (text, "  %-9s %s\n", commands[i].name, _ (commands[i].summary));
  g_string_append_printf (text, "\n%s\n\n%s\n", describe_common_options (),
                          _ ("Options of a command: clockferryctl COMMAND --help\n"
                             "Exit status: 0 done, 1 it could not be done, 2 wrong use; of check: "
                             "1 warnings, 2 failures"));
  if (stream == stderr)
    g_printerr ("%s", text->str);
  else
    g_print ("%s", text->str);
}

static int
run_command (const CtlContext *context, const char *name, int argc, char **argv)
{
  const Command *command = find_command (name);

  if (command == NULL) {
    g_printerr (_ ("clockferryctl: there is no command “%s”; clockferryctl --help lists them\n"),
                name);
    return CTL_EXIT_USAGE;
  }
  return command->run (context, argc, argv);
}

static int
run_help (const CtlContext *context, GPtrArray *arguments)
{
  const char *name = arguments->len > 1 ? g_ptr_array_index (arguments, 1) : NULL;
  char *command_line[] = { (char *) name, (char *) "--help", NULL };

  if (name != NULL && *name != '-')
    return run_command (context, name, 2, command_line);
  print_help (stdout);
  return CTL_EXIT_OK;
}

/* public functions */

int
command_main (int argc, char **argv)
{
  CommonOptions options = { 0 };
  g_autoptr (GPtrArray) arguments = take_common_options (argc, argv, &options);
  gboolean is_terminal = isatty (STDOUT_FILENO) == 1;
  CtlContext context = {
    .is_json = options.is_json,
    .has_colour = wants_colour (&options, is_terminal),
    .is_terminal = is_terminal,
  };
  const char *first = arguments->len > 0 ? g_ptr_array_index (arguments, 0) : NULL;

  if (options.wants_version) {
    g_print ("%s %s\n", PROGRAM, CLOCKFERRY_VERSION);
    return CTL_EXIT_OK;
  }
  if (first == NULL) {
    print_help (stderr);
    return CTL_EXIT_USAGE;
  }
  if (g_str_equal (first, "help") || g_str_equal (first, "--help") || g_str_equal (first, "-h"))
    return run_help (&context, arguments);
  if (*first == '-') {
    g_printerr (
      _ ("clockferryctl: there is no option “%s” before a command; see clockferryctl --help\n"),
      first);
    return CTL_EXIT_USAGE;
  }
  g_ptr_array_add (arguments, NULL);
  return run_command (&context, first, (int) arguments->len - 1, (char **) arguments->pdata);
}

gboolean
command_parse (const char *name, const char *arguments, const GOptionEntry *entries, int *argc,
               char ***argv, int min_operands, int max_operands)
{
  g_autoptr (GOptionContext) context = g_option_context_new (arguments);
  g_autofree char *program = g_strdup_printf (PROGRAM " %s", name);
  const Command *command = find_command (name);
  g_autoptr (GError) error = NULL;
  g_autofree char *form = NULL;
  int operands;

  g_set_prgname (program);
  g_option_context_set_summary (context, command != NULL ? _ (command->summary) : NULL);
  g_option_context_set_description (context, describe_common_options ());
  if (entries != NULL)
    g_option_context_add_main_entries (context, entries, CLOCKFERRY_TEXT_DOMAIN);
  if (!g_option_context_parse (context, argc, argv, &error)) {
    g_printerr (_ ("clockferryctl %s: %s; see clockferryctl %s --help\n"), name, error->message,
                name);
    return FALSE;
  }
  /* GLib leaves the "--" that ends the options in place */
  if (*argc > 1 && g_str_equal ((*argv)[1], "--")) {
    (*argv)[1] = (*argv)[0];
    (*argv)++;
    (*argc)--;
  }
  operands = *argc - 1;
  if (operands >= min_operands && operands <= max_operands)
    return TRUE;
  form = g_strjoin (" ", program, _ ("[OPTION…]"), arguments, NULL);
  /* TRANSLATORS: "clockferryctl show: its form is: clockferryctl show [OPTION…] ID" */
  g_printerr (_ ("clockferryctl %s: its form is: %s\n"), name, form);
  return FALSE;
}

int
command_fail (const char *name, int status, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list values;

  va_start (values, format);
  message = g_strdup_vprintf (format, values);
  va_end (values);
  g_printerr (PROGRAM " %s: %s\n", name, message);
  return status;
}
