/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * host-context - what all guests of this host share; owned by the manager, borrowed by the rest
 */

#include <gio/gio.h>

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
} HostContext;
