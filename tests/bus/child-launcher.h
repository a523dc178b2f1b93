/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * child-launcher - children that do not survive the test, however it ends
 */

#include <gio/gio.h>

#include "qemu-process.h"

/* A launcher whose children the kernel kills when the test's main thread ends. */
GSubprocessLauncher *child_launcher_new (GSubprocessFlags flags);

/*
 * The same, and the children have @folders in place of libvirt's own, in a mount namespace of theirs;
 * /run and /var/lib/libvirt are empty besides. Nobody needs to be root for this.
 */
GSubprocessLauncher *child_launcher_new_with_folders (GSubprocessFlags flags,
                                                      const QemuFolders *folders);
