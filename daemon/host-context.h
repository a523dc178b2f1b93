/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * host-context - what all guests of this host share; owned by the manager, borrowed by the rest
 */

#include <gio/gio.h>

#include "event-log.h"
#include "observer-link.h"
#include "peer-listener.h"
#include "qemu-process.h"
#include "settings.h"

typedef struct {
  GDBusConnection *bus;
  const char *driver_path; /* libvirt-dbus object of the QEMU driver */
  const Settings *settings;
  const char *address; /* what peers are told to connect to */
  const char *pin;     /* of this host's key */
  QemuFolders folders;
  PeerAuthority *authority; /* NULL without CertificateAuthority= */
  PeerListener *listener;
  ObserverLink *observer; /* NULL: no guest is observed */
  gboolean has_listed; /* libvirt, once: a domain that it lists later and we do not know is new */

  /* who follows the guests and their migrations; may be empty */
  EventObserver migration_observer; /* of every entry about a migration */
  void (*guest_changed) (const char *uuid, gpointer user_data); /* guest_get_view() tells else */
  gpointer user_data;
} HostContext;
