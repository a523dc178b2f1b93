/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * daemon-idle - what a daemon takes while nothing happens
 *
 * The real daemon on a host with many domains, and beside it, at the same time, one with a single
 * domain: what differs is what domains cost.
 *
 *   daemon-idle [DOMAINS [SECONDS]]
 */

#include <stdlib.h>

#include "figures.h"
#include "load-host.h"

#define DOMAINS        1000
#define SECONDS        60
#define WINDOW_S       5
#define SETTLE_S       5
#define MEMORY_MAX_KIB 12288

typedef struct {
  LoadHost *host;
  guint domains;
  GArray *wakeups;
} Side;

static void
side_start (Side *side, HelperFleet *fleet, guint index)
{
  side->host = load_host_new ();
  side->wakeups = samples_new ();
  for (guint i = 0; i < side->domains; i++)
    load_host_add_domain (side->host, fleet, index + i, i);
  load_host_start_daemon (side->host);
  LOAD_WAIT_UNTIL (measured_daemon_count (side->host->daemon, "domain-ready") == side->domains);
}

static void
side_end (Side *side)
{
  load_host_free (side->host);
  g_array_unref (side->wakeups);
}

/* Nothing runs here meanwhile either. */
static void
watch_window (Side *sides, guint count)
{
  DaemonUse before[2], after[2];

  g_assert_cmpuint (count, <=, G_N_ELEMENTS (before));
  for (guint i = 0; i < count; i++)
    measured_daemon_read_use (sides[i].host->daemon, &before[i]);
  g_usleep (WINDOW_S * G_USEC_PER_SEC);
  for (guint i = 0; i < count; i++) {
    measured_daemon_read_use (sides[i].host->daemon, &after[i]);
    samples_add (sides[i].wakeups, (double) (after[i].wakeups - before[i].wakeups));
  }
}

static void
report_wakeups (const Side *many, const Side *one)
{
  g_autofree char *what =
    g_strdup_printf ("context switches in %d s, %u idle domains", WINDOW_S, many->domains);

  figure_print (&(Figure){
    .part = "daemon",
    .what = what,
    .unit = "",
    .samples = many->wakeups,
    .statistic = FIGURE_P99,
    .against = "one idle domain",
    .control = one->wakeups,
    .goal = FIGURE_GOAL_VALUE,
    .limit = 0,
  });
}

static void
report_memory (const Side *many, const char *kind, double kib, double kib_of_one, gboolean has_goal,
               const char *remark)
{
  g_autofree char *what = g_strdup_printf ("%s, %u idle domains", kind, many->domains);
  g_autoptr (GArray) samples = samples_new ();
  g_autoptr (GArray) control = samples_new ();

  samples_add (samples, kib);
  samples_add (control, kib_of_one);
  figure_print (&(Figure){
    .part = "daemon",
    .what = what,
    .unit = "KiB",
    .samples = samples,
    .against = "one idle domain",
    .control = control,
    .goal = has_goal ? FIGURE_GOAL_VALUE : FIGURE_NO_GOAL,
    .limit = MEMORY_MAX_KIB,
    .remark = remark,
  });
}

int
main (int argc, char **argv)
{
  guint domains = argc > 1 ? (guint) atoi (argv[1]) : DOMAINS;
  guint seconds = argc > 2 ? (guint) atoi (argv[2]) : SECONDS;
  g_autoptr (HelperFleet) fleet = NULL;
  Side sides[] = { { .domains = domains }, { .domains = 1 } };
  DaemonUse many, one;

  measured_daemon_require ();
  fleet = helper_fleet_new (domains + 1);
  side_start (&sides[0], fleet, 0);
  side_start (&sides[1], fleet, domains);
  LOAD_WAIT_UNTIL (helper_fleet_count_connected (fleet) == domains + 1);
  g_usleep (SETTLE_S * G_USEC_PER_SEC);
  for (guint i = 0; i < seconds; i += WINDOW_S)
    watch_window (sides, G_N_ELEMENTS (sides));

  report_wakeups (&sides[0], &sides[1]);
  measured_daemon_read_use (sides[0].host->daemon, &many);
  measured_daemon_read_use (sides[1].host->daemon, &one);
  report_memory (&sides[0], "memory of its own", (double) many.own, (double) one.own, TRUE,
                 "pages that no other process has");
  report_memory (&sides[0], "memory with a share of what is shared", (double) many.pss,
                 (double) one.pss, FALSE, NULL);
  report_memory (&sides[0], "memory with all pages of shared libraries", (double) many.rss,
                 (double) one.rss, FALSE, NULL);
  side_end (&sides[0]);
  side_end (&sides[1]);
  return EXIT_SUCCESS;
}
