/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * names - every bus name, path and file name that another program depends on
 */

#define CLOCKFERRY_PEER_PATH "/org/clockferry1/Peer"

/* on the system bus: data/org.clockferry1.xml */
#define CLOCKFERRY_BUS_NAME        "org.clockferry1"
#define CLOCKFERRY_BUS_PATH        "/org/clockferry1"
#define CLOCKFERRY_MANAGER_PATH    "/org/clockferry1/Manager"
#define CLOCKFERRY_DOMAIN_PATH     "/org/clockferry1/domain/_"    /* UUID with _ for - */
#define CLOCKFERRY_MIGRATION_PATH  "/org/clockferry1/migration/_" /* ID */
#define CLOCKFERRY_MANAGER_IFACE   "org.clockferry1.Manager"
#define CLOCKFERRY_DOMAIN_IFACE    "org.clockferry1.Domain"
#define CLOCKFERRY_MIGRATION_IFACE "org.clockferry1.Migration"

#define CLOCKFERRY_ERROR_PREFIX "org.clockferry1.Error."

#define CLOCKFERRY_DOMAIN_NS     "https://clockferry.org/domain/1"
#define CLOCKFERRY_DOMAIN_PREFIX "clockferry"

/* of what an operator puts there: libvirt keeps one element of a namespace in the metadata */
#define CLOCKFERRY_POLICY_NS "https://clockferry.org/policy/1"

#define LIBVIRT_BUS_NAME      "org.libvirt"
#define LIBVIRT_QEMU_PATH     "/org/libvirt/QEMU"
#define LIBVIRT_CONNECT_IFACE "org.libvirt.Connect"
#define LIBVIRT_DOMAIN_IFACE  "org.libvirt.Domain"
#define LIBVIRT_ERROR_NAME    "org.libvirt.Error"

/* Where libvirt keeps pid files (since 1.0) and the per-VM directories, in system mode. */
#define LIBVIRT_QEMU_RUN_DIR   "/run/libvirt/qemu"
#define LIBVIRT_QEMU_STATE_DIR "/var/lib/libvirt/qemu"

#define CLOCKFERRY_DEFAULT_PORT 16520
