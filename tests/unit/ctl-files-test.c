/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-files-test - what clockferryctl reads off files, and how it replaces one
 */

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl-error.h"
#include "file-replace.h"
#include "font-coverage.h"
#include "installation.h"
#include "temp-folder.h"

/* A library that ld.so finds on every host. */
#define ANY_LIBRARY "libm.so.6"

static void
test_hook (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autofree char *path = temp_folder_write (folder, "hook", "#!/bin/sh\n");
  g_autofree char *missing = g_build_filename (folder, "missing", NULL);

  g_assert_cmpint (g_chmod (path, 0755), ==, 0);
  g_assert_cmpint (installation_judge_hook (path), ==, HOOK_IN_PLACE);
  g_assert_cmpint (g_chmod (path, 0644), ==, 0);
  g_assert_cmpint (installation_judge_hook (path), ==, HOOK_NOT_EXECUTABLE);
  g_assert_cmpint (installation_judge_hook (missing), ==, HOOK_ABSENT);
  g_assert_cmpint (installation_judge_hook (folder), ==, HOOK_ABSENT);
}

/* As /etc/libvirt is to those who are not root, where it is root's own. */
static void
test_hook_not_seen (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autofree char *path = temp_folder_write (folder, "closed/hook", "#!/bin/sh\n");
  g_autofree char *closed = g_path_get_dirname (path);
  gboolean is_root = geteuid () == 0;
  HookState state;

  g_assert_cmpint (g_chmod (closed, 0), ==, 0);
  if (is_root)
    g_assert_cmpint (seteuid (65534), ==, 0);
  state = installation_judge_hook (path);
  if (is_root)
    g_assert_cmpint (seteuid (0), ==, 0);
  g_assert_cmpint (g_chmod (closed, 0700), ==, 0);
  g_assert_cmpint (state, ==, HOOK_NOT_SEEN);
}

static void
test_helper (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autofree char *path = temp_folder_write (folder, "libclockferry-test.so", "");
  g_autofree char *missing = g_build_filename (folder, "missing", NULL);
  g_autofree char *problem = NULL;

  g_assert_cmpint (installation_judge_helper (path, ANY_LIBRARY, &problem), ==, HELPER_IN_PLACE);
  g_assert_null (problem);
  g_assert_cmpint (installation_judge_helper (missing, ANY_LIBRARY, &problem), ==, HELPER_ABSENT);
  g_assert_null (problem);
  g_assert_cmpint (installation_judge_helper (path, "libclockferry-test.so", NULL), ==,
                   HELPER_NOT_FOUND);
  g_assert_cmpint (installation_judge_helper (path, "libclockferry-test.so", &problem), ==,
                   HELPER_NOT_FOUND);
  g_assert_nonnull (strstr (problem, "libclockferry-test.so"));
  g_assert_null (strchr (problem, '\n'));
}

static void
assert_file (const char *path, const char *text, guint mode)
{
  g_autofree char *content = NULL;
  g_autoptr (GError) error = NULL;
  GStatBuf status;

  g_file_get_contents (path, &content, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (content, ==, text);
  g_assert_cmpint (g_stat (path, &status), ==, 0);
  g_assert_cmpuint (status.st_mode & 07777, ==, mode);
}

static guint
count_files (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  guint count = 0;

  while (g_dir_read_name (dir) != NULL)
    count++;
  return count;
}

static void
test_replace (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autofree char *path = g_build_filename (folder, "file", NULL);
  g_autoptr (GError) error = NULL;

  umask (022);
  g_assert_true (file_replace (path, "one", 3, 0666, &error));
  assert_file (path, "one", 0644);
  g_assert_true (file_replace (path, "two\n", 4, 0600, &error));
  assert_file (path, "two\n", 0600);
  g_assert_cmpuint (count_files (folder), ==, 1);
}

/* Nothing is left behind, and the error is about the file that was meant. */
static void
test_replace_cannot (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autofree char *inner = temp_folder_write (folder, "taken/file", "x");
  g_autofree char *taken = g_build_filename (folder, "taken", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_false (file_replace (taken, "one", 3, 0666, &error));
  g_assert_error (error, CTL_ERROR, CTL_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "/taken: "));
  g_assert_cmpuint (count_files (folder), ==, 1);
  g_clear_error (&error);
  g_assert_false (file_replace ("/nonexistent/file", "one", 3, 0666, &error));
  g_assert_nonnull (strstr (error->message, "/nonexistent/file: "));
}

static void
test_fonts (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (font_coverage_check ("residual ± 43 µs − “web”", &error));
  g_assert_no_error (error);
  /* U+1FFFE is no letter in any font */
  g_assert_false (font_coverage_check ("\xf0\x9f\xbf\xbe", &error));
  g_assert_error (error, CTL_ERROR, CTL_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, ".svg"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl-files/hook", test_hook);
  g_test_add_func ("/ctl-files/hook-not-seen", test_hook_not_seen);
  g_test_add_func ("/ctl-files/helper", test_helper);
  g_test_add_func ("/ctl-files/replace", test_replace);
  g_test_add_func ("/ctl-files/replace-cannot", test_replace_cannot);
  g_test_add_func ("/ctl-files/fonts", test_fonts);
  return g_test_run ();
}
