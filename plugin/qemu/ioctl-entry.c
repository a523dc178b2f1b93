/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * ioctl-entry - libclockferry-qemu.so's one symbol: ioctl(2)
 *
 * Every ioctl of QEMU comes by here, KVM_RUN of every vCPU before all: that one costs a compare.
 */

#include <linux/kvm.h>
#include <stdint.h>

#include "clock-events.h"
#include "host-calls.h"

/*
 * ioctl(2) is declared with "...", and takes exactly one further argument, or ignores what is there.
 * On x86_64 that one comes in the register of any third argument, and without a va_list KVM_RUN needs
 * no stack.
 */
__attribute__ ((visibility ("default"))) int ioctl_entry (int fd, unsigned long request,
                                                          void *arg) __asm__("ioctl");

int
ioctl_entry (int fd, unsigned long request, void *arg)
{
  if (__builtin_expect ((uint32_t) request == KVM_RUN, 1))
    return host_next_ioctl (fd, request, arg);
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
