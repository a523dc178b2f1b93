/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "status-screen.h"

#include <glib/gi18n.h>

#include "bus-migration.h"
#include "migration-words.h"

#define NS_PER_US        1000
#define CLOCK_UNKNOWN_US 16000000 /* the kernel's estimate has grown to its limit */
#define PEERS_SHOWN      4

/* what is on disk */

static void
print_hook (const CtlContext *context, HookState hook)
{
  static const OutputStyle styles[] = {
    [HOOK_ABSENT] = OUTPUT_BAD,
    [HOOK_NOT_EXECUTABLE] = OUTPUT_BAD,
    [HOOK_IN_PLACE] = OUTPUT_GOOD,
    [HOOK_NOT_SEEN] = OUTPUT_PLAIN,
  };
  const char *path = installation_hook_path ();
  g_autofree char *text = NULL;

  switch (hook) {
  case HOOK_IN_PLACE:
    text = g_strdup_printf (_ ("in place: %s"), path);
    break;
  case HOOK_NOT_EXECUTABLE:
    text =
      g_strdup_printf (_ ("not executable, so libvirt passes over it: %s; clockferryctl enable "
                          "mends it"),
                       path);
    break;
  case HOOK_ABSENT:
    text =
      g_strdup (_ ("not in place, so guests that arrive get no helper; clockferryctl enable puts "
                   "it there"));
    break;
  case HOOK_NOT_SEEN:
    text = g_strdup_printf (_ ("cannot be seen without root: %s"), path);
    break;
  }
  output_field (context, _ ("Hook"), styles[hook], text);
}

static void
print_helper (const CtlContext *context, const HostStatus *status)
{
  const char *path = installation_helper_path ();
  g_autofree char *text = NULL;

  switch (status->helper) {
  case HELPER_IN_PLACE:
    text = g_strdup_printf (_ ("in place: %s"), path);
    break;
  case HELPER_NOT_FOUND:
    text = g_strdup_printf (_ ("ld.so does not load it from %s (%s); run ldconfig"), path,
                            status->helper_problem);
    break;
  case HELPER_ABSENT:
    text = g_strdup_printf (_ ("not installed: %s is missing; install the package clockferry-qemu"),
                            path);
    break;
  }
  output_field (context, _ ("Helper"), status->helper == HELPER_IN_PLACE ? OUTPUT_GOOD : OUTPUT_BAD,
                text);
}

/* what the daemon says */

static void
print_daemon (const CtlContext *context, const HostStatus *status)
{
  BusManager *manager = bus_client_get_manager (status->client);
  gint64 started_us = bus_client_get_started_us (status->client);
  g_autofree char *age = started_us != 0 ? output_age (started_us) : NULL;
  g_autofree char *text = NULL;

  if (age != NULL)
    /* TRANSLATORS: a version, a process id, "5 min ago" */
    text = g_strdup_printf (_ ("running, version %s, process %u, started %s"),
                            bus_manager_get_version (manager), bus_client_get_pid (status->client),
                            age);
  else
    text = g_strdup_printf (_ ("running, version %s, process %u"),
                            bus_manager_get_version (manager), bus_client_get_pid (status->client));
  output_field (context, _ ("Daemon"), OUTPUT_GOOD, text);
}

static void
print_address (const CtlContext *context, BusManager *manager)
{
  g_autofree char *text = g_strdup_printf (_ ("%s, port %u"), bus_manager_get_address (manager),
                                           (guint) bus_manager_get_port (manager));

  /* TRANSLATORS: where the daemons of other hosts connect to */
  output_field (context, _ ("Listens as"), OUTPUT_PLAIN, text);
}

static void
print_libvirt (const CtlContext *context, BusManager *manager)
{
  const char *problem = bus_manager_get_libvirt_problem (manager);
  g_autofree char *text = NULL;

  if (bus_manager_get_libvirt_connected (manager)) {
    output_field (context, "libvirt", OUTPUT_GOOD, _ ("followed"));
    return;
  }
  if (*problem == '\0') {
    output_field (context, "libvirt", OUTPUT_WARNING, _ ("not followed yet"));
    return;
  }
  text = g_strdup_printf (_ ("not followed, so migrations are stock: %s; see clockferryctl check"),
                          problem);
  output_field (context, "libvirt", OUTPUT_BAD, text);
}

static void
print_clock (const CtlContext *context, BusManager *manager)
{
  guint64 error_us = bus_manager_get_clock_max_error_us (manager);
  g_autofree char *error = output_duration ((gint64) MIN (error_us, CLOCK_UNKNOWN_US) * NS_PER_US);
  g_autofree char *text = NULL;

  if (bus_manager_get_clock_synchronised (manager))
    text = g_strdup_printf (_ ("synchronised, within ± %s by the kernel's estimate"), error);
  else
    text = g_strdup (_ ("not synchronised; set up an NTP client, chrony for instance"));
  output_field (context, _ ("Host's clock"),
                bus_manager_get_clock_synchronised (manager) ? OUTPUT_GOOD : OUTPUT_WARNING, text);
}

static void
print_settings (const CtlContext *context, BusManager *manager)
{
  g_autofree char *text = g_strdup_printf (
    "Mode=%s HostClock=%s MaxAdvanceSec=%u", bus_manager_get_mode (manager),
    bus_manager_get_host_clock (manager), bus_manager_get_max_advance_sec (manager));

  output_field (context, _ ("Settings"), OUTPUT_PLAIN, text);
}

static void
print_domains (const CtlContext *context, const HostStatus *status)
{
  guint ready = host_status_count_ready (status);
  guint emulated = host_status_count_emulated (status);
  guint all = status->domains->len;
  g_autofree char *text = NULL;
  g_autofree char *rest = NULL;

  /* TRANSLATORS: the second number is of those whose clocks will be handed over */
  text = g_strdup_printf (ngettext ("%u domain, %u ready to migrate with its clocks",
                                    "%u domains, %u ready to migrate with their clocks", all),
                          all, ready);
  output_field (context, _ ("Domains"), ready + emulated < all ? OUTPUT_WARNING : OUTPUT_PLAIN,
                text);
  if (emulated == 0)
    return;
  rest = g_strdup_printf (ngettext ("%u is emulated: QEMU keeps its clocks itself",
                                    "%u are emulated: QEMU keeps their clocks itself", emulated),
                          emulated);
  output_field (context, "", OUTPUT_PLAIN, rest);
}

static char *
describe_peer (const char *address, gint64 seen_us, gint64 theta_ns, guint64 bound_ns)
{
  g_autofree char *age = output_age (seen_us);
  g_autofree char *theta = output_difference (theta_ns);
  g_autofree char *bound = NULL;

  if (bound_ns >= G_MAXINT64)
    /* TRANSLATORS: a host, "5 min ago" */
    return g_strdup_printf (_ ("%s, %s"), address, age);
  bound = output_duration ((gint64) bound_ns);
  /* TRANSLATORS: a host, "5 min ago", and what the clocks differ by, with its sign */
  return g_strdup_printf (_ ("%s, %s; this host's clock minus its own: %s, within ± %s"), address,
                          age, theta, bound);
}

static void
print_peers (const CtlContext *context, BusManager *manager)
{
  GVariantIter iter;
  const char *address;
  gint64 seen_us, theta_ns;
  guint64 bound_ns;
  gsize count = g_variant_iter_init (&iter, bus_manager_get_peers (manager));

  if (count == 0)
    output_field (context, _ ("Peers"), OUTPUT_PLAIN, _ ("none seen yet"));
  for (gsize i = 0; i < MIN (count, PEERS_SHOWN); i++) {
    g_autofree char *text = NULL;

    if (!g_variant_iter_next (&iter, "(&sxxt)", &address, &seen_us, &theta_ns, &bound_ns))
      return;
    text = describe_peer (address, seen_us, theta_ns, bound_ns);
    output_field (context, i == 0 ? _ ("Peers") : "", OUTPUT_PLAIN, text);
  }
  if (count > PEERS_SHOWN) {
    guint rest = (guint) (count - PEERS_SHOWN);
    g_autofree char *text = g_strdup_printf (ngettext ("and %u more", "and %u more", rest), rest);

    output_field (context, "", OUTPUT_PLAIN, text);
  }
}

static void
print_in_flight (const CtlContext *context, const HostStatus *status)
{
  gboolean is_first = TRUE;

  for (guint i = 0; i < status->migrations->len; i++) {
    BusMigration *migration = g_ptr_array_index (status->migrations, i);
    g_autoptr (MigrationRecord) record = bus_migration_read (migration);
    g_autofree char *way = migration_words_way (record);
    g_autofree char *age = output_age (bus_migration_get_started_us (migration));
    g_autofree char *text = NULL;

    if (bus_migration_get_ended (migration))
      continue;
    /* TRANSLATORS: a domain, "from HOST", its phase ("armed"), "5 s ago" */
    text = g_strdup_printf (_ ("%s %s: %s, began %s"), migration_record_get_label (record), way,
                            bus_migration_get_phase (migration), age);
    output_field (context, is_first ? _ ("In flight") : "", OUTPUT_BOLD, text);
    is_first = FALSE;
  }
  if (is_first)
    output_field (context, _ ("In flight"), OUTPUT_PLAIN, _ ("no migration"));
}

static void
print_last (const CtlContext *context, const HostStatus *status)
{
  BusMigration *last = bus_migration_find_last (status->migrations);
  g_autoptr (MigrationRecord) record = NULL;
  g_autofree char *way = NULL;
  g_autofree char *age = NULL;
  g_autofree char *text = NULL;
  const char *reason;

  if (last == NULL) {
    output_field (context, _ ("Last result"), OUTPUT_PLAIN,
                  _ ("none since clockferryd was started; see clockferryctl history"));
    return;
  }
  record = bus_migration_read (last);
  way = migration_words_way (record);
  age = output_age (migration_record_get_time (record));
  /* TRANSLATORS: "fixed", a domain, "from HOST", "5 min ago" */
  text = g_strdup_printf (_ ("%s: %s %s, %s"), migration_record_get_result (record),
                          migration_record_get_label (record), way, age);
  output_field (context, _ ("Last result"), migration_words_style (record), text);
  reason = migration_record_get (record, "REASON");
  if (reason != NULL)
    output_field (context, "", OUTPUT_PLAIN, reason);
}

/* public functions */

void
status_screen_print (const CtlContext *context, const HostStatus *status)
{
  BusManager *manager;

  if (status->client == NULL) {
    output_field (context, _ ("Daemon"), OUTPUT_BAD, status->problem->message);
    print_hook (context, status->hook);
    print_helper (context, status);
    return;
  }
  manager = bus_client_get_manager (status->client);
  print_daemon (context, status);
  print_address (context, manager);
  print_libvirt (context, manager);
  print_hook (context, status->hook);
  print_helper (context, status);
  print_clock (context, manager);
  print_settings (context, manager);
  print_domains (context, status);
  print_peers (context, manager);
  print_in_flight (context, status);
  print_last (context, status);
}
