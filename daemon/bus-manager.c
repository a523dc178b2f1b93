/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-manager.h"

#include "build-config.h"
#include "bus-prose.h"
#include "error.h"
#include "host-clock.h"
#include "names.h"

#define LIVE_TYPE_MANAGER (live_manager_get_type ())
G_DECLARE_FINAL_TYPE (LiveManager, live_manager, LIVE, MANAGER, BusManagerSkeleton)

struct _LiveManager {
  BusManagerSkeleton parent_instance;

  BusManagerReload reload; /* NULL: stopped */
  gpointer user_data;
};

enum {
  PROP_0,
  PROP_CLOCK_SYNCHRONISED,
  PROP_CLOCK_MAX_ERROR_US,
};

G_DEFINE_FINAL_TYPE (LiveManager, live_manager,
                     bus_prose_derive (BUS_TYPE_MANAGER_SKELETON, CLOCKFERRY_MANAGER_IFACE))

/* A call of Reload whose caller is being found out. */
typedef struct {
  LiveManager *manager;
  GDBusMethodInvocation *invocation; /* answering it takes the reference */
} ReloadCall;

static void
reload_call_free (ReloadCall *call)
{
  g_object_unref (call->manager);
  g_free (call);
}

/* dbus methods */

static void
answer_reload (LiveManager *self, GDBusMethodInvocation *invocation)
{
  g_autoptr (GError) error = NULL;

  if (self->reload == NULL)
    g_dbus_method_invocation_return_error (invocation, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_FAILED,
                                           "the daemon is ending");
  else if (self->reload (self->user_data, &error))
    g_dbus_method_invocation_return_value (invocation, NULL);
  else if (error->domain == CLOCKFERRY_ERROR)
    g_dbus_method_invocation_return_gerror (invocation, error);
  else
    g_dbus_method_invocation_return_error_literal (invocation, CLOCKFERRY_ERROR,
                                                   CLOCKFERRY_ERROR_FAILED, error->message);
}

static void
on_caller_known (GObject *source, GAsyncResult *result, gpointer user_data)
{
  ReloadCall *call = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant)
    reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  guint32 uid = G_MAXUINT32;

  if (reply != NULL)
    g_variant_get (reply, "(u)", &uid);
  else
    g_debug ("who asked for a reload is not known: %s", error->message);
  if (uid == 0)
    answer_reload (call->manager, call->invocation);
  else
    g_dbus_method_invocation_return_error (
      call->invocation, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED,
      "only root may have the settings read anew: try sudo systemctl reload clockferryd");
  reload_call_free (call);
}

/* Reload is the only method. */
static void
handle_method_call (GDBusConnection *bus, const char *sender, const char *path,
                    const char *interface, const char *method, GVariant *parameters,
                    GDBusMethodInvocation *invocation, gpointer user_data)
{
  ReloadCall *call = g_new0 (ReloadCall, 1);

  call->manager = g_object_ref (user_data);
  call->invocation = invocation;
  g_dbus_connection_call (bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                          "org.freedesktop.DBus", "GetConnectionUnixUser",
                          g_variant_new ("(s)", sender), G_VARIANT_TYPE ("(u)"),
                          G_DBUS_CALL_FLAGS_NONE, -1, NULL, on_caller_known, call);
}

static GDBusInterfaceVTable *
live_manager_get_vtable (GDBusInterfaceSkeleton *skeleton)
{
  static GDBusInterfaceVTable vtable;

  vtable = *G_DBUS_INTERFACE_SKELETON_CLASS (live_manager_parent_class)->get_vtable (skeleton);
  vtable.method_call = handle_method_call;
  return &vtable;
}

/* GObject */

static void
live_manager_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  g_autoptr (GError) error = NULL;
  HostClockState state;

  if (!host_clock_read_state (&state, &error))
    g_debug ("%s", error->message);
  switch (id) {
  case PROP_CLOCK_SYNCHRONISED:
    g_value_set_boolean (value, state.synchronised);
    break;
  case PROP_CLOCK_MAX_ERROR_US:
    g_value_set_uint64 (value, state.max_error_us);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

/* A property can be overridden with a setter only. */
static void
live_manager_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
live_manager_class_init (LiveManagerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = live_manager_get_property;
  object_class->set_property = live_manager_set_property;
  g_object_class_override_property (object_class, PROP_CLOCK_SYNCHRONISED, "clock-synchronised");
  g_object_class_override_property (object_class, PROP_CLOCK_MAX_ERROR_US, "clock-max-error-us");
  G_DBUS_INTERFACE_SKELETON_CLASS (klass)->get_vtable = live_manager_get_vtable;
}

static void
live_manager_init (LiveManager *self)
{
}

/* public functions */

BusManager *
bus_manager_live_new (BusManagerReload reload, gpointer user_data)
{
  LiveManager *self = g_object_new (LIVE_TYPE_MANAGER, "version", CLOCKFERRY_VERSION, NULL);

  self->reload = reload;
  self->user_data = user_data;
  return BUS_MANAGER (self);
}

void
bus_manager_live_stop (BusManager *manager)
{
  LIVE_MANAGER (manager)->reload = NULL;
}
