/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * hook-file - clockferry's file among libvirt's hooks: looking at it, putting it there, taking it
 * away
 *
 * libvirt runs every executable file of the folder qemu.d before a domain starts or arrives, and a
 * file that fails, or is half there, makes the start fail. So the file is made whole outside of
 * that folder and run once as libvirt would; only then is it renamed to its place. Nothing is in
 * the folder under any other name, at any time.
 *
 * It is a copy of the master, with a line that marks it as clockferry's. Such a file is replaced or
 * removed whatever else is in it, as that line says; what has no mark, or is no regular file,
 * belongs to somebody else and is not touched.
 */

#include <glib.h>
#include <sys/types.h>

typedef struct {
  char *installed; /* /etc/libvirt/hooks/qemu.d/50-clockferry */
  char *master;    /* /usr/share/clockferry/50-clockferry */
  char *program;   /* /usr/bin/clockferry-hook, which the file runs */
  uid_t owner;     /* who has to own the file: root, but for tests */
  char *selinux;   /* /sys/fs/selinux/enforce: there while SELinux is in use */
  char *relabel;   /* restorecon, looked for where programs of administrators are */
} HookPaths;

/* The paths of this host, below @root, which is "" but for tests. */
HookPaths *hook_paths_new (const char *root);
void hook_paths_free (HookPaths *paths);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HookPaths, hook_paths_free)

/* What is at paths->installed. */
typedef enum {
  HOOK_FILE_ABSENT,
  HOOK_FILE_IN_PLACE,       /* the master's text, and libvirt runs it */
  HOOK_FILE_NOT_EXECUTABLE, /* ours; libvirt passes it over */
  HOOK_FILE_UNSAFE,         /* ours; not root's, or others may write to it */
  HOOK_FILE_DIFFERENT,      /* ours by its mark, but not the master's text */
  HOOK_FILE_FOREIGN,        /* without our mark */
  HOOK_FILE_LINK,           /* a symbolic link, which AppArmor does not let libvirt run through */
  HOOK_FILE_NOT_REGULAR,    /* a folder or anything else */
} HookFileState;

/* FALSE with a GFileError that names the file, translated, when it cannot be read;
 * G_FILE_ERROR_ACCES where only root may look into libvirt's folder. */
gboolean hook_file_look (const HookPaths *paths, HookFileState *state, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/* Whether @path is a regular file with our mark, whatever it is called. */
gboolean hook_file_is_ours (const char *path);

typedef enum {
  HOOK_FILE_UNCHANGED,
  HOOK_FILE_PUT,
  HOOK_FILE_REPLACED,   /* one that was different, not executable or unsafe */
  HOOK_FILE_RELABELLED, /* it was in place, with a label that SELinux's policy does not give it */
  HOOK_FILE_REMOVED,
} HookFileChange;

/*
 * See that the hook is in place; again does no harm. Where SELinux is in use, the folder of hooks
 * and all in it get the labels of the policy. FALSE with an error for people, translated, that names
 * the next step: then nothing was changed, but for a hook that was new or replaced and could not be
 * labelled, which is gone.
 */
gboolean hook_file_put (const HookPaths *paths, HookFileChange *change, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/*
 * See that it is not; as above. libvirt lists its hooks just before it runs them: a domain that
 * starts in the same instant may find the file gone, and its start fail. No order of steps can
 * prevent that.
 */
gboolean hook_file_remove (const HookPaths *paths, HookFileChange *change, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/*
 * Run @program, the hook's program or the file itself, as libvirt does for a domain that arrives.
 * FALSE with an error, translated, unless it ends with status 0; *@adds_helper (may be NULL) is
 * whether it put the helper into the domain.
 */
gboolean hook_file_try (const char *program, gboolean *adds_helper, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
