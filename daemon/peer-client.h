/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "host-clock.h"

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * peer-client - what the destination's end of a connection asks and is sent, once the other end has
 * proven who it is
 *
 * Shows the ticket, and then judges what comes. The source may be hostile all the same: it gets no
 * answers, and what it says of itself is bounded and printable.
 */

typedef struct PeerClient PeerClient;

/* What to ask for. */
typedef struct {
  const char *domain; /* UUID */
  const char *ticket;
  const char *migration; /* migration-id.h; NULL: claim nothing, only look whether one could */
} PeerRequest;

/* Each may stop and free the client. Nothing comes after failed. */
typedef struct {
  /* The ticket is right. What the source's kernel says of its clock, and, of a look only, how far
   * CLOCK_REALTIME there is ahead of its CLOCK_BOOTTIME. */
  void (*welcomed) (const HostClockState *clock, int64_t real_minus_boot_ns, gpointer user_data);
  /* A record that clock_record_check() accepted, aligned for its struct; never before welcomed. */
  void (*record) (GBytes *record, gpointer user_data);
  void (*withdrawn) (const char *reason, gpointer user_data);
  /* Refused, lost, or what came is not allowed. @error is the callee's. */
  void (*failed) (GError *error, gpointer user_data);
} PeerClientCallbacks;

/*
 * Ask on @bus, as peer_dial_finish() returns it. @request is copied; @callbacks is borrowed and must
 * outlive the client.
 */
PeerClient *peer_client_new (GDBusConnection *bus, const PeerRequest *request,
                             const PeerClientCallbacks *callbacks, gpointer user_data,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The connection, for a sampler. Borrowed. */
GDBusConnection *peer_client_get_bus (PeerClient *self);

/* Say that the claimed domain does not come, and stop. Not awaited, nor need the source know of this. */
void peer_client_abandon (PeerClient *self);

/* Close the connection. No callback comes afterwards. */
void peer_client_stop (PeerClient *self);

/* Stop and free. */
void peer_client_free (PeerClient *self);
