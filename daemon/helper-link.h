/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * helper-link - the daemon's end of the channel to the helper inside one QEMU
 *
 * The helper reads and writes only while QEMU touches the guest's clock, so nothing is ever awaited
 * here: messages are left in the socket, and what the helper wrote arrives as callbacks.
 */

#include <gio/gio.h>

#include "helper-protocol.h"
#include "qemu-process.h"

typedef struct HelperLink HelperLink;

typedef struct {
  /* QEMU asked KVM_GET_CLOCK. @record is checked, @size bytes, borrowed. */
  void (*record) (const struct clock_record *record, gsize size, gpointer user_data);
  /* What was done inside KVM_SET_CLOCK. @report is checked and borrowed. */
  void (*report) (const struct helper_report *report, gpointer user_data);
  /*
   * The link is dead; free it. @error: CLOCKFERRY_ERROR_REFUSED when one end refused a message of
   * the other, or it sent far too many; G_IO_ERROR_CLOSED when QEMU ended or closed it, another
   * G_IO_ERROR otherwise.
   */
  void (*closed) (const GError *error, gpointer user_data);
} HelperLinkCallbacks;

/*
 * Connect to the helper of the running domain @name with libvirt's number @id and @uuid (text), and
 * check that the other end is the process of libvirt's pid file. NULL with
 * CLOCKFERRY_ERROR_NO_HELPER, CLOCKFERRY_ERROR_IMPOSTOR (other pid), or a G_IO_ERROR:
 * G_IO_ERROR_CONNECTION_REFUSED if the helper was loaded, but has not seen QEMU make a VM.
 * @callbacks must outlive the link and may free it.
 */
HelperLink *helper_link_new (const QemuFolders *folders, const char *name, int id, const char *uuid,
                             const HelperLinkCallbacks *callbacks, gpointer user_data,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

void helper_link_free (HelperLink *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelperLink, helper_link_free)

/* Leave a message for the helper. FALSE with a G_IO_ERROR when the socket does not take it. */
gboolean helper_link_send_incoming (HelperLink *link, guint64 deadline_monotonic_ns,
                                    GError **error);
gboolean helper_link_send_withdraw (HelperLink *link, GError **error);

/*
 * Send @fixup with @record, which must be checked, behind it; header, length and record of @fixup
 * are filled in here. FALSE as above, also with G_IO_ERROR_WOULD_BLOCK: QEMU has not touched the
 * clock for so long that what is left of the socket is kept for helper_link_send_withdraw().
 */
gboolean helper_link_send_fixup (HelperLink *link, const struct helper_fixup *fixup,
                                 const struct clock_record *record, GError **error);

/* Deliver now what the helper has already written: its report may lie unread behind an event. */
void helper_link_drain (HelperLink *link);

/*
 * Whether there is a fix-up and the helper has not even read the first: QEMU did not touch the clock through
 * it since. One that lies there unread by itself proves nothing: better ones follow the first, and may
 * come when it is at work already.
 */
gboolean helper_link_has_unread_fixup (HelperLink *link);
