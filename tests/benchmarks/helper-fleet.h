/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * helper-fleet - what daemons can see of a thousand QEMUs with the helper in them
 *
 * One process stands for all of them: pid files as libvirt writes them, with its own pid, and for
 * each domain a folder with the helper's socket. One thread of its own serves all sockets by
 * epoll(7), so that what arrives is timed at once. In contrast to the helper, which reads when QEMU
 * touches the clock, it reads at any time.
 */

#include <glib.h>

#include "helper-protocol.h"

typedef struct HelperFleet HelperFleet;

/* A fleet of @count, none of them started. */
HelperFleet *helper_fleet_new (guint count);
void helper_fleet_free (HelperFleet *fleet);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HelperFleet, helper_fleet_free)

/*
 * Start number @index as the QEMU of the domain @name, @id, @uuid, with its pid file in @run_dir and
 * its folder in @state_dir.
 */
void helper_fleet_start (HelperFleet *fleet, guint index, const char *run_dir,
                         const char *state_dir, const char *name, int id, const char *uuid);

/* How many of them a daemon is connected to. */
guint helper_fleet_count_connected (HelperFleet *fleet);

/*
 * QEMU number @index asks KVM_GET_CLOCK: leave a record for its daemon, told apart by
 * @guest_src_ns. Number @destination is to get a fix-up of it. Any thread.
 */
void helper_fleet_send_record (HelperFleet *fleet, guint index, guint destination,
                               guint64 guest_src_ns);

/* How many of the records that were sent have come as a fix-up where they were to. */
guint helper_fleet_count_delivered (HelperFleet *fleet);

/*
 * How long the last record for number @destination was under way, in ms, from before it was written
 * to after the fix-up was read. It must have come.
 */
double helper_fleet_get_delay_ms (HelperFleet *fleet, guint destination);
