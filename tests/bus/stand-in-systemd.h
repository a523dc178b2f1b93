/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * stand-in-systemd - org.freedesktop.systemd1 on a private bus, as far as jobs of units go
 *
 * As the real one, it emits no signal before somebody has called Subscribe.
 */

#include <gio/gio.h>

#include "private-bus.h"

typedef struct StandInSystemd StandInSystemd;

StandInSystemd *stand_in_systemd_start (PrivateBus *bus);

void stand_in_systemd_free (StandInSystemd *systemd);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StandInSystemd, stand_in_systemd_free)

/* A job of @unit is done, and left it in @state, "active" for instance. Returns whether anybody was
 * told. */
gboolean stand_in_systemd_finish_job (StandInSystemd *systemd, const char *unit, const char *state);

/* How often a unit's state was asked for. */
guint stand_in_systemd_count_reads (const StandInSystemd *systemd);
