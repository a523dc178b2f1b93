/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * qemu-process - the QEMU of a domain: its pid by libvirt's word, and where its helper listens
 *
 * libvirt writes /run/libvirt/qemu/NAME.pid before it executes QEMU, and gives each VM a directory
 * /var/lib/libvirt/qemu/domain-ID-NAME (qemu_process.c, virDomainDefGetShortName).
 */

#include <glib.h>
#include <sys/types.h>

/* The folders, for tests that have no libvirt; NULL means libvirt's own. */
typedef struct {
  const char *run_dir;
  const char *state_dir;
  const char *observer_socket; /* see observer-link.h */
} QemuFolders;

/* Where libvirt keeps the status of the running domain @name: qemu_domain.c, qemuDomainSaveStatus(). Owned by the
 * caller. */
char *qemu_process_make_status_path (const QemuFolders *folders, const char *name)
  G_GNUC_WARN_UNUSED_RESULT;

/* The pid in libvirt's pid file of @name, or -1 with a GFileError or CLOCKFERRY_ERROR_NO_QEMU. */
pid_t qemu_process_read_pid (const QemuFolders *folders, const char *name, GError **error);

/*
 * Path of the helper's socket of the running domain @name with libvirt's number @id, or NULL with
 * CLOCKFERRY_ERROR_NO_HELPER when there is none: that QEMU runs without the helper. Owned by the
 * caller.
 */
char *qemu_process_find_socket (const QemuFolders *folders, const char *name, int id,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
