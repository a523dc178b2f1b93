/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * qemu-sandbox - the system calls that QEMU gives up, as libvirt starts it
 *
 * -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny of QEMU 7.2
 * (softmmu/qemu-seccomp.c): all is allowed but for a list, most of which ends the process.
 */

/* Of this process, for good. 0, or a negative errno. */
int qemu_sandbox_enter (void);
