/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * ctl-error - why something that clockferryctl was told could not be done
 *
 * The messages are for people: translated, one line, with the next step in it.
 */

#include "command.h"

#define CTL_ERROR (ctl_error_quark ())
GQuark ctl_error_quark (void);

typedef enum {
  CTL_ERROR_NOT_RUNNING, /* the daemon */
  CTL_ERROR_FAILED,
  CTL_ERROR_NOT_FOUND, /* what was named: a domain, a migration */
  CTL_ERROR_INVALID,   /* what was named cannot be one */
} CtlErrorCode;

/* Print @error as command_fail() does; returns CTL_EXIT_USAGE for what was named wrongly, else
 * CTL_EXIT_FAILURE. */
int ctl_error_report (const char *name, const GError *error);
