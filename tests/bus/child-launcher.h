/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * child-launcher - children that do not survive the test, however it ends
 */

#include <gio/gio.h>

/* A launcher whose children the kernel kills when the test's main thread ends. */
GSubprocessLauncher *child_launcher_new (GSubprocessFlags flags);
