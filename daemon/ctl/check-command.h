/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * check-command - running a program to see what it does
 *
 * In the C locale, with a limit of time, and with nothing of our own environment.
 */

#include <glib.h>

typedef struct {
  const char *user;    /* run it as this user, without further groups; NULL: as who we are */
  const char *preload; /* LD_PRELOAD; NULL: none */
  gboolean is_traced;  /* only have ld.so list what it would load */
  const char *input;   /* for its stdin; NULL: empty */
  guint time_limit_ms; /* 0: ten seconds */
} CommandTerms;

typedef struct {
  int exit_status; /* -1: a signal ended it */
  char *output;    /* stdout; never NULL, valid UTF-8 */
  char *problem;   /* stderr, without white space around it; likewise */
} CommandOutcome;

void command_outcome_clear (CommandOutcome *outcome);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CommandOutcome, command_outcome_clear)

/*
 * Run @argv and wait for its end; a name without a slash is looked for where the programs of users
 * and administrators are, whatever our PATH is. @terms may be NULL. FALSE with an error,
 * translated, if it could not be started or was ended for taking too long.
 */
gboolean check_command_run (const char *const *argv, const CommandTerms *terms,
                            CommandOutcome *outcome, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether the program @name is found there, or, with a whole path, is there. */
gboolean check_command_exists (const char *name);
