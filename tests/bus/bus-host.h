/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * bus-host - one host as a daemon sees it: a system bus with libvirt on it, and a folder of its own
 */

#include <gio/gio.h>

#include "daemon-process.h"
#include "private-bus.h"
#include "stand-in-libvirt.h"

/* libvirt's numbers, under names that the tests read by: event, detail */
#define STARTED_BOOTED     2, 0
#define STARTED_MIGRATED   2, 1
#define SUSPENDED_PAUSED   3, 0
#define SUSPENDED_MIGRATED 3, 1
#define RESUMED_UNPAUSED   4, 0
#define RESUMED_MIGRATED   4, 1
#define RESUMED_POSTCOPY   4, 3
#define STOPPED_DESTROYED  5, 1
#define STOPPED_MIGRATED   5, 3
#define STOPPED_FAILED     5, 5

/* a state and its reason */
#define STATE_RUNNING          1, 1
#define STATE_PAUSED_BY_USER   3, 1
#define STATE_PAUSED_MIGRATION 3, 2

/* numbers that no VM of the machine under test has, since the daemon looks into its real folders */
#define ID_OF(n) (900000 + (n))

#define WEB   "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
#define MAIL  "11111111-2222-4333-8444-555555555555"
#define OTHER "99999999-2222-4333-8444-555555555555"

typedef struct {
  PrivateBus *bus; /* NULL once it has ended */
  StandInLibvirt *libvirt;
  char *folder;
  guint port;
} BusHost;

BusHost *bus_host_new (void);
void bus_host_free (BusHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BusHost, bus_host_free)

/* The bus ends, and with it every connection. */
void bus_host_end_bus (BusHost *host);

/* Run the real daemon of this host. */
DaemonProcess *bus_host_start_daemon (BusHost *host);

/*
 * Boot the domain @uuid and wait until the daemon has adopted it. The bus keeps its order, so
 * whatever the daemon would have done about earlier events it has done by then.
 */
void bus_host_boot_and_wait (BusHost *host, const char *uuid, const char *name, int id);
