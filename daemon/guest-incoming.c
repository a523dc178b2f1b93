/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-incoming.h"

#include "arrival-look.h"
#include "arrival.h"
#include "host-clock.h"
#include "libvirt-calls.h"

/*
 * How long the helper may expect a record after the announcement. A migration can take hours; the
 * end of one is always told to the helper, so this only bounds what a daemon that died leaves behind.
 */
#define INCOMING_DEADLINE_NS (24 * 3600 * G_GINT64_CONSTANT (1000000000))

struct GuestIncoming {
  const HostContext *host;
  char *uuid;
  const GuestIncomingCallbacks *callbacks;
  gpointer user_data;

  Arrival *arrival;          /* NULL while nothing is on its way */
  int id;                    /* libvirt's number of it, -1 until it told */
  GCancellable *cancellable; /* of calls to libvirt */
};

/* what the source's daemon says */

static void
on_arrival_record (gpointer user_data)
{
  GuestIncoming *incoming = user_data;

  incoming->callbacks->input (MIGRATION_INPUT_RECORD, incoming->user_data);
}

static void
on_arrival_withdrawn (const char *reason, gpointer user_data)
{
  GuestIncoming *incoming = user_data;

  incoming->callbacks->input (MIGRATION_INPUT_WITHDRAWN, incoming->user_data);
}

static const ArrivalCallbacks arrival_callbacks = {
  .record = on_arrival_record,
  .withdrawn = on_arrival_withdrawn,
};

/* what libvirt says */

static void
on_xml (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GuestIncoming *incoming = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (DomainInfo)
    info = libvirt_get_info_finish (G_DBUS_CONNECTION (source), result, &error);
  HelperLink *link;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || incoming->arrival == NULL)
    return;
  if (info == NULL) {
    arrival_fail (incoming->arrival, ARRIVAL_STEP_LOOKUP, error->message);
    return;
  }
  incoming->id = info->id;
  incoming->callbacks->found (info, incoming->user_data);
  arrival_claim (incoming->arrival, info);
  if (!info->is_kvm)
    return;
  link = incoming->callbacks->open_link (incoming->user_data, &error);
  if (link == NULL)
    arrival_fail_link (incoming->arrival, error);
  else if (!helper_link_send_incoming (
             link, (guint64) (host_clock_monotonic_ns () + INCOMING_DEADLINE_NS), &error))
    arrival_fail (incoming->arrival, ARRIVAL_STEP_HELPER, error->message);
  incoming->callbacks->changed (incoming->user_data);
}

static void
on_looked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GuestIncoming *incoming = user_data;
  g_autoptr (GError) error = NULL;
  ArrivalLook look;

  if (!arrival_look_finish (result, &look, &error)) {
    g_debug ("what became of the arriving domain is not known: %s", error->message);
    return;
  }
  /* without a number the answer to the announcement is still under way, and will do */
  if (incoming->arrival == NULL || incoming->id < 0)
    return;
  if (look.id != incoming->id)
    incoming->callbacks->input (MIGRATION_INPUT_OTHER_QEMU, incoming->user_data);
  else if (look.input != MIGRATION_INPUT_NONE)
    incoming->callbacks->input (look.input, incoming->user_data);
}

/* public functions */

GuestIncoming *
guest_incoming_new (const HostContext *host, const char *uuid,
                    const GuestIncomingCallbacks *callbacks, gpointer user_data)
{
  GuestIncoming *incoming = g_new0 (GuestIncoming, 1);

  incoming->host = host;
  incoming->uuid = g_strdup (uuid);
  incoming->callbacks = callbacks;
  incoming->user_data = user_data;
  incoming->id = -1;
  incoming->cancellable = g_cancellable_new ();
  return incoming;
}

void
guest_incoming_free (GuestIncoming *incoming)
{
  guest_incoming_stop (incoming);
  g_object_unref (incoming->cancellable);
  g_free (incoming->uuid);
  g_free (incoming);
}

void
guest_incoming_start (GuestIncoming *incoming, gboolean is_found)
{
  incoming->arrival =
    arrival_new (incoming->host, incoming->uuid, is_found, &arrival_callbacks, incoming);
  libvirt_get_xml_async (incoming->host->bus, incoming->host->driver_path, incoming->uuid,
                         LIBVIRT_CALL_URGENT, incoming->cancellable, on_xml, incoming);
}

void
guest_incoming_stop (GuestIncoming *incoming)
{
  g_cancellable_cancel (incoming->cancellable);
  g_object_unref (incoming->cancellable);
  incoming->cancellable = g_cancellable_new ();
  g_clear_pointer (&incoming->arrival, arrival_free);
  incoming->id = -1;
}

void
guest_incoming_look (GuestIncoming *incoming)
{
  arrival_look_async (incoming->host, incoming->uuid, incoming->cancellable, on_looked, incoming);
}

void
guest_incoming_arm (GuestIncoming *incoming, HelperLink *link)
{
  arrival_arm (incoming->arrival, link);
}

void
guest_incoming_disarm (GuestIncoming *incoming, HelperLink *link, gboolean stands_still)
{
  arrival_disarm (incoming->arrival, link, stands_still);
}

void
guest_incoming_take_report (GuestIncoming *incoming, const struct helper_report *report)
{
  arrival_take_report (incoming->arrival, report);
}

void
guest_incoming_conclude (GuestIncoming *incoming, HelperLink *link, gboolean is_paused)
{
  arrival_conclude (incoming->arrival, link, is_paused);
  g_clear_pointer (&incoming->arrival, arrival_free);
}

void
guest_incoming_abandon (GuestIncoming *incoming)
{
  arrival_abandon (incoming->arrival);
  g_clear_pointer (&incoming->arrival, arrival_free);
}
