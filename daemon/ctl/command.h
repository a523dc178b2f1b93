/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * command - the table of clockferryctl's commands, the options they share, and wrong use
 *
 * A command parses its own options with command_parse(). --json, --no-color and --version are taken
 * out of the arguments before it is run, wherever they stand.
 */

#include <glib.h>

typedef struct {
  gboolean is_json;     /* --json */
  gboolean has_colour;  /* a terminal, and neither NO_COLOR nor --no-color */
  gboolean is_terminal; /* stdout */
} CtlContext;

typedef enum {
  CTL_EXIT_OK = 0,
  CTL_EXIT_FAILURE = 1, /* it could not be done */
  CTL_EXIT_USAGE = 2,   /* wrong use, or no such domain or migration */
} CtlExit;

/* argv[0] is the command's name. Returns the exit status, a CtlExit unless the command says. */
typedef int (*CommandRun) (const CtlContext *context, int argc, char **argv);

typedef struct {
  const char *name;
  CommandRun run;
  const char *summary; /* one line of `clockferryctl --help`, not translated yet */
} Command;

/* All of clockferryctl but locale and closing stdout; returns the exit status. */
int command_main (int argc, char **argv);

/*
 * Parse a command's own options. @arguments is how its operands are shown in the usage, translated,
 * or NULL for none; @entries may be NULL. Between @min_operands and @max_operands arguments are left
 * in *@argv after argv[0]. FALSE after one line on stderr; the command then returns CTL_EXIT_USAGE.
 * --help prints the options and ends the program with status 0.
 */
gboolean command_parse (const char *name, const char *arguments, const GOptionEntry *entries,
                        int *argc, char ***argv, int min_operands, int max_operands);

/* Print "clockferryctl NAME: ..." on stderr, translated by the caller; returns @status. */
int command_fail (const char *name, int status, const char *format, ...) G_GNUC_PRINTF (3, 4);
