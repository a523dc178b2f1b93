/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * raw-observer - the observer's end of its socket by hand, to say there what the observer never would
 */

#include <glib.h>

#include "observer-protocol.h"

/* A socket at @path that listens; to be closed. */
int raw_observer_listen (const char *path);

/* Wait for the daemon to connect to @listen_fd; to be closed. */
int raw_observer_accept (int listen_fd);

void raw_observer_send_ready (int fd);
void raw_observer_send_record (int fd, gint32 pid, const struct clock_record *record);

/* Wait until the daemon has said to watch a process; returns which. */
gint32 raw_observer_wait_for_watch (int fd);
