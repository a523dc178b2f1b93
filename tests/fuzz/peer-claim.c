/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peer-claim - what a client of the peer channel sends to the source, from its first byte after TLS
 *
 * The whole of peer-connection and peer-service, with the guard of their stream and GDBus, on a socket,
 * but without the cryptography of TLS. Nobody gets further than NotAuthorized without the ticket.
 */
#include <string.h>
#include <sys/socket.h>

#include "error.h"
#include "event-log.h"
#include "fuzz-target.h"
#include "names.h"
#include "peer-connection.h"
#include "peer-wire.h"
#include "plain-tls.h"

/* Nobody waits for it: every input ends with the end of what its client sends. */
#define CLAIM_MS 60000
/* Fewer than the rate would allow at once. */
#define STEPS_MAX 100

enum {
  STEP_RAW,   /* bytes */
  STEP_CLAIM, /* flags, then the strings that are not the right ones, a line each */
  STEP_CHECK, /* likewise */
  STEP_TIME,
  STEP_ABANDON,
  STEP_CALL,   /* a line with the member, then the body in text form */
  STEP_SIGNAL, /* likewise */
  STEP_COUNT,
};

#define FLAG_DOMAIN    (1u << 0)
#define FLAG_TICKET    (1u << 1)
#define FLAG_MIGRATION (1u << 2)

/* one input's */
static struct {
  Wire wire;
  PeerConnection *connection;
  guint32 serial;
  gboolean has_ticket; /* the client has sent it */
  gboolean is_closed;
  guint claims;
} state;

/* the source */

static const char *
look_up_ticket (const char *domain, bool *is_early, gpointer user_data)
{
  g_assert_true (g_uuid_string_is_valid (domain));
  return g_str_equal (domain, WIRE_DOMAIN) ? WIRE_TICKET : NULL;
}

static void
push_record (void)
{
  const guint8 record[8] = { 1, 2, 3 };
  g_autoptr (GBytes) bytes = g_bytes_new (record, sizeof record);

  peer_connection_push_record (state.connection, bytes);
  peer_connection_withdraw (state.connection, "rolled-back");
}

static void
on_advanced (PeerConnection *connection, gpointer user_data)
{
  PeerPhase phase = peer_connection_get_phase (connection);

  g_assert_false (state.is_closed);
  if (phase == PEER_PHASE_CHECKED || phase == PEER_PHASE_CLAIMED)
    g_assert_true (state.has_ticket);
  if (phase != PEER_PHASE_CLAIMED) {
    g_assert_null (peer_connection_get_domain (connection));
    return;
  }
  g_assert_cmpuint (++state.claims, ==, 1);
  g_assert_cmpstr (peer_connection_get_domain (connection), ==, WIRE_DOMAIN);
  push_record ();
}

static void
on_logged (const EventEntry *entry, gpointer user_data)
{
  g_assert_true (g_utf8_validate (event_entry_get (entry, "MESSAGE"), -1, NULL));
}

static void
on_closed (PeerConnection *connection, const GError *error, gpointer user_data)
{
  static const EventObserver observer = { on_logged, NULL };
  EventEntry *entry = event_entry_new (EVENT_PEER_REFUSED, NULL, NULL);

  g_assert_false (state.is_closed);
  state.is_closed = TRUE;
  /* as the daemon tells of it */
  event_entry_set_observer (entry, &observer);
  event_entry_log (entry, "a client was refused: %s", error != NULL ? error->message : "it left");
}

/* the client */

/* The right string, if the flag says so, or a line of the input. */
static char *
choose (FuzzStep *step, guint8 flags, guint8 flag, const char *right)
{
  return flags & flag ? g_strdup (right) : wire_take_line (step);
}

static void
send_ticket (FuzzStep *step, gboolean is_claim)
{
  guint8 flags = fuzz_take_u8 (step);
  g_autofree char *domain = choose (step, flags, FLAG_DOMAIN, WIRE_DOMAIN);
  g_autofree char *ticket = choose (step, flags, FLAG_TICKET, WIRE_TICKET);
  g_autofree char *migration = choose (step, flags, FLAG_MIGRATION, WIRE_MIGRATION);

  if (flags & FLAG_TICKET)
    state.has_ticket = TRUE;
  if (is_claim)
    wire_send (&state.wire, wire_call ("Claim", g_variant_new ("(sss)", domain, ticket, migration)),
               ++state.serial);
  else
    wire_send (&state.wire, wire_call ("Check", g_variant_new ("(ss)", domain, ticket)),
               ++state.serial);
}

static void
send_any (FuzzStep *step, gboolean is_call)
{
  g_autofree char *member = wire_take_line (step);
  g_autoptr (GVariant) body = wire_take_body (step);

  if (!g_dbus_is_member_name (member))
    return;
  wire_send (&state.wire, is_call ? wire_call (member, body) : wire_signal (member, body),
             ++state.serial);
}

static void
take_step (FuzzStep *step)
{
  switch (step->kind % STEP_COUNT) {
  case STEP_RAW:
    wire_send_bytes (&state.wire, step->data, step->size);
    break;
  case STEP_CLAIM:
    send_ticket (step, TRUE);
    break;
  case STEP_CHECK:
    send_ticket (step, FALSE);
    break;
  case STEP_TIME:
    wire_send (&state.wire, wire_call ("Time", NULL), ++state.serial);
    break;
  case STEP_ABANDON:
    wire_send (&state.wire, wire_call ("Abandon", NULL), ++state.serial);
    break;
  case STEP_CALL:
    send_any (step, TRUE);
    break;
  case STEP_SIGNAL:
    send_any (step, FALSE);
    break;
  }
}

/* What the client hears: an answer that tells something takes the ticket. */
static void
check_answer (GDBusMessage *message)
{
  const char *name = g_dbus_message_get_error_name (message);

  switch (g_dbus_message_get_message_type (message)) {
  case G_DBUS_MESSAGE_TYPE_ERROR:
    g_assert_true (g_str_has_prefix (name, CLOCKFERRY_ERROR_PREFIX) ||
                   g_str_has_prefix (name, "org.freedesktop.DBus.Error."));
    break;
  case G_DBUS_MESSAGE_TYPE_METHOD_RETURN:
    g_assert_true (state.has_ticket);
    break;
  case G_DBUS_MESSAGE_TYPE_SIGNAL:
    g_assert_cmpuint (state.claims, ==, 1);
    break;
  case G_DBUS_MESSAGE_TYPE_METHOD_CALL:
  case G_DBUS_MESSAGE_TYPE_INVALID:
    g_assert_not_reached ();
  }
}

/* FALSE at the end of the connection. */
static gboolean
hear (void)
{
  gboolean is_over;

  for (;;) {
    g_autoptr (GDBusMessage) message = wire_receive (&state.wire, &is_over);

    if (message == NULL)
      return !is_over;
    check_answer (message);
  }
}

/* one input */

static GSocketConnection *
make_pair (void)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
  wire_begin (&state.wire, fds[0]);
  socket = g_socket_new_from_fd (fds[1], &error);
  g_assert_no_error (error);
  return g_socket_connection_factory_create_connection (socket);
}

static void
run (void)
{
  while (!state.is_closed) {
    g_main_context_iteration (NULL, TRUE);
    if (!state.is_closed && peer_connection_get_phase (state.connection) == PEER_PHASE_READY)
      peer_connection_shake_hands (state.connection, wire_certificate (), NULL);
  }
}

static void
set_up (void)
{
  static gboolean is_done;

  if (is_done)
    return;
  is_done = TRUE;
  plain_tls_use ();
  (void) clockferry_error_quark ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GSocketConnection) socket = NULL;
  FuzzInput input = { data, size };
  FuzzStep step;

  fuzz_begin ();
  set_up ();
  memset (&state, 0, sizeof state);
  socket = make_pair ();
  /* a raw message may have it as well */
  state.has_ticket = size > 0 && memmem (data, size, WIRE_TICKET, strlen (WIRE_TICKET)) != NULL;
  for (guint i = 0; i < STEPS_MAX && fuzz_next_step (&input, &step); i++)
    take_step (&step);
  wire_shut (&state.wire);

  state.connection = peer_connection_new (socket, look_up_ticket, NULL);
  g_signal_connect (state.connection, "advanced", G_CALLBACK (on_advanced), NULL);
  g_signal_connect (state.connection, "closed", G_CALLBACK (on_closed), NULL);
  peer_connection_start (state.connection, CLAIM_MS);
  g_clear_object (&socket);
  run ();
  wire_wait_for_last_unref (state.connection);
  while (hear ())
    g_main_context_iteration (NULL, FALSE);
  wire_end (&state.wire, FALSE);
  return 0;
}
