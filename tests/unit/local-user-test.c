/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * local-user-test - what other users of the host find at the helper's socket, at the daemon's key, and in
 * the helper as a library
 *
 * The socket by the real helper, in folders with owner and mode as libvirt makes them. Becomes several
 * users: skipped unless it is run as root.
 */

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper-channel.h"
#include "helper-process.h"
#include "identity.h"
#include "temp-folder.h"

/* they need no entry in /etc/passwd */
#define QEMU_ID     64055
#define DAEMON_ID   64201
#define STRANGER_ID 64202

/* first argument of this very program, and what it exits with then */
#define IDENTIFY   "identify"
#define IS_QEMU    10
#define IS_NO_QEMU 11

static const uint8_t domain[16] = { 1 };

typedef struct {
  char *root;
  char *folder; /* of the VM, or the daemon's */
  char *file;   /* the socket, or the key */
  mode_t former_umask;
} Fixture;

static gboolean
skip_unless_root (void)
{
  if (geteuid () == 0)
    return FALSE;
  g_test_skip ("needs root, to become other users");
  return TRUE;
}

/* Until become_root(). @more_group: -1 for none beside the user's own. */
static void
become (uid_t id, gid_t more_group)
{
  g_assert_no_errno (more_group == (gid_t) -1 ? setgroups (0, NULL) : setgroups (1, &more_group));
  g_assert_no_errno (setegid (id));
  g_assert_no_errno (seteuid (id));
}

static void
become_root (void)
{
  g_assert_no_errno (seteuid (0));
  g_assert_no_errno (setegid (0));
  g_assert_no_errno (setgroups (0, NULL));
}

static char *
make_folder (const char *parent, const char *name, uid_t id, int mode)
{
  char *folder = g_build_filename (parent, name, NULL);

  g_assert_no_errno (g_mkdir (folder, mode));
  g_assert_no_errno (chown (folder, id, id));
  g_assert_no_errno (g_chmod (folder, mode));
  return folder;
}

/* What connect() says, 0 or errno, to somebody with that id and group. */
static int
try_connect (const Fixture *fixture, uid_t id, gid_t more_group)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  int result;

  g_assert_no_errno (fd);
  g_strlcpy (address.sun_path, fixture->file, sizeof address.sun_path);
  become (id, more_group);
  result = connect (fd, (struct sockaddr *) &address, sizeof address) == 0 ? 0 : errno;
  become_root ();
  close (fd);
  return result;
}

static int
try_open (const char *path, int flags, uid_t id, gid_t more_group)
{
  int fd;
  int result;

  become (id, more_group);
  fd = open (path, flags | O_CLOEXEC);
  result = fd >= 0 ? 0 : errno;
  become_root ();
  if (fd >= 0)
    close (fd);
  return result;
}

/* Whether a file can be moved away, and so be replaced. Moves it back. */
static int
try_replace (const Fixture *fixture, uid_t id, gid_t more_group)
{
  g_autofree char *other = g_strconcat (fixture->file, ".away", NULL);
  int result;

  become (id, more_group);
  result = g_rename (fixture->file, other) == 0 ? 0 : errno;
  become_root ();
  if (result == 0)
    g_assert_no_errno (g_rename (other, fixture->file));
  return result;
}

/* the helper's socket */

/* As libvirt of Debian makes them, also where an administrator opened them wider. */
static void
set_up_helper (Fixture *fixture, gconstpointer data)
{
  int mode = GPOINTER_TO_INT (data);
  g_autofree char *state_dir = NULL;

  if (geteuid () != 0)
    return;
  fixture->root = temp_folder_make ();
  g_assert_no_errno (g_chmod (fixture->root, 0711));
  state_dir = make_folder (fixture->root, "qemu", QEMU_ID, mode);
  fixture->folder = make_folder (state_dir, "domain-1-web", QEMU_ID, mode);
  fixture->file = g_build_filename (fixture->folder, HELPER_SOCKET_NAME, NULL);
  fixture->former_umask = umask (0);
  become (QEMU_ID, (gid_t) -1);
  helper_channel_open (fixture->folder, domain, QEMU_ID);
  helper_channel_listen ();
  become_root ();
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  if (fixture->root == NULL)
    return;
  helper_channel_close ();
  (void) umask (fixture->former_umask);
  g_free (fixture->file);
  g_free (fixture->folder);
  temp_folder_remove (fixture->root);
}

/* Only the daemon, by its group, and QEMUs, whose connections the helper turns away (helper-channel). */
static void
test_helper_socket (Fixture *fixture, gconstpointer data)
{
  if (skip_unless_root ())
    return;
  g_assert_cmpint (try_connect (fixture, STRANGER_ID, (gid_t) -1), ==, EACCES);
  /* the daemon's user without the group that its unit gives it */
  g_assert_cmpint (try_connect (fixture, DAEMON_ID, (gid_t) -1), ==, EACCES);
  g_assert_cmpint (try_connect (fixture, DAEMON_ID, QEMU_ID), ==, 0);
  g_assert_cmpint (try_connect (fixture, QEMU_ID, (gid_t) -1), ==, 0);
}

/* Nobody but QEMU's user puts another socket in its place. */
static void
test_helper_folder (Fixture *fixture, gconstpointer data)
{
  if (skip_unless_root ())
    return;
  g_assert_cmpint (try_replace (fixture, STRANGER_ID, (gid_t) -1), ==, EACCES);
  g_assert_cmpint (try_replace (fixture, DAEMON_ID, QEMU_ID), ==, EACCES);
  g_assert_cmpint (try_replace (fixture, QEMU_ID, (gid_t) -1), ==, 0);
}

/* the daemon's key */

/* As systemd makes the folder by the unit, and where somebody opened it. */
static void
set_up_key (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GTlsCertificate) identity = NULL;
  g_autoptr (GError) error = NULL;

  if (geteuid () != 0)
    return;
  fixture->root = temp_folder_make ();
  g_assert_no_errno (g_chmod (fixture->root, 0711));
  fixture->folder = make_folder (fixture->root, "state", DAEMON_ID, GPOINTER_TO_INT (data));
  fixture->file = g_build_filename (fixture->folder, IDENTITY_KEY_FILE, NULL);
  fixture->former_umask = umask (0);
  become (DAEMON_ID, (gid_t) -1);
  identity = identity_load (fixture->folder, &error);
  become_root ();
  g_assert_no_error (error);
}

static void
test_key (Fixture *fixture, gconstpointer data)
{
  static const uid_t others[] = { STRANGER_ID, QEMU_ID };

  if (skip_unless_root ())
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (others); i++) {
    /* not even for its own group */
    static const gid_t groups[] = { (gid_t) -1, DAEMON_ID };

    for (gsize j = 0; j < G_N_ELEMENTS (groups); j++) {
      g_assert_cmpint (try_open (fixture->file, O_RDONLY, others[i], groups[j]), ==, EACCES);
      g_assert_cmpint (try_open (fixture->file, O_WRONLY, others[i], groups[j]), ==, EACCES);
      g_assert_cmpint (try_replace (fixture, others[i], groups[j]), ==, EACCES);
    }
  }
  g_assert_cmpint (try_open (fixture->file, O_RDONLY, DAEMON_ID, (gid_t) -1), ==, 0);
}

/* programs with the set-user-ID bit, which anybody may have load the helper */

static char *own_path;

/* In a process of its own: with these effective ids, and what makes a QEMU of it. */
static int
identify_as (const char *uid, const char *gid)
{
  struct helper_process process;

  g_assert_no_errno (setegid ((gid_t) g_ascii_strtoull (gid, NULL, 10)));
  g_assert_no_errno (seteuid ((uid_t) g_ascii_strtoull (uid, NULL, 10)));
  return helper_process_identify (&process) ? IS_QEMU : IS_NO_QEMU;
}

static void
assert_identified (const char *uid, const char *gid, int expected)
{
  const char *const argv[] = {
    own_path, IDENTIFY, uid, gid, "-uuid", "4dea22b3-1d52-d8f3-2516-782e98ab3fa0", NULL,
  };
  g_auto (GStrv) environment = g_environ_setenv (g_get_environ (), "HOME", "/", TRUE);
  g_autoptr (GError) error = NULL;
  int status;

  g_spawn_sync (NULL, (char **) argv, environment, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, expected);
}

static void
test_set_user_id (void)
{
  if (skip_unless_root ())
    return;
  assert_identified ("0", "0", IS_QEMU);
  assert_identified (G_STRINGIFY (STRANGER_ID), "0", IS_NO_QEMU);
  assert_identified ("0", G_STRINGIFY (STRANGER_ID), IS_NO_QEMU);
}

int
main (int argc, char **argv)
{
  int status;

  if (argc > 3 && g_str_equal (argv[1], IDENTIFY))
    _exit (identify_as (argv[2], argv[3])); /* a sanitizer could not look around as another user */
  own_path = g_file_read_link ("/proc/self/exe", NULL);
  g_test_init (&argc, &argv, NULL);

#define ADD(path, mode, set_up, function)                                                          \
  g_test_add ("/local-user/" path, Fixture, GINT_TO_POINTER (mode), set_up, function, tear_down)
  ADD ("helper-socket", 0750, set_up_helper, test_helper_socket);
  ADD ("helper-socket/open-folders", 0755, set_up_helper, test_helper_socket);
  ADD ("helper-folder", 0750, set_up_helper, test_helper_folder);
  ADD ("helper-folder/open-folders", 0755, set_up_helper, test_helper_folder);
  ADD ("key", 0700, set_up_key, test_key);
  ADD ("key/open-folder", 0755, set_up_key, test_key);
#undef ADD
  g_test_add_func ("/local-user/set-user-id", test_set_user_id);
  status = g_test_run ();
  g_free (own_path);
  return status;
}
