/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz-target.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "temp-folder.h"

#define STEP_HEAD_BYTES 3

static char *folder;

static GLogWriterOutput
drop (GLogLevelFlags level, const GLogField *fields, gsize count, gpointer user_data)
{
  if (!(level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)))
    return G_LOG_WRITER_HANDLED;
  g_log_writer_standard_streams (level, fields, count, user_data);
  /* GLib would raise SIGTRAP, at which libFuzzer does not keep the input */
  abort ();
}

static void
remove_folder (void)
{
  g_clear_pointer (&folder, temp_folder_remove);
}

/* public functions */

void
fuzz_begin (void)
{
  static gboolean begun;

  if (begun)
    return;
  begun = TRUE;
  /* in place of what g_test_init() has made of it: GDBus warns of what a stranger sends, and quotes it */
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL);
  g_log_set_default_handler (g_log_default_handler, NULL);
  g_log_set_writer_func (drop, NULL, NULL);
}

const char *
fuzz_folder (void)
{
  if (folder == NULL) {
    folder = temp_folder_make ();
    atexit (remove_folder);
  }
  return folder;
}

void
fuzz_write_file (const char *directory, const char *name, const void *data, size_t size)
{
  g_autofree char *path = g_build_filename (directory, name, NULL);
  /* g_file_set_contents() renames a file that it has synced, thousands of times a second */
  int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

  g_assert_cmpint (fd, >=, 0);
  if (size > 0)
    g_assert_cmpint (write (fd, data, size), ==, (ssize_t) size);
  close (fd);
}

char *
fuzz_take_text (const uint8_t *data, size_t size)
{
  return g_strndup ((const char *) data, size);
}

gboolean
fuzz_next_step (FuzzInput *input, FuzzStep *step)
{
  size_t length;

  if (input->size < STEP_HEAD_BYTES)
    return FALSE;
  length = (size_t) input->data[1] | (size_t) input->data[2] << 8;
  *step = (FuzzStep){
    .kind = input->data[0],
    .data = input->data + STEP_HEAD_BYTES,
    .size = MIN (length, input->size - STEP_HEAD_BYTES),
  };
  input->data += STEP_HEAD_BYTES + step->size;
  input->size -= STEP_HEAD_BYTES + step->size;
  return TRUE;
}

uint8_t
fuzz_take_u8 (FuzzStep *step)
{
  if (step->size == 0)
    return 0;
  step->size--;
  return *step->data++;
}

uint64_t
fuzz_take_u64 (FuzzStep *step)
{
  uint64_t value = 0;

  for (guint i = 0; i < 8; i++)
    value |= (uint64_t) fuzz_take_u8 (step) << 8 * i;
  return value;
}
