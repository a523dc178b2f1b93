/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * arrival-look - asking libvirt what became of an arriving domain, where events may have been lost
 */

#include <gio/gio.h>

#include "host-context.h"
#include "migration-phase.h"

typedef struct {
  int id;               /* libvirt's number of its QEMU: libvirt numbers them as it starts them */
  MigrationInput input; /* the event that was lost, MIGRATION_INPUT_NONE: it is still on its way */
} ArrivalLook;

/* @host must live until @callback or until @cancellable, which need not be awaited. */
void arrival_look_async (const HostContext *host, const char *uuid, GCancellable *cancellable,
                         GAsyncReadyCallback callback, gpointer user_data);

/* FALSE with an error of libvirt, or G_IO_ERROR_CANCELLED. */
gboolean arrival_look_finish (GAsyncResult *result, ArrivalLook *look, GError **error);
