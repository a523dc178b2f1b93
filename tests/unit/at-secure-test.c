/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "temp-folder.h"

/*
 * Does ld.so preload the helper into a process that has AT_SECURE, as QEMU has under SELinux? Here
 * a program gets it by the set-user-ID bit of another user. The helper is put into its folder,
 * HELPER_FOLDER, for the eyes of this process and its children only: under an overlay, in a mount
 * namespace of their own.
 */

#define OTHER_UID 65534

#define MODE_INSTALLED   04644 /* as in plugin/qemu/meson.build */
#define MODE_WITHOUT_BIT 0644

typedef struct {
  const char *program;
  const char *preload;
  guint helper_mode;
  const char *expected;
} Case;

static const char PLAIN_PROGRAM[] = "plain-program";
static const char SECURE_PROGRAM[] = "secure-program";

static char *room; /* with the overlay's own folders and the programs */

static void
copy_file (const char *source, const char *target, uid_t uid, mode_t mode)
{
  g_autofree char *content = NULL;
  g_autoptr (GError) error = NULL;
  gsize size = 0;

  g_file_get_contents (source, &content, &size, &error);
  g_assert_no_error (error);
  g_file_set_contents (target, content, (gssize) size, &error);
  g_assert_no_error (error);
  /* in this order, as chown() takes the bit away */
  g_assert_no_errno (chown (target, uid, 0));
  g_assert_no_errno (chmod (target, mode));
}

static void
add_program (const char *name, uid_t uid, mode_t mode)
{
  g_autofree char *source = g_test_build_filename (G_TEST_BUILT, "at-secure-child", NULL);
  g_autofree char *target = g_build_filename (room, name, NULL);

  copy_file (source, target, uid, mode);
}

static void
make_room (void)
{
  g_autofree char *upper = NULL;
  g_autofree char *work = NULL;
  g_autofree char *options = NULL;

  room = temp_folder_make ();
  g_assert_no_errno (unshare (CLONE_NEWNS));
  g_assert_no_errno (mount ("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
  g_assert_no_errno (mount ("room", room, "tmpfs", 0, "mode=755"));
  upper = g_build_filename (room, "upper", NULL);
  work = g_build_filename (room, "work", NULL);
  g_assert_no_errno (g_mkdir (upper, 0755));
  g_assert_no_errno (g_mkdir (work, 0755));
  options = g_strdup_printf ("lowerdir=%s,upperdir=%s,workdir=%s", HELPER_FOLDER, upper, work);
  g_assert_no_errno (mount ("helper", HELPER_FOLDER, "overlay", 0, options));

  add_program (PLAIN_PROGRAM, 0, 0755);
  add_program (SECURE_PROGRAM, OTHER_UID, 04755);
}

static void
leave_room (void)
{
  g_assert_no_errno (umount2 (HELPER_FOLDER, MNT_DETACH));
  g_assert_no_errno (umount2 (room, MNT_DETACH));
  temp_folder_remove (room);
}

static void
test_preload (gconstpointer user_data)
{
  const Case *c = user_data;
  g_autofree char *program = g_build_filename (room, c->program, NULL);
  g_autoptr (GSubprocessLauncher) launcher =
    g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *output = NULL;

  copy_file (HELPER_BUILT, HELPER_FOLDER "/" HELPER_SONAME, 0, c->helper_mode);
  g_subprocess_launcher_setenv (launcher, "LD_PRELOAD", c->preload, TRUE);
  /* meson's, for the build folder */
  g_subprocess_launcher_unsetenv (launcher, "LD_LIBRARY_PATH");
  process = g_subprocess_launcher_spawn (launcher, &error, program, HELPER_SONAME, NULL);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8 (process, NULL, NULL, &output, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_successful (process));
  g_assert_cmpstr (output, ==, c->expected);
}

static void
test_skipped (void)
{
  g_test_skip ("only root can mount, and make a program another user's");
}

int
main (int argc, char **argv)
{
  static const char path[] = HELPER_FOLDER "/" HELPER_SONAME;
  static const struct {
    const char *name;
    Case c;
  } cases[] = {
    { "/at-secure/as-installed",
      { SECURE_PROGRAM, HELPER_SONAME, MODE_INSTALLED, "secure, loaded\n" } },
    { "/at-secure/without-the-bit",
      { SECURE_PROGRAM, HELPER_SONAME, MODE_WITHOUT_BIT, "secure, not loaded\n" } },
    { "/at-secure/by-path", { SECURE_PROGRAM, path, MODE_INSTALLED, "secure, not loaded\n" } },
    { "/plain/as-installed", { PLAIN_PROGRAM, HELPER_SONAME, MODE_INSTALLED, "plain, loaded\n" } },
    { "/plain/without-the-bit",
      { PLAIN_PROGRAM, HELPER_SONAME, MODE_WITHOUT_BIT, "plain, loaded\n" } },
    { "/plain/by-path", { PLAIN_PROGRAM, path, MODE_INSTALLED, "plain, loaded\n" } },
  };
  int status;

  g_test_init (&argc, &argv, NULL);
  if (geteuid () != 0) {
    g_test_add_func ("/at-secure", test_skipped);
    return g_test_run ();
  }
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_test_add_data_func (cases[i].name, &cases[i].c, test_preload);
  make_room ();
  status = g_test_run ();
  leave_room ();
  return status;
}
