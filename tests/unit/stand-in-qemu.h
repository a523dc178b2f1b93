/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * stand-in-qemu - what the daemon can see of a QEMU with the helper in it
 *
 * A pid file as libvirt writes it, with the pid of the test, and a socket in the VM's folder. The
 * real helper reads only when QEMU touches the clock; this one reads whenever the main loop runs.
 */

#include <glib.h>
#include <sys/types.h>

#include "helper-protocol.h"
#include "qemu-process.h"

/* Folders of a host that has no libvirt; one per host. */
typedef struct {
  char *root;
  QemuFolders folders; /* points into what is owned here */
} StandInFolders;

StandInFolders *stand_in_folders_new (void);
void stand_in_folders_free (StandInFolders *folders);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StandInFolders, stand_in_folders_free)

typedef struct StandInQemu StandInQemu;

/* Start the QEMU of the domain @name, @id and @uuid (text) in @folders, which must outlive it. */
StandInQemu *stand_in_qemu_start (const StandInFolders *folders, const char *name, int id,
                                  const char *uuid);

/* End it: the socket and both files vanish. */
void stand_in_qemu_end (StandInQemu *qemu);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StandInQemu, stand_in_qemu_end)

/* Make libvirt's pid file name another process. */
void stand_in_qemu_write_pid (StandInQemu *qemu, pid_t pid);

/* libvirt writes the status file of the domain, as it does in place of the old one. */
void stand_in_qemu_write_status (StandInQemu *qemu);

/* It was started without. */
void stand_in_qemu_remove_helper (StandInQemu *qemu);

gboolean stand_in_qemu_is_connected (const StandInQemu *qemu);

/* Close the connection to the daemon, and go on listening. */
void stand_in_qemu_hang_up (StandInQemu *qemu);

/* Read nothing from now on: QEMU does not touch the clock, or not through the helper. */
void stand_in_qemu_stop_reading (StandInQemu *qemu);

/* Bound and not listening from now on: the helper was loaded, and has not seen QEMU make its VM. */
void stand_in_qemu_stop_listening (StandInQemu *qemu);

/* Leave any bytes for the daemon as one packet. Must be connected. */
void stand_in_qemu_send (StandInQemu *qemu, gconstpointer data, gsize size);

/* The same, with as many open files as @files, 10 at most, passed along (SCM_RIGHTS). */
void stand_in_qemu_send_with_files (StandInQemu *qemu, gconstpointer data, gsize size, guint files);

/*
 * A thread that leaves the same packet @count times, as fast as the daemon takes them, until it hangs
 * up. Must be connected, and @data must live until g_thread_join(), which gives how many went out.
 */
GThread *stand_in_qemu_flood (StandInQemu *qemu, gconstpointer data, gsize size, guint count);

/* The message of a record, for stand_in_qemu_send(); it has its size. Free with g_free(). */
struct helper_record *stand_in_qemu_make_record_message (const StandInQemu *qemu,
                                                         const struct clock_record *record);

/* A plausible record with two vCPUs, told apart by @guest_src_ns. Free with g_free(). */
struct clock_record *stand_in_qemu_make_record (guint64 guest_src_ns);

/* QEMU asked KVM_GET_CLOCK. */
void stand_in_qemu_send_record (StandInQemu *qemu, const struct clock_record *record);

/* QEMU has set the clock. A report about two vCPUs. */
void stand_in_qemu_send_report (StandInQemu *qemu, enum helper_verdict verdict,
                                enum helper_reason reason);

/* How many messages of the daemon came and were not taken yet. */
guint stand_in_qemu_count (const StandInQemu *qemu);

/* The type of the oldest of them; there must be one. */
guint16 stand_in_qemu_peek (const StandInQemu *qemu);

/*
 * Take the oldest message of the daemon, checked and of @type; there must be one. Free with
 * g_free().
 */
gpointer stand_in_qemu_take (StandInQemu *qemu, enum helper_message_type type);
