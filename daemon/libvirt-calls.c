/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt-calls.h"

#include <libvirt/libvirt.h>

#include "names.h"

/* Over libvirt's own VIR_JOB_WAIT_TIME of 30 s, so that its error arrives, not our timeout. */
#define CALL_TIMEOUT_MS 40000

/* One call, until it is answered. */
typedef struct {
  char *path;
  const char *method; /* constant, as the next */
  const char *reply_type;
  GVariant *parameters;
  GCancellable *cancellable; /* or NULL */
  GAsyncReadyCallback callback;
  gpointer user_data;
} Call;

/* Of one connection, which owns it. */
typedef struct {
  /* of Call; only while there are LIBVIRT_CALLS_MAX on their way */
  GQueue waiting[LIBVIRT_CALL_URGENCIES];
  guint under_way;
} CallQueue;

static void
call_free (Call *call)
{
  g_clear_object (&call->cancellable);
  g_variant_unref (call->parameters);
  g_free (call->path);
  g_free (call);
}

/* None waits: a call that is under way keeps the connection. */
static CallQueue *
get_queue (GDBusConnection *bus)
{
  static const char key[] = "clockferry-libvirt-calls";
  CallQueue *queue = g_object_get_data (G_OBJECT (bus), key);

  if (queue == NULL) {
    queue = g_new0 (CallQueue, 1);
    for (guint i = 0; i < LIBVIRT_CALL_URGENCIES; i++)
      g_queue_init (&queue->waiting[i]);
    g_object_set_data_full (G_OBJECT (bus), key, queue, g_free);
  }
  return queue;
}

static Call *
pop_next (CallQueue *queue)
{
  Call *next = NULL;

  for (guint i = 0; i < LIBVIRT_CALL_URGENCIES && next == NULL; i++)
    next = g_queue_pop_head (&queue->waiting[i]);
  return next;
}

static void issue (GDBusConnection *bus, Call *call);

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Call *call = user_data;
  GDBusConnection *bus = G_DBUS_CONNECTION (source);
  CallQueue *queue = get_queue (bus);
  Call *next = pop_next (queue);

  queue->under_way--;
  if (next != NULL)
    issue (bus, next);
  call->callback (source, result, call->user_data);
  call_free (call);
}

/* One that was cancelled while it waited is answered with that. */
static void
issue (GDBusConnection *bus, Call *call)
{
  get_queue (bus)->under_way++;
  g_dbus_connection_call (bus, LIBVIRT_BUS_NAME, call->path, LIBVIRT_DOMAIN_IFACE, call->method,
                          call->parameters, G_VARIANT_TYPE (call->reply_type),
                          G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, call->cancellable, on_answer,
                          call);
}

static char *
make_domain_path (const char *driver_path, const char *uuid)
{
  g_autofree char *base = g_strdelimit (g_strdup (uuid), "-", '_');

  return g_strdup_printf ("%s/domain/_%s", driver_path, base);
}

static void
call_domain (GDBusConnection *bus, const char *driver_path, const char *uuid,
             LibvirtUrgency urgency, const char *method, GVariant *parameters,
             const char *reply_type, GCancellable *cancellable, GAsyncReadyCallback callback,
             gpointer user_data)
{
  CallQueue *queue = get_queue (bus);
  Call *call = g_new0 (Call, 1);

  *call = (Call){
    .path = make_domain_path (driver_path, uuid),
    .method = method,
    .reply_type = reply_type,
    .parameters = g_variant_ref_sink (parameters),
    .callback = callback,
    .user_data = user_data,
  };
  g_set_object (&call->cancellable, cancellable);
  if (queue->under_way < LIBVIRT_CALLS_MAX)
    issue (bus, call);
  else
    g_queue_push_tail (&queue->waiting[urgency], call);
}

static GVariant *
finish_call (GDBusConnection *bus, GAsyncResult *result, const char *method, GError **error)
{
  GVariant *reply = g_dbus_connection_call_finish (bus, result, error);

  if (reply == NULL && error != NULL && *error != NULL &&
      !g_error_matches (*error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    g_dbus_error_strip_remote_error (*error);
    g_prefix_error (error, "libvirt's %s failed: ", method);
  }
  return reply;
}

/* public functions */

void
libvirt_get_xml_async (GDBusConnection *bus, const char *driver_path, const char *uuid,
                       LibvirtUrgency urgency, GCancellable *cancellable,
                       GAsyncReadyCallback callback, gpointer user_data)
{
  call_domain (bus, driver_path, uuid, urgency, "GetXMLDesc", g_variant_new ("(u)", 0u), "(s)",
               cancellable, callback, user_data);
}

char *
libvirt_get_xml_finish (GDBusConnection *bus, GAsyncResult *result, GError **error)
{
  g_autoptr (GVariant) reply = finish_call (bus, result, "GetXMLDesc", error);
  char *xml = NULL;

  if (reply != NULL)
    g_variant_get (reply, "(s)", &xml);
  return xml;
}

DomainInfo *
libvirt_get_info_finish (GDBusConnection *bus, GAsyncResult *result, GError **error)
{
  g_autofree char *xml = libvirt_get_xml_finish (bus, result, error);

  return xml != NULL ? domain_info_parse (xml, error) : NULL;
}

void
libvirt_get_state_async (GDBusConnection *bus, const char *driver_path, const char *uuid,
                         LibvirtUrgency urgency, GCancellable *cancellable,
                         GAsyncReadyCallback callback, gpointer user_data)
{
  call_domain (bus, driver_path, uuid, urgency, "GetState", g_variant_new ("(u)", 0u), "((ii))",
               cancellable, callback, user_data);
}

gboolean
libvirt_get_state_finish (GDBusConnection *bus, GAsyncResult *result, LibvirtDomainState *state,
                          GError **error)
{
  g_autoptr (GVariant) reply = finish_call (bus, result, "GetState", error);

  if (reply == NULL)
    return FALSE;
  g_variant_get (reply, "((ii))", &state->state, &state->reason);
  return TRUE;
}

void
libvirt_get_job_async (GDBusConnection *bus, const char *driver_path, const char *uuid,
                       GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  call_domain (bus, driver_path, uuid, LIBVIRT_CALL_URGENT, "GetJobInfo", g_variant_new ("()"),
               "((ittttttttttt))", cancellable, callback, user_data);
}

gboolean
libvirt_has_job_finish (GDBusConnection *bus, GAsyncResult *result, GError **error)
{
  g_autoptr (GVariant) reply = finish_call (bus, result, "GetJobInfo", error);
  g_autoptr (GVariant) info = NULL;
  gint32 type;

  if (reply == NULL)
    return FALSE;
  info = g_variant_get_child_value (reply, 0);
  g_variant_get_child (info, 0, "i", &type);
  return type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED;
}

void
libvirt_set_element_async (GDBusConnection *bus, const char *driver_path, const char *uuid,
                           const char *element_xml, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer user_data)
{
  call_domain (bus, driver_path, uuid, LIBVIRT_CALL_PATIENT, "SetMetadata",
               g_variant_new ("(isssu)", (gint32) VIR_DOMAIN_METADATA_ELEMENT, element_xml,
                              CLOCKFERRY_DOMAIN_PREFIX, CLOCKFERRY_DOMAIN_NS,
                              (guint32) VIR_DOMAIN_AFFECT_LIVE),
               "()", cancellable, callback, user_data);
}

gboolean
libvirt_set_element_finish (GDBusConnection *bus, GAsyncResult *result, GError **error)
{
  g_autoptr (GVariant) reply = finish_call (bus, result, "SetMetadata", error);

  return reply != NULL;
}
