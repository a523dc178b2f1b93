/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * load-host - a host with as many domains as it takes: a bus, libvirt, QEMUs and the real daemon
 */

#include "bus-host.h"
#include "helper-fleet.h"
#include "measured-daemon.h"

typedef struct {
  BusHost *host;
  char *run_dir;          /* libvirt's, for this host */
  char *state_dir;        /* likewise */
  MeasuredDaemon *daemon; /* NULL while it is down */
} LoadHost;

LoadHost *load_host_new (void);
void load_host_free (LoadHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LoadHost, load_host_free)

/* The UUID of domain number @number. Free with g_free(). */
char *load_domain_uuid (guint number);

/* Domain @number is known to libvirt here, and its QEMU is number @index of the @fleet. */
void load_host_add_domain (LoadHost *host, HelperFleet *fleet, guint index, guint number);

/* Start the daemon; it is not ready yet. */
void load_host_start_daemon (LoadHost *host);
void load_host_stop_daemon (LoadHost *host);
