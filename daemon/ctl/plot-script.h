/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * plot-script - what gnuplot is told to draw
 *
 * A script has its data inside, writes the picture to stdout, and runs nothing. What others wrote,
 * the names of domains, is in it as quoted text.
 */

#include <glib.h>

#include "migration-record.h"

typedef enum {
  PLOT_SVG,
  PLOT_PNG,
} PlotFormat;

/*
 * The clocks of the guest of one arrival before and after its blackout: as stock QEMU would have left
 * them, and as they were handed over. NULL with CTL_ERROR_FAILED where the record does not tell.
 * Owned by the caller.
 */
char *plot_script_migration (const MigrationRecord *record, PlotFormat format, GError **error);

/*
 * Blackouts, residuals and claimed bounds of @records (of MigrationRecord, the newest last) over
 * time; *@count is how many are drawn, those that arrived. NULL with CTL_ERROR_FAILED if none did.
 * Owned by the caller.
 */
char *plot_script_history (const GPtrArray *records, PlotFormat format, guint *count,
                           GError **error);
