/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * managed-host - a host whose daemon runs in this process, with QEMUs that the test plays
 *
 * Manager is the daemon without its main(): here it can be pointed at folders with stand-in QEMUs.
 */

#include "bus-host.h"
#include "manager.h"
#include "stand-in-qemu.h"

typedef struct {
  BusHost *host;
  StandInFolders *folders;
  GDBusConnection *connection;
  GTlsCertificate *identity;
  Settings settings;
  Manager *manager;  /* NULL while the daemon is down */
  StandInQemu *qemu; /* of WEB, NULL while it does not run here */
} ManagedHost;

ManagedHost *managed_host_new (void);
void managed_host_free (ManagedHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ManagedHost, managed_host_free)

/* Settings may be changed before; they count from here on. */
void managed_host_start_daemon (ManagedHost *host);

/* WEB runs here, with a helper, and the daemon has adopted and advertised it. */
void managed_host_boot (ManagedHost *host);

/*
 * WEB comes from @source: QEMU was made, and STARTED/MIGRATED said so. Both may be told to happen
 * without a helper in QEMU.
 */
void managed_host_prepare (ManagedHost *host, ManagedHost *source, gboolean has_helper);

/* libvirt tells of WEB. */
void managed_host_emit (ManagedHost *host, int event, int detail);
