/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "idle-process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t
idle_process_start (void)
{
  pid_t pid = fork ();

  g_assert_cmpint (pid, >=, 0);
  if (pid == 0) {
    (void) prctl (PR_SET_PDEATHSIG, SIGKILL);
    (void) close_range (3, G_MAXUINT, 0); /* no port of the test */
    pause ();
    _exit (0);
  }
  return pid;
}

void
idle_process_end (pid_t pid)
{
  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  g_assert_cmpint (waitpid (pid, NULL, 0), ==, pid);
}
