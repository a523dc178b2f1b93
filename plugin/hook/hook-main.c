/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clockferry-hook - libvirt's hook, a filter from the XML on stdin to that on stdout
 *
 * libvirt waits for its hooks without any limit, with a domain or more locked, and a hook that
 * fails or prints half a document fails a migration. So this program talks to nobody, gives itself
 * a second, exits with 0 whatever happens, and prints either a whole document or nothing, which
 * means "unchanged". https://libvirt.org/hooks.html
 */
#include "hook-filter.h"

#include <errno.h>
#include <libxml/parser.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIME_LIMIT_S    1
#define INPUT_MAX_BYTES (8u * 1024 * 1024)
#define READ_STEP_BYTES (64u * 1024)

/* internal methods */

static void
say (const char *reason)
{
  fprintf (stderr, "clockferry-hook: %s; the domain is left as it is\n", reason);
}

static void
on_alarm (int signal_number)
{
  static const char text[] = "clockferry-hook: no time left; the domain is left as it is\n";
  ssize_t ignored = write (STDERR_FILENO, text, sizeof (text) - 1);

  (void) ignored;
  _exit (EXIT_SUCCESS);
}

/* Read all of stdin, INPUT_MAX_BYTES at most. Returns malloc()ed memory, or NULL with *@reason. */
static char *
read_input (size_t *size, const char **reason)
{
  char *input = NULL;
  size_t capacity = 0;

  *size = 0;
  for (;;) {
    ssize_t count;

    if (capacity - *size < READ_STEP_BYTES) {
      char *grown = realloc (input, capacity == 0 ? 2 * READ_STEP_BYTES : 2 * capacity);

      if (grown == NULL) {
        *reason = "out of memory";
        break;
      }
      capacity = capacity == 0 ? 2 * READ_STEP_BYTES : 2 * capacity;
      input = grown;
    }
    count = read (STDIN_FILENO, input + *size, READ_STEP_BYTES);
    if (count == 0)
      return input;
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0) {
      *reason = "standard input cannot be read";
      break;
    }
    *size += (size_t) count;
    if (*size > INPUT_MAX_BYTES) {
      *reason = "the XML on standard input is longer than 8 MiB";
      break;
    }
  }
  free (input);
  return NULL;
}

static void
write_output (const char *output, size_t size)
{
  /* from the first byte on, stopping would be worse than waiting for libvirt to read */
  alarm (0);
  while (size > 0) {
    ssize_t count = write (STDOUT_FILENO, output, size);

    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0 && errno == EAGAIN) {
      /* half a document would fail the migration: wait, even if the pipe was not meant to block */
      poll (&(struct pollfd){ .fd = STDOUT_FILENO, .events = POLLOUT }, 1, -1);
      continue;
    }
    if (count <= 0) {
      say ("standard output cannot be written");
      return;
    }
    output += count;
    size -= (size_t) count;
  }
}

static void
filter (enum hook_action action)
{
  const char *reason = NULL;
  char *input;
  char *output = NULL;
  size_t input_size;
  size_t output_size = 0;

  input = read_input (&input_size, &reason);
  if (input == NULL) {
    say (reason);
    return;
  }
  switch (
    hook_filter_apply (input, input_size, action, HELPER_SONAME, &output, &output_size, &reason)) {
  case HOOK_UNCHANGED:
    break;
  case HOOK_CHANGED:
    write_output (output, output_size);
    free (output);
    break;
  case HOOK_IN_DOUBT:
    say (reason);
    break;
  }
  free (input);
}

/* public methods */

/* libvirt calls: DOMAIN OPERATION SUB-OPERATION EXTRA */
int
main (int argc, char **argv)
{
  bool has_helper;
  sigset_t signals;

  if (argc < 4 || strcmp (argv[3], "begin") != 0)
    return EXIT_SUCCESS;
  if (strcmp (argv[2], "migrate") != 0 && strcmp (argv[2], "restore") != 0)
    return EXIT_SUCCESS;

  signal (SIGPIPE, SIG_IGN);
  signal (SIGALRM, on_alarm);
  /* whatever mask was inherited */
  sigemptyset (&signals);
  sigaddset (&signals, SIGALRM);
  sigprocmask (SIG_UNBLOCK, &signals, NULL); /* NOLINT(concurrency-mt-unsafe): the one thread */
  alarm (TIME_LIMIT_S);

  /* QEMU would start without the file, but ld.so would complain into the domain's log for ever */
  has_helper = access (HELPER_PATH, R_OK) == 0;
  /* a domain that comes from a file brings no peer to continue the clocks from */
  if (strcmp (argv[2], "migrate") == 0)
    filter (has_helper ? HOOK_ADD_HELPER : HOOK_REMOVE_HELPER);
  else if (!has_helper)
    filter (HOOK_REMOVE_HELPER);
  return EXIT_SUCCESS;
}
