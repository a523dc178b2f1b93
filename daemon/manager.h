/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * manager - the daemon itself: brings libvirt's events and the peers' claims to the guests, and
 * shows on the bus what comes of them
 */

#include <gio/gio.h>

#include "qemu-process.h"
#include "settings.h"

typedef struct Manager Manager;

/*
 * Take our name on @bus, listen for peers and start watching libvirt. @settings is borrowed, and
 * changed by manager_reload(). NULL with an error of bus_service_own_name() when another daemon
 * runs on this host, with a GIOError when the port is not to be had, or with an error of
 * peer_authority_new(). libvirt may come later.
 */
Manager *manager_new (GDBusConnection *bus, Settings *settings, GTlsCertificate *identity,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same with libvirt's folders in other places, for tests. Borrowed. */
Manager *manager_new_with_folders (GDBusConnection *bus, Settings *settings,
                                   GTlsCertificate *identity, const QemuFolders *folders,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Read the settings anew, for domains that arrive from now on; the journal is told what came of it.
 * FALSE with an error of settings_load(), and nothing has changed; or with
 * CLOCKFERRY_ERROR_NEEDS_RESTART, which names the keys that wait for a restart: what can be changed
 * without is in force then.
 */
gboolean manager_reload (Manager *manager, GError **error) G_GNUC_WARN_UNUSED_RESULT;

void manager_free (Manager *manager);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Manager, manager_free)
