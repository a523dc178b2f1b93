/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "host-calls.h"

#include <cpuid.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

/* "Hygo", of HygonGenuine; cpuid.h knows AMD's */
#define SIGNATURE_HYGON_EBX 0x6f677948u

/* RLIMIT_NOFILE of a service, where the kernel does not tell better */
#define FD_LIMIT_USUAL 1024

static int
bare_ioctl (int fd, unsigned long request, ...)
{
  va_list arguments;
  void *arg;

  va_start (arguments, request);
  arg = va_arg (arguments, void *);
  va_end (arguments);
  return (int) syscall (SYS_ioctl, fd, request, arg);
}

int (*host_next_ioctl) (int fd, unsigned long request, ...) = bare_ioctl;

static int
next_ioctl (int fd, unsigned long request, void *arg)
{
  return host_next_ioctl (fd, request, arg);
}

static uint64_t
libc_clock_ns (clockid_t clock)
{
  struct timespec now = { 0 };

  clock_gettime (clock, &now);
  return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static uint64_t
cpu_tsc_ticks (void)
{
  _mm_lfence ();
  return __rdtsc ();
}

/* kvm_caps.tsc_scaling_ratio_frac_bits, which the kernel does not tell */
static uint32_t
cpu_ratio_frac_bits (void)
{
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;

  __get_cpuid (0, &eax, &ebx, &ecx, &edx);
  if (ebx == signature_AMD_ebx || ebx == SIGNATURE_HYGON_EBX)
    return 32;
  return 48;
}

/*
 * The kernel's table of fds has so many slots. It says so within the first lines
 * (proc_pid_status() in fs/proc/array.c).
 */
static uint32_t
proc_fd_limit (void)
{
  static const char field[] = "\nFDSize:";
  char status[1024];
  int fd = open ("/proc/self/status", O_RDONLY | O_CLOEXEC);
  ssize_t length = 0;
  const char *found;

  if (fd >= 0) {
    length = read (fd, status, sizeof status - 1);
    close (fd);
  }
  status[length > 0 ? length : 0] = '\0';
  found = strstr (status, field);
  return found != NULL ? (uint32_t) strtoul (found + strlen (field), NULL, 10) : FD_LIMIT_USUAL;
}

struct host_calls host_calls = {
  .ioctl = next_ioctl,
  .clock_ns = libc_clock_ns,
  .tsc_ticks = cpu_tsc_ticks,
  .ratio_frac_bits = cpu_ratio_frac_bits,
  .fd_links = "/proc/self/fd",
  .fd_limit = proc_fd_limit,
};

void
host_calls_init (void)
{
  /* the next one rather than libc's own: another preloaded library may want to see the call too */
  void *symbol = dlsym (RTLD_NEXT, "ioctl");

  /* ISO C has no cast from an object pointer to a function pointer; this is how dlsym(3) does it */
  if (symbol != NULL)
    *(void **) &host_next_ioctl = symbol;
}
