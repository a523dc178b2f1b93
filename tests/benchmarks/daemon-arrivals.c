/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * daemon-arrivals - many migrations to one host at once, over loopback
 *
 * Real daemons: one at the destination, and one at each of a few sources, since a daemon serves
 * PEER_LISTENER_CLAIMED_PER_ADDRESS claims of one address. QEMU is a stand-in: at the pause it
 * leaves a record for its daemon, and the clock runs until the destination's QEMU has the fix-up.
 * Once the guests pause one after the other, once all in the same moment.
 *
 *   daemon-arrivals [MIGRATIONS [SOURCES]]
 */

#include <stdlib.h>

#include "figures.h"
#include "host-clock.h"
#include "identity.h"
#include "load-host.h"
#include "tls-echo.h"

#define MIGRATIONS     500
#define SOURCES        4
#define PACE_US        10000 /* from one pause to the next */
#define SETTLE_S       10
#define CPU_WINDOW_S   5
#define DELAY_MAX_MS   50
#define MEMORY_MAX_KIB 32768

/* guest_src_ns of the first record, and how far those of the two ways to pause are apart */
#define CLOCK_FIRST_NS G_GUINT64_CONSTANT (1000000000)

typedef struct {
  guint migrations;
  guint source_count;
  HelperFleet
    *fleet; /* number i: migration i's QEMU at the source; then those at the destination */
  LoadHost **sources;
  LoadHost *dest;
  TlsEcho *echo;
  GArray *echo_ms;
  gint is_paced; /* atomic: the pacing thread is done */
} Load;

static LoadHost *
get_source (Load *load, guint migration)
{
  return load->sources[migration % load->source_count];
}

static guint
count_ready (Load *load)
{
  guint count = 0;

  for (guint i = 0; i < load->source_count; i++)
    count += measured_daemon_count (load->sources[i]->daemon, "domain-ready");
  return count;
}

/* figures of one sample */

static void
report_use (const char *what, const char *unit, double value, double limit, const char *remark)
{
  g_autoptr (GArray) samples = samples_new ();

  samples_add (samples, value);
  figure_print (&(Figure){
    .part = "daemon",
    .what = what,
    .unit = unit,
    .samples = samples,
    .goal = limit > 0 ? FIGURE_GOAL_VALUE : FIGURE_NO_GOAL,
    .limit = limit,
    .remark = remark,
  });
}

/* the way to the pause */

static void
boot (Load *load)
{
  load->fleet = helper_fleet_new (2 * load->migrations);
  load->sources = g_new0 (LoadHost *, load->source_count);
  for (guint i = 0; i < load->source_count; i++)
    load->sources[i] = load_host_new ();
  for (guint i = 0; i < load->migrations; i++)
    load_host_add_domain (get_source (load, i), load->fleet, i, i);
  for (guint i = 0; i < load->source_count; i++)
    load_host_start_daemon (load->sources[i]);
  load->dest = load_host_new ();
  load_host_start_daemon (load->dest);
  LOAD_WAIT_UNTIL (count_ready (load) == load->migrations);
  LOAD_WAIT_UNTIL (measured_daemon_count (load->dest->daemon, "libvirt-connected") == 1);
}

/* libvirt makes the QEMUs of the destination and tells of all of them at once. */
static void
prepare (Load *load)
{
  StandInLibvirt *libvirt = load->dest->host->libvirt;
  gint64 start_us;

  for (guint i = 0; i < load->migrations; i++) {
    g_autofree char *uuid = load_domain_uuid (i);

    load_host_add_domain (load->dest, load->fleet, load->migrations + i, i);
    stand_in_libvirt_set_state (libvirt, uuid, STATE_PAUSED_MIGRATION);
    stand_in_libvirt_set_element (
      libvirt, uuid, stand_in_libvirt_get_element (get_source (load, i)->host->libvirt, uuid));
  }
  start_us = g_get_monotonic_time ();
  for (guint i = 0; i < load->migrations; i++) {
    g_autofree char *uuid = load_domain_uuid (i);

    g_assert_true (stand_in_libvirt_emit (libvirt, uuid, STARTED_MIGRATED));
  }
  LOAD_WAIT_UNTIL (measured_daemon_count (load->dest->daemon, "arrival-claimed") ==
                   load->migrations);
  report_use ("from the announcement of all migrations to the last claim", "s",
              (double) (g_get_monotonic_time () - start_us) / 1e6, 0, NULL);
}

/* pauses */

typedef struct {
  Load *load;
  guint migration;
} Pause;

static gboolean
on_pause_told (gpointer user_data)
{
  g_autofree Pause *pause = user_data;
  g_autofree char *uuid = load_domain_uuid (pause->migration);

  g_assert_true (stand_in_libvirt_emit (get_source (pause->load, pause->migration)->host->libvirt,
                                        uuid, SUSPENDED_MIGRATED));
  return G_SOURCE_REMOVE;
}

/* QEMU pauses, and libvirt tells of it. */
static void
pause_guest (Load *load, guint migration, guint64 clock_ns)
{
  Pause *pause = g_new0 (Pause, 1);

  *pause = (Pause){ .load = load, .migration = migration };
  helper_fleet_send_record (load->fleet, migration, load->migrations + migration,
                            clock_ns + migration);
  g_main_context_invoke (NULL, on_pause_told, pause);
}

/* A thread of its own, with an echo between two pauses; stops when the last is half a pace ago. */
static gpointer
pause_in_turn (gpointer user_data)
{
  Load *load = user_data;
  gint64 start_us = g_get_monotonic_time ();

  for (guint i = 0; i < 2 * load->migrations; i++) {
    gint64 left_us = start_us + i * PACE_US / 2 - g_get_monotonic_time ();

    if (left_us > 0)
      g_usleep ((gulong) left_us);
    if (i % 2 == 0)
      pause_guest (load, i / 2, CLOCK_FIRST_NS);
    else
      tls_echo_run (load->echo, 1, load->echo_ms);
  }
  g_atomic_int_set (&load->is_paced, TRUE);
  return NULL;
}

static void
report_delays (Load *load, const char *what)
{
  g_autoptr (GArray) delays = samples_new ();

  for (guint i = 0; i < load->migrations; i++)
    samples_add (delays, helper_fleet_get_delay_ms (load->fleet, load->migrations + i));
  figure_print (&(Figure){
    .part = "daemon",
    .what = what,
    .unit = "ms",
    .samples = delays,
    .statistic = FIGURE_P99,
    .against = "as many echoes over one plain TLS connection",
    .control = load->echo_ms,
    .goal = FIGURE_GOAL_VALUE,
    .limit = DELAY_MAX_MS,
  });
  g_array_set_size (load->echo_ms, 0);
}

static void
measure_in_turn (Load *load)
{
  g_autofree char *what =
    g_strdup_printf ("from a pause to the fix-up, %u migrations that pause in turn, every %d ms",
                     load->migrations, PACE_US / 1000);
  GThread *thread = g_thread_new ("pauses", pause_in_turn, load);

  LOAD_WAIT_UNTIL (g_atomic_int_get (&load->is_paced));
  g_thread_join (thread);
  LOAD_WAIT_UNTIL (helper_fleet_count_delivered (load->fleet) == load->migrations);
  report_delays (load, what);
}

static void
measure_at_once (Load *load)
{
  g_autofree char *what = g_strdup_printf (
    "from a pause to the fix-up, %u migrations that pause in the same moment", load->migrations);
  DaemonUse before, after;

  measured_daemon_read_use (load->dest->daemon, &before);
  for (guint i = 0; i < load->migrations; i++)
    pause_guest (load, i, 2 * CLOCK_FIRST_NS);
  LOAD_WAIT_UNTIL (helper_fleet_count_delivered (load->fleet) == 2 * load->migrations);
  measured_daemon_read_use (load->dest->daemon, &after);
  tls_echo_run (load->echo, load->migrations, load->echo_ms);
  report_delays (load, what);
  report_use ("processor time of the destination's daemon for each of these", "ms",
              (after.cpu_ms - before.cpu_ms) / load->migrations, 0, NULL);
}

/* what they take of the machine */

static void
measure_cpu (Load *load)
{
  DaemonUse before, after;
  gint64 start_us = g_get_monotonic_time ();

  measured_daemon_read_use (load->dest->daemon, &before);
  LOAD_WAIT_UNTIL (g_get_monotonic_time () - start_us > CPU_WINDOW_S * G_USEC_PER_SEC);
  measured_daemon_read_use (load->dest->daemon, &after);
  report_use ("processor time of the destination's daemon a second, while all are under way", "ms",
              (after.cpu_ms - before.cpu_ms) / CPU_WINDOW_S, 0,
              "comparing clocks with each source");
}

static void
measure_memory (Load *load)
{
  DaemonUse dest, source;

  measured_daemon_read_use (load->dest->daemon, &dest);
  measured_daemon_read_use (load->sources[0]->daemon, &source);
  report_use ("memory of its own, destination's daemon", "KiB", (double) dest.own, MEMORY_MAX_KIB,
              "pages that no other process has");
  report_use ("memory with all pages of shared libraries, destination's daemon", "KiB",
              (double) dest.rss, 0, NULL);
  report_use ("memory of its own, a source's daemon", "KiB", (double) source.own, 0, NULL);
}

static void
load_clear (Load *load)
{
  tls_echo_free (load->echo);
  g_array_unref (load->echo_ms);
  load_host_free (load->dest);
  for (guint i = 0; i < load->source_count; i++)
    load_host_free (load->sources[i]);
  g_free (load->sources);
  helper_fleet_free (load->fleet);
}

int
main (int argc, char **argv)
{
  Load load = {
    .migrations = argc > 1 ? (guint) atoi (argv[1]) : MIGRATIONS,
    .source_count = argc > 2 ? (guint) atoi (argv[2]) : SOURCES,
    .echo_ms = samples_new (),
  };
  g_autoptr (GTlsCertificate) certificate = NULL;
  g_autoptr (GError) error = NULL;

  measured_daemon_require ();
  boot (&load);
  certificate = identity_load (load.dest->host->folder, &error);
  g_assert_no_error (error);
  load.echo = tls_echo_new (certificate);
  prepare (&load);
  g_usleep (SETTLE_S * G_USEC_PER_SEC);
  measure_cpu (&load);
  measure_in_turn (&load);
  measure_at_once (&load);
  measure_memory (&load);
  load_clear (&load);
  return EXIT_SUCCESS;
}
