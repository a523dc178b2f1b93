/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * ctl-process - the real clockferryctl on a private bus
 *
 * Its words are separated by single spaces. The main context runs meanwhile, so that a daemon in this
 * process can answer.
 */

#include <gio/gio.h>

#include "private-bus.h"

/* Zero-initialise. */
typedef struct {
  int status;
  char *out;
  char *err;
} CtlResult;

void ctl_result_clear (CtlResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CtlResult, ctl_result_clear)

/* Run `clockferryctl @words` to its end. @result is cleared before. */
void ctl_process_run (PrivateBus *bus, const char *words, CtlResult *result);

/* one that runs on */

typedef struct CtlProcess CtlProcess;

CtlProcess *ctl_process_start (PrivateBus *bus, const char *words);

/* How many lines of stdout so far contain @text. */
guint ctl_process_count (const CtlProcess *process, const char *text);

/* The last line of stdout that contains @text, which must be there. Borrowed. */
const char *ctl_process_get (const CtlProcess *process, const char *text);

/* Send it @signal and wait for its end, which must not be by a signal; returns its exit status. */
int ctl_process_end (CtlProcess *process, int signal);
