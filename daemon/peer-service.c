/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_DOMAIN "clockferry-peer"

#include "peer-service.h"

#include "error.h"
#include "host-clock.h"
#include "migration-id.h"
#include "names.h"
#include "peer-bus.h"
#include "peer-stream.h"

#include <gnutls/gnutls.h>
#include <string.h>

/* A Claim takes some 300 bytes, all else fewer. */
#define REQUEST_MAX_BYTES 1024

/* A peer asks one thing at a time, and again when no answer came in seconds. */
#define UNANSWERED_MAX 16

#define TICKET_LENGTH 64

typedef enum {
  SERVICE_STRANGER,
  SERVICE_CHECKED, /* claims nothing, may ask for the time */
  SERVICE_CLAIMED,
  SERVICE_STOPPED,
} ServiceState;

struct PeerService {
  GDBusConnection *bus;
  BusPeer *skeleton;
  char *address;
  PeerTicketLookup lookup;
  gpointer lookup_data;
  const PeerServiceCallbacks *callbacks;
  gpointer user_data;

  ServiceState state;
  char *domain;    /* NULL until claimed */
  char *migration; /* likewise */
};

/* internal methods */

/*
 * The whole protection of the peer channel on the source's side. Takes the same time for every
 * ticket of the right length, known domain or not.
 */
static bool
ticket_is_right (const char *expected, const char *ticket)
{
  static const char nothing[TICKET_LENGTH + 1];
  bool known = expected != NULL && strlen (expected) == TICKET_LENGTH;

  if (strlen (ticket) != TICKET_LENGTH)
    return false;
  return gnutls_memcmp (known ? expected : nothing, ticket, TICKET_LENGTH) == 0 && known;
}

/* The end, by us: nothing may be done to the service after this. */
static void
service_end (PeerService *self, const GError *error)
{
  self->callbacks->ended (error, self->user_data);
}

/* Answer with @code and @answer, and end the connection, and say what its peer did in this host's journal. */
static void
service_refuse (PeerService *self, GDBusMethodInvocation *invocation, ClockferryError code,
                const char *answer, const char *what)
{
  g_autoptr (GError)
    error = g_error_new (CLOCKFERRY_ERROR, (int) code, "%s %s", self->address, what);

  g_dbus_method_invocation_return_error_literal (invocation, CLOCKFERRY_ERROR, (int) code, answer);
  service_end (self, error);
}

/* The stranger has no ticket that is right, or with @is_early none that is right yet. Both are said in the same
 * words of a domain that is here and of one that is not. */
static void
service_turn_away (PeerService *self, GDBusMethodInvocation *invocation, bool is_early)
{
  if (is_early)
    service_refuse (self, invocation, CLOCKFERRY_ERROR_NOT_YET,
                    "the daemon there was just started and does not know its domains yet",
                    "came before this daemon knew its domains");
  else
    service_refuse (self, invocation, CLOCKFERRY_ERROR_NOT_AUTHORIZED,
                    "no such domain, or not its ticket", "has no valid ticket");
}

/* Whether the stranger may have what it asks for; else @invocation was answered. */
static bool
service_authorise (PeerService *self, GDBusMethodInvocation *invocation, const char *domain,
                   const char *ticket)
{
  const char *expected = NULL;
  bool is_early = false;

  if (self->state != SERVICE_STRANGER) {
    g_dbus_method_invocation_return_error (invocation, CLOCKFERRY_ERROR,
                                           CLOCKFERRY_ERROR_ALREADY_CLAIMED,
                                           "this connection serves another claim, or a check");
    return false;
  }

  if (g_uuid_string_is_valid (domain))
    expected = self->lookup (domain, &is_early, self->lookup_data);
  if (ticket_is_right (expected, ticket))
    return true;
  service_turn_away (self, invocation, is_early);
  return false;
}

static void
read_clock_state (HostClockState *clock)
{
  g_autoptr (GError) error = NULL;

  /* not fatal: without it the peer measures, which it can do anyway */
  if (!host_clock_read_state (clock, &error))
    g_warning ("%s", error->message);
}

/* To be asked of one with a ticket only, so that a stranger learns nothing by it. */
static bool
service_accept_migration (PeerService *self, GDBusMethodInvocation *invocation,
                          const char *migration)
{
  if (migration_id_is_valid (migration))
    return true;
  service_refuse (self, invocation, CLOCKFERRY_ERROR_BAD_MESSAGE,
                  "the migration is not 32 lower-case hexadecimal digits",
                  "claimed a domain for a migration that is not 32 lower-case hexadecimal digits");
  return false;
}

/* Likewise: it may have to come again. */
static bool
service_find_place (PeerService *self, GDBusMethodInvocation *invocation)
{
  const char *obstacle = self->callbacks->find_obstacle (self->user_data);
  g_autofree char *answer = NULL;
  g_autofree char *what = NULL;

  if (obstacle == NULL)
    return true;
  answer = g_strdup_printf ("there is no place for it just now: %s", obstacle);
  what = g_strdup_printf ("found no place: %s", obstacle);
  service_refuse (self, invocation, CLOCKFERRY_ERROR_NOT_YET, answer, what);
  return false;
}

/* What is asked for is not for those without a claim. */
static void
service_refuse_stranger (PeerService *self, GDBusMethodInvocation *invocation, const char *what)
{
  service_refuse (self, invocation, CLOCKFERRY_ERROR_NOT_AUTHORIZED, "claim a domain first", what);
}

/* dbus methods */

static gboolean
handle_claim (BusPeer *skeleton, GDBusMethodInvocation *invocation, const char *domain,
              const char *ticket, const char *migration, gpointer user_data)
{
  PeerService *self = user_data;
  HostClockState clock;

  if (!service_authorise (self, invocation, domain, ticket) ||
      !service_accept_migration (self, invocation, migration))
    return TRUE;
  self->domain = g_strdup (domain);
  self->migration = g_strdup (migration);
  if (!service_find_place (self, invocation))
    return TRUE;
  read_clock_state (&clock);
  bus_peer_complete_claim (skeleton, invocation, clock.synchronised, clock.max_error_us);
  self->state = SERVICE_CLAIMED;
  self->callbacks->claimed (self->user_data);
  return TRUE;
}

static gboolean
handle_check (BusPeer *skeleton, GDBusMethodInvocation *invocation, const char *domain,
              const char *ticket, gpointer user_data)
{
  PeerService *self = user_data;
  HostClockReading now;
  HostClockState clock;

  if (!service_authorise (self, invocation, domain, ticket))
    return TRUE;
  read_clock_state (&clock);
  host_clock_read (&now);
  bus_peer_complete_check (skeleton, invocation, clock.synchronised, clock.max_error_us,
                           now.realtime_ns - now.boottime_ns);
  self->state = SERVICE_CHECKED;
  self->callbacks->checked (self->user_data);
  return TRUE;
}

static gboolean
handle_abandon (BusPeer *skeleton, GDBusMethodInvocation *invocation, gpointer user_data)
{
  PeerService *self = user_data;

  if (self->state != SERVICE_CLAIMED) {
    service_refuse_stranger (self, invocation,
                             "abandoned its migration before it claimed a domain");
    return TRUE;
  }
  bus_peer_complete_abandon (skeleton, invocation);
  self->callbacks->abandoned (self->user_data);
  return TRUE;
}

static gboolean
handle_time (BusPeer *skeleton, GDBusMethodInvocation *invocation, gpointer user_data)
{
  PeerService *self = user_data;

  if (self->state == SERVICE_CLAIMED || self->state == SERVICE_CHECKED)
    bus_peer_complete_time (skeleton, invocation, host_clock_boottime_ns ());
  else
    service_refuse_stranger (self, invocation, "asked for the time before it claimed a domain");
  return TRUE;
}

/* the bus */

static void
on_bus_closed (GDBusConnection *bus, gboolean vanished, GError *error, gpointer user_data)
{
  service_end (user_data, error);
}

/* Ours, of this version of the protocol or of another. */
static bool
is_peer_interface (const char *name)
{
  return name != NULL && g_str_has_prefix (name, "org.clockferry") &&
         g_str_has_suffix (name, ".Peer");
}

/*
 * Runs in GDBus's worker. GDBus by itself answers Introspect, Ping and Properties; a stranger gets
 * no answer but to Claim and Check, and a refusal to the rest. One of another version gets GDBus's own,
 * that there is no such interface, so that it can tell why its guest's clocks are stock.
 */
static GDBusMessage *
filter_incoming (GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer user_data)
{
  if (!incoming)
    return message;
  if (g_dbus_message_get_message_type (message) == G_DBUS_MESSAGE_TYPE_METHOD_CALL &&
      is_peer_interface (g_dbus_message_get_interface (message)))
    return message;
  g_object_unref (message);
  return NULL;
}

static bool
service_open_bus (PeerService *self, GIOStream *stream, GError **error)
{
  g_autoptr (GIOStream) bounded = peer_stream_new (stream, REQUEST_MAX_BYTES);

  peer_stream_set_unanswered_max (PEER_STREAM (bounded), UNANSWERED_MAX);
  /*
   * No SASL: the ticket authorises the peer, and the pin has told the peer who we are. So this does
   * not block; its asynchronous form reads before it is done, and "closed" could come and go unseen.
   */
  self->bus = g_dbus_connection_new_sync (
    bounded, NULL, G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING, NULL, NULL, error);
  if (self->bus == NULL)
    return false;
  g_dbus_connection_add_filter (self->bus, filter_incoming, NULL, NULL);
  g_signal_connect (self->bus, "closed", G_CALLBACK (on_bus_closed), self);
  g_signal_connect (self->skeleton, "handle-claim", G_CALLBACK (handle_claim), self);
  g_signal_connect (self->skeleton, "handle-check", G_CALLBACK (handle_check), self);
  g_signal_connect (self->skeleton, "handle-abandon", G_CALLBACK (handle_abandon), self);
  g_signal_connect (self->skeleton, "handle-time", G_CALLBACK (handle_time), self);
  if (!g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (self->skeleton), self->bus,
                                         CLOCKFERRY_PEER_PATH, error))
    return false;
  g_dbus_connection_start_message_processing (self->bus);
  return true;
}

/* public functions */

PeerService *
peer_service_new (GIOStream *stream, const char *address, PeerTicketLookup lookup,
                  gpointer lookup_data, const PeerServiceCallbacks *callbacks, gpointer user_data,
                  GError **error)
{
  g_autoptr (PeerService) self = g_new0 (PeerService, 1);

  self->skeleton = bus_peer_skeleton_new ();
  self->address = g_strdup (address);
  self->lookup = lookup;
  self->lookup_data = lookup_data;
  self->callbacks = callbacks;
  self->user_data = user_data;
  return service_open_bus (self, stream, error) ? g_steal_pointer (&self) : NULL;
}

void
peer_service_stop (PeerService *self)
{
  if (self->state == SERVICE_STOPPED)
    return;
  self->state = SERVICE_STOPPED;
  g_signal_handlers_disconnect_by_data (self->skeleton, self);
  g_dbus_interface_skeleton_unexport (G_DBUS_INTERFACE_SKELETON (self->skeleton));
  g_signal_handlers_disconnect_by_data (self->bus, self);
  peer_stream_end_bus (self->bus);
}

void
peer_service_free (PeerService *self)
{
  if (self->bus != NULL)
    g_signal_handlers_disconnect_by_data (self->bus, self);
  g_signal_handlers_disconnect_by_data (self->skeleton, self);
  g_object_unref (self->skeleton);
  g_clear_object (&self->bus);
  g_free (self->domain);
  g_free (self->migration);
  g_free (self->address);
  g_free (self);
}

const char *
peer_service_get_domain (const PeerService *self)
{
  return self->domain;
}

const char *
peer_service_get_migration (const PeerService *self)
{
  return self->migration;
}

void
peer_service_push_record (PeerService *self, GBytes *record)
{
  if (self->state != SERVICE_CLAIMED)
    return;
  bus_peer_emit_record (self->skeleton, self->domain,
                        g_variant_new_from_bytes (G_VARIANT_TYPE_BYTESTRING, record, TRUE));
}

void
peer_service_withdraw (PeerService *self, const char *reason)
{
  if (self->state == SERVICE_CLAIMED)
    bus_peer_emit_withdrawn (self->skeleton, self->domain, reason);
}
