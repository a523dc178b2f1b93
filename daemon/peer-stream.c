/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-stream.h"

#include "error.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>

/* D-Bus specification, "Message Format": what precedes the array of header fields. */
#define HEADER_BYTES           16
#define HEADER_BODY_LENGTH     4
#define HEADER_FIELDS_LENGTH   12
#define HEADER_ALIGNMENT_BYTES 8

#define DEAD_PEER_MS       10000
#define KEEPALIVE_IDLE_S   5
#define KEEPALIVE_PERIOD_S 2
#define KEEPALIVE_PROBES   3

/* The reading half; GDBus reads in one thread, its worker, so nothing here is locked. */
#define PEER_TYPE_INPUT (peer_input_get_type ())
G_DECLARE_FINAL_TYPE (PeerInput, peer_input, PEER, INPUT, GFilterInputStream)

struct _PeerInput {
  GFilterInputStream parent_instance;

  /* framing */
  uint32_t message_max_bytes;
  uint8_t header[HEADER_BYTES];
  gsize header_bytes;  /* how much of header[] is there */
  uint64_t body_bytes; /* how much of the message is still to come after its header */

  /* rate, a token bucket */
  int64_t refilled_us; /* g_get_monotonic_time() */
  int64_t credit_us;   /* each message costs a share of a second */
};

struct _PeerStream {
  GIOStream parent_instance;

  GIOStream *base;
  GInputStream *input;
};

G_DEFINE_FINAL_TYPE (PeerInput, peer_input, G_TYPE_FILTER_INPUT_STREAM)
G_DEFINE_FINAL_TYPE (PeerStream, peer_stream, G_TYPE_IO_STREAM)

/* internal methods */

static uint32_t
header_read_u32 (const PeerInput *self, gsize offset)
{
  uint32_t value;

  memcpy (&value, self->header + offset, sizeof (value));
  return self->header[0] == 'l' ? GUINT32_FROM_LE (value) : GUINT32_FROM_BE (value);
}

static bool
input_take_credit (PeerInput *self, GError **error)
{
  const int64_t cost_us = G_USEC_PER_SEC / PEER_STREAM_MESSAGES_PER_S;
  int64_t now_us = g_get_monotonic_time ();

  self->credit_us =
    MIN (self->credit_us + (now_us - self->refilled_us), cost_us * PEER_STREAM_MESSAGES_BURST);
  self->refilled_us = now_us;
  if (self->credit_us < cost_us) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE,
                 "the peer sends more than %d messages a second", PEER_STREAM_MESSAGES_PER_S);
    return false;
  }
  self->credit_us -= cost_us;
  return true;
}

/* A header is complete: judge it, and find out where the next one starts. */
static bool
input_judge_header (PeerInput *self, GError **error)
{
  uint64_t fields_bytes;
  uint64_t total_bytes;

  if (self->header[0] != 'l' && self->header[0] != 'B') {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE,
                 "the peer does not speak D-Bus");
    return false;
  }

  fields_bytes = header_read_u32 (self, HEADER_FIELDS_LENGTH);
  fields_bytes = (fields_bytes + HEADER_ALIGNMENT_BYTES - 1) &
                 ~(uint64_t) (HEADER_ALIGNMENT_BYTES - 1);
  total_bytes = HEADER_BYTES + fields_bytes + header_read_u32 (self, HEADER_BODY_LENGTH);
  if (total_bytes > self->message_max_bytes) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE,
                 "the peer announced a message of %" G_GUINT64_FORMAT " bytes, and %u are allowed",
                 total_bytes, self->message_max_bytes);
    return false;
  }
  if (!input_take_credit (self, error))
    return false;

  self->body_bytes = total_bytes - HEADER_BYTES;
  self->header_bytes = 0;
  return true;
}

/* Follow @count bytes that were read; in whatever pieces they come. */
static bool
input_judge (PeerInput *self, const uint8_t *bytes, gsize count, GError **error)
{
  while (count > 0) {
    gsize step;

    if (self->body_bytes > 0) {
      step = (gsize) MIN (self->body_bytes, count);
      self->body_bytes -= step;
    } else {
      step = MIN (HEADER_BYTES - self->header_bytes, count);
      memcpy (self->header + self->header_bytes, bytes, step);
      self->header_bytes += step;
      if (self->header_bytes == HEADER_BYTES && !input_judge_header (self, error))
        return false;
    }
    bytes += step;
    count -= step;
  }
  return true;
}

/* callbacks and signals */

static void
on_base_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  PeerInput *self = g_task_get_source_object (task);
  GError *error = NULL;
  gssize count;

  count = g_input_stream_read_finish (G_INPUT_STREAM (source), result, &error);
  if (count < 0 || !input_judge (self, g_task_get_task_data (task), (gsize) count, &error))
    g_task_return_error (task, error);
  else
    g_task_return_int (task, count);
}

/* GInputStream */

static gssize
peer_input_read (GInputStream *stream, void *buffer, gsize count, GCancellable *cancellable,
                 GError **error)
{
  PeerInput *self = PEER_INPUT (stream);
  GInputStream *base = g_filter_input_stream_get_base_stream (&self->parent_instance);
  gssize done = g_input_stream_read (base, buffer, count, cancellable, error);

  return done >= 0 && !input_judge (self, buffer, (gsize) done, error) ? -1 : done;
}

/* The default would call read() in a thread of its own and leave it blocked there. */
static void
peer_input_read_async (GInputStream *stream, void *buffer, gsize count, int io_priority,
                       GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  PeerInput *self = PEER_INPUT (stream);
  GInputStream *base = g_filter_input_stream_get_base_stream (&self->parent_instance);
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_task_set_source_tag (task, peer_input_read_async);
  g_task_set_check_cancellable (task, FALSE);
  g_task_set_task_data (task, buffer, NULL);
  g_input_stream_read_async (base, buffer, count, io_priority, cancellable, on_base_read, task);
}

static gssize
peer_input_read_finish (GInputStream *stream, GAsyncResult *result, GError **error)
{
  return g_task_propagate_int (G_TASK (result), error);
}

static void
peer_input_class_init (PeerInputClass *klass)
{
  GInputStreamClass *stream_class = G_INPUT_STREAM_CLASS (klass);

  stream_class->read_fn = peer_input_read;
  stream_class->read_async = peer_input_read_async;
  stream_class->read_finish = peer_input_read_finish;
}

static void
peer_input_init (PeerInput *self)
{
  self->credit_us = G_USEC_PER_SEC / PEER_STREAM_MESSAGES_PER_S * PEER_STREAM_MESSAGES_BURST;
  self->refilled_us = g_get_monotonic_time ();
}

/* GIOStream */

static GInputStream *
peer_stream_get_input_stream (GIOStream *stream)
{
  return PEER_STREAM (stream)->input;
}

static GOutputStream *
peer_stream_get_output_stream (GIOStream *stream)
{
  return g_io_stream_get_output_stream (PEER_STREAM (stream)->base);
}

static gboolean
peer_stream_close (GIOStream *stream, GCancellable *cancellable, GError **error)
{
  return g_io_stream_close (PEER_STREAM (stream)->base, cancellable, error);
}

static void
peer_stream_finalize (GObject *object)
{
  PeerStream *self = PEER_STREAM (object);

  g_clear_object (&self->input);
  g_clear_object (&self->base);
  G_OBJECT_CLASS (peer_stream_parent_class)->finalize (object);
}

static void
peer_stream_class_init (PeerStreamClass *klass)
{
  GIOStreamClass *stream_class = G_IO_STREAM_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = peer_stream_finalize;
  stream_class->get_input_stream = peer_stream_get_input_stream;
  stream_class->get_output_stream = peer_stream_get_output_stream;
  stream_class->close_fn = peer_stream_close;
}

static void
peer_stream_init (PeerStream *self)
{
}

/* public methods */

GIOStream *
peer_stream_new (GIOStream *base, uint32_t message_max_bytes)
{
  PeerStream *self = g_object_new (PEER_TYPE_STREAM, NULL);
  PeerInput *input = g_object_new (PEER_TYPE_INPUT, "base-stream",
                                   g_io_stream_get_input_stream (base), "close-base-stream", FALSE,
                                   NULL);

  input->message_max_bytes = message_max_bytes;
  self->base = g_object_ref (base);
  self->input = G_INPUT_STREAM (input);
  return G_IO_STREAM (self);
}

void
peer_stream_tune_socket (GSocket *socket)
{
  g_socket_set_keepalive (socket, TRUE);
  (void) g_socket_set_option (socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
  (void) g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S, NULL);
  (void) g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_PERIOD_S, NULL);
  (void) g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES, NULL);
  /* also ends a connection whose peer never reads what is sent to it (tcp(7)) */
  (void) g_socket_set_option (socket, IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_PEER_MS, NULL);
}
