/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-migration.h"

static void
set_field (GHashTable *fields, const char *name, const char *value)
{
  if (value != NULL && *value != '\0' && !g_hash_table_contains (fields, name))
    g_hash_table_insert (fields, g_strdup (name), g_strdup (value));
}

static void
take_report (GHashTable *fields, GVariant *report)
{
  GVariantIter iter;
  const char *name, *value;

  if (report == NULL)
    return;
  g_variant_iter_init (&iter, report);
  while (g_variant_iter_next (&iter, "{&s&s}", &name, &value))
    set_field (fields, name, value);
}

/* public functions */

MigrationRecord *
bus_migration_read (BusMigration *migration)
{
  gboolean is_arriving = g_strcmp0 (bus_migration_get_direction (migration), "arriving") == 0;
  MigrationRecord *record = migration_record_new (bus_migration_get_id (migration), is_arriving);
  GHashTable *fields = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  gboolean has_ended = bus_migration_get_ended (migration);

  take_report (fields, bus_migration_get_report (migration));
  set_field (fields, "DOMAIN", bus_migration_get_domain (migration));
  set_field (fields, "DOMAIN_NAME", bus_migration_get_domain_name (migration));
  set_field (fields, "PEER", bus_migration_get_peer (migration));
  set_field (fields, "EVENT", bus_migration_get_phase (migration));
  migration_record_add (record,
                        has_ended ? bus_migration_get_ended_us (migration)
                                  : bus_migration_get_started_us (migration),
                        fields);
  return record;
}

BusMigration *
bus_migration_find_last (const GPtrArray *migrations)
{
  BusMigration *last = NULL;

  for (guint i = 0; i < migrations->len; i++) {
    BusMigration *migration = g_ptr_array_index (migrations, i);

    if (bus_migration_get_ended (migration) &&
        (last == NULL ||
         bus_migration_get_ended_us (migration) > bus_migration_get_ended_us (last)))
      last = migration;
  }
  return last;
}
