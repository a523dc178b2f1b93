/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * libvirt-calls - the few methods of libvirt-dbus that the daemon calls about one domain
 *
 * These, ListDomains, and nothing else are what data/org.clockferry1.conf lets it call. All are
 * asynchronous: a domain that libvirt has locked answers late, or after 30 s with an error. A
 * connection may wait for LIBVIRT_CALLS_MAX answers at a time, and what is asked meanwhile waits here:
 * a start on a host with many domains, or all of them arriving at once, asks more than the bus lets
 * through. Of those that wait the urgent ones go first, and each kind in the order it came.
 */

#include <gio/gio.h>

#include "domain-info.h"

/* Half of what dbus-daemon allows a connection by default (max_replies_per_connection, 128). */
#define LIBVIRT_CALLS_MAX 64

typedef enum {
  LIBVIRT_CALL_URGENT, /* decides over a guest that may have arrived, or left, before it is answered */
  LIBVIRT_CALL_PATIENT, /* of a guest that lives here */
  LIBVIRT_CALL_URGENCIES,
} LibvirtUrgency;

typedef struct {
  int state;  /* virDomainState */
  int reason; /* virDomain*Reason of that state */
} LibvirtDomainState;

/*
 * GetXMLDesc of the running domain @uuid, without secrets. Finish with one of two, owned by the
 * caller: the XML, or what domain_info_parse() reads from it, with the errors of both.
 */
void libvirt_get_xml_async (GDBusConnection *bus, const char *driver_path, const char *uuid,
                            LibvirtUrgency urgency, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer user_data);
char *libvirt_get_xml_finish (GDBusConnection *bus, GAsyncResult *result, GError **error);
DomainInfo *libvirt_get_info_finish (GDBusConnection *bus, GAsyncResult *result, GError **error);

/* GetState of the domain @uuid. */
void libvirt_get_state_async (GDBusConnection *bus, const char *driver_path, const char *uuid,
                              LibvirtUrgency urgency, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data);
gboolean libvirt_get_state_finish (GDBusConnection *bus, GAsyncResult *result,
                                   LibvirtDomainState *state, GError **error);

/*
 * GetJobInfo of the domain @uuid: whether a job is under way that takes its time, as a migration does and a
 * save, a dump or a backup. It is from before libvirt writes that into the domain's status (virdomainjob.c,
 * virDomainObjBeginJobInternal()) until the migration is over. FALSE without *@error: none is. Urgent.
 */
void libvirt_get_job_async (GDBusConnection *bus, const char *driver_path, const char *uuid,
                            GCancellable *cancellable, GAsyncReadyCallback callback,
                            gpointer user_data);
gboolean libvirt_has_job_finish (GDBusConnection *bus, GAsyncResult *result, GError **error);

/*
 * SetMetadata: put @element_xml, an element of our namespace, into the live metadata of @uuid in
 * place of one of the same name. It can wait. libvirt refuses it after 30 s of waiting while a migration runs.
 */
void libvirt_set_element_async (GDBusConnection *bus, const char *driver_path, const char *uuid,
                                const char *element_xml, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer user_data);
gboolean libvirt_set_element_finish (GDBusConnection *bus, GAsyncResult *result, GError **error);
