/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-migrations.h"

#include <string.h>

#include "bus-prose.h"
#include "names.h"
#include "service-bus.h"

#define FIELD_PREFIX "CLOCKFERRY_"
#define ARRIVING     "arriving"
#define LEAVING      "leaving"

/* What an event says of the migration it is about. */
typedef struct {
  const char *direction; /* NULL: it is about none */
  const char *phase;
  guint rank; /* of the phase, which never goes back */
  gboolean is_end;
} Meaning;

static const Meaning meanings[EVENT_COUNT] = {
  [EVENT_DEPARTURE_CLAIMED] = { LEAVING, "claimed", 1, FALSE },
  [EVENT_DEPARTURE_PAUSED] = { LEAVING, "paused", 2, FALSE },
  [EVENT_DEPARTURE_DONE] = { LEAVING, "done", 3, TRUE },
  [EVENT_DEPARTURE_UNCLAIMED] = { LEAVING, "done", 3, TRUE },
  [EVENT_DEPARTURE_ROLLED_BACK] = { LEAVING, "rolled-back", 3, TRUE },
  [EVENT_DEPARTURE_CANCELLED] = { LEAVING, "cancelled", 3, TRUE },
  [EVENT_ARRIVAL_ANNOUNCED] = { ARRIVING, "announced", 0, FALSE },
  [EVENT_ARRIVAL_STEP_FAILED] = { ARRIVING, "announced", 0, FALSE },
  [EVENT_ARRIVAL_CLAIMED] = { ARRIVING, "claimed", 1, FALSE },
  [EVENT_CLOCKS_APART] = { ARRIVING, "claimed", 1, FALSE },
  [EVENT_ARRIVAL_ARMED] = { ARRIVING, "armed", 2, FALSE },
  [EVENT_ARRIVAL_ABANDONED] = { ARRIVING, "abandoned", 3, TRUE },
  [EVENT_MIGRATION_FIXED] = { ARRIVING, "done", 3, TRUE },
  [EVENT_MIGRATION_KVMCLOCK_ONLY] = { ARRIVING, "done", 3, TRUE },
  [EVENT_MIGRATION_OBSERVED] = { ARRIVING, "done", 3, TRUE },
  [EVENT_MIGRATION_STOCK] = { ARRIVING, "done", 3, TRUE },
  [EVENT_MIGRATION_UNKNOWN] = { ARRIVING, "done", 3, TRUE },
};

typedef struct {
  BusMigration *skeleton;
  guint rank; /* of its phase */
} Migration;

struct BusMigrations {
  GDBusObjectManagerServer *server;
  GHashTable *by_id; /* ID -> Migration */
  GQueue ended;      /* of IDs, which the table owns, the latest first */
};

/* objects */

static char *
make_path (const char *id)
{
  return g_strconcat (CLOCKFERRY_MIGRATION_PATH, id, NULL);
}

static void
migration_free (Migration *migration)
{
  g_object_unref (migration->skeleton);
  g_free (migration);
}

static Migration *
add_migration (BusMigrations *migrations, const char *id, const char *domain,
               const Meaning *meaning, gint64 realtime_us)
{
  Migration *migration = g_new0 (Migration, 1);

  migration->skeleton = g_object_new (
    bus_prose_derive (BUS_TYPE_MIGRATION_SKELETON, CLOCKFERRY_MIGRATION_IFACE), "id", id, "domain",
    domain, "domain-name", "", "direction", meaning->direction, "phase", meaning->phase, "peer", "",
    "started-us", realtime_us, "report", g_variant_new ("a{ss}", NULL), NULL);
  migration->rank = meaning->rank;
  g_hash_table_insert (migrations->by_id, g_strdup (id), migration);
  return migration;
}

/* All at once, with the properties it has by now. */
static void export(BusMigrations *migrations, const char *id, Migration *migration)
{
  g_autofree char *path = make_path (id);
  g_autoptr (GDBusObjectSkeleton) object = g_dbus_object_skeleton_new (path);

  g_dbus_object_skeleton_add_interface (object, G_DBUS_INTERFACE_SKELETON (migration->skeleton));
  g_dbus_object_manager_server_export (migrations->server, object);
}

static void
remove_migration (BusMigrations *migrations, const char *id)
{
  g_autofree char *path = make_path (id);

  g_dbus_object_manager_server_unexport (migrations->server, path);
  g_hash_table_remove (migrations->by_id, id);
}

/* entries */

static GVariant *
make_report (const EventEntry *entry)
{
  g_auto (GVariantBuilder) builder = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{ss}"));
  gsize count;
  const GLogField *fields = event_entry_get_fields (entry, &count);

  for (gsize i = 0; i < count; i++) {
    g_autofree char *value = NULL;

    if (!g_str_has_prefix (fields[i].key, FIELD_PREFIX))
      continue;
    value = g_utf8_make_valid (fields[i].value, -1);
    g_variant_builder_add (&builder, "{ss}", fields[i].key + strlen (FIELD_PREFIX), value);
  }
  return g_variant_builder_end (&builder);
}

/* The phase goes forward only, but for a peer that comes back to a migration that was given up. */
static void
advance (Migration *migration, const Meaning *meaning, gboolean was_ended)
{
  if (!was_ended && meaning->rank < migration->rank)
    return;
  migration->rank = meaning->rank;
  bus_migration_set_phase (migration->skeleton, meaning->phase);
}

static void
set_end (Migration *migration, const EventEntry *entry, gboolean is_end, gint64 realtime_us)
{
  bus_migration_set_ended (migration->skeleton, is_end);
  bus_migration_set_ended_us (migration->skeleton, is_end ? realtime_us : 0);
  bus_migration_set_report (migration->skeleton,
                            is_end ? make_report (entry) : g_variant_new ("a{ss}", NULL));
}

static void
set_names (Migration *migration, const EventEntry *entry)
{
  const char *name = event_entry_get (entry, "CLOCKFERRY_DOMAIN_NAME");
  const char *peer = event_entry_get (entry, "CLOCKFERRY_PEER");

  if (name != NULL)
    bus_migration_set_domain_name (migration->skeleton, name);
  if (peer != NULL)
    bus_migration_set_peer (migration->skeleton, peer);
}

/* A short list: of those that ended, with @id first if @is_end. */
static void
keep_ended (BusMigrations *migrations, const char *id, gboolean is_end)
{
  GList *link = g_queue_find_custom (&migrations->ended, id, (GCompareFunc) g_strcmp0);
  gpointer key;

  if (link != NULL)
    g_queue_delete_link (&migrations->ended, link);
  if (!is_end)
    return;
  g_hash_table_lookup_extended (migrations->by_id, id, &key, NULL);
  g_queue_push_head (&migrations->ended, key);
  if (migrations->ended.length > BUS_MIGRATIONS_ENDED_MAX)
    remove_migration (migrations, g_queue_pop_tail (&migrations->ended));
}

/* public functions */

BusMigrations *
bus_migrations_new (GDBusObjectManagerServer *server)
{
  BusMigrations *migrations = g_new0 (BusMigrations, 1);

  migrations->server = g_object_ref (server);
  migrations->by_id =
    g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) migration_free);
  g_queue_init (&migrations->ended);
  return migrations;
}

void
bus_migrations_free (BusMigrations *migrations)
{
  GHashTableIter iter;
  gpointer id;

  g_queue_clear (&migrations->ended);
  g_hash_table_iter_init (&iter, migrations->by_id);
  while (g_hash_table_iter_next (&iter, &id, NULL)) {
    g_autofree char *path = make_path (id);

    g_dbus_object_manager_server_unexport (migrations->server, path);
  }
  g_hash_table_unref (migrations->by_id);
  g_object_unref (migrations->server);
  g_free (migrations);
}

void
bus_migrations_take (BusMigrations *migrations, const EventEntry *entry, gint64 realtime_us)
{
  const Meaning *meaning = &meanings[event_entry_get_kind (entry)];
  const char *id = event_entry_get (entry, "CLOCKFERRY_MIGRATION");
  const char *domain = event_entry_get (entry, "CLOCKFERRY_DOMAIN");
  g_autofree char *message = g_utf8_make_valid (event_entry_get (entry, "MESSAGE"), -1);
  gboolean is_new, was_ended;
  Migration *migration;

  if (meaning->direction == NULL || id == NULL)
    return;
  migration = g_hash_table_lookup (migrations->by_id, id);
  is_new = migration == NULL;
  if (is_new)
    migration = add_migration (migrations, id, domain, meaning, realtime_us);
  else if (!g_str_equal (bus_migration_get_domain (migration->skeleton), domain) ||
           !g_str_equal (bus_migration_get_direction (migration->skeleton), meaning->direction))
    return;

  was_ended = bus_migration_get_ended (migration->skeleton);
  advance (migration, meaning, was_ended);
  set_names (migration, entry);
  if (was_ended || meaning->is_end)
    set_end (migration, entry, meaning->is_end, realtime_us);
  if (is_new)
    export(migrations, id, migration);
  /* what changed is told in an idle moment: the signal may not overtake it */
  g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (migration->skeleton));
  bus_migration_emit_phase_changed (
    migration->skeleton, bus_migration_get_phase (migration->skeleton), realtime_us, message);
  keep_ended (migrations, id, meaning->is_end);
}
