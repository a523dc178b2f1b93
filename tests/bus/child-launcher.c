/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "child-launcher.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "names.h"

#define LIBVIRT_LIB_DIR "/var/lib/libvirt"

#define EXIT_NO_FOLDERS 125

/* What a child needs to change folders; made before the fork. */
typedef struct {
  char *run_dir;
  char *state_dir;
  char *uid_map; /* the user it is, and no other */
  char *gid_map;
} FolderSwap;

static void
folder_swap_free (gpointer data)
{
  FolderSwap *swap = data;

  g_free (swap->run_dir);
  g_free (swap->state_dir);
  g_free (swap->uid_map);
  g_free (swap->gid_map);
  g_free (swap);
}

/* Between fork and exec: nothing but system calls. */

static void
die_with_parent (gpointer user_data)
{
  (void) prctl (PR_SET_PDEATHSIG, SIGKILL);
}

static gboolean
write_file (const char *path, const char *text)
{
  int fd = open (path, O_WRONLY | O_CLOEXEC);
  gssize size = (gssize) strlen (text);

  return fd >= 0 && write (fd, text, (gsize) size) == size && close (fd) == 0;
}

/* Who is not root may do it as the only user of a namespace. */
static gboolean
unshare_mounts (const FolderSwap *swap)
{
  if (unshare (CLONE_NEWNS) == 0)
    return TRUE;
  return unshare (CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
         write_file ("/proc/self/setgroups", "deny") &&
         write_file ("/proc/self/uid_map", swap->uid_map) &&
         write_file ("/proc/self/gid_map", swap->gid_map);
}

static void
swap_folders (gpointer user_data)
{
  const FolderSwap *swap = user_data;

  if (!unshare_mounts (swap) || mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
      mount ("none", "/run", "tmpfs", 0, NULL) < 0 ||
      mount ("none", LIBVIRT_LIB_DIR, "tmpfs", 0, NULL) < 0 || mkdir ("/run/libvirt", 0755) < 0 ||
      mkdir (LIBVIRT_QEMU_RUN_DIR, 0755) < 0 || mkdir (LIBVIRT_QEMU_STATE_DIR, 0755) < 0 ||
      mount (swap->run_dir, LIBVIRT_QEMU_RUN_DIR, NULL, MS_BIND, NULL) < 0 ||
      mount (swap->state_dir, LIBVIRT_QEMU_STATE_DIR, NULL, MS_BIND, NULL) < 0)
    _exit (EXIT_NO_FOLDERS);
  die_with_parent (NULL);
}

/* public functions */

GSubprocessLauncher *
child_launcher_new (GSubprocessFlags flags)
{
  GSubprocessLauncher *launcher = g_subprocess_launcher_new (flags);

  g_subprocess_launcher_set_child_setup (launcher, die_with_parent, NULL, NULL);
  return launcher;
}

GSubprocessLauncher *
child_launcher_new_with_folders (GSubprocessFlags flags, const QemuFolders *folders)
{
  GSubprocessLauncher *launcher = g_subprocess_launcher_new (flags);
  FolderSwap *swap = g_new0 (FolderSwap, 1);

  swap->run_dir = g_strdup (folders->run_dir);
  swap->state_dir = g_strdup (folders->state_dir);
  swap->uid_map = g_strdup_printf ("%u %u 1", (guint) geteuid (), (guint) geteuid ());
  swap->gid_map = g_strdup_printf ("%u %u 1", (guint) getegid (), (guint) getegid ());
  g_subprocess_launcher_set_child_setup (launcher, swap_folders, swap, folder_swap_free);
  return launcher;
}
