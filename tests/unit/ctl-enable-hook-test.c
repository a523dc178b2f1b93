/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hook is put in place and taken away without a moment at which libvirt could run half a file,
 * and what is not clockferry's is left alone.
 */
#include "hook-file.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "temp-folder.h"

#define MARK                                                                                       \
  "# clockferryctl enable puts this file here, and replaces it: changes to it are lost.\n"

/* What restorecon says of a file that had another label. */
#define RELABELLED "Relabeled 50-clockferry from etc_t to virt_hook_t"

typedef struct {
  char *root;
  HookPaths *paths;
  char *hook_folder;
  char *hooks_folder;
} Fixture;

/* The installed hook's text, with the hook's program below the fixture's root. */
static char *
make_hook_text (const Fixture *fixture)
{
  g_autofree char *template =
    g_test_build_filename (G_TEST_DIST, "../../data/50-clockferry.in", NULL);
  g_autofree char *folder = g_path_get_dirname (fixture->paths->program);
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) text = NULL;
  char *contents = NULL;

  g_file_get_contents (template, &contents, NULL, &error);
  g_assert_no_error (error);
  text = g_string_new (contents);
  g_free (contents);
  g_assert_cmpuint (g_string_replace (text, "@bindir@", folder, 0), ==, 2);
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
write_file (const char *path, const char *text, int mode)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_chmod (path, mode), ==, 0);
}

static void
fixture_set_up (Fixture *fixture, gconstpointer data)
{
  g_autofree char *text = NULL;

  fixture->root = temp_folder_make ();
  fixture->paths = hook_paths_new (fixture->root);
  fixture->hook_folder = g_path_get_dirname (fixture->paths->installed);
  fixture->hooks_folder = g_path_get_dirname (fixture->hook_folder);
  text = make_hook_text (fixture);
  write_file (fixture->paths->master, text, 0644);
  write_file (fixture->paths->program,
              "#!/bin/sh\n"
              "cat >/dev/null\n"
              "echo \"<domain>libclockferry-qemu.so</domain>\"\n",
              0755);
}

static void
fixture_tear_down (Fixture *fixture, gconstpointer data)
{
  hook_paths_free (fixture->paths);
  g_free (fixture->hook_folder);
  g_free (fixture->hooks_folder);
  temp_folder_remove (fixture->root);
}

static guint
count_files (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  guint count = 0;

  while (dir != NULL && g_dir_read_name (dir) != NULL)
    count++;
  return count;
}

static void
assert_put (Fixture *fixture, HookFileChange expected)
{
  g_autoptr (GError) error = NULL;
  HookFileChange change;
  gboolean is_done = hook_file_put (fixture->paths, &change, &error);

  g_assert_no_error (error);
  g_assert_true (is_done);
  g_assert_cmpint (change, ==, expected);
}

static void
assert_removed (Fixture *fixture, HookFileChange expected)
{
  g_autoptr (GError) error = NULL;
  HookFileChange change;
  gboolean is_done = hook_file_remove (fixture->paths, &change, &error);

  g_assert_no_error (error);
  g_assert_true (is_done);
  g_assert_cmpint (change, ==, expected);
}

/* Putting must fail with an error that has @words in it. */
static void
assert_not_put (Fixture *fixture, const char *words)
{
  g_autoptr (GError) error = NULL;
  HookFileChange change;

  g_assert_false (hook_file_put (fixture->paths, &change, &error));
  g_assert_nonnull (error);
  if (strstr (error->message, words) == NULL)
    g_error ("\"%s\" has no \"%s\"", error->message, words);
  g_assert_cmpint (change, ==, HOOK_FILE_UNCHANGED);
}

static void
assert_not_removed (Fixture *fixture, const char *words)
{
  g_autoptr (GError) error = NULL;
  HookFileChange change;

  g_assert_false (hook_file_remove (fixture->paths, &change, &error));
  g_assert_nonnull (error);
  g_assert_nonnull (strstr (error->message, words));
}

static void
assert_state (Fixture *fixture, HookFileState expected)
{
  g_autoptr (GError) error = NULL;
  HookFileState state;

  g_assert_true (hook_file_look (fixture->paths, &state, &error));
  g_assert_no_error (error);
  g_assert_cmpint (state, ==, expected);
}

/* The hook is there, whole, and nothing else that libvirt could run, or that was left behind. */
static void
assert_in_place (Fixture *fixture)
{
  g_autofree char *wanted = make_hook_text (fixture);
  g_autofree char *text = NULL;
  struct stat st;

  assert_state (fixture, HOOK_FILE_IN_PLACE);
  g_assert_true (g_file_get_contents (fixture->paths->installed, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, wanted);
  g_assert_cmpint (stat (fixture->paths->installed, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 07777, ==, 0755);
  g_assert_cmpuint (count_files (fixture->hook_folder), ==, 1);
  g_assert_cmpuint (count_files (fixture->hooks_folder), ==, 1);
}

/* tests */

static void
test_put_and_remove (Fixture *fixture, gconstpointer data)
{
  struct stat first, second;

  assert_state (fixture, HOOK_FILE_ABSENT);
  assert_removed (fixture, HOOK_FILE_UNCHANGED);
  assert_put (fixture, HOOK_FILE_PUT);
  assert_in_place (fixture);
  g_assert_cmpint (stat (fixture->paths->installed, &first), ==, 0);

  assert_put (fixture, HOOK_FILE_UNCHANGED);
  assert_in_place (fixture);
  g_assert_cmpint (stat (fixture->paths->installed, &second), ==, 0);
  g_assert_cmpuint (first.st_ino, ==, second.st_ino);

  assert_removed (fixture, HOOK_FILE_REMOVED);
  assert_state (fixture, HOOK_FILE_ABSENT);
  g_assert_cmpuint (count_files (fixture->hook_folder), ==, 0);
  assert_removed (fixture, HOOK_FILE_UNCHANGED);
}

/* Whatever the umask is: libvirt runs it as root, but it is for everybody to read. */
static void
test_umask (Fixture *fixture, gconstpointer data)
{
  mode_t former = umask (0077);
  struct stat st;

  assert_put (fixture, HOOK_FILE_PUT);
  umask (former);
  assert_in_place (fixture);
  g_assert_cmpint (stat (fixture->hook_folder, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 07777, ==, 0755);
}

/* All that libvirt could see in its folder, while @act is done. */
static GPtrArray *
watch (Fixture *fixture, void (*act) (Fixture *fixture, HookFileChange expected),
       HookFileChange expected)
{
  GPtrArray *seen = g_ptr_array_new_with_free_func (g_free);
  char buffer[4096] __attribute__ ((aligned (__alignof__(struct inotify_event))));
  int fd = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);
  gssize count;

  g_assert_cmpint (inotify_add_watch (fd, fixture->hook_folder,
                                      IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE | IN_ATTRIB),
                   >=, 0);
  act (fixture, expected);
  while ((count = read (fd, buffer, sizeof buffer)) > 0) {
    for (char *at = buffer; at < buffer + count;) {
      const struct inotify_event *event = (const struct inotify_event *) (void *) at;

      g_ptr_array_add (seen, g_strdup_printf ("%s %#x", event->name, event->mask));
      at += sizeof *event + event->len;
    }
  }
  close (fd);
  return seen;
}

static void
test_never_half (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) seen = NULL;
  g_autofree char *moved = g_strdup_printf ("50-clockferry %#x", IN_MOVED_TO);
  g_autofree char *deleted = g_strdup_printf ("50-clockferry %#x", IN_DELETE);

  g_assert_cmpint (g_mkdir_with_parents (fixture->hook_folder, 0755), ==, 0);
  seen = watch (fixture, assert_put, HOOK_FILE_PUT);
  g_assert_cmpuint (seen->len, ==, 1);
  g_assert_cmpstr (g_ptr_array_index (seen, 0), ==, moved);

  write_file (fixture->paths->installed, "#!/bin/sh\n" MARK "exit 1\n", 0755);
  g_ptr_array_unref (seen);
  seen = watch (fixture, assert_put, HOOK_FILE_REPLACED);
  g_assert_cmpuint (seen->len, ==, 1);
  g_assert_cmpstr (g_ptr_array_index (seen, 0), ==, moved);
  assert_in_place (fixture);

  g_ptr_array_unref (seen);
  seen = watch (fixture, assert_removed, HOOK_FILE_REMOVED);
  g_assert_cmpuint (seen->len, ==, 1);
  g_assert_cmpstr (g_ptr_array_index (seen, 0), ==, deleted);
}

static void
test_mends (Fixture *fixture, gconstpointer data)
{
  g_autofree char *text = make_hook_text (fixture);

  write_file (fixture->paths->installed, text, 0644);
  assert_state (fixture, HOOK_FILE_NOT_EXECUTABLE);
  assert_put (fixture, HOOK_FILE_REPLACED);
  assert_in_place (fixture);

  write_file (fixture->paths->installed, text, 0775);
  assert_state (fixture, HOOK_FILE_UNSAFE);
  assert_put (fixture, HOOK_FILE_REPLACED);
  assert_in_place (fixture);

  fixture->paths->owner++;
  assert_state (fixture, HOOK_FILE_UNSAFE);
  fixture->paths->owner--;

  write_file (fixture->paths->installed, "#!/bin/sh\n" MARK "# older\n", 0755);
  assert_state (fixture, HOOK_FILE_DIFFERENT);
  assert_put (fixture, HOOK_FILE_REPLACED);
  assert_in_place (fixture);
}

/* Also when the package is half gone, or was changed. */
static void
test_removes_any_of_ours (Fixture *fixture, gconstpointer data)
{
  assert_put (fixture, HOOK_FILE_PUT);
  g_assert_cmpint (g_unlink (fixture->paths->master), ==, 0);
  g_assert_cmpint (g_unlink (fixture->paths->program), ==, 0);
  assert_state (fixture, HOOK_FILE_DIFFERENT);
  assert_removed (fixture, HOOK_FILE_REMOVED);
  assert_state (fixture, HOOK_FILE_ABSENT);

  write_file (fixture->paths->installed, "#!/bin/sh\n" MARK "# older\n", 0644);
  assert_removed (fixture, HOOK_FILE_REMOVED);
  assert_state (fixture, HOOK_FILE_ABSENT);
}

static void
test_leaves_others_alone (Fixture *fixture, gconstpointer data)
{
  const char *path = fixture->paths->installed;
  g_autofree char *text = NULL;
  g_autofree char *target = NULL;

  /* the mark is a whole line, not a word in one */
  write_file (path, "#!/bin/sh\necho mine " MARK, 0755);
  assert_state (fixture, HOOK_FILE_FOREIGN);
  assert_not_put (fixture, path);
  assert_not_removed (fixture, path);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "#!/bin/sh\necho mine " MARK);
  g_assert_cmpint (g_unlink (path), ==, 0);

  g_assert_cmpint (symlink (fixture->paths->master, path), ==, 0);
  assert_state (fixture, HOOK_FILE_LINK);
  assert_not_put (fixture, path);
  assert_not_removed (fixture, path);
  target = g_file_read_link (path, NULL);
  g_assert_cmpstr (target, ==, fixture->paths->master);
  g_assert_cmpint (g_unlink (path), ==, 0);

  g_assert_cmpint (g_mkdir (path, 0755), ==, 0);
  assert_state (fixture, HOOK_FILE_NOT_REGULAR);
  assert_not_put (fixture, path);
  assert_not_removed (fixture, path);
  g_assert_true (g_file_test (path, G_FILE_TEST_IS_DIR));
}

static void
test_program_must_run (Fixture *fixture, gconstpointer data)
{
  const char *program = fixture->paths->program;

  g_assert_cmpint (g_unlink (program), ==, 0);
  assert_not_put (fixture, program);
  write_file (program, "#!/bin/sh\n", 0644);
  assert_not_put (fixture, program);
  write_file (program, "#!/bin/sh\necho it is broken >&2\nexit 3\n", 0755);
  assert_not_put (fixture, "it is broken");
  write_file (program, "#!/bin/sh\nkill -9 $$\n", 0755);
  assert_not_put (fixture, program);
  write_file (program, "#!/nonexistent/interpreter\n", 0755);
  assert_not_put (fixture, program);
  assert_state (fixture, HOOK_FILE_ABSENT);
}

/* A file that fails at any operation would keep domains from starting. */
static void
test_hook_must_run (Fixture *fixture, gconstpointer data)
{
  const char *master = fixture->paths->master;
  g_autofree char *text = make_hook_text (fixture);

  assert_put (fixture, HOOK_FILE_PUT);

  write_file (master, "#!/bin/sh\n" MARK "[ \"$2\" = migrate ]\n", 0644);
  assert_not_put (fixture, "domains could not start");
  write_file (master, "#!/bin/sh\n" MARK "[ \"$2\" = prepare ]\n", 0644);
  assert_not_put (fixture, "domains could not start");
  write_file (master, "#!/nonexistent/interpreter\n" MARK, 0644);
  assert_not_put (fixture, "domains could not start");
  write_file (master, "#!/bin/sh\nexit 0\n", 0644);
  assert_not_put (fixture, master);
  g_assert_cmpint (g_unlink (master), ==, 0);
  assert_not_put (fixture, master);

  /* what was there is there still, and nothing else */
  write_file (master, text, 0644);
  assert_in_place (fixture);
}

/* The folder of hooks cannot be written to, as on a read-only root. */
static void
test_no_folder (Fixture *fixture, gconstpointer data)
{
  write_file (fixture->hooks_folder, "", 0644);
  assert_not_put (fixture, fixture->hook_folder);
}

/* A program in place of restorecon that notes what it is called with, says @output, and ends with status
 * 0 only so many times. */
static void
use_selinux (Fixture *fixture, int good_runs, const char *output)
{
  g_autofree char *script =
    g_strdup_printf ("#!/bin/sh\n"
                     "echo \"$*\" >> %s/runs\n"
                     "[ $(wc -l < %s/runs) -le %d ] || { echo bad label >&2; exit 1; }\n"
                     "printf '%%s' '%s'\n",
                     fixture->root, fixture->root, good_runs, output);

  write_file (fixture->paths->selinux, "1", 0644);
  g_free (fixture->paths->relabel);
  fixture->paths->relabel = g_build_filename (fixture->root, "restorecon", NULL);
  write_file (fixture->paths->relabel, script, 0755);
}

static void
test_labels (Fixture *fixture, gconstpointer data)
{
  g_autofree char *runs = g_build_filename (fixture->root, "runs", NULL);
  g_autofree char *wanted =
    g_strdup_printf ("-RFv %s\n-RFv %s\n", fixture->hooks_folder, fixture->hooks_folder);
  g_autofree char *text = NULL;

  use_selinux (fixture, 2, RELABELLED);
  assert_put (fixture, HOOK_FILE_PUT);
  assert_in_place (fixture);
  g_assert_true (g_file_get_contents (runs, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, wanted);
}

/* With the wrong label it would keep domains from starting. */
static void
test_labels_fail (Fixture *fixture, gconstpointer data)
{
  g_autofree char *runs = g_build_filename (fixture->root, "runs", NULL);

  for (int good_runs = 0; good_runs < 2; good_runs++) {
    use_selinux (fixture, good_runs, "");
    assert_not_put (fixture, "bad label");
    assert_state (fixture, HOOK_FILE_ABSENT);
    g_assert_cmpuint (count_files (fixture->hook_folder), ==, 0);
    g_assert_cmpuint (count_files (fixture->hooks_folder), ==, 1);
    g_assert_cmpint (g_unlink (runs), ==, 0);
  }
}

/* As after a copy of /etc from elsewhere, or an update of the policy; restorecon is silent where all is
 * well. */
static void
test_labels_anew (Fixture *fixture, gconstpointer data)
{
  g_autofree char *runs = g_build_filename (fixture->root, "runs", NULL);
  HookFileChange change;
  g_autoptr (GError) error = NULL;

  assert_put (fixture, HOOK_FILE_PUT);
  use_selinux (fixture, G_MAXINT, RELABELLED);
  assert_put (fixture, HOOK_FILE_RELABELLED);
  use_selinux (fixture, G_MAXINT, "");
  assert_put (fixture, HOOK_FILE_UNCHANGED);
  assert_in_place (fixture);

  /* it was there before, so it stays */
  g_assert_cmpint (g_unlink (runs), ==, 0);
  use_selinux (fixture, 0, "");
  g_assert_false (hook_file_put (fixture->paths, &change, &error));
  g_assert_nonnull (strstr (error->message, "bad label"));
  g_assert_nonnull (strstr (error->message, fixture->hooks_folder));
  g_assert_cmpint (change, ==, HOOK_FILE_UNCHANGED);
  assert_in_place (fixture);
}

static void
test_real_program (void)
{
  g_autofree char *with = g_test_build_filename (G_TEST_BUILT, "hook-with-helper", NULL);
  g_autofree char *without = g_test_build_filename (G_TEST_BUILT, "hook-without-helper", NULL);
  g_autoptr (GError) error = NULL;
  gboolean adds_helper = FALSE;

  g_assert_true (hook_file_try (with, &adds_helper, &error));
  g_assert_no_error (error);
  g_assert_true (adds_helper);
  g_assert_true (hook_file_try (without, &adds_helper, &error));
  g_assert_no_error (error);
  g_assert_false (adds_helper);
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *path;
    void (*run) (Fixture *fixture, gconstpointer data);
  } cases[] = {
    { "/ctl-enable-hook/put-and-remove", test_put_and_remove },
    { "/ctl-enable-hook/umask", test_umask },
    { "/ctl-enable-hook/never-half", test_never_half },
    { "/ctl-enable-hook/mends", test_mends },
    { "/ctl-enable-hook/removes-any-of-ours", test_removes_any_of_ours },
    { "/ctl-enable-hook/leaves-others-alone", test_leaves_others_alone },
    { "/ctl-enable-hook/program-must-run", test_program_must_run },
    { "/ctl-enable-hook/hook-must-run", test_hook_must_run },
    { "/ctl-enable-hook/no-folder", test_no_folder },
    { "/ctl-enable-hook/labels", test_labels },
    { "/ctl-enable-hook/labels-fail", test_labels_fail },
    { "/ctl-enable-hook/labels-anew", test_labels_anew },
  };

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_test_add (cases[i].path, Fixture, NULL, fixture_set_up, cases[i].run, fixture_tear_down);
  g_test_add_func ("/ctl-enable-hook/real-program", test_real_program);
  return g_test_run ();
}
