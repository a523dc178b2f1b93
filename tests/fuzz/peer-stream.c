/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peer-stream - the guard between a stranger's bytes and GDBus, however TCP cuts them
 *
 * The first byte says in pieces of how many bytes the rest is read. What is let through is compared
 * with the framing as the D-Bus specification has it, read from the whole.
 */
#include <string.h>

#include <gio/gio.h>

#include "error.h"
#include "fuzz-target.h"
#include "peer-stream.h"

#define MESSAGE_MAX_BYTES 4096

#define HEADER_BYTES 16
/* Fewer headers than the rate would allow at once. */
#define INPUT_MAX_BYTES (HEADER_BYTES * (PEER_STREAM_MESSAGES_BURST - 10))

static uint32_t
read_u32 (const uint8_t *header, gsize offset)
{
  const uint8_t *b = header + offset;

  return header[0] == 'l'
           ? (uint32_t) b[0] | (uint32_t) b[1] << 8 | (uint32_t) b[2] << 16 | (uint32_t) b[3] << 24
           : (uint32_t) b[3] | (uint32_t) b[2] << 8 | (uint32_t) b[1] << 16 | (uint32_t) b[0] << 24;
}

/* Where the first header ends that is not to get through; @size if there is none. */
static gsize
find_bad_header (const uint8_t *data, gsize size, gboolean *is_bad)
{
  gsize at = 0;

  *is_bad = FALSE;
  while (size - at >= HEADER_BYTES) {
    const uint8_t *header = data + at;
    uint64_t fields_bytes = ((uint64_t) read_u32 (header, 12) + 7) / 8 * 8;
    uint64_t total_bytes = HEADER_BYTES + fields_bytes + read_u32 (header, 4);

    *is_bad = (header[0] != 'l' && header[0] != 'B') || total_bytes > MESSAGE_MAX_BYTES;
    if (*is_bad)
      return at + HEADER_BYTES;
    if (total_bytes > size - at)
      break;
    at += total_bytes;
  }
  return size;
}

/* Returns: how much got through, compared with @data; *@error if it ended early. */
static gsize
read_all (GInputStream *stream, const uint8_t *data, gsize size, gsize piece, GError **error)
{
  g_autofree uint8_t *buffer = g_malloc (piece);
  gsize done = 0;
  gssize got;

  while ((got = g_input_stream_read (stream, buffer, piece, NULL, error)) > 0) {
    g_assert_cmpuint (done + (gsize) got, <=, size);
    g_assert_cmpmem (buffer, (gsize) got, data + done, (gsize) got);
    done += (gsize) got;
  }
  return done;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GInputStream) input = NULL;
  g_autoptr (GOutputStream) output = g_memory_output_stream_new_resizable ();
  g_autoptr (GIOStream) base = NULL;
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  gboolean is_bad;
  gsize end, done, piece;

  fuzz_begin ();
  if (size == 0)
    return 0;
  piece = (gsize) data[0] + 1;
  data++;
  size = MIN (size - 1, INPUT_MAX_BYTES);

  input = g_memory_input_stream_new_from_data (data, (gssize) size, NULL);
  base = g_simple_io_stream_new (input, output);
  stream = peer_stream_new (base, MESSAGE_MAX_BYTES);
  done = read_all (g_io_stream_get_input_stream (stream), data, size, piece, &error);
  end = find_bad_header (data, size, &is_bad);
  if (is_bad) {
    /* all of the pieces before the one with the end of that header */
    g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE);
    g_assert_cmpuint (done, ==, (end - 1) / piece * piece);
  } else {
    g_assert_no_error (error);
    g_assert_cmpuint (done, ==, size);
  }
  return 0;
}
