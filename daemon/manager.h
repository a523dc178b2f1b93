/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * manager - the daemon itself: brings libvirt's events and the peers' claims to the guests
 */

#include <gio/gio.h>

#include "qemu-process.h"
#include "settings.h"

typedef struct Manager Manager;

/*
 * Listen for peers and start watching libvirt on @bus. @settings is borrowed. NULL with a GIOError
 * when the port is not to be had, or with an error of peer_authority_new(). libvirt may come later.
 */
Manager *manager_new (GDBusConnection *bus, const Settings *settings, GTlsCertificate *identity,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same with libvirt's folders in other places, for tests. Borrowed. */
Manager *manager_new_with_folders (GDBusConnection *bus, const Settings *settings,
                                   GTlsCertificate *identity, const QemuFolders *folders,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

void manager_free (Manager *manager);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Manager, manager_free)
