/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * helper-peer - the daemon's end of the helper channel, for tests
 *
 * A helper that lives in this process, in a directory of its own, and a daemon that talks to it over
 * the real socket. Nothing blocks: what the helper has to say is there when its call returns.
 */

#include <glib.h>

#include "helper-protocol.h"

extern const uint8_t helper_peer_domain[16];

/* A fresh helper in a fresh directory; then end it and clear up. */
void helper_peer_start (void);
void helper_peer_stop (void);

/* The helper's directory; owned by this module. */
const char *helper_peer_directory (void);

/* Connect as a daemon. The caller closes the fd. */
int helper_peer_connect (void);

/* The same, or -1 with errno: EAGAIN if there is no room for another. */
int helper_peer_try_connect (void);

void helper_peer_send (int fd, const void *message, size_t size);

/*
 * The next message from the helper, checked, or NULL with *@closed telling whether the helper has
 * closed the connection. Free with g_free().
 */
void *helper_peer_receive (int fd, gboolean *closed);

/* The next message, which must be of @type. */
void *helper_peer_expect (int fd, enum helper_message_type type);

/* Nothing more to receive, and still connected. */
void helper_peer_expect_silence (int fd);

void helper_peer_announce (int fd, uint64_t deadline_monotonic_ns);

/* A fix-up of @record in apply mode, valid for a minute. Free with g_free(). */
struct helper_fixup *helper_peer_fixup (const struct clock_record *record);
