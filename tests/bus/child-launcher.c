/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "child-launcher.h"

#include <signal.h>
#include <sys/prctl.h>

/* Between fork and exec: nothing but system calls. */
static void
die_with_parent (gpointer user_data)
{
  (void) prctl (PR_SET_PDEATHSIG, SIGKILL);
}

GSubprocessLauncher *
child_launcher_new (GSubprocessFlags flags)
{
  GSubprocessLauncher *launcher = g_subprocess_launcher_new (flags);

  g_subprocess_launcher_set_child_setup (launcher, die_with_parent, NULL, NULL);
  return launcher;
}
