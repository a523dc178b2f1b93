/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peer-session - what a source sends to the destination that has dialled it
 *
 * The whole of peer-dial, peer-session, peer-client and peer-sampler, with GDBus, over TCP on the
 * loopback, but without the cryptography of TLS. The first byte of the input says whether the session
 * claims or checks. What the session delivers is used as an arrival does.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "clock-record.h"
#include "error.h"
#include "fuzz-target.h"
#include "identity.h"
#include "peer-session.h"
#include "peer-wire.h"
#include "plain-tls.h"

/* How long a request of the session is waited for that may never come. */
#define REQUEST_MS 20
#define STEPS_MAX  100

enum {
  STEP_RAW,    /* bytes */
  STEP_ACCEPT, /* synchronised (a byte), max_error_us and real_minus_boot_ns: to Claim or Check */
  STEP_TIME,   /* boottime_ns: to Time */
  STEP_ANSWER, /* a body in text form, to whatever is asked */
  STEP_ERROR,  /* a line with the name, then the text: likewise */
  STEP_RECORD, /* a byte (is it the claimed domain?), then the record */
  STEP_WITHDRAWN, /* likewise, with the reason */
  STEP_SIGNAL,    /* a line with the member, then the body in text form */
  STEP_COUNT,
};

static int listen_fd = -1;
static guint16 port;
static char *pin;

/* one input's */
static struct {
  Wire wire;
  PeerSession *session;
  guint32 serial;
  gboolean is_check;
  gboolean is_answered; /* opening has come to its end, either way */
  gboolean is_open;
  gboolean is_closed;
} state;

/* the destination */

/* As arrival.c does: which theta would a fix-up of this record use? */
static void
choose_theta (const struct clock_record *record)
{
  const HostClockMode modes[] = { HOST_CLOCK_AUTO, HOST_CLOCK_TRUST, HOST_CLOCK_MEASURE };
  HostClockState local = { .synchronised = true, .max_error_us = 1000 };
  HostClockState remote;
  ClockEstimate estimate;
  ClockChoice choice, sent = { 0 };
  gboolean is_known = peer_session_get_estimate (
    state.session, (int64_t) (record->host_src_ns - record->boot_src_ns), &estimate);

  peer_session_get_remote_clock (state.session, &remote);
  for (gsize i = 0; i < G_N_ELEMENTS (modes); i++) {
    if (!clock_offset_choose (modes[i], is_known ? &estimate : NULL, &local, &remote, &choice,
                              NULL))
      continue;
    g_assert_true (choice.measured || choice.theta_ns == 0);
    if (clock_choice_is_credible (&choice) && clock_choice_supersedes (&choice, &sent))
      sent = choice;
  }
}

static void
on_record (PeerSession *session, GBytes *bytes, gpointer user_data)
{
  gsize size;
  const struct clock_record *record = g_bytes_get_data (bytes, &size);

  g_assert_true (state.is_open && !state.is_closed && !state.is_check);
  g_assert_cmpint (clock_record_check (record, size), ==, CLOCK_RECORD_OK);
  choose_theta (record);
}

static void
on_withdrawn (PeerSession *session, const char *reason, gpointer user_data)
{
  g_assert_true (state.is_open && !state.is_closed && !state.is_check);
  g_assert_true (g_utf8_validate (reason, -1, NULL));
}

static void
on_compared (PeerSession *session, gpointer user_data)
{
  ClockEstimate estimate;

  g_assert_true (state.is_open && !state.is_closed);
  g_assert_true (peer_session_get_estimate (session, 0, &estimate));
  g_assert_true (peer_session_get_present_estimate (session, &estimate) == state.is_check);
}

static void
on_closed (PeerSession *session, const GError *error, gpointer user_data)
{
  g_assert_true (state.is_open && !state.is_closed);
  g_assert_nonnull (error);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  state.is_closed = TRUE;
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (state.is_answered);
  state.is_answered = TRUE;
  state.is_open = peer_session_open_finish (PEER_SESSION (source), result, &error);
  g_assert_true (state.is_open == (error == NULL));
  g_assert_true (error == NULL || g_utf8_validate (error->message, -1, NULL));
}

static void
open_session (void)
{
  const PeerAnnouncement announcement = {
    .address = "127.0.0.1",
    .port = port,
    .pin = pin,
    .domain = WIRE_DOMAIN,
    .ticket = WIRE_TICKET,
    .migration = WIRE_MIGRATION,
  };

  state.session = state.is_check ? peer_session_new_for_check (&announcement, NULL)
                                 : peer_session_new (&announcement, NULL);
  g_signal_connect (state.session, "record", G_CALLBACK (on_record), NULL);
  g_signal_connect (state.session, "withdrawn", G_CALLBACK (on_withdrawn), NULL);
  g_signal_connect (state.session, "compared", G_CALLBACK (on_compared), NULL);
  g_signal_connect (state.session, "closed", G_CALLBACK (on_closed), NULL);
  peer_session_open_async (state.session, NULL, on_opened, NULL);
}

/* the source */

static gboolean
is_over (void)
{
  return state.is_closed || (state.is_answered && !state.is_open);
}

static gboolean
on_late (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_CONTINUE;
}

/* What the session asks, of this method if not NULL; NULL if it asks nothing like it. */
static GDBusMessage *
await_request (const char *member)
{
  gboolean is_late = FALSE;
  guint late_id = g_timeout_add (REQUEST_MS, on_late, &is_late);
  GDBusMessage *request = NULL;
  gboolean has_left = FALSE;

  while (request == NULL && !has_left && !is_over () && !is_late) {
    request = wire_receive (&state.wire, &has_left);
    if (request != NULL && member != NULL &&
        g_strcmp0 (g_dbus_message_get_member (request), member) != 0)
      g_clear_object (&request);
    else if (request == NULL)
      g_main_context_iteration (NULL, TRUE);
  }
  g_source_remove (late_id);
  return request;
}

static void
answer (GDBusMessage *request, GVariant *body)
{
  if (request != NULL)
    wire_send (&state.wire, wire_reply (request, body), ++state.serial);
}

static void
accept_session (FuzzStep *step)
{
  gboolean synchronised = (fuzz_take_u8 (step) & 1) != 0;
  guint64 max_error_us = fuzz_take_u64 (step);
  gint64 real_minus_boot_ns = (gint64) fuzz_take_u64 (step);
  g_autoptr (GDBusMessage) request = await_request (state.is_check ? "Check" : "Claim");
  g_autoptr (GVariant) body = g_variant_ref_sink (
    state.is_check ? g_variant_new ("(btx)", synchronised, max_error_us, real_minus_boot_ns)
                   : g_variant_new ("(bt)", synchronised, max_error_us));

  answer (request, body);
}

static void
tell_time (FuzzStep *step)
{
  g_autoptr (GVariant)
    body = g_variant_ref_sink (g_variant_new ("(x)", (gint64) fuzz_take_u64 (step)));
  g_autoptr (GDBusMessage) request = await_request ("Time");

  answer (request, body);
}

static void
answer_any (FuzzStep *step)
{
  g_autoptr (GVariant) body = wire_take_body (step);
  g_autoptr (GDBusMessage) request = await_request (NULL);

  answer (request, body);
}

static void
refuse (FuzzStep *step)
{
  g_autofree char *name = wire_take_line (step);
  g_autofree char *text = wire_take_line (step);
  g_autoptr (GDBusMessage) request = g_dbus_is_interface_name (name) ? await_request (NULL) : NULL;

  if (request != NULL)
    wire_send (&state.wire, wire_error (request, name, text), ++state.serial);
}

static const char *
take_domain (FuzzStep *step)
{
  return fuzz_take_u8 (step) & 1 ? WIRE_DOMAIN : "00000000-0000-0000-0000-000000000000";
}

static void
send_record (FuzzStep *step)
{
  const char *domain = take_domain (step);

  wire_send (
    &state.wire,
    wire_signal ("Record", g_variant_new ("(s@ay)", domain,
                                          g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE,
                                                                     step->data, step->size, 1))),
    ++state.serial);
}

static void
send_withdrawn (FuzzStep *step)
{
  const char *domain = take_domain (step);
  g_autofree char *reason = wire_take_line (step);

  wire_send (&state.wire, wire_signal ("Withdrawn", g_variant_new ("(ss)", domain, reason)),
             ++state.serial);
}

static void
send_signal (FuzzStep *step)
{
  g_autofree char *member = wire_take_line (step);
  g_autoptr (GVariant) body = wire_take_body (step);

  if (g_dbus_is_member_name (member))
    wire_send (&state.wire, wire_signal (member, body), ++state.serial);
}

static void
take_step (FuzzStep *step)
{
  switch (step->kind % STEP_COUNT) {
  case STEP_RAW:
    wire_send_bytes (&state.wire, step->data, step->size);
    break;
  case STEP_ACCEPT:
    accept_session (step);
    break;
  case STEP_TIME:
    tell_time (step);
    break;
  case STEP_ANSWER:
    answer_any (step);
    break;
  case STEP_ERROR:
    refuse (step);
    break;
  case STEP_RECORD:
    send_record (step);
    break;
  case STEP_WITHDRAWN:
    send_withdrawn (step);
    break;
  case STEP_SIGNAL:
    send_signal (step);
    break;
  }
}

static void
accept_connection (void)
{
  int fd;

  while ((fd = accept4 (listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0)
    g_main_context_iteration (NULL, TRUE);
  wire_begin (&state.wire, fd);
}

/* The source has hung up: the session sees all that it sent, and the end. */
static void
run_to_end (void)
{
  wire_shut (&state.wire);
  while (!is_over ())
    g_main_context_iteration (NULL, TRUE);
}

static void
set_up (void)
{
  struct sockaddr_in address = { .sin_family = AF_INET,
                                 .sin_addr = { .s_addr = htonl (INADDR_LOOPBACK) } };
  socklen_t size = sizeof address;
  g_autoptr (GError) error = NULL;

  if (listen_fd >= 0)
    return;
  plain_tls_use ();
  plain_tls_show (wire_certificate ());
  pin = identity_pin (wire_certificate (), &error);
  g_assert_no_error (error);
  listen_fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  g_assert_cmpint (bind (listen_fd, (struct sockaddr *) &address, size), ==, 0);
  g_assert_cmpint (listen (listen_fd, 1), ==, 0);
  g_assert_cmpint (getsockname (listen_fd, (struct sockaddr *) &address, &size), ==, 0);
  port = ntohs (address.sin_port);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  FuzzStep step;

  fuzz_begin ();
  if (size == 0)
    return 0;
  set_up ();
  memset (&state, 0, sizeof state);
  state.is_check = data[0] & 1;
  input.data++;
  input.size--;
  open_session ();
  accept_connection ();
  for (guint i = 0; i < STEPS_MAX && !is_over () && fuzz_next_step (&input, &step); i++)
    take_step (&step);
  run_to_end ();
  peer_session_close (state.session);
  wire_wait_for_last_unref (state.session);
  wire_end (&state.wire, TRUE);
  return 0;
}
