/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * emulator-program - QEMU, as far as its clock ioctls go, for libraries that are really preloaded
 *
 * It makes a VM with vCPUs, and reads commands from its standard input, one a line, each answered
 * with a line. --past names the ioctls that it makes by syscall(2), separated by commas: "vm",
 * "vcpu" or "second-vcpu", "get", "set". --sandbox gives up system calls first, as QEMU does.
 *
 *   pause         KVM_GET_CLOCK: "clock NS errno ERRNO"
 *   resume NS     KVM_SET_CLOCK of that: "resumed errno ERRNO"
 *   clocks        what was done to the VM: "sets PLAIN REALTIME writes N offsets TICKS..."
 *   preload       LD_PRELOAD, or "unset"
 *   fork          which the sandbox forbids
 */

#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm-stand-in.h"
#include "qemu-sandbox.h"

#define VCPUS 3

/* Any errno that no call here ends with: QEMU must find it as it was. */
#define ERRNO_BEFORE EXDEV

static const char *past = "";
static int vm_fd;
static int vcpu_fds[VCPUS];

static void
give_up (const char *what)
{
  perror (what);
  exit (EXIT_FAILURE);
}

/* Is @name among those of --past? */
static bool
is_past (const char *name)
{
  size_t length = strlen (name);
  const char *found = past;

  while ((found = strstr (found, name)) != NULL) {
    if ((found == past || found[-1] == ',') && (found[length] == '\0' || found[length] == ','))
      return true;
    found += length;
  }
  return false;
}

static int
call (bool past_libc, int fd, unsigned long request, void *arg)
{
  if (past_libc)
    return (int) syscall (SYS_ioctl, fd, request, arg);
  return ioctl (fd, request, arg);
}

static void
vm_make (void)
{
  struct kvm_clock_data clock = { 0 };
  int kvm_fd = eventfd (0, EFD_CLOEXEC); /* kvm-stand-in goes by the requests */

  vm_fd = call (is_past ("vm"), kvm_fd, KVM_CREATE_VM, NULL);
  if (vm_fd < 0)
    give_up ("KVM_CREATE_VM");
  for (unsigned int i = 0; i < VCPUS; i++) {
    bool past_libc = is_past ("vcpu") || (i == 1 && is_past ("second-vcpu"));

    vcpu_fds[i] = call (past_libc, vm_fd, KVM_CREATE_VCPU, (void *) (uintptr_t) (2 * i));
    if (vcpu_fds[i] < 0)
      give_up ("KVM_CREATE_VCPU");
  }
  /* kvmclock_realize() in QEMU's hw/i386/kvm/clock.c */
  if (call (is_past ("get"), vm_fd, KVM_GET_CLOCK, &clock) < 0)
    give_up ("KVM_GET_CLOCK");
}

static void
do_pause (void)
{
  struct kvm_clock_data clock = { 0 };

  errno = ERRNO_BEFORE;
  if (call (is_past ("get"), vm_fd, KVM_GET_CLOCK, &clock) < 0)
    give_up ("KVM_GET_CLOCK");
  printf ("clock %llu errno %s\n", (unsigned long long) clock.clock,
          errno == ERRNO_BEFORE ? "kept" : "changed");
}

static void
do_resume (const char *clock_ns)
{
  struct kvm_clock_data clock = { .clock = strtoull (clock_ns, NULL, 10) };

  errno = ERRNO_BEFORE;
  if (call (is_past ("set"), vm_fd, KVM_SET_CLOCK, &clock) < 0)
    give_up ("KVM_SET_CLOCK");
  printf ("resumed errno %s\n", errno == ERRNO_BEFORE ? "kept" : "changed");
}

/* Read past all libraries. */
static void
do_clocks (void)
{
  struct kvm_stand_in_counts counts = { 0 };
  void *symbol = dlsym (RTLD_DEFAULT, "kvm_stand_in_get_counts");
  void (*get_counts) (struct kvm_stand_in_counts *);

  memcpy (&get_counts, &symbol, sizeof get_counts);
  get_counts (&counts);
  printf ("sets %u %u writes %u offsets", counts.plain_sets, counts.sets_with_realtime,
          counts.offset_writes);
  for (unsigned int i = 0; i < VCPUS; i++) {
    uint64_t ofs_ticks = 0;
    struct kvm_device_attr attr = {
      .group = KVM_VCPU_TSC_CTRL,
      .attr = KVM_VCPU_TSC_OFFSET,
      .addr = (uintptr_t) &ofs_ticks,
    };

    if (call (true, vcpu_fds[i], KVM_GET_DEVICE_ATTR, &attr) < 0)
      give_up ("KVM_GET_DEVICE_ATTR");
    printf (" %llu", (unsigned long long) ofs_ticks);
  }
  printf ("\n");
}

static void
do_fork (void)
{
  pid_t child = fork ();

  if (child == 0)
    _exit (EXIT_SUCCESS);
  waitpid (child, NULL, 0);
  printf ("forked\n");
}

static void
obey (char *line)
{
  line[strcspn (line, "\n")] = '\0';
  if (strcmp (line, "pause") == 0)
    do_pause ();
  else if (strncmp (line, "resume ", 7) == 0)
    do_resume (line + 7);
  else if (strcmp (line, "clocks") == 0)
    do_clocks ();
  else if (strcmp (line, "preload") == 0)
    printf ("%s\n", getenv ("LD_PRELOAD") != NULL ? getenv ("LD_PRELOAD") : "unset");
  else if (strcmp (line, "fork") == 0)
    do_fork ();
  else
    printf ("what?\n");
  fflush (stdout);
}

int
main (int argc, char **argv)
{
  char line[128];

  for (int i = 1; i < argc; i++) {
    if (strcmp (argv[i], "--past") == 0 && i + 1 < argc)
      past = argv[++i];
    else if (strcmp (argv[i], "--sandbox") == 0 && (errno = -qemu_sandbox_enter ()) != 0)
      give_up ("seccomp");
  }
  vm_make ();
  printf ("ready\n");
  fflush (stdout);
  while (fgets (line, sizeof line, stdin) != NULL)
    obey (line);
  return EXIT_SUCCESS;
}
