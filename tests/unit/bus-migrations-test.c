/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-migrations-test - what becomes of a migration's object, entry by entry, without a bus
 */

#include <string.h>

#include "bus-migrations.h"
#include "names.h"
#include "quiet-events.h"
#include "service-bus.h"

#define WEB  "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
#define MAIL "11111111-2222-4333-8444-555555555555"
#define ID   "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39"

typedef struct {
  GDBusObjectManagerServer *server;
  BusMigrations *migrations;
  gint64 now_us;   /* of the last entry */
  GString *phases; /* of all PhaseChanged, each after a space */
  gulong hook_id;
} Fixture;

static void
on_entry (const EventEntry *entry, gpointer user_data)
{
  Fixture *fixture = user_data;

  bus_migrations_take (fixture->migrations, entry, ++fixture->now_us);
}

/* of any object, its first one included */
static gboolean
on_phase_changed (GSignalInvocationHint *hint, guint count, const GValue *values,
                  gpointer user_data)
{
  Fixture *fixture = user_data;
  BusMigration *migration = BUS_MIGRATION (g_value_get_object (&values[0]));
  const char *phase = g_value_get_string (&values[1]);

  g_assert_cmpstr (phase, ==, bus_migration_get_phase (migration));
  g_assert_cmpint (g_value_get_int64 (&values[2]), ==, fixture->now_us);
  g_assert_cmpstr (g_value_get_string (&values[3]), ==, "as it is");
  g_string_append_printf (fixture->phases, " %s", phase);
  return TRUE;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->server = g_dbus_object_manager_server_new (CLOCKFERRY_BUS_PATH);
  fixture->migrations = bus_migrations_new (fixture->server);
  fixture->phases = g_string_new (NULL);
  fixture->hook_id = g_signal_add_emission_hook (
    g_signal_lookup ("phase-changed", BUS_TYPE_MIGRATION), 0, on_phase_changed, fixture, NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_autolist (GDBusObject) left = NULL;

  g_signal_remove_emission_hook (g_signal_lookup ("phase-changed", BUS_TYPE_MIGRATION),
                                 fixture->hook_id);
  bus_migrations_free (fixture->migrations);
  left = g_dbus_object_manager_get_objects (G_DBUS_OBJECT_MANAGER (fixture->server));
  g_assert_null (left);
  g_object_unref (fixture->server);
  g_string_free (fixture->phases, TRUE);
}

/* @field and @value may be NULL. */
static void
say_of (Fixture *fixture, EventKind kind, const char *domain, const char *id, const char *field,
        const char *value)
{
  const EventObserver observer = { on_entry, fixture };
  EventEntry *entry = event_entry_new (kind, domain, NULL);

  event_entry_add (entry, "CLOCKFERRY_MIGRATION", id);
  if (field != NULL)
    event_entry_add (entry, field, value);
  event_entry_set_observer (entry, &observer);
  event_entry_log (entry, "as it is");
}

static void
say (Fixture *fixture, EventKind kind)
{
  say_of (fixture, kind, WEB, ID, NULL, NULL);
}

/* Owned by the caller; NULL without. */
static BusMigration *
find (Fixture *fixture, const char *id)
{
  g_autofree char *path = g_strconcat ("/org/clockferry1/migration/_", id, NULL);
  GDBusInterface *migration = g_dbus_object_manager_get_interface (
    G_DBUS_OBJECT_MANAGER (fixture->server), path, CLOCKFERRY_MIGRATION_IFACE);

  return migration != NULL ? BUS_MIGRATION (migration) : NULL;
}

static guint
count (Fixture *fixture)
{
  g_autolist (GDBusObject)
    objects = g_dbus_object_manager_get_objects (G_DBUS_OBJECT_MANAGER (fixture->server));

  return g_list_length (objects);
}

static const char *
get_report (BusMigration *migration, const char *field)
{
  const char *value = NULL;

  g_variant_lookup (bus_migration_get_report (migration), field, "&s", &value);
  return value;
}

static void
test_arriving (Fixture *fixture, gconstpointer data)
{
  g_autoptr (BusMigration) migration = NULL;

  say (fixture, EVENT_ARRIVAL_ANNOUNCED);
  migration = find (fixture, ID);
  g_assert_cmpstr (bus_migration_get_id (migration), ==, ID);
  g_assert_cmpstr (bus_migration_get_domain (migration), ==, WEB);
  g_assert_cmpstr (bus_migration_get_domain_name (migration), ==, "");
  g_assert_cmpstr (bus_migration_get_direction (migration), ==, "arriving");
  g_assert_cmpstr (bus_migration_get_peer (migration), ==, "");
  g_assert_cmpint (bus_migration_get_started_us (migration), ==, 1);

  say_of (fixture, EVENT_ARRIVAL_CLAIMED, WEB, ID, "CLOCKFERRY_PEER", "192.0.2.1");
  g_assert_cmpstr (bus_migration_get_peer (migration), ==, "192.0.2.1");
  say_of (fixture, EVENT_ARRIVAL_STEP_FAILED, WEB, ID, "CLOCKFERRY_REASON", "it broke");
  say (fixture, EVENT_ARRIVAL_ARMED);
  say (fixture, EVENT_CLOCKS_APART);
  say_of (fixture, EVENT_ARRIVAL_CLAIMED, WEB, ID, "CLOCKFERRY_DOMAIN_NAME", "web");
  g_assert_cmpstr (bus_migration_get_domain_name (migration), ==, "web");
  g_assert_false (bus_migration_get_ended (migration));
  g_assert_cmpint (bus_migration_get_ended_us (migration), ==, 0);
  g_assert_cmpuint (g_variant_n_children (bus_migration_get_report (migration)), ==, 0);

  say_of (fixture, EVENT_MIGRATION_FIXED, WEB, ID, "CLOCKFERRY_VERDICT", "fixed");
  g_assert_true (bus_migration_get_ended (migration));
  g_assert_cmpint (bus_migration_get_started_us (migration), ==, 1);
  g_assert_cmpint (bus_migration_get_ended_us (migration), ==, 7);
  g_assert_cmpstr (get_report (migration, "VERDICT"), ==, "fixed");
  g_assert_cmpstr (get_report (migration, "EVENT"), ==, "migration-fixed");
  g_assert_cmpstr (get_report (migration, "REASON"), ==, NULL);
  g_assert_cmpstr (get_report (migration, "PRIORITY"), ==, NULL);
  g_assert_cmpstr (fixture->phases->str, ==, " announced claimed claimed armed armed armed done");
  g_assert_cmpuint (count (fixture), ==, 1);
}

static void
test_leaving (Fixture *fixture, gconstpointer data)
{
  static const struct {
    EventKind end;
    const char *phases;
  } cases[] = {
    { EVENT_DEPARTURE_DONE, " claimed paused paused done" },
    { EVENT_DEPARTURE_UNCLAIMED, " claimed paused paused done" },
    { EVENT_DEPARTURE_ROLLED_BACK, " claimed paused paused rolled-back" },
    { EVENT_DEPARTURE_CANCELLED, " claimed paused paused cancelled" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *id = g_strdup_printf ("%032" G_GSIZE_FORMAT, i);
    g_autoptr (BusMigration) migration = NULL;

    g_string_truncate (fixture->phases, 0);
    say_of (fixture, EVENT_DEPARTURE_CLAIMED, WEB, id, NULL, NULL);
    say_of (fixture, EVENT_DEPARTURE_PAUSED, WEB, id, NULL, NULL);
    say_of (fixture, EVENT_DEPARTURE_CLAIMED, WEB, id, NULL, NULL);
    say_of (fixture, cases[i].end, WEB, id, NULL, NULL);
    g_assert_cmpstr (fixture->phases->str, ==, cases[i].phases);
    migration = find (fixture, id);
    g_assert_cmpstr (bus_migration_get_direction (migration), ==, "leaving");
    g_assert_true (bus_migration_get_ended (migration));
  }
  g_assert_cmpuint (count (fixture), ==, G_N_ELEMENTS (cases));
}

/* Every other end of an arrival. */
static void
test_other_ends (Fixture *fixture, gconstpointer data)
{
  static const struct {
    EventKind end;
    const char *phase;
  } cases[] = {
    { EVENT_MIGRATION_KVMCLOCK_ONLY, "done" }, { EVENT_MIGRATION_OBSERVED, "done" },
    { EVENT_MIGRATION_STOCK, "done" },         { EVENT_MIGRATION_UNKNOWN, "done" },
    { EVENT_ARRIVAL_ABANDONED, "abandoned" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *id = g_strdup_printf ("%032" G_GSIZE_FORMAT, i);
    g_autoptr (BusMigration) migration = NULL;

    /* a first entry may be any */
    say_of (fixture, cases[i].end, WEB, id, NULL, NULL);
    migration = find (fixture, id);
    g_assert_cmpstr (bus_migration_get_phase (migration), ==, cases[i].phase);
    g_assert_true (bus_migration_get_ended (migration));
    g_assert_cmpint (bus_migration_get_ended_us (migration), ==, fixture->now_us);
  }
}

/* The peer was silent for too long, and comes back. */
static void
test_revived (Fixture *fixture, gconstpointer data)
{
  g_autoptr (BusMigration) migration = NULL;

  say (fixture, EVENT_DEPARTURE_CLAIMED);
  say (fixture, EVENT_DEPARTURE_CANCELLED);
  migration = find (fixture, ID);
  g_assert_true (bus_migration_get_ended (migration));
  say (fixture, EVENT_DEPARTURE_CLAIMED);
  g_assert_false (bus_migration_get_ended (migration));
  g_assert_cmpint (bus_migration_get_ended_us (migration), ==, 0);
  g_assert_cmpuint (g_variant_n_children (bus_migration_get_report (migration)), ==, 0);
  /* others that end do not push it out any more */
  for (guint i = 0; i < BUS_MIGRATIONS_ENDED_MAX; i++) {
    g_autofree char *id = g_strdup_printf ("%032u", i);

    say_of (fixture, EVENT_ARRIVAL_ABANDONED, MAIL, id, NULL, NULL);
  }
  g_assert_cmpuint (count (fixture), ==, BUS_MIGRATIONS_ENDED_MAX + 1);
  say (fixture, EVENT_DEPARTURE_PAUSED);
  say (fixture, EVENT_DEPARTURE_DONE);
  g_assert_true (bus_migration_get_ended (migration));
  g_assert_nonnull (strstr (fixture->phases->str, " claimed cancelled claimed abandoned"));
  g_assert_true (g_str_has_suffix (fixture->phases->str, " abandoned paused done"));
}

static void
test_sixteen_stay (Fixture *fixture, gconstpointer data)
{
  g_autoptr (BusMigration) running = NULL;
  g_autoptr (BusMigration) gone = NULL;
  g_autoptr (BusMigration) oldest = NULL;

  say (fixture, EVENT_ARRIVAL_ANNOUNCED);
  for (guint i = 0; i < 40; i++) {
    g_autofree char *id = g_strdup_printf ("%032u", i);

    say_of (fixture, EVENT_ARRIVAL_ANNOUNCED, MAIL, id, NULL, NULL);
    g_assert_cmpuint (count (fixture), ==, 2 + MIN (i, BUS_MIGRATIONS_ENDED_MAX));
    say_of (fixture, EVENT_MIGRATION_STOCK, MAIL, id, NULL, NULL);
  }
  g_assert_cmpuint (count (fixture), ==, 1 + BUS_MIGRATIONS_ENDED_MAX);
  running = find (fixture, ID);
  g_assert_nonnull (running);
  gone = find (fixture, "00000000000000000000000000000023");
  g_assert_null (gone);
  oldest = find (fixture, "00000000000000000000000000000024");
  g_assert_nonnull (oldest);
}

/* Ids of those that leave were made up by peers. */
static void
test_stolen_id (Fixture *fixture, gconstpointer data)
{
  g_autoptr (BusMigration) migration = NULL;

  say (fixture, EVENT_ARRIVAL_ANNOUNCED);
  migration = find (fixture, ID);
  say_of (fixture, EVENT_DEPARTURE_CLAIMED, MAIL, ID, "CLOCKFERRY_PEER", "192.0.2.66");
  say_of (fixture, EVENT_DEPARTURE_DONE, MAIL, ID, NULL, NULL);
  say (fixture, EVENT_DEPARTURE_DONE);
  g_assert_cmpuint (count (fixture), ==, 1);
  g_assert_false (bus_migration_get_ended (migration));
  g_assert_cmpstr (bus_migration_get_peer (migration), ==, "");
  g_assert_cmpstr (fixture->phases->str, ==, " announced");
}

static void
test_other_entries (Fixture *fixture, gconstpointer data)
{
  say (fixture, EVENT_DOMAIN_READY);
  say (fixture, EVENT_HELPER_LOST);
  say_of (fixture, EVENT_DEPARTURE_DONE, WEB, NULL, NULL, NULL);
  g_assert_cmpuint (count (fixture), ==, 0);
}

/* What the bus would not take must not get there. */
static void
test_not_utf8 (Fixture *fixture, gconstpointer data)
{
  g_autoptr (BusMigration) migration = NULL;

  say_of (fixture, EVENT_MIGRATION_STOCK, WEB, ID, "CLOCKFERRY_REASON",
          "a\xff"
          "b");
  migration = find (fixture, ID);
  g_assert_cmpstr (get_report (migration, "REASON"), ==,
                   "a\xef\xbf\xbd"
                   "b");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  quiet_events_begin ();
  g_type_class_ref (BUS_TYPE_MIGRATION_SKELETON); /* the signals are there from now on */

#define ADD(path, function)                                                                        \
  g_test_add ("/bus-migrations/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("arriving", test_arriving);
  ADD ("leaving", test_leaving);
  ADD ("other-ends", test_other_ends);
  ADD ("revived", test_revived);
  ADD ("sixteen-stay", test_sixteen_stay);
  ADD ("stolen-id", test_stolen_id);
  ADD ("other-entries", test_other_entries);
  ADD ("not-utf8", test_not_utf8);
#undef ADD
  return g_test_run ();
}
