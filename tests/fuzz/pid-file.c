/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pid-file - libvirt's pid file of a domain, and a folder of a VM beside it
 *
 * The first line of the input is the domain's name and the second the name of a folder that is there
 * with a socket in it, both without "/" as libvirt has them; the rest is the pid file.
 */
#include <errno.h>
#include <string.h>

#include <glib/gstdio.h>

#include "error.h"
#include "fuzz-target.h"
#include "helper-protocol.h"
#include "qemu-process.h"

#define VM_ID         7
#define VM_PREFIX     "domain-7-"
#define PID_MAX_LIMIT 4194304
/* What a file system allows, less ".pid". */
#define NAME_MAX_BYTES 251

/* Cuts a line off. Owned by the caller. */
static char *
take_line (const uint8_t **data, size_t *size)
{
  const uint8_t *newline = memchr (*data, '\n', *size);
  size_t length = newline != NULL ? (size_t) (newline - *data) : *size;
  char *line = g_strndup ((const char *) *data, MIN (length, NAME_MAX_BYTES));

  *data += length + (newline != NULL);
  *size -= length + (newline != NULL);
  return g_strdelimit (line, "/", '_');
}

static gboolean
is_file_name (const char *name)
{
  return *name != '\0' && !g_str_equal (name, ".") && !g_str_equal (name, "..");
}

static void
check_pid (const QemuFolders *folders, const char *name, const uint8_t *data, size_t size)
{
  g_autofree char *file = g_strconcat (name, ".pid", NULL);
  g_autofree char *path = g_build_filename (folders->run_dir, file, NULL);
  g_autoptr (GError) error = NULL;
  pid_t pid;

  fuzz_write_file (folders->run_dir, file, data, size);
  pid = qemu_process_read_pid (folders, name, &error);
  if (pid == -1)
    g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NO_QEMU);
  else
    g_assert_no_error (error);
  /* 0 and less would be groups of processes to whoever sends signals */
  g_assert_true (pid == -1 || (pid >= 1 && pid <= PID_MAX_LIMIT));
  g_assert_cmpint (g_unlink (path), ==, 0);
}

static void
check_socket (const QemuFolders *folders, const char *name, const char *vm_folder)
{
  g_autofree char *folder = g_build_filename (folders->state_dir, vm_folder, NULL);
  g_autofree char *socket = g_build_filename (folder, HELPER_SOCKET_NAME, NULL);
  g_autofree char *found = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  fuzz_write_file (folder, HELPER_SOCKET_NAME, "", 0);
  found = qemu_process_find_socket (folders, name, VM_ID, &error);
  if (found == NULL) {
    g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NO_HELPER);
  } else {
    /* of this number, and of no other name */
    g_assert_cmpstr (found, ==, socket);
    g_assert_true (g_str_has_prefix (vm_folder, VM_PREFIX));
    g_assert_true (g_str_has_prefix (name, vm_folder + strlen (VM_PREFIX)));
  }
  g_assert_cmpint (g_unlink (socket), ==, 0);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *run_dir = g_build_filename (fuzz_folder (), "run", NULL);
  g_autofree char *state_dir = g_build_filename (fuzz_folder (), "lib", NULL);
  const QemuFolders folders = { .run_dir = run_dir, .state_dir = state_dir };
  g_autofree char *name = take_line (&data, &size);
  g_autofree char *vm_folder = take_line (&data, &size);

  fuzz_begin ();
  g_assert_true (g_mkdir (run_dir, 0700) == 0 || errno == EEXIST);
  g_assert_true (g_mkdir (state_dir, 0700) == 0 || errno == EEXIST);
  if (is_file_name (name))
    check_pid (&folders, name, data, size);
  if (is_file_name (vm_folder))
    check_socket (&folders, name, vm_folder);
  return 0;
}
