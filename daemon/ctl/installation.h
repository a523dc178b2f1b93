/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * installation - what of clockferry is in place on this host, by looking at the files
 *
 * Where things are was decided by the build (ctl-config.h).
 */

#include <glib.h>

typedef enum {
  HOOK_ABSENT,         /* not there: guests that arrive get no helper */
  HOOK_NOT_EXECUTABLE, /* libvirt runs executable files only */
  HOOK_IN_PLACE,
  HOOK_NOT_SEEN, /* only root may look into its folder */
} HookState;

typedef enum {
  HELPER_ABSENT,
  HELPER_NOT_FOUND, /* it is there, and ld.so does not find it by its bare name: ldconfig */
  HELPER_IN_PLACE,
} HelperState;

HookState installation_look_for_hook (void);

/*
 * Has ld.so preload the helper into /bin/true by its bare name, as QEMU will; *@problem (may be NULL)
 * is what ld.so said, owned by the caller, NULL with HELPER_ABSENT and HELPER_IN_PLACE.
 */
HelperState installation_look_for_helper (char **problem);

/* Constants: "/etc/libvirt/hooks/qemu.d/50-clockferry" for instance. */
const char *installation_hook_path (void);
const char *installation_helper_path (void);
const char *installation_helper_soname (void);

/* The same, for tests: @path may be any file. */
HookState installation_judge_hook (const char *path);
HelperState installation_judge_helper (const char *path, const char *soname, char **problem);
