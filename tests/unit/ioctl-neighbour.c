/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * ioctl-neighbour - a library of somebody else that stands between QEMU and ioctl(2) as well
 *
 * What it does to KVM's requests is said by the environment variable IOCTL_NEIGHBOUR: "errno" changes
 * errno after each that succeeds, "sleep" takes its time, "call-back" makes others of its own
 * meanwhile, by the symbol that QEMU uses too.
 */

#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SLEEP_US 2000

static __thread bool is_called_back;

static bool
does (const char *what)
{
  const char *chosen = getenv ("IOCTL_NEIGHBOUR");

  return chosen != NULL && strcmp (chosen, what) == 0;
}

/* Whoever is first among the preloaded libraries gets these. */
static void
call_back (int fd, unsigned long request)
{
  struct kvm_clock_data clock = { 0 };

  if (is_called_back)
    return;
  is_called_back = true;
  ioctl (fd, KVM_CHECK_EXTENSION, KVM_CAP_ADJUST_CLOCK);
  if ((unsigned int) request == (unsigned int) KVM_GET_CLOCK)
    ioctl (fd, KVM_GET_CLOCK, &clock);
  is_called_back = false;
}

__attribute__ ((visibility ("default"))) int
ioctl (int fd, unsigned long request, ...)
{
  int (*next) (int, unsigned long, ...);
  void *symbol = dlsym (RTLD_NEXT, "ioctl");
  va_list arguments;
  void *arg;
  int result;

  va_start (arguments, request);
  arg = va_arg (arguments, void *);
  va_end (arguments);
  memcpy (&next, &symbol, sizeof next);
  if (_IOC_TYPE (request) != KVMIO)
    return next (fd, request, arg);

  if (does ("sleep"))
    usleep (SLEEP_US);
  if (does ("call-back"))
    call_back (fd, request);
  result = next (fd, request, arg);
  if (does ("errno") && result >= 0)
    errno = EDOM;
  return result;
}
