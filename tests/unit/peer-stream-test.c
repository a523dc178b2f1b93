/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-stream.h"

#include "error.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIMIT_BYTES 256
#define UNANSWERED  3

/* what a stranger sends */

/* Append a message with the given lengths in its header; the rest is filler. */
static void
wire_add (GByteArray *wire, char order, guint32 fields_bytes, guint32 body_bytes, gsize filler)
{
  guint8 header[16] = { (guint8) order, 1, 0, 1 };
  guint32 body = order == 'B' ? GUINT32_TO_BE (body_bytes) : GUINT32_TO_LE (body_bytes);
  guint32 fields = order == 'B' ? GUINT32_TO_BE (fields_bytes) : GUINT32_TO_LE (fields_bytes);

  memcpy (header + 4, &body, 4);
  memcpy (header + 12, &fields, 4);
  g_byte_array_append (wire, header, sizeof (header));
  for (gsize i = 0; i < filler; i++)
    g_byte_array_append (wire, (const guint8 *) "l", 1);
}

static void
on_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GAsyncResult **slot = user_data;

  *slot = g_object_ref (result);
}

/* Read all of @wire through a PeerStream, @step bytes at a time. Returns how many came through. */
static gsize
read_through (GByteArray *wire, gsize step, bool async, GError **error)
{
  g_autoptr (GInputStream)
    memory = g_memory_input_stream_new_from_data (wire->data, wire->len, NULL);
  g_autoptr (GOutputStream) nowhere = g_memory_output_stream_new_resizable ();
  g_autoptr (GIOStream) base = g_simple_io_stream_new (memory, nowhere);
  g_autoptr (GIOStream) stream = peer_stream_new (base, LIMIT_BYTES);
  GInputStream *input = g_io_stream_get_input_stream (stream);
  g_autofree guint8 *buffer = g_malloc (step);
  gsize total = 0;

  for (;;) {
    gssize count;

    if (async) {
      g_autoptr (GAsyncResult) result = NULL;

      g_input_stream_read_async (input, buffer, step, G_PRIORITY_DEFAULT, NULL, on_read, &result);
      while (result == NULL)
        g_main_context_iteration (NULL, TRUE);
      count = g_input_stream_read_finish (input, result, error);
    } else {
      count = g_input_stream_read (input, buffer, step, NULL, error);
    }
    if (count <= 0)
      return total;
    g_assert_cmpmem (buffer, (gsize) count, wire->data + total, (gsize) count);
    total += (gsize) count;
  }
}

/* tests */

static void
test_passes_messages (void)
{
  g_autoptr (GByteArray) wire = g_byte_array_new ();

  wire_add (wire, 'l', 0, 0, 0);
  wire_add (wire, 'l', 13, 7, 16 + 7);
  wire_add (wire, 'B', 24, 100, 24 + 100);
  wire_add (wire, 'l', 0, LIMIT_BYTES - 16, LIMIT_BYTES - 16);
  wire_add (wire, 'B', 8, 0, 8);

  for (gsize step = 1; step < 600; step++) {
    g_autoptr (GError) error = NULL;

    g_assert_cmpuint (read_through (wire, step, step % 2 == 0, &error), ==, wire->len);
    g_assert_no_error (error);
  }
}

static void
test_refuses_long_messages (void)
{
  const struct {
    guint32 fields_bytes;
    guint32 body_bytes;
  } cases[] = {
    { 0, LIMIT_BYTES - 16 + 1 },
    { LIMIT_BYTES - 16 + 1, 0 },
    { LIMIT_BYTES - 16 - 7, 1 },
    { 0, 0x7ffffff },
    { 0x4000000, 0 },
    { G_MAXUINT32, 0 },
    { 0, G_MAXUINT32 },
    { G_MAXUINT32, G_MAXUINT32 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    for (guint async = 0; async < 2; async++) {
      for (const char *order = "lB"; *order != '\0'; order++) {
        g_autoptr (GByteArray) wire = g_byte_array_new ();
        g_autoptr (GError) error = NULL;

        wire_add (wire, 'l', 0, 4, 4);
        wire_add (wire, *order, cases[i].fields_bytes, cases[i].body_bytes, 32);
        /* the read that completes the bad header fails: its last bytes never come through */
        g_assert_cmpuint (read_through (wire, 4, async, &error), ==, 16 + 4 + 12);
        g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
      }
    }
  }
}

static void
test_refuses_other_protocols (void)
{
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  g_autoptr (GError) error = NULL;

  g_byte_array_append (wire, (const guint8 *) "GET / HTTP/1.0\r\n\r\n", 18);
  g_assert_cmpuint (read_through (wire, 64, true, &error), ==, 0);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
}

static void
test_refuses_floods (void)
{
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  gsize count;

  for (guint i = 0; i < 3 * PEER_STREAM_MESSAGES_BURST; i++)
    wire_add (wire, 'l', 0, 0, 0);
  count = read_through (wire, 16, true, &error) / 16;
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
  g_assert_cmpuint (count, >=, PEER_STREAM_MESSAGES_BURST);
  /* as many more as the time that passed allows; nobody waits a second for this loop */
  g_assert_cmpuint (count, <, PEER_STREAM_MESSAGES_BURST + PEER_STREAM_MESSAGES_PER_S);
}

/* Messages come in, and some answers go out: how many come through before the stream has enough. */
static guint
count_unanswered (guint answered, GError **error)
{
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  g_autoptr (GByteArray) answer = g_byte_array_new ();
  g_autoptr (GInputStream) memory = NULL;
  g_autoptr (GOutputStream) nowhere = g_memory_output_stream_new_resizable ();
  g_autoptr (GIOStream) base = NULL;
  g_autoptr (GIOStream) stream = NULL;
  guint8 buffer[16];
  guint count = 0;

  for (guint i = 0; i < 10; i++)
    wire_add (wire, 'l', 0, 0, 0);
  wire_add (answer, 'l', 5, 9, 8 + 9);
  memory = g_memory_input_stream_new_from_data (wire->data, wire->len, NULL);
  base = g_simple_io_stream_new (memory, nowhere);
  stream = peer_stream_new (base, LIMIT_BYTES);
  peer_stream_set_unanswered_max (PEER_STREAM (stream), UNANSWERED);
  while (g_input_stream_read (g_io_stream_get_input_stream (stream), buffer, sizeof buffer, NULL,
                              error) == sizeof buffer) {
    /* in pieces, as a socket takes them */
    for (guint i = 0; count < answered && i < answer->len; i++)
      g_assert_true (g_output_stream_write_all (g_io_stream_get_output_stream (stream),
                                                answer->data + i, 1, NULL, NULL, error));
    count++;
  }
  return count;
}

static void
test_refuses_those_who_do_not_read (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (count_unanswered (0, &error), ==, UNANSWERED);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
  g_clear_error (&error);
  g_assert_cmpuint (count_unanswered (2, &error), ==, UNANSWERED + 2);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
  g_clear_error (&error);
  g_assert_cmpuint (count_unanswered (10, &error), ==, 10);
  g_assert_no_error (error);
}

/* GDBus on the other end of a socket: how much address space a header of 100 MiB costs it */

static gsize
read_peak_kib (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *status = NULL;
  const char *line;

  g_file_get_contents ("/proc/self/status", &status, NULL, &error);
  g_assert_no_error (error);
  line = strstr (status, "VmPeak:");
  g_assert_nonnull (line);
  return g_ascii_strtoull (line + strlen ("VmPeak:"), NULL, 10);
}

static void
on_closed (GDBusConnection *bus, gboolean vanished, GError *error, gpointer user_data)
{
  GError **slot = user_data;

  *slot = g_error_copy (error);
}

static gsize
measure_huge_header_kib (bool guarded)
{
  const guint32 huge_bytes = 100 * 1024 * 1024;
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  g_autoptr (GSocket) ours = NULL;
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (GDBusConnection) bus = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) closed = NULL;
  gsize before_kib;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  ours = g_socket_new_from_fd (fds[0], &error);
  g_assert_no_error (error);
  connection = g_socket_connection_factory_create_connection (ours);
  stream = guarded ? peer_stream_new (G_IO_STREAM (connection), LIMIT_BYTES)
                   : g_object_ref (G_IO_STREAM (connection));
  bus = g_dbus_connection_new_sync (stream, NULL, G_DBUS_CONNECTION_FLAGS_NONE, NULL, NULL, &error);
  g_assert_no_error (error);
  g_signal_connect (bus, "closed", G_CALLBACK (on_closed), &closed);

  before_kib = read_peak_kib ();
  wire_add (wire, 'l', 0, huge_bytes, 16);
  g_assert_cmpint (send (fds[1], wire->data, wire->len, 0), ==, (gssize) wire->len);
  if (!guarded)
    shutdown (fds[1], SHUT_WR);
  while (closed == NULL)
    g_main_context_iteration (NULL, TRUE);
  if (guarded)
    g_assert_error (closed, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
  close (fds[1]);
  return read_peak_kib () - before_kib;
}

static void
test_bounds_the_memory_of_gdbus (void)
{
  g_assert_cmpuint (measure_huge_header_kib (true), <, 50 * 1024);
  /* the control: without the stream, GDBus believes the header */
  g_assert_cmpuint (measure_huge_header_kib (false), >=, 90 * 1024);
}

int
main (int argc, char **argv)
{
  /* each thread's own arena would reserve 64 MiB of address space, and that is what is measured */
  mallopt (M_ARENA_MAX, 1);

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/peer-stream/passes-messages", test_passes_messages);
  g_test_add_func ("/peer-stream/refuses-long-messages", test_refuses_long_messages);
  g_test_add_func ("/peer-stream/refuses-other-protocols", test_refuses_other_protocols);
  g_test_add_func ("/peer-stream/refuses-floods", test_refuses_floods);
  g_test_add_func ("/peer-stream/refuses-those-who-do-not-read",
                   test_refuses_those_who_do_not_read);
  g_test_add_func ("/peer-stream/bounds-the-memory-of-gdbus", test_bounds_the_memory_of_gdbus);
  return g_test_run ();
}
