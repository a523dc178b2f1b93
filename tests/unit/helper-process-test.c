/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-process-test - which processes the helper takes for a domain's QEMU
 */

#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "helper-process.h"

#define UUID_TEXT "b3a1c7de-0001-4002-8003-1234567890AB"

static const uint8_t uuid_bytes[16] = { 0xb3, 0xa1, 0xc7, 0xde, 0x00, 0x01, 0x40, 0x02,
                                        0x80, 0x03, 0x12, 0x34, 0x56, 0x78, 0x90, 0xab };

/* As the kernel has it in /proc/PID/cmdline. */
static gboolean
find_uuid (const char *const *arguments, uint8_t uuid[16])
{
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("cmdline-XXXXXX", &path, NULL);
  gboolean found;

  g_assert_cmpint (fd, >=, 0);
  for (gsize i = 0; arguments[i] != NULL; i++) {
    gssize size = (gssize) strlen (arguments[i]) + 1;

    g_assert_cmpint (write (fd, arguments[i], (gsize) size), ==, size);
  }
  lseek (fd, 0, SEEK_SET);
  found = helper_process_find_uuid (fd, uuid);
  close (fd);
  unlink (path);
  return found;
}

static void
test_found (void)
{
  const char *const plain[] = { "/usr/bin/qemu-system-x86_64", "-uuid", UUID_TEXT, "-S", NULL };
  const char *const dashes[] = { "qemu-kvm", "-S", "--uuid", UUID_TEXT, NULL };
  uint8_t uuid[16];

  g_assert_true (find_uuid (plain, uuid));
  g_assert_cmpmem (uuid, 16, uuid_bytes, 16);
  memset (uuid, 0, 16);
  g_assert_true (find_uuid (dashes, uuid));
  g_assert_cmpmem (uuid, 16, uuid_bytes, 16);
}

/* Longer than a chunk, and cut by one at every place of the option. */
static void
test_long_command_line (void)
{
  uint8_t uuid[16];

  for (gsize length = 4000; length < 4110; length++) {
    g_autofree char *filler = g_strnfill (length, 'a');
    const char *const arguments[] = { filler, "-uuid", UUID_TEXT, filler, NULL };

    g_assert_true (find_uuid (arguments, uuid));
    g_assert_cmpmem (uuid, 16, uuid_bytes, 16);
  }
}

/* QEMU takes the last of several. */
static void
test_last_counts (void)
{
  const char *const arguments[] = { "qemu",  "-uuid",   "00000000-0000-0000-0000-000000000000",
                                    "-uuid", UUID_TEXT, NULL };
  uint8_t uuid[16];

  g_assert_true (find_uuid (arguments, uuid));
  g_assert_cmpmem (uuid, 16, uuid_bytes, 16);
}

static void
test_not_found (void)
{
  const char *const probing[] = { "qemu-system-x86_64", "-machine", "none,accel=kvm:tcg", NULL };
  const char *const no_value[] = { "qemu", "-uuid", NULL };
  const char *const other[] = { "qemu", "-uuidx", UUID_TEXT, NULL };
  const char *const longer[] = { "qemu", "-uuid", UUID_TEXT "0", NULL };
  const char *const none[] = { NULL };
  uint8_t uuid[16];

  g_assert_false (find_uuid (probing, uuid));
  g_assert_false (find_uuid (no_value, uuid));
  g_assert_false (find_uuid (other, uuid));
  g_assert_false (find_uuid (longer, uuid));
  g_assert_false (find_uuid (none, uuid));
  g_assert_false (helper_process_find_uuid (-1, uuid));
}

static void
test_parse (void)
{
  const char *const bad[] = {
    "",
    "b3a1c7de-0001-4002-8003-1234567890a",
    "b3a1c7de-0001-4002-8003-1234567890abc",
    "b3a1c7de00001-4002-8003-1234567890ab",
    "b3a1c7de-0001-4002-8003-1234567890ag",
    "b3a1c7de-0001-4002--8003-234567890ab",
  };
  uint8_t uuid[16];

  g_assert_true (helper_process_parse_uuid (UUID_TEXT, uuid));
  g_assert_cmpmem (uuid, 16, uuid_bytes, 16);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (helper_process_parse_uuid (bad[i], uuid));
}

/* This very process is no QEMU. */
static void
test_identify (void)
{
  struct helper_process process;

  g_assert_false (helper_process_identify (&process));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/helper-process/found", test_found);
  g_test_add_func ("/helper-process/found/long-command-line", test_long_command_line);
  g_test_add_func ("/helper-process/found/last-counts", test_last_counts);
  g_test_add_func ("/helper-process/not-found", test_not_found);
  g_test_add_func ("/helper-process/parse", test_parse);
  g_test_add_func ("/helper-process/identify", test_identify);

  return g_test_run ();
}
