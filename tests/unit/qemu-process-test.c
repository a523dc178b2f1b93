/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "error.h"
#include "qemu-process.h"
#include "temp-folder.h"

static pid_t
read_pid (const char *text, GError **error)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autofree char *path = temp_folder_write (folder, "web.pid", text);
  const QemuFolders folders = { .run_dir = folder };

  return qemu_process_read_pid (&folders, "web", error);
}

static void
test_pid (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (read_pid ("1234", &error), ==, 1234);
  g_assert_no_error (error);
  g_assert_cmpint (read_pid ("4194304\n", &error), ==, 4194304);
  g_assert_no_error (error);
}

static void
test_no_pid (void)
{
  const char *const texts[] = { "", "0", "-5", "12x", "4194305", "99999999999999999999" };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_cmpint (read_pid (texts[i], &error), ==, -1);
    g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NO_QEMU);
    g_assert_nonnull (strstr (error->message, "web.pid"));
  }
}

static void
test_no_pid_file (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (GError) error = NULL;
  const QemuFolders folders = { .run_dir = folder };

  g_assert_cmpint (qemu_process_read_pid (&folders, "web", &error), ==, -1);
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

static void
test_socket (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autofree char *other = temp_folder_write (folder, "domain-71-web/clockferry.sock", "");
  g_autofree char *wanted = temp_folder_write (folder, "domain-7-web/clockferry.sock", "");
  const QemuFolders folders = { .state_dir = folder };
  g_autoptr (GError) error = NULL;
  g_autofree char *found = qemu_process_find_socket (&folders, "web", 7, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (found, ==, wanted);
}

static void
test_no_socket (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autofree char *other = temp_folder_write (folder, "domain-71-web/clockferry.sock", "");
  g_autofree char *stock = temp_folder_write (folder, "domain-7-web/master-key.aes", "");
  const QemuFolders folders = { .state_dir = folder };
  g_autoptr (GError) error = NULL;
  g_autofree char *found = qemu_process_find_socket (&folders, "web", 7, &error);

  g_assert_null (found);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NO_HELPER);
  g_assert_nonnull (strstr (error->message, "domain-7-"));
}

/* A domain that does not run has id -1, and no folder. */
static void
test_not_running (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  const QemuFolders folders = { .state_dir = folder };
  g_autoptr (GError) error = NULL;
  g_autofree char *found = qemu_process_find_socket (&folders, "web", -1, &error);

  g_assert_null (found);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NO_HELPER);
}

static void
test_no_folder (void)
{
  const QemuFolders folders = { .state_dir = "/nonexistent" };
  g_autoptr (GError) error = NULL;
  g_autofree char *found = qemu_process_find_socket (&folders, "web", 7, &error);

  g_assert_null (found);
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/qemu-process/pid", test_pid);
  g_test_add_func ("/qemu-process/no-pid", test_no_pid);
  g_test_add_func ("/qemu-process/no-pid-file", test_no_pid_file);
  g_test_add_func ("/qemu-process/socket", test_socket);
  g_test_add_func ("/qemu-process/no-socket", test_no_socket);
  g_test_add_func ("/qemu-process/not-running", test_not_running);
  g_test_add_func ("/qemu-process/no-folder", test_no_folder);
  return g_test_run ();
}
