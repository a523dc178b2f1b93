/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * host-status - what clockferryctl status shows, collected
 */

#include "bus-client.h"
#include "installation.h"

/* Zero-initialise. What is of the daemon is NULL while that does not run. */
typedef struct {
  BusClient *client;
  GError *problem;       /* why there is no client */
  GPtrArray *domains;    /* of BusDomain */
  GPtrArray *migrations; /* of BusMigration */
  HookState hook;
  HelperState helper;
  char *helper_problem; /* NULL for none */
} HostStatus;

/* Look at this host, and ask its daemon. */
void host_status_collect (HostStatus *status);

void host_status_clear (HostStatus *status);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HostStatus, host_status_clear)

/* How many domains the daemon says are ready, or emulated; how many migrations have not ended. */
guint host_status_count_ready (const HostStatus *status);
guint host_status_count_emulated (const HostStatus *status);
guint host_status_count_in_flight (const HostStatus *status);
