/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helper-process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UUID_TEXT_LENGTH 36

/* One argument at a time: longer ones than any of interest are cut. */
struct argument_reader {
  char text[UUID_TEXT_LENGTH + 2];
  size_t length;
  bool value_is_next;
  bool found;
};

static int
hex_value (char digit)
{
  if (digit >= '0' && digit <= '9')
    return digit - '0';
  if (digit >= 'a' && digit <= 'f')
    return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F')
    return digit - 'A' + 10;
  return -1;
}

bool
helper_process_parse_uuid (const char *text, uint8_t uuid[16])
{
  size_t at = 0;

  if (strlen (text) != UUID_TEXT_LENGTH)
    return false;
  for (size_t i = 0; i < 16; i++) {
    int high, low;

    if ((at == 8 || at == 13 || at == 18 || at == 23) && text[at++] != '-')
      return false;
    high = hex_value (text[at++]);
    low = hex_value (text[at++]);
    if (high < 0 || low < 0)
      return false;
    uuid[i] = (uint8_t) (high << 4 | low);
  }
  return true;
}

static void
argument_end (struct argument_reader *reader, uint8_t uuid[16])
{
  reader->text[reader->length] = '\0';
  if (reader->value_is_next) {
    reader->found = helper_process_parse_uuid (reader->text, uuid);
    reader->value_is_next = false;
  } else {
    reader->value_is_next = strcmp (reader->text, "-uuid") == 0 ||
                            strcmp (reader->text, "--uuid") == 0;
  }
  reader->length = 0;
}

bool
helper_process_find_uuid (int fd, uint8_t uuid[16])
{
  struct argument_reader reader = { 0 };
  char chunk[4096];
  ssize_t got;

  while ((got = read (fd, chunk, sizeof chunk)) > 0) {
    for (ssize_t i = 0; i < got; i++) {
      if (chunk[i] == '\0')
        argument_end (&reader, uuid);
      else if (reader.length < sizeof reader.text - 1)
        reader.text[reader.length++] = chunk[i];
    }
  }
  return got == 0 && reader.found;
}

bool
helper_process_identify (struct helper_process *process)
{
  bool found;
  int fd;

  /*
   * The library may be installed with the set-user-ID bit, which ld.so wants to see before it
   * preloads into a process of another security label. That opens it to set-user-ID programs too.
   */
  if (getuid () != geteuid () || getgid () != getegid ())
    return false;
  process->home = getenv ("HOME"); /* NOLINT(concurrency-mt-unsafe): before QEMU's main() */
  if (process->home == NULL || process->home[0] != '/')
    return false;
  process->refused_uid = getuid ();

  fd = open ("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  found = helper_process_find_uuid (fd, process->domain);
  close (fd);
  return found;
}
