/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into a guest's QEMU, it lets a test hold that QEMU at a chosen moment of a migration, for as long as something is
 * done to its surroundings: without it such a moment could only be hit by luck. And it tells how long `cont` took over the clocks.
 *
 * A QEMU that comes to the moment NAME while the file hold-NAME is in GATE_DIR makes a file held-NAME, and goes on when hold-NAME
 * is gone, then removes held-NAME. The moments:
 *
 *   create-vm  it has no VM yet. On a destination: before anything is known of the arrival
 *   records    between its two KVM_GET_CLOCKs: the first is at vm_stop, then it reads the vCPUs' registers, then the second
 *   cont       before anything that `cont` does to the clocks: QEMU asks for KVM_CAP_KVMCLOCK_CTRL first (hw/i386/kvm/clock.c)
 *   report     the clocks are set, and another preloaded library is about to send a message about it
 *
 * Each `cont` appends a line to GATE_DIR/cont: the nanoseconds from that question to the last that was done about the clocks before
 * the guest ran, whoever did it, without the time that this library held it.
 *
 * Wherever LD_PRELOAD has it, before or after the helper, it sees all of QEMU's own ioctls.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GATE_DIR         "/run/clockferry-test-gate"
#define POLL_INTERVAL_NS 2000000

/* Whatever becomes of the test, a guest is not held for ever. */
#define HELD_MAX_S 120

#define NS_PER_S INT64_C (1000000000)

/* What QEMU has done with the clock since it last came to stop or to resume its guest. */
static atomic_bool has_read_clock;
static atomic_bool has_set_clock;

/* A `cont` under way, of the thread that asked; what is in it is that thread's own until has_set_clock is seen by a vCPU's. */
static _Thread_local bool is_cont_thread;
static int64_t cont_begin_ns;
static int64_t cont_end_ns;
static int64_t cont_held_ns;
static atomic_bool cont_is_timed;

static int64_t
get_time_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void
pass_gate (const char *moment)
{
  const struct timespec interval = { .tv_nsec = POLL_INTERVAL_NS };
  char hold_path[128], held_path[128];
  int64_t begin_ns = get_time_ns ();
  int fd;

  snprintf (hold_path, sizeof hold_path, GATE_DIR "/hold-%s", moment);
  if (access (hold_path, F_OK) != 0)
    return;
  snprintf (held_path, sizeof held_path, GATE_DIR "/held-%s", moment);
  fd = open (held_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd >= 0)
    close (fd);
  while (access (hold_path, F_OK) == 0 && get_time_ns () - begin_ns < HELD_MAX_S * NS_PER_S)
    nanosleep (&interval, NULL);
  unlink (held_path);
  cont_held_ns += get_time_ns () - begin_ns;
}

static void
write_cont_time (void)
{
  int fd = open (GATE_DIR "/cont", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

  if (fd < 0)
    return;
  dprintf (fd, "%lld\n", (long long) (cont_end_ns - cont_begin_ns - cont_held_ns));
  close (fd);
}

static void
begin_cont (void)
{
  is_cont_thread = true;
  cont_held_ns = 0;
  cont_begin_ns = cont_end_ns = get_time_ns ();
}

/* What QEMU goes on to do in `cont` is its own; of these it does KVM_SET_CLOCK alone there, and KVM_KVMCLOCK_CTRL in another thread. */
static bool
is_about_clocks (uint32_t request)
{
  switch (request) {
  case KVM_GET_CLOCK:
  case KVM_SET_CLOCK:
  case KVM_GET_DEVICE_ATTR:
  case KVM_SET_DEVICE_ATTR:
  case KVM_GET_MSRS:
  case KVM_SET_MSRS:
  case KVM_KVMCLOCK_CTRL:
    return true;
  default:
    return false;
  }
}

/* Something was done about the clocks, if the thread of a `cont` did it; errno is whose it was. */
static void
note_end_of_act (void)
{
  int saved_errno = errno;

  if (is_cont_thread)
    cont_end_ns = get_time_ns ();
  errno = saved_errno;
}

static void
pass_gates_of (uint32_t request, uintptr_t argument)
{
  switch (request) {
  case KVM_CREATE_VM:
    pass_gate ("create-vm");
    break;
  case KVM_CHECK_EXTENSION:
    if (argument == KVM_CAP_KVMCLOCK_CTRL) {
      has_read_clock = has_set_clock = false;
      pass_gate ("cont");
      begin_cont ();
    }
    break;
  case KVM_GET_CLOCK:
    has_read_clock = true;
    break;
  case KVM_SET_CLOCK:
    has_set_clock = true;
    cont_is_timed = true;
    break;
  case KVM_GET_REGS:
    if (atomic_exchange (&has_read_clock, false))
      pass_gate ("records");
    break;
  default:
    break;
  }
}

/* interposed */

int
ioctl (int fd, unsigned long request, ...)
{
  static int (*_Atomic next) (int, unsigned long, ...);
  va_list arguments;
  void *argument;
  int result;

  va_start (arguments, request);
  argument = va_arg (arguments, void *);
  va_end (arguments);
  if (next == NULL)
    next = (int (*) (int, unsigned long, ...)) dlsym (RTLD_NEXT, "ioctl");
  if ((uint32_t) request == KVM_RUN) {
    if (atomic_load (&cont_is_timed) && atomic_exchange (&cont_is_timed, false))
      write_cont_time ();
    return next (fd, request, argument);
  }
  pass_gates_of ((uint32_t) request, (uintptr_t) argument);
  result = next (fd, request, argument);
  if (is_about_clocks ((uint32_t) request))
    note_end_of_act ();
  return result;
}

ssize_t
send (int fd, const void *message, size_t size, int flags)
{
  static ssize_t (*_Atomic next) (int, const void *, size_t, int);
  int type = 0;
  socklen_t type_size = sizeof type;
  ssize_t result;
  bool is_helper;

  if (next == NULL)
    next = (ssize_t (*) (int, const void *, size_t, int)) dlsym (RTLD_NEXT, "send");
  /* of QEMU's own sockets none is of this type */
  is_helper = getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 &&
              type == SOCK_SEQPACKET;
  if (is_helper && atomic_exchange (&has_set_clock, false))
    pass_gate ("report");
  result = next (fd, message, size, flags);
  if (is_helper)
    note_end_of_act ();
  return result;
}
