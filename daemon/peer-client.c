/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_DOMAIN "clockferry-peer"

#include "peer-client.h"

#include "clock-record.h"
#include "error.h"
#include "names.h"
#include "peer-bus.h"
#include "peer-stream.h"

/* Counted, as a call under way keeps it: g_rc_box_acquire(). */
struct PeerClient {
  GDBusConnection *bus; /* NULL once stopped */
  BusPeer *proxy;       /* likewise */
  GCancellable *cancellable;
  char *domain;
  const PeerClientCallbacks *callbacks;
  gpointer user_data;

  bool is_welcome;
  GBytes *early_record; /* came before the answer to the claim was seen here */
};

/* internal methods */

static void
client_clear (gpointer data)
{
  PeerClient *self = data;

  g_object_unref (self->cancellable);
  g_clear_pointer (&self->early_record, g_bytes_unref);
  g_free (self->domain);
}

static void
client_release (PeerClient *self)
{
  g_rc_box_release_full (self, client_clear);
}

/* Let go of the connection; what is still under way finds none and drops its results. */
static GDBusConnection *
client_let_go (PeerClient *self)
{
  g_cancellable_cancel (self->cancellable);
  if (self->proxy != NULL)
    g_signal_handlers_disconnect_by_data (self->proxy, self);
  if (self->bus != NULL)
    g_signal_handlers_disconnect_by_data (self->bus, self);
  g_clear_object (&self->proxy);
  return g_steal_pointer (&self->bus);
}

/* Takes @error. */
static void
client_fail (PeerClient *self, GError *error)
{
  self->callbacks->failed (error, self->user_data);
}

/* A daemon of this version has the method, with these arguments. */
static bool
is_of_another_version (const GError *error)
{
  return g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD) ||
         g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_INTERFACE) ||
         g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT) ||
         g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
}

/* What the source said; takes @error. */
static void
client_take_refusal (PeerClient *self, GError *error)
{
  clockferry_error_tame_remote (error);
  if (is_of_another_version (error))
    g_prefix_error (&error, "the daemon there is of another version of the protocol: ");
  client_fail (self, error);
}

static void
client_begin (PeerClient *self, gboolean synchronised, guint64 max_error_us,
              gint64 real_minus_boot_ns)
{
  const HostClockState clock = {
    .synchronised = synchronised,
    .max_error_us = MIN (max_error_us, HOST_CLOCK_MAX_ERROR_US),
  };
  g_autoptr (GBytes) record = g_steal_pointer (&self->early_record);

  self->is_welcome = true;
  self->callbacks->welcomed (&clock, real_minus_boot_ns, self->user_data);
  if (record != NULL && self->bus != NULL)
    self->callbacks->record (record, self->user_data);
}

/* callbacks and signals */

static void
on_record (BusPeer *proxy, const char *domain, GVariant *record, gpointer user_data)
{
  PeerClient *self = user_data;
  g_autoptr (GBytes) bytes = NULL;
  enum clock_record_error judgement;
  gconstpointer data;
  gsize size;

  data = g_variant_get_fixed_array (record, &size, 1);
  /* a copy, as the bytes inside a message are not aligned */
  bytes = g_bytes_new (data, size);
  judgement = clock_record_check (g_bytes_get_data (bytes, NULL), size);
  if (judgement != CLOCK_RECORD_OK || !g_str_equal (domain, self->domain)) {
    client_fail (
      self, g_error_new (CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE, "it sent a bad record: %s",
                         judgement == CLOCK_RECORD_OK ? "of another domain"
                                                      : clock_record_error_name (judgement)));
    return;
  }
  if (!self->is_welcome) {
    g_clear_pointer (&self->early_record, g_bytes_unref);
    self->early_record = g_steal_pointer (&bytes);
    return;
  }
  self->callbacks->record (bytes, self->user_data);
}

static void
on_withdrawn (BusPeer *proxy, const char *domain, const char *reason, gpointer user_data)
{
  PeerClient *self = user_data;

  g_clear_pointer (&self->early_record, g_bytes_unref);
  if (g_str_equal (domain, self->domain) && self->is_welcome)
    self->callbacks->withdrawn (reason, self->user_data);
}

static void
on_bus_closed (GDBusConnection *bus, gboolean vanished, GError *error, gpointer user_data)
{
  client_fail (user_data, error != NULL
                            ? g_error_copy (error)
                            : g_error_new (G_IO_ERROR, G_IO_ERROR_CLOSED, "end of stream"));
}

static void
on_claimed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  PeerClient *self = user_data;
  GError *error = NULL;
  gboolean synchronised;
  guint64 max_error_us;
  bool done =
    bus_peer_call_claim_finish (BUS_PEER (source), &synchronised, &max_error_us, result, &error);

  if (self->bus == NULL)
    g_clear_error (&error);
  else if (!done)
    client_take_refusal (self, error);
  else
    client_begin (self, synchronised, max_error_us, 0);
  client_release (self);
}

static void
on_checked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  PeerClient *self = user_data;
  GError *error = NULL;
  gboolean synchronised;
  guint64 max_error_us;
  gint64 real_minus_boot_ns;
  bool done = bus_peer_call_check_finish (BUS_PEER (source), &synchronised, &max_error_us,
                                          &real_minus_boot_ns, result, &error);

  if (self->bus == NULL)
    g_clear_error (&error);
  else if (!done)
    client_take_refusal (self, error);
  else
    client_begin (self, synchronised, max_error_us, real_minus_boot_ns);
  client_release (self);
}

/*
 * Runs in GDBus's worker. GDBus by itself answers Introspect and Ping, and tells this host's machine
 * id: the source is asked, and asks nothing.
 */
static GDBusMessage *
filter_incoming (GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer user_data)
{
  if (!incoming || g_dbus_message_get_message_type (message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
    return message;
  g_object_unref (message);
  return NULL;
}

/* Show the ticket. */
static void
client_ask (PeerClient *self, const PeerRequest *request)
{
  if (request->migration == NULL)
    bus_peer_call_check (self->proxy, request->domain, request->ticket, self->cancellable,
                         on_checked, g_rc_box_acquire (self));
  else
    bus_peer_call_claim (self->proxy, request->domain, request->ticket, request->migration,
                         self->cancellable, on_claimed, g_rc_box_acquire (self));
}

/* public functions */

PeerClient *
peer_client_new (GDBusConnection *bus, const PeerRequest *request,
                 const PeerClientCallbacks *callbacks, gpointer user_data, GError **error)
{
  /* no name and no properties: nothing is sent, so this cannot block */
  BusPeer *proxy = bus_peer_proxy_new_sync (bus, G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES, NULL,
                                            CLOCKFERRY_PEER_PATH, NULL, error);
  PeerClient *self;

  if (proxy == NULL)
    return NULL;
  self = g_rc_box_new0 (PeerClient);
  self->bus = g_object_ref (bus);
  self->proxy = proxy;
  self->cancellable = g_cancellable_new ();
  self->domain = g_strdup (request->domain);
  self->callbacks = callbacks;
  self->user_data = user_data;
  g_signal_connect (bus, "closed", G_CALLBACK (on_bus_closed), self);
  g_dbus_connection_add_filter (bus, filter_incoming, NULL, NULL);
  if (request->migration != NULL) {
    g_signal_connect (proxy, "record", G_CALLBACK (on_record), self);
    g_signal_connect (proxy, "withdrawn", G_CALLBACK (on_withdrawn), self);
  }
  /* Before the call: while processing is held back GDBus puts an answer aside, and if the peer hangs
   * up after it, as after a refusal, drops it. */
  g_dbus_connection_start_message_processing (bus);
  client_ask (self, request);
  return self;
}

GDBusConnection *
peer_client_get_bus (PeerClient *self)
{
  return self->bus;
}

void
peer_client_abandon (PeerClient *self)
{
  g_autoptr (GDBusConnection) bus = NULL;

  if (self->proxy != NULL)
    bus_peer_call_abandon (self->proxy, NULL, NULL, NULL);
  bus = client_let_go (self);
  /* closing by itself would not wait for what is to be sent */
  if (bus != NULL)
    peer_stream_end_bus (bus);
}

void
peer_client_stop (PeerClient *self)
{
  g_autoptr (GDBusConnection) bus = client_let_go (self);

  if (bus != NULL && !g_dbus_connection_is_closed (bus))
    g_dbus_connection_close (bus, NULL, NULL, NULL);
}

void
peer_client_free (PeerClient *self)
{
  peer_client_stop (self);
  client_release (self);
}
