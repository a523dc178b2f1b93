/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * libvirt-watch - events of domains from libvirt-dbus, and knowing when they stopped coming
 *
 * libvirt-dbus emits nothing until a client calls a method, and nothing again after libvirtd was
 * restarted, until the next call; its name on the bus does not change then. So the watch subscribes,
 * primes with ListDomains, and primes again when org.libvirt gets a new owner and when systemd has
 * finished a job of libvirtd.service or virtqemud.service. Each priming ends with `listed`, from
 * which the owner reconciles what it missed.
 */

#include <gio/gio.h>

typedef struct LibvirtWatch LibvirtWatch;

typedef struct {
  /* A priming begins: `listed` will tell what ran at some time after this. May be NULL. */
  void (*listing) (gpointer user_data);
  /*
   * A priming succeeded: @uuids holds the lower-case text UUIDs of all running domains. Borrowed.
   */
  void (*listed) (GPtrArray *uuids, gpointer user_data);
  /* virDomainEventType and its detail of the domain @uuid. Unknown numbers are passed on. */
  void (*event) (const char *uuid, int event, int detail, gpointer user_data);
  /* Somebody changed the element of the namespace @uri in the metadata of the domain @uuid, which need
   * not be running. May be NULL. */
  void (*metadata) (const char *uuid, const char *uri, gpointer user_data);
  /* libvirt cannot be reached, or no longer; tried again until it can. Once per loss. */
  void (*lost) (const GError *error, gpointer user_data);
} LibvirtWatchCallbacks;

/*
 * Watch the libvirt driver object @driver_path (LIBVIRT_QEMU_PATH) on @bus. @callbacks must outlive
 * the watch; they run in the main context and may free it. Starts at once.
 */
LibvirtWatch *libvirt_watch_new (GDBusConnection *bus, const char *driver_path,
                                 const LibvirtWatchCallbacks *callbacks, gpointer user_data);

void libvirt_watch_free (LibvirtWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LibvirtWatch, libvirt_watch_free)

/*
 * The UUID that the object path of a libvirt-dbus domain is made of, or NULL if @path is not one.
 * Pure: works when the domain is gone.
 */
char *libvirt_watch_parse_path (const char *path) G_GNUC_WARN_UNUSED_RESULT;
