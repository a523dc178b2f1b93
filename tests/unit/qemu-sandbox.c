/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu-sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>

#define COUNT(array) (sizeof (array) / sizeof (array)[0])

/* Those of the list that x86_64 has at all. */
static const int killing[] = {
  /* always */
  SCMP_SYS (reboot),
  SCMP_SYS (swapon),
  SCMP_SYS (swapoff),
  SCMP_SYS (syslog),
  SCMP_SYS (mount),
  SCMP_SYS (kexec_load),
  SCMP_SYS (afs_syscall),
  SCMP_SYS (getpmsg),
  SCMP_SYS (putpmsg),
  SCMP_SYS (security),
  SCMP_SYS (tuxcall),
  SCMP_SYS (vserver),
  /* obsolete */
  SCMP_SYS (_sysctl),
  SCMP_SYS (create_module),
  SCMP_SYS (get_kernel_syms),
  SCMP_SYS (query_module),
  SCMP_SYS (sysfs),
  SCMP_SYS (uselib),
  SCMP_SYS (ustat),
  /* elevateprivileges */
  SCMP_SYS (setuid),
  SCMP_SYS (setgid),
  SCMP_SYS (setpgid),
  SCMP_SYS (setsid),
  SCMP_SYS (setreuid),
  SCMP_SYS (setregid),
  SCMP_SYS (setresuid),
  SCMP_SYS (setresgid),
  SCMP_SYS (setfsuid),
  SCMP_SYS (setfsgid),
  /* spawn */
  SCMP_SYS (fork),
  SCMP_SYS (vfork),
  SCMP_SYS (execve),
  SCMP_SYS (execveat),
  SCMP_SYS (setns),
  SCMP_SYS (unshare),
};

/* resourcecontrol */
static const int failing[] = {
  SCMP_SYS (setpriority),
  SCMP_SYS (sched_setparam),
  SCMP_SYS (sched_setaffinity),
};

/* Of clone(2): a thread has all of the first, and none of the second. */
static const unsigned long thread_flags[] = {
  CLONE_VM,      CLONE_FS,     CLONE_FILES,         CLONE_SIGHAND,        CLONE_THREAD,
  CLONE_SYSVSEM, CLONE_SETTLS, CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID,
};
static const unsigned long process_flags[] = {
  CLONE_PIDFD,    CLONE_PTRACE,    CLONE_VFORK,  CLONE_PARENT, CLONE_NEWNS,
  CLONE_UNTRACED, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER,
  CLONE_NEWPID,   CLONE_NEWNET,    CLONE_IO,
};

static int
deny_all (scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    int result = seccomp_rule_add (filter, action, calls[i], 0);

    if (result < 0)
      return result;
  }
  return 0;
}

static int
deny_clone (scmp_filter_ctx filter, unsigned long mask, unsigned long value)
{
  return seccomp_rule_add (filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS (clone), 1,
                           SCMP_A0 (SCMP_CMP_MASKED_EQ, mask, value));
}

static int
deny_processes (scmp_filter_ctx filter)
{
  int result = deny_clone (filter, ~(unsigned long) CSIGNAL, 0);

  for (size_t i = 0; i < COUNT (thread_flags) && result == 0; i++)
    result = deny_clone (filter, thread_flags[i], 0);
  for (size_t i = 0; i < COUNT (process_flags) && result == 0; i++)
    result = deny_clone (filter, process_flags[i], process_flags[i]);
  if (result == 0)
    result = seccomp_rule_add (filter, SCMP_ACT_ERRNO (ENOSYS), SCMP_SYS (clone3), 0);
  return result;
}

static int
fill (scmp_filter_ctx filter)
{
  int result = seccomp_attr_set (filter, SCMP_FLTATR_CTL_TSYNC, 1);

  if (result == 0)
    result = deny_all (filter, SCMP_ACT_KILL_PROCESS, killing, COUNT (killing));
  if (result == 0)
    result = deny_processes (filter);
  if (result == 0)
    result = deny_all (filter, SCMP_ACT_ERRNO (EPERM), failing, COUNT (failing));
  if (result == 0)
    result = seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM), SCMP_SYS (sched_setscheduler), 1,
                               SCMP_A1 (SCMP_CMP_NE, SCHED_IDLE));
  return result;
}

/* public functions */

int
qemu_sandbox_enter (void)
{
  scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ALLOW);
  int result;

  if (filter == NULL)
    return -ENOMEM;
  result = fill (filter);
  if (result == 0)
    result = seccomp_load (filter);
  seccomp_release (filter);
  return result;
}
