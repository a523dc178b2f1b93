/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * sight-collector - puts the parts of each sight together as they come out of the ring buffer
 */

#include <glib.h>

#include "clock-record.h"
#include "observer-protocol.h"

typedef struct SightCollector SightCollector;

/* @record is checked, and NULL if there is none for @reason, of which @detail may say more. */
typedef void (*SightRecordFunc) (gint32 pid, const struct clock_record *record, gsize size,
                                 enum observer_reason reason, guint32 detail, gpointer user_data);

SightCollector *sight_collector_new (SightRecordFunc func, gpointer user_data);
void sight_collector_free (SightCollector *collector);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SightCollector, sight_collector_free)

/*
 * What came out of the ring buffer, @size bytes aligned to 8. Calls back when a sight is complete;
 * and for one that is not, when a later one of the same process begins.
 */
void sight_collector_take (SightCollector *collector, gconstpointer data, gsize size);

/* Forget what is incomplete of the process @pid. */
void sight_collector_drop (SightCollector *collector, gint32 pid);
