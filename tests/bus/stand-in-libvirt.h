/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * stand-in-libvirt - org.libvirt on a private bus, behaving as libvirt-dbus was seen to
 *
 * No event is emitted before a client has called a method, nor again after libvirtd was restarted
 * until the next call. SetMetadata injects prefix and namespace as libvirt does. Serves from the
 * main context: the caller must let it run.
 */

#include <gio/gio.h>

#include "private-bus.h"

typedef struct StandInLibvirt StandInLibvirt;

/* Take the name org.libvirt on the @bus. */
StandInLibvirt *stand_in_libvirt_start (PrivateBus *bus);

void stand_in_libvirt_free (StandInLibvirt *libvirt);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StandInLibvirt, stand_in_libvirt_free)

/* libvirt-dbus exits, held calls unanswered, and comes back under another unique name. The domains
 * stay. */
void stand_in_libvirt_leave_bus (StandInLibvirt *libvirt);
void stand_in_libvirt_join_bus (StandInLibvirt *libvirt);

/* libvirtd is restarted: libvirt-dbus stays, and emits nothing until it is called again. */
void stand_in_libvirt_restart_libvirtd (StandInLibvirt *libvirt);

/* A KVM domain runs, without any metadata. No event is emitted for it. */
void stand_in_libvirt_add_domain (StandInLibvirt *libvirt, const char *uuid, const char *name,
                                  int id);
void stand_in_libvirt_remove_domain (StandInLibvirt *libvirt, const char *uuid);

/* virDomainState and its reason. */
void stand_in_libvirt_set_state (StandInLibvirt *libvirt, const char *uuid, int state, int reason);

/* A job as a migration is one is under way, or over. */
void stand_in_libvirt_set_job (StandInLibvirt *libvirt, const char *uuid, gboolean has_job);

/* "qemu" makes it a domain that is emulated. */
void stand_in_libvirt_set_type (StandInLibvirt *libvirt, const char *uuid, const char *type);

/* The element of our namespace in the metadata, NULL without; for the XML at the next host. */
const char *stand_in_libvirt_get_element (StandInLibvirt *libvirt, const char *uuid);
void stand_in_libvirt_set_element (StandInLibvirt *libvirt, const char *uuid, const char *element);

/* The operator's policy in the metadata, as XML, NULL without. Setting it emits MetadataChange. */
const char *stand_in_libvirt_get_policy (StandInLibvirt *libvirt, const char *uuid);
void stand_in_libvirt_set_policy (StandInLibvirt *libvirt, const char *uuid, const char *element);

/* Emit DomainEvent, unless libvirt-dbus would not. Returns whether it did. */
gboolean stand_in_libvirt_emit (StandInLibvirt *libvirt, const char *uuid, int event, int detail);

/* Answer calls of @method with org.libvirt.Error @message from now on; NULL: as usual again. */
void stand_in_libvirt_fail (StandInLibvirt *libvirt, const char *method, const char *message);

/* Do not answer calls of @method until released; then answer all of them in order. */
void stand_in_libvirt_hold (StandInLibvirt *libvirt, const char *method);
void stand_in_libvirt_release (StandInLibvirt *libvirt);

/* How many calls of @method came for @uuid, NULL for the driver object; held ones included. */
guint stand_in_libvirt_count (StandInLibvirt *libvirt, const char *method, const char *uuid);

/* The arguments of the last SetMetadata for @uuid, or NULL. Borrowed. */
GVariant *stand_in_libvirt_get_set_metadata (StandInLibvirt *libvirt, const char *uuid);
