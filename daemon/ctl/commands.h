/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * commands - what clockferryctl can be told to do; each in the source file of its name
 */

#include "command.h"

/* this host and its daemon */
int status_run (const CtlContext *context, int argc, char **argv);
int list_run (const CtlContext *context, int argc, char **argv);
int monitor_run (const CtlContext *context, int argc, char **argv);
int metrics_run (const CtlContext *context, int argc, char **argv);

/* the migrations in the journal */
int history_run (const CtlContext *context, int argc, char **argv);
int show_run (const CtlContext *context, int argc, char **argv);
int plot_run (const CtlContext *context, int argc, char **argv);

/* setting up; check returns 0 all well, 1 warnings, 2 failures; enable and disable are in enable.c */
int check_run (const CtlContext *context, int argc, char **argv);
int config_run (const CtlContext *context, int argc, char **argv);
int enable_run (const CtlContext *context, int argc, char **argv);
int disable_run (const CtlContext *context, int argc, char **argv);
