/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-stream.h"

#include "error.h"
#include "peer-framing.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>

/* The largest record twice, and no megabytes in the kernel for one who does not read. */
#define SEND_BUFFER_BYTES (128 * 1024)

#define DEAD_PEER_MS       10000
#define KEEPALIVE_IDLE_S   5
#define KEEPALIVE_PERIOD_S 2
#define KEEPALIVE_PROBES   3

/* How long the other end may take to read what was sent to it before the end. */
#define LINGER_MS 2000

/* What both halves know. GDBus reads and writes in one thread, its worker: nothing here is locked. */
typedef struct {
  guint unanswered_max; /* 0: any number */
  guint unanswered;     /* messages that came in, less those that went out since */
} Balance;

/* The reading half. */
#define PEER_TYPE_INPUT (peer_input_get_type ())
G_DECLARE_FINAL_TYPE (PeerInput, peer_input, PEER, INPUT, GFilterInputStream)

struct _PeerInput {
  GFilterInputStream parent_instance;

  uint32_t message_max_bytes;
  PeerFraming framing;
  Balance *balance;

  /* rate, a token bucket */
  int64_t refilled_us; /* g_get_monotonic_time() */
  int64_t credit_us;   /* each message costs a share of a second */
};

/* The writing half. */
#define PEER_TYPE_OUTPUT (peer_output_get_type ())
G_DECLARE_FINAL_TYPE (PeerOutput, peer_output, PEER, OUTPUT, GOutputStream)

struct _PeerOutput {
  GOutputStream parent_instance;

  GOutputStream *base;
  PeerFraming framing;
  Balance *balance;
};

struct _PeerStream {
  GIOStream parent_instance;

  GIOStream *base;
  GInputStream *input;
  GOutputStream *output;
  Balance *balance;
};

G_DEFINE_FINAL_TYPE (PeerInput, peer_input, G_TYPE_FILTER_INPUT_STREAM)
G_DEFINE_FINAL_TYPE (PeerOutput, peer_output, G_TYPE_OUTPUT_STREAM)
G_DEFINE_FINAL_TYPE (PeerStream, peer_stream, G_TYPE_IO_STREAM)

/* internal methods */

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

/* What a peer does not read piles up here, so it gets no more before it does. */
static bool
input_take_turn (PeerInput *self, GError **error)
{
  Balance *balance = self->balance;

  if (balance->unanswered_max == 0 || balance->unanswered < balance->unanswered_max) {
    balance->unanswered++;
    return true;
  }
  g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE,
               "the peer has not read the answers to %u messages, and sends more",
               balance->unanswered);
  return false;
}

static bool
input_judge_header (PeerInput *self, GError **error)
{
  uint64_t total_bytes = peer_framing_get_bytes (&self->framing);

  if (!peer_framing_is_dbus (&self->framing)) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE,
                 "the peer does not speak D-Bus");
    return false;
  }

  if (total_bytes > self->message_max_bytes) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE,
                 "the peer announced a message of %" G_GUINT64_FORMAT " bytes, and %u are allowed",
                 total_bytes, self->message_max_bytes);
    return false;
  }
  return input_take_credit (self, error) && input_take_turn (self, error);
}

/* Follow @count bytes that were read. */
static bool
input_judge (PeerInput *self, const uint8_t *bytes, gsize count, GError **error)
{
  while (count > 0) {
    bool is_header;
    gsize step = peer_framing_follow (&self->framing, bytes, count, &is_header);

    if (is_header) {
      if (!input_judge_header (self, error))
        return false;
      peer_framing_enter_body (&self->framing);
    }
    bytes += step;
    count -= step;
  }
  return true;
}

/* Follow @count bytes of ours that the peer's host has taken, or that wait for it in the kernel. */
static void
output_count (PeerOutput *self, const uint8_t *bytes, gsize count)
{
  while (count > 0) {
    bool is_header;
    gsize step = peer_framing_follow (&self->framing, bytes, count, &is_header);

    if (is_header) {
      peer_framing_enter_body (&self->framing);
      if (self->balance->unanswered > 0)
        self->balance->unanswered--;
    }
    bytes += step;
    count -= step;
  }
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

static void
on_base_written (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  gssize count = g_output_stream_write_finish (G_OUTPUT_STREAM (source), result, &error);

  if (count < 0) {
    g_task_return_error (task, error);
    return;
  }
  output_count (g_task_get_source_object (task), g_task_get_task_data (task), (gsize) count);
  g_task_return_int (task, count);
}

static gboolean
on_linger_over (gpointer user_data)
{
  g_dbus_connection_close (user_data, NULL, NULL, NULL);
  return G_SOURCE_REMOVE;
}

static void
on_flushed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GSource *linger = user_data;

  /* whether the peer got the last words or not, it is over */
  (void) g_dbus_connection_flush_finish (G_DBUS_CONNECTION (source), result, NULL);
  if (!g_source_is_destroyed (linger))
    g_dbus_connection_close (G_DBUS_CONNECTION (source), NULL, NULL, NULL);
  g_source_destroy (linger);
  g_source_unref (linger);
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
peer_input_finalize (GObject *object)
{
  g_clear_pointer (&PEER_INPUT (object)->balance, g_atomic_rc_box_release);
  G_OBJECT_CLASS (peer_input_parent_class)->finalize (object);
}

static void
peer_input_class_init (PeerInputClass *klass)
{
  GInputStreamClass *stream_class = G_INPUT_STREAM_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = peer_input_finalize;
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

/* GOutputStream */

static gssize
peer_output_write (GOutputStream *stream, const void *buffer, gsize count,
                   GCancellable *cancellable, GError **error)
{
  PeerOutput *self = PEER_OUTPUT (stream);
  gssize done = g_output_stream_write (self->base, buffer, count, cancellable, error);

  if (done > 0)
    output_count (self, buffer, (gsize) done);
  return done;
}

/* As with reading. */
static void
peer_output_write_async (GOutputStream *stream, const void *buffer, gsize count, int io_priority,
                         GCancellable *cancellable, GAsyncReadyCallback callback,
                         gpointer user_data)
{
  PeerOutput *self = PEER_OUTPUT (stream);
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_task_set_source_tag (task, peer_output_write_async);
  g_task_set_check_cancellable (task, FALSE);
  g_task_set_task_data (task, (gpointer) buffer, NULL);
  g_output_stream_write_async (self->base, buffer, count, io_priority, cancellable, on_base_written,
                               task);
}

static gssize
peer_output_write_finish (GOutputStream *stream, GAsyncResult *result, GError **error)
{
  return g_task_propagate_int (G_TASK (result), error);
}

static void
peer_output_finalize (GObject *object)
{
  PeerOutput *self = PEER_OUTPUT (object);

  g_clear_object (&self->base);
  g_clear_pointer (&self->balance, g_atomic_rc_box_release);
  G_OBJECT_CLASS (peer_output_parent_class)->finalize (object);
}

static void
peer_output_class_init (PeerOutputClass *klass)
{
  GOutputStreamClass *stream_class = G_OUTPUT_STREAM_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = peer_output_finalize;
  stream_class->write_fn = peer_output_write;
  stream_class->write_async = peer_output_write_async;
  stream_class->write_finish = peer_output_write_finish;
}

static void
peer_output_init (PeerOutput *self)
{
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
  return PEER_STREAM (stream)->output;
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
  g_clear_object (&self->output);
  g_clear_object (&self->base);
  g_clear_pointer (&self->balance, g_atomic_rc_box_release);
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
  PeerOutput *output = g_object_new (PEER_TYPE_OUTPUT, NULL);

  self->balance = g_atomic_rc_box_new0 (Balance);
  input->message_max_bytes = message_max_bytes;
  input->balance = g_atomic_rc_box_acquire (self->balance);
  output->base = g_object_ref (g_io_stream_get_output_stream (base));
  output->balance = g_atomic_rc_box_acquire (self->balance);
  self->base = g_object_ref (base);
  self->input = G_INPUT_STREAM (input);
  self->output = G_OUTPUT_STREAM (output);
  return G_IO_STREAM (self);
}

void
peer_stream_set_unanswered_max (PeerStream *self, guint unanswered_max)
{
  self->balance->unanswered_max = unanswered_max;
}

void
peer_stream_end_bus (GDBusConnection *bus)
{
  GSource *linger;

  if (g_dbus_connection_is_closed (bus))
    return;
  /* a flush has a thread of all of GIO's, and waits for the peer to read */
  linger = g_timeout_source_new (LINGER_MS);
  g_source_set_callback (linger, on_linger_over, g_object_ref (bus), g_object_unref);
  g_source_attach (linger, NULL);
  g_dbus_connection_flush (bus, NULL, on_flushed, linger);
}

void
peer_stream_tune_socket (GSocket *socket)
{
  g_socket_set_keepalive (socket, TRUE);
  (void) g_socket_set_option (socket, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES, NULL);
  (void) g_socket_set_option (socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
  (void) g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S, NULL);
  (void) g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_PERIOD_S, NULL);
  (void) g_socket_set_option (socket, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES, NULL);
  /* also ends a connection whose peer never reads what is sent to it (tcp(7)) */
  (void) g_socket_set_option (socket, IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_PEER_MS, NULL);
}
