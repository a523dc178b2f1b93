/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helper-cmdline - the command line of the process that the helper is loaded into: any at all
 *
 * /proc/self/cmdline is read in pieces, so a UUID is looked for across their seams as well.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz-target.h"
#include "helper-process.h"

#define UUID_BYTES 16

/* The value of the last -uuid, by another way; NULL without. */
static const char *
find_value (const char *arguments, size_t size)
{
  const char *end = arguments + size;
  const char *value = NULL;
  gboolean is_next = FALSE;

  /* an argument that is cut off at the end is none */
  while (memchr (arguments, '\0', (size_t) (end - arguments)) != NULL) {
    if (is_next)
      value = arguments;
    is_next = !is_next && (g_str_equal (arguments, "-uuid") || g_str_equal (arguments, "--uuid"));
    arguments += strlen (arguments) + 1;
  }
  return value;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  uint8_t found[UUID_BYTES] = { 0 };
  uint8_t expected[UUID_BYTES] = { 0 };
  const char *value = find_value ((const char *) data, size);
  gboolean is_expected = value != NULL && helper_process_parse_uuid (value, expected);
  int fd = memfd_create ("cmdline", MFD_CLOEXEC);

  fuzz_begin ();
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, data, size), ==, (ssize_t) size);
  g_assert_cmpint (lseek (fd, 0, SEEK_SET), ==, 0);
  g_assert_true (helper_process_find_uuid (fd, found) == is_expected);
  if (is_expected)
    g_assert_cmpmem (found, sizeof found, expected, sizeof expected);
  close (fd);
  return 0;
}
