/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * measured-daemon - the real clockferryd as a child, and what it takes of the machine
 *
 * It looks for QEMUs where libvirt has them, so it gets a mount namespace of its own, where the
 * stand-ins' folders are in libvirt's places. That takes root.
 */

#include <gio/gio.h>

typedef struct MeasuredDaemon MeasuredDaemon;

/* What the kernel says of all its threads. */
typedef struct {
  guint64 wakeups; /* context switches so far, of either kind: it ran that often */
  double cpu_ms;   /* processor time so far */
  guint threads;
  /* memory, KiB */
  guint64 rss; /* all pages, those of shared libraries as well */
  guint64 pss; /* the same, each page divided by how many processes share it */
  guint64 own; /* pages that no other process has */
} DaemonUse;

/*
 * Get as many fds as the daemon's unit has. Ends the program with 77, a skip, where daemons cannot be
 * started: not root.
 */
void measured_daemon_require (void);

/*
 * Run the daemon of a host, as daemon_process_start() does; @run_dir and @state_dir are libvirt's
 * for it. Returns at once.
 */
MeasuredDaemon *measured_daemon_start (const char *folder, const char *bus_address, guint port,
                                       const char *run_dir, const char *state_dir);

/* End it with SIGTERM. It must exit in order. */
void measured_daemon_stop (MeasuredDaemon *daemon);

/* How often it has logged @event. One that has ended ends the program. */
guint measured_daemon_count (MeasuredDaemon *daemon, const char *event);

void measured_daemon_read_use (MeasuredDaemon *daemon, DaemonUse *use);

/* Let the main loop run until @condition is true; after minutes the program fails. */
#define LOAD_WAIT_UNTIL(condition)                                                                 \
  do {                                                                                             \
    gint64 load_wait_end_us = g_get_monotonic_time () + 300 * G_USEC_PER_SEC;                      \
                                                                                                   \
    while (!(condition))                                                                           \
      load_wait_step (load_wait_end_us, #condition, __FILE__, __LINE__);                           \
  } while (0)

void load_wait_step (gint64 end_us, const char *condition, const char *file, int line);
