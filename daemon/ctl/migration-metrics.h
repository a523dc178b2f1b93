/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * migration-metrics - the figures that the migrations in the journal make
 */

#include <glib.h>

/*
 * Add the families of @records (of MigrationRecord, the newest last) to @families (of MetricFamily).
 * @since_us is from when on they are all there, microseconds of CLOCK_REALTIME; 0 if nobody knows.
 */
void migration_metrics_add (GPtrArray *families, const GPtrArray *records, gint64 since_us);
