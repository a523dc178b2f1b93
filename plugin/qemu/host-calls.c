/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "host-calls.h"

#include <cpuid.h>
#include <dlfcn.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

/* "Hygo", of HygonGenuine; cpuid.h knows AMD's */
#define SIGNATURE_HYGON_EBX 0x6f677948u

static int (*next_ioctl) (int fd, unsigned long request, ...);

static int
bare_ioctl (int fd, unsigned long request, void *arg)
{
  return (int) syscall (SYS_ioctl, fd, request, arg);
}

static int
libc_ioctl (int fd, unsigned long request, void *arg)
{
  return next_ioctl (fd, request, arg);
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

struct host_calls host_calls = {
  .ioctl = bare_ioctl,
  .clock_ns = libc_clock_ns,
  .tsc_ticks = cpu_tsc_ticks,
  .ratio_frac_bits = cpu_ratio_frac_bits,
  .fd_links = "/proc/self/fd",
};

void
host_calls_init (void)
{
  /* the next one rather than libc's own: another preloaded library may want to see the call too */
  void *symbol = dlsym (RTLD_NEXT, "ioctl");

  if (symbol == NULL)
    return;
  /* ISO C has no cast from an object pointer to a function pointer */
  memcpy (&next_ioctl, &symbol, sizeof next_ioctl);
  host_calls.ioctl = libc_ioctl;
}
