/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * systemd-unit - what systemd knows of a unit, and reloading one
 */

#include <gio/gio.h>

/* The services of which one runs QEMU and the hooks: modular libvirt's first. NULL-terminated. */
extern const char *const systemd_libvirt_services[];

#define SYSTEMD_DAEMON_SERVICE "clockferryd.service"

typedef struct {
  char *load_state;       /* "loaded", "not-found", "masked" */
  char *active_state;     /* "active", "reloading", "inactive", "failed", "activating" */
  char *unit_file_state;  /* "enabled", "disabled", "static"; "" without a file */
  char *result;           /* of a service's last run: "success", "exit-code"; "" of other units */
  gint64 state_change_us; /* CLOCK_REALTIME when it last started, stopped or was reloaded */
} SystemdUnit;

void systemd_unit_free (SystemdUnit *unit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SystemdUnit, systemd_unit_free)

/* Ask about the unit @name; one that does not exist is "not-found". NULL with an error of D-Bus,
 * its remote name taken off. Owned by the caller. */
SystemdUnit *systemd_unit_read (GDBusConnection *bus, const char *name, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

gboolean systemd_unit_exists (const SystemdUnit *unit);
gboolean systemd_unit_is_active (const SystemdUnit *unit);

/* Reload the running unit @name and wait until that is done, a minute at most. */
gboolean systemd_unit_reload (GDBusConnection *bus, const char *name, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
