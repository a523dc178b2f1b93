/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * helper-channel - the helper's end of the channel to clockferryd
 *
 * One socket, one connection, no thread: the channel moves only when it is called, from inside
 * QEMU's KVM_GET_CLOCK and KVM_SET_CLOCK. All functions are for one thread at a time; the caller
 * sees to that. Nothing here fails towards QEMU: whatever goes wrong, there is no daemon.
 *
 * What the daemon has said stays valid when its connection ends: a daemon that is being restarted
 * does not spoil a migration, and every message has its own deadline.
 */

#include <stdbool.h>
#include <stdint.h>

#include "helper-protocol.h"

/*
 * Bind @directory/HELPER_SOCKET_NAME for the daemon of @domain. Peers of user @refused_uid are turned
 * away, 0 turns away none. Does nothing if already bound. Nobody can connect yet: a socket that stays
 * like this tells the daemon that the helper was loaded, and that QEMU makes its ioctls another way.
 * One that is there already may be that of the running QEMU, and this process a program that was given
 * QEMU's environment and arguments: it stays, and if nobody listens there, tells the daemon the same.
 */
void helper_channel_open (const char *directory, const uint8_t domain[16], uint32_t refused_uid);

/*
 * The process is a QEMU with a VM: let the daemon connect. If helper_channel_open() could not bind,
 * it is done now, in place of whatever is there.
 */
void helper_channel_listen (void);

/* Let go of socket and connection, and forget everything: for tests. */
void helper_channel_close (void);

/*
 * Accept and read what is there, without blocking; send what could not be sent before. Whoever sends
 * so much that it would take more than a few ms is cut off, and nothing is expected any longer.
 */
void helper_channel_service (void);

/* The record to fill, with room for CLOCK_RECORD_VCPUS_MAX. Send it, or leave it alone after. */
struct clock_record *helper_channel_record (void);

/* Send the record; a daemon that connects later gets it too, until there is another. */
void helper_channel_send_record (void);

/* The report to fill, cleared, with room for CLOCK_RECORD_VCPUS_MAX; then send it. */
struct helper_report *helper_channel_report (void);
void helper_channel_send_report (void);

/* Has the daemon announced a migration, or sent a fix-up, that is not settled yet? */
bool helper_channel_is_expecting (void);

/* The latest fix-up, NULL without. Valid until the next call of this module. */
const struct helper_fixup *helper_channel_fixup (void);

/*
 * Read until there is a fix-up whose guest_src_ns is @clock_ns. Waits only for an announced
 * migration before its deadline, and HELPER_WAIT_MAX_MS at most over the life of the process.
 * Returns the ns waited. No result by itself: look at helper_channel_fixup().
 */
uint64_t helper_channel_await_fixup (uint64_t clock_ns);

/* Forget announcement and fix-up: each is good for one KVM_SET_CLOCK. */
void helper_channel_settle (void);
