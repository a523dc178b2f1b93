/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stand-in-libvirt.h"

#include <libvirt/libvirt.h>
#include <string.h>

#include "names.h"

struct StandInLibvirt {
  PrivateBus *home;     /* borrowed */
  GDBusConnection *bus; /* NULL while not on it */
  GDBusNodeInfo *interfaces;
  GHashTable *domains;  /* UUID -> StandInDomain */
  GHashTable *failures; /* method -> message */
  GHashTable *calls;    /* "method uuid" -> count */
  char *held_method;
  GPtrArray *held; /* of GDBusMethodInvocation */
  gboolean is_primed;
};

typedef struct {
  StandInLibvirt *libvirt;
  char *uuid;
  char *name;
  int id;
  char *type;
  int state;
  int reason;
  gboolean has_job;
  char *element; /* of our namespace */
  char *policy;  /* of that of policies */
  GVariant *set_metadata;
} StandInDomain;

/* As in libvirt-dbus 1.4.1; real-libvirt-test.c holds the daemon's calls against the real one. */
static const char introspection[] =
  "<node>"
  "  <interface name='org.libvirt.Connect'>"
  "    <method name='ListDomains'>"
  "      <arg type='u' direction='in'/><arg type='ao' direction='out'/>"
  "    </method>"
  "    <signal name='DomainEvent'><arg type='o'/><arg type='i'/><arg type='i'/></signal>"
  "  </interface>"
  "  <interface name='org.libvirt.Domain'>"
  "    <method name='GetXMLDesc'>"
  "      <arg type='u' direction='in'/><arg type='s' direction='out'/>"
  "    </method>"
  "    <method name='GetJobInfo'>"
  "      <arg type='(ittttttttttt)' direction='out'/>"
  "    </method>"
  "    <method name='GetState'>"
  "      <arg type='u' direction='in'/><arg type='(ii)' direction='out'/>"
  "    </method>"
  "    <method name='SetMetadata'>"
  "      <arg type='i' direction='in'/><arg type='s' direction='in'/>"
  "      <arg type='s' direction='in'/><arg type='s' direction='in'/>"
  "      <arg type='u' direction='in'/>"
  "    </method>"
  "  </interface>"
  "</node>";

static void
domain_free (StandInDomain *domain)
{
  g_free (domain->uuid);
  g_free (domain->name);
  g_free (domain->type);
  g_free (domain->element);
  g_free (domain->policy);
  g_clear_pointer (&domain->set_metadata, g_variant_unref);
  g_free (domain);
}

static StandInDomain *
get_domain (StandInLibvirt *libvirt, const char *uuid)
{
  StandInDomain *domain = g_hash_table_lookup (libvirt->domains, uuid);

  g_assert_nonnull (domain);
  return domain;
}

static char *
make_path (const char *uuid)
{
  g_autofree char *base = g_strdelimit (g_strdup (uuid), "-", '_');

  return g_strconcat (LIBVIRT_QEMU_PATH "/domain/_", base, NULL);
}

/* The domain of an object path, or NULL for the driver's own or an unknown one. */
static StandInDomain *
find_by_path (StandInLibvirt *libvirt, const char *path)
{
  static const char prefix[] = LIBVIRT_QEMU_PATH "/domain/_";
  g_autofree char *uuid = NULL;

  if (!g_str_has_prefix (path, prefix))
    return NULL;
  uuid = g_strdelimit (g_strdup (path + strlen (prefix)), "_", '-');
  return g_hash_table_lookup (libvirt->domains, uuid);
}

/* methods */

static GVariant *
list_domains (StandInLibvirt *libvirt)
{
  GVariantBuilder paths;
  GHashTableIter iter;
  gpointer uuid;

  g_variant_builder_init (&paths, G_VARIANT_TYPE ("ao"));
  g_hash_table_iter_init (&iter, libvirt->domains);
  while (g_hash_table_iter_next (&iter, &uuid, NULL)) {
    g_autofree char *path = make_path (uuid);

    g_variant_builder_add (&paths, "o", path);
  }
  return g_variant_new ("(ao)", &paths);
}

static GVariant *
get_xml_desc (const StandInDomain *domain)
{
  g_autofree char *xml = g_strdup_printf (
    "<domain type='%s' id='%d'><name>%s</name><uuid>%s</uuid><metadata>%s%s</metadata></domain>",
    domain->type, domain->id, domain->name, domain->uuid,
    domain->policy != NULL ? domain->policy : "", domain->element != NULL ? domain->element : "");

  return g_variant_new ("(s)", xml);
}

/* Of a job that has just begun nothing else is known. */
static GVariant *
get_job_info (const StandInDomain *domain)
{
  const guint64 none = 0;

  return g_variant_new ("((ittttttttttt))",
                        domain->has_job ? VIR_DOMAIN_JOB_UNBOUNDED : VIR_DOMAIN_JOB_NONE, none,
                        none, none, none, none, none, none, none, none, none, none);
}

static GVariant *
set_metadata (StandInDomain *domain, GVariant *parameters)
{
  const char *xml, *prefix, *uri;
  const char *attributes;

  g_variant_get (parameters, "(i&s&s&su)", NULL, &xml, &prefix, &uri, NULL);
  attributes = strchr (xml, ' ');
  g_assert_true (g_str_has_prefix (xml, "<source "));
  g_free (domain->element);
  domain->element = g_strdup_printf ("<%s:source xmlns:%s='%s'%s", prefix, prefix, uri, attributes);
  return NULL;
}

static void
answer (StandInLibvirt *libvirt, GDBusMethodInvocation *invocation)
{
  const char *method = g_dbus_method_invocation_get_method_name (invocation);
  const char *failure = g_hash_table_lookup (libvirt->failures, method);
  StandInDomain *domain =
    find_by_path (libvirt, g_dbus_method_invocation_get_object_path (invocation));
  GVariant *parameters = g_dbus_method_invocation_get_parameters (invocation);
  GVariant *reply = NULL;

  /* without a connection to libvirtd there are no events either */
  libvirt->is_primed = failure == NULL || !g_str_equal (method, "ListDomains");
  if (failure == NULL && domain == NULL && !g_str_equal (method, "ListDomains"))
    failure = "Domain not found";
  if (failure != NULL) {
    g_dbus_method_invocation_return_dbus_error (invocation, LIBVIRT_ERROR_NAME, failure);
    return;
  }
  if (domain == NULL)
    reply = list_domains (libvirt);
  else if (g_str_equal (method, "GetXMLDesc"))
    reply = get_xml_desc (domain);
  else if (g_str_equal (method, "GetState"))
    reply = g_variant_new ("((ii))", domain->state, domain->reason);
  else if (g_str_equal (method, "GetJobInfo"))
    reply = get_job_info (domain);
  else
    reply = set_metadata (domain, parameters);
  g_dbus_method_invocation_return_value (invocation, reply);
}

static char *
make_call_key (const char *method, const char *uuid)
{
  return g_strconcat (method, " ", uuid, NULL);
}

static void
on_method_call (GDBusConnection *bus, const char *sender, const char *path, const char *iface,
                const char *method, GVariant *parameters, GDBusMethodInvocation *invocation,
                gpointer user_data)
{
  StandInLibvirt *libvirt = user_data;
  StandInDomain *domain = find_by_path (libvirt, path);
  char *key = make_call_key (method, domain != NULL ? domain->uuid : NULL);
  guint count = GPOINTER_TO_UINT (g_hash_table_lookup (libvirt->calls, key));

  g_hash_table_insert (libvirt->calls, key, GUINT_TO_POINTER (count + 1));
  if (domain != NULL && g_str_equal (method, "SetMetadata")) {
    g_clear_pointer (&domain->set_metadata, g_variant_unref);
    domain->set_metadata = g_variant_ref (parameters);
  }
  if (g_strcmp0 (method, libvirt->held_method) == 0)
    g_ptr_array_add (libvirt->held, invocation);
  else
    answer (libvirt, invocation);
}

static const GDBusInterfaceVTable vtable = { .method_call = on_method_call };

/* Any domain's path has the interface, as libvirt-dbus has it: unknown ones answer with an error. */
static char **
enumerate (GDBusConnection *bus, const char *sender, const char *path, gpointer user_data)
{
  return g_new0 (char *, 1);
}

static GDBusInterfaceInfo **
introspect (GDBusConnection *bus, const char *sender, const char *path, const char *node,
            gpointer user_data)
{
  StandInLibvirt *libvirt = user_data;
  GDBusInterfaceInfo **infos = g_new0 (GDBusInterfaceInfo *, 2);

  infos[0] = g_dbus_interface_info_ref (
    g_dbus_node_info_lookup_interface (libvirt->interfaces, LIBVIRT_DOMAIN_IFACE));
  return infos;
}

static const GDBusInterfaceVTable *
dispatch (GDBusConnection *bus, const char *sender, const char *path, const char *iface,
          const char *node, gpointer *out_user_data, gpointer user_data)
{
  *out_user_data = user_data;
  return &vtable;
}

static const GDBusSubtreeVTable subtree_vtable = { .enumerate = enumerate,
                                                   .introspect = introspect,
                                                   .dispatch = dispatch };

static gboolean
emit_signal (StandInLibvirt *libvirt, const char *path, const char *iface, const char *name,
             GVariant *arguments)
{
  g_autoptr (GVariant) parameters = g_variant_ref_sink (arguments);

  if (libvirt->bus == NULL || !libvirt->is_primed)
    return FALSE;
  g_assert_true (
    g_dbus_connection_emit_signal (libvirt->bus, NULL, path, iface, name, parameters, NULL));
  return TRUE;
}

/* A call that came in just before the end is dispatched by GDBus after it: each registration holds a
 * reference of its own. */
static void
finalize (gpointer data)
{
  StandInLibvirt *libvirt = data;

  g_hash_table_unref (libvirt->domains);
  g_hash_table_unref (libvirt->failures);
  g_hash_table_unref (libvirt->calls);
  g_ptr_array_unref (libvirt->held);
  g_dbus_node_info_unref (libvirt->interfaces);
  g_free (libvirt->held_method);
}

static void
release_reference (gpointer libvirt)
{
  g_rc_box_release_full (libvirt, finalize);
}

/* public functions */

StandInLibvirt *
stand_in_libvirt_start (PrivateBus *bus)
{
  StandInLibvirt *libvirt = g_rc_box_new0 (StandInLibvirt);
  g_autoptr (GError) error = NULL;

  libvirt->home = bus;
  libvirt->interfaces = g_dbus_node_info_new_for_xml (introspection, &error);
  g_assert_no_error (error);
  libvirt->domains =
    g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) domain_free);
  libvirt->failures = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  libvirt->calls = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  libvirt->held = g_ptr_array_new ();
  stand_in_libvirt_join_bus (libvirt);
  return libvirt;
}

void
stand_in_libvirt_free (StandInLibvirt *libvirt)
{
  stand_in_libvirt_leave_bus (libvirt);
  release_reference (libvirt);
}

void
stand_in_libvirt_leave_bus (StandInLibvirt *libvirt)
{
  /* it dies with these calls in its hands */
  for (guint i = 0; i < libvirt->held->len; i++)
    g_object_unref (g_ptr_array_index (libvirt->held, i));
  g_ptr_array_set_size (libvirt->held, 0);
  g_clear_pointer (&libvirt->held_method, g_free);
  if (libvirt->bus == NULL)
    return;
  (void) g_dbus_connection_close_sync (libvirt->bus, NULL, NULL);
  g_clear_object (&libvirt->bus);
}

void
stand_in_libvirt_join_bus (StandInLibvirt *libvirt)
{
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;
  guint32 result = 0;

  g_assert_null (libvirt->bus);
  libvirt->is_primed = FALSE;
  libvirt->bus = private_bus_connect (libvirt->home);
  g_assert_cmpuint (
    g_dbus_connection_register_object (
      libvirt->bus, LIBVIRT_QEMU_PATH,
      g_dbus_node_info_lookup_interface (libvirt->interfaces, LIBVIRT_CONNECT_IFACE), &vtable,
      g_rc_box_acquire (libvirt), release_reference, &error),
    !=, 0);
  g_assert_cmpuint (
    g_dbus_connection_register_subtree (libvirt->bus, LIBVIRT_QEMU_PATH "/domain", &subtree_vtable,
                                        G_DBUS_SUBTREE_FLAGS_DISPATCH_TO_UNENUMERATED_NODES,
                                        g_rc_box_acquire (libvirt), release_reference, &error),
    !=, 0);
  reply = g_dbus_connection_call_sync (
    libvirt->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
    "RequestName", g_variant_new ("(su)", LIBVIRT_BUS_NAME, 4u /* do not queue */),
    G_VARIANT_TYPE ("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
  g_assert_no_error (error);
  g_variant_get (reply, "(u)", &result);
  g_assert_cmpuint (result, ==, 1 /* primary owner */);
}

void
stand_in_libvirt_restart_libvirtd (StandInLibvirt *libvirt)
{
  libvirt->is_primed = FALSE;
}

void
stand_in_libvirt_add_domain (StandInLibvirt *libvirt, const char *uuid, const char *name, int id)
{
  StandInDomain *domain = g_new0 (StandInDomain, 1);

  domain->uuid = g_strdup (uuid);
  domain->name = g_strdup (name);
  domain->id = id;
  domain->type = g_strdup ("kvm");
  domain->state = 1; /* VIR_DOMAIN_RUNNING */
  domain->reason = 1;
  g_assert_true (g_hash_table_insert (libvirt->domains, domain->uuid, domain));
}

void
stand_in_libvirt_remove_domain (StandInLibvirt *libvirt, const char *uuid)
{
  g_assert_true (g_hash_table_remove (libvirt->domains, uuid));
}

void
stand_in_libvirt_set_state (StandInLibvirt *libvirt, const char *uuid, int state, int reason)
{
  StandInDomain *domain = get_domain (libvirt, uuid);

  domain->state = state;
  domain->reason = reason;
}

void
stand_in_libvirt_set_job (StandInLibvirt *libvirt, const char *uuid, gboolean has_job)
{
  get_domain (libvirt, uuid)->has_job = has_job;
}

void
stand_in_libvirt_set_type (StandInLibvirt *libvirt, const char *uuid, const char *type)
{
  StandInDomain *domain = get_domain (libvirt, uuid);

  g_free (domain->type);
  domain->type = g_strdup (type);
}

const char *
stand_in_libvirt_get_element (StandInLibvirt *libvirt, const char *uuid)
{
  return get_domain (libvirt, uuid)->element;
}

void
stand_in_libvirt_set_element (StandInLibvirt *libvirt, const char *uuid, const char *element)
{
  StandInDomain *domain = get_domain (libvirt, uuid);

  g_free (domain->element);
  domain->element = g_strdup (element);
}

const char *
stand_in_libvirt_get_policy (StandInLibvirt *libvirt, const char *uuid)
{
  return get_domain (libvirt, uuid)->policy;
}

void
stand_in_libvirt_set_policy (StandInLibvirt *libvirt, const char *uuid, const char *element)
{
  StandInDomain *domain = get_domain (libvirt, uuid);
  g_autofree char *path = make_path (uuid);

  g_free (domain->policy);
  domain->policy = g_strdup (element);
  emit_signal (libvirt, path, LIBVIRT_DOMAIN_IFACE, "MetadataChange",
               g_variant_new ("(is)", 2 /* VIR_DOMAIN_METADATA_ELEMENT */, CLOCKFERRY_POLICY_NS));
}

gboolean
stand_in_libvirt_emit (StandInLibvirt *libvirt, const char *uuid, int event, int detail)
{
  g_autofree char *path = make_path (uuid);

  return emit_signal (libvirt, LIBVIRT_QEMU_PATH, LIBVIRT_CONNECT_IFACE, "DomainEvent",
                      g_variant_new ("(oii)", path, event, detail));
}

void
stand_in_libvirt_fail (StandInLibvirt *libvirt, const char *method, const char *message)
{
  if (message != NULL)
    g_hash_table_insert (libvirt->failures, g_strdup (method), g_strdup (message));
  else
    g_hash_table_remove (libvirt->failures, method);
}

void
stand_in_libvirt_hold (StandInLibvirt *libvirt, const char *method)
{
  g_free (libvirt->held_method);
  libvirt->held_method = g_strdup (method);
}

void
stand_in_libvirt_release (StandInLibvirt *libvirt)
{
  g_clear_pointer (&libvirt->held_method, g_free);
  for (guint i = 0; i < libvirt->held->len; i++)
    answer (libvirt, g_ptr_array_index (libvirt->held, i));
  g_ptr_array_set_size (libvirt->held, 0);
}

guint
stand_in_libvirt_count (StandInLibvirt *libvirt, const char *method, const char *uuid)
{
  g_autofree char *key = make_call_key (method, uuid);

  return GPOINTER_TO_UINT (g_hash_table_lookup (libvirt->calls, key));
}

GVariant *
stand_in_libvirt_get_set_metadata (StandInLibvirt *libvirt, const char *uuid)
{
  return get_domain (libvirt, uuid)->set_metadata;
}
