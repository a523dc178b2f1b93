/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * stand-in-observer - the observer without the kernel: its own server, with the test in place of what
 * is seen
 */

#include <glib.h>

#include "observer-protocol.h"

typedef struct StandInObserver StandInObserver;

/* Listen at @path. @problem: all that clients are told, NULL: it can observe. */
StandInObserver *stand_in_observer_start (const char *path, const char *problem);

/* End it: the socket vanishes. */
void stand_in_observer_end (StandInObserver *observer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StandInObserver, stand_in_observer_end)

/* From now on, no process is watched, for @reason. */
void stand_in_observer_refuse (StandInObserver *observer, enum observer_reason reason);

/* How many processes are watched, and whether @pid is. */
guint stand_in_observer_count (const StandInObserver *observer);
gboolean stand_in_observer_watches (const StandInObserver *observer, gint32 pid);

/* There was no client for a while. */
gboolean stand_in_observer_is_idle (const StandInObserver *observer);

/* The process @pid asked KVM_GET_CLOCK: @record, or none for @reason. */
void stand_in_observer_tell (StandInObserver *observer, gint32 pid,
                             const struct clock_record *record);
void stand_in_observer_miss (StandInObserver *observer, gint32 pid, enum observer_reason reason);
