/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * ioctl-entry - libclockferry-qemu.so's one symbol: ioctl(2)
 *
 * Every ioctl of QEMU comes by here, KVM_RUN of every vCPU before all: that one costs a compare.
 */

#include <linux/kvm.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "clock-events.h"
#include "host-calls.h"

__attribute__ ((visibility ("default"))) int
ioctl (int fd, unsigned long request, ...)
{
  va_list arguments;
  void *arg;

  /* ioctl(2) takes exactly one further argument, or ignores what is there */
  va_start (arguments, request);
  arg = va_arg (arguments, void *);
  va_end (arguments);

  if (__builtin_expect ((uint32_t) request == KVM_RUN, 1))
    return host_calls.ioctl (fd, request, arg);
  return clock_events_ioctl (fd, request, arg);
}

__attribute__ ((constructor)) static void
start (void)
{
  struct helper_process process;

  host_calls_init ();
  if (helper_process_identify (&process))
    clock_events_start (&process);
}
