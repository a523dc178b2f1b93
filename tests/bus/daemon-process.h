/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * daemon-process - the real clockferryd as a child, and what it says
 *
 * Outside systemd it logs one line per event on stderr: "event: message [FIELD=value ...]".
 */

#include <gio/gio.h>

#include "qemu-process.h"

typedef struct DaemonProcess DaemonProcess;

/*
 * Run the daemon of a host: configuration and state in @folder, @bus_address as its system bus, its
 * peers at 127.0.0.1 and @port.
 */
DaemonProcess *daemon_process_start (const char *folder, const char *bus_address, guint port);

/* The same with QEMUs in @folders, which must outlive it, in place of libvirt's. */
DaemonProcess *daemon_process_start_with_folders (const char *folder, const char *bus_address,
                                                  guint port, const QemuFolders *folders);

/* The same for one that may end instead of coming up. */
DaemonProcess *daemon_process_try (const char *folder, const char *bus_address, guint port);

/* End it with SIGTERM; it must exit in order, which under ASan includes having leaked nothing. */
void daemon_process_stop (DaemonProcess *daemon);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DaemonProcess, daemon_process_stop)

/* SIGHUP: it is to read its settings anew. */
void daemon_process_reload (DaemonProcess *daemon);

/* Wait for its own end instead; it must not be by a signal. Returns its exit status. */
int daemon_process_wait (DaemonProcess *daemon);

int daemon_process_get_pid (const DaemonProcess *daemon);

/* The most memory that was ever resident, in KiB, by the kernel's word. */
guint64 daemon_process_get_peak_kib (const DaemonProcess *daemon);

/* How many lines of @event so far contain @text; either may be NULL for any. */
guint daemon_process_count (DaemonProcess *daemon, const char *event, const char *text);

/* A TCP port of 127.0.0.1 that nobody uses, and nobody is given while this process lives. */
guint daemon_process_reserve_port (void);
