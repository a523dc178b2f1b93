/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * migration-json - a migration as JSON (docs/json.md)
 */

#include <json-glib/json-glib.h>

#include "migration-record.h"

/* Add @record as an object: what history lists. What is not known is null. */
void migration_json_add (JsonBuilder *builder, const MigrationRecord *record);

/* Add @record as an object with all that is known of it, its events included. */
void migration_json_add_whole (JsonBuilder *builder, const MigrationRecord *record);

/* Print {"migrations": […]} with @records, of MigrationRecord, each as @add adds it: one of the above. */
void migration_json_print (const GPtrArray *records,
                           void (*add) (JsonBuilder *builder, const MigrationRecord *record));

/* of CLOCKFERRY_OFFSETS */

typedef struct {
  guint vcpu;
  gboolean has_source;
  gint64 source_ticks; /* on the source, where that had such a vCPU */
  gint64 before_ticks; /* here, as QEMU had loaded it */
  gint64 after_ticks;  /* here, in the end */
} VcpuOffsets;

/* Parse @text; of VcpuOffsets, empty for NULL; what has another form is left out. Owned by the
 * caller. */
GArray *migration_offsets_parse (const char *text);
