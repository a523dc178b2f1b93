/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * kvm-stand-in - a library to be preloaded last, in which KVM's clock ioctls end
 *
 * What a helper that really is preloaded needs of KVM, on the machine's own clocks and without
 * /dev/kvm: ioctl(2) and syscall(2) of KVM's requests are answered here, and readlink(2) tells of
 * the fds of vCPUs what /proc/self/fd would. One VM a process. The guest's TSC is the host's and an
 * offset, kvmclock runs on that, and the master clock is in use while all offsets are equal.
 */

#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "kvm-stand-in.h"

#define EXPORT __attribute__ ((visibility ("default")))

#define VCPUS_MAX 16
/* What this KVM says of its TSC, whatever it really is: no two hosts here disagree. */
#define TSC_KHZ   2500000
#define MSR_TSC   0x10u
#define ALL_FLAGS (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

static struct {
  uint64_t created_ticks;
  uint64_t clock_ns; /* kvmclock at ... */
  uint64_t clock_ticks;
  unsigned int vcpu_count;
  struct {
    unsigned long id;
    int fd;
    uint64_t ofs_ticks;
  } vcpus[VCPUS_MAX];
  struct kvm_stand_in_counts counts;
} vm;

/* errno keeps what it was, as of a system call that succeeds */

static int
fail (int error)
{
  errno = error;
  return -1;
}

static uint64_t
realtime_ns (void)
{
  struct timespec now = { 0 };

  clock_gettime (CLOCK_REALTIME, &now);
  return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static uint64_t
kvmclock_ns (uint64_t host_ticks)
{
  return vm.clock_ns +
         (uint64_t) ((unsigned __int128) (host_ticks - vm.clock_ticks) * 1000000 / TSC_KHZ);
}

static bool
has_master_clock (void)
{
  for (unsigned int i = 1; i < vm.vcpu_count; i++) {
    if (vm.vcpus[i].ofs_ticks != vm.vcpus[0].ofs_ticks)
      return false;
  }
  return true;
}

static int
clock_get (struct kvm_clock_data *clock)
{
  uint64_t host_ticks = __rdtsc ();

  *clock = (struct kvm_clock_data){ .clock = kvmclock_ns (host_ticks) };
  if (has_master_clock ()) {
    clock->flags = ALL_FLAGS;
    clock->host_tsc = host_ticks;
    clock->realtime = realtime_ns ();
  }
  return 0;
}

static int
clock_set (const struct kvm_clock_data *clock)
{
  bool with_realtime = (clock->flags & KVM_CLOCK_REALTIME) != 0;

  vm.clock_ticks = __rdtsc ();
  vm.clock_ns = clock->clock;
  if (with_realtime) {
    vm.clock_ns += realtime_ns () - clock->realtime;
    vm.counts.sets_with_realtime++;
  } else {
    vm.counts.plain_sets++;
  }
  return 0;
}

static int
vcpu_create (unsigned long id)
{
  int fd = eventfd (0, EFD_CLOEXEC);

  if (vm.vcpu_count == VCPUS_MAX || fd < 0)
    return fail (ENOMEM);
  vm.vcpus[vm.vcpu_count].id = id;
  vm.vcpus[vm.vcpu_count].fd = fd;
  vm.vcpus[vm.vcpu_count].ofs_ticks = -vm.created_ticks;
  vm.vcpu_count++;
  return fd;
}

static int
vcpu_index (int fd)
{
  for (unsigned int i = 0; i < vm.vcpu_count; i++) {
    if (vm.vcpus[i].fd == fd)
      return (int) i;
  }
  return -1;
}

static int
vcpu_attr (int vcpu, unsigned long request, const struct kvm_device_attr *attr)
{
  uint64_t *ofs_ticks = (uint64_t *) (uintptr_t) attr->addr;

  if (attr->group != KVM_VCPU_TSC_CTRL || attr->attr != KVM_VCPU_TSC_OFFSET)
    return fail (ENXIO);
  if (request == KVM_GET_DEVICE_ATTR)
    *ofs_ticks = vm.vcpus[vcpu].ofs_ticks;
  if (request == KVM_SET_DEVICE_ATTR) {
    vm.vcpus[vcpu].ofs_ticks = *ofs_ticks;
    vm.counts.offset_writes++;
  }
  return 0;
}

static int
vcpu_get_msrs (int vcpu, struct kvm_msrs *msrs)
{
  if (msrs->nmsrs != 1 || msrs->entries[0].index != MSR_TSC)
    return 0;
  msrs->entries[0].data = __rdtsc () + vm.vcpus[vcpu].ofs_ticks;
  return 1;
}

static int
vcpu_ioctl (int vcpu, unsigned long request, void *arg)
{
  switch (request) {
  case KVM_GET_TSC_KHZ:
    return TSC_KHZ;
  case KVM_KVMCLOCK_CTRL:
  case KVM_RUN:
    return 0;
  case KVM_GET_MSRS:
    return vcpu_get_msrs (vcpu, arg);
  case KVM_HAS_DEVICE_ATTR:
  case KVM_GET_DEVICE_ATTR:
  case KVM_SET_DEVICE_ATTR:
    return vcpu_attr (vcpu, request, arg);
  default:
    return fail (ENOTTY);
  }
}

static int
vm_ioctl (unsigned long request, void *arg)
{
  switch (request) {
  case KVM_CREATE_VM:
    vm.created_ticks = vm.clock_ticks = __rdtsc ();
    return eventfd (0, EFD_CLOEXEC);
  case KVM_CREATE_VCPU:
    return vcpu_create ((unsigned long) arg);
  case KVM_CHECK_EXTENSION:
    return (long) arg == KVM_CAP_ADJUST_CLOCK ? ALL_FLAGS : 0;
  case KVM_GET_TSC_KHZ:
    return TSC_KHZ;
  case KVM_GET_CLOCK:
    return clock_get (arg);
  case KVM_SET_CLOCK:
    return clock_set (arg);
  default:
    return fail (ENOTTY);
  }
}

static int
kvm_ioctl (int fd, unsigned long request, void *arg)
{
  int vcpu = vcpu_index (fd);

  request = (uint32_t) request;
  return vcpu < 0 ? vm_ioctl (request, arg) : vcpu_ioctl (vcpu, request, arg);
}

static bool
is_kvm_request (unsigned long request)
{
  return _IOC_TYPE (request) == KVMIO;
}

/* the next library's, or libc's */
static void *
find_next (const char *name)
{
  return dlsym (RTLD_NEXT, name);
}

/* public functions */

EXPORT void
kvm_stand_in_get_counts (struct kvm_stand_in_counts *counts)
{
  *counts = vm.counts;
}

EXPORT int
ioctl (int fd, unsigned long request, ...)
{
  int (*next) (int, unsigned long, ...);
  void *symbol;
  va_list arguments;
  void *arg;

  va_start (arguments, request);
  arg = va_arg (arguments, void *);
  va_end (arguments);
  if (is_kvm_request (request))
    return kvm_ioctl (fd, request, arg);
  symbol = find_next ("ioctl");
  memcpy (&next, &symbol, sizeof next);
  return next (fd, request, arg);
}

EXPORT long
syscall (long number, ...)
{
  long (*next) (long, ...);
  void *symbol;
  long values[6];
  va_list arguments;

  va_start (arguments, number);
  for (int i = 0; i < 6; i++)
    values[i] = va_arg (arguments, long);
  va_end (arguments);
  if (number == SYS_ioctl && is_kvm_request ((unsigned long) values[1]))
    return kvm_ioctl ((int) values[0], (unsigned long) values[1], (void *) values[2]);
  symbol = find_next ("syscall");
  memcpy (&next, &symbol, sizeof next);
  return next (number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

EXPORT ssize_t
readlink (const char *path, char *link, size_t size)
{
  ssize_t (*next) (const char *, char *, size_t);
  void *symbol = find_next ("readlink");
  char target[64];
  int fd = -1;
  int vcpu;
  size_t length;

  memcpy (&next, &symbol, sizeof next);
  if (sscanf (path, "/proc/self/fd/%d", &fd) != 1 || (vcpu = vcpu_index (fd)) < 0)
    return next (path, link, size);
  length = (size_t) snprintf (target, sizeof target, "anon_inode:kvm-vcpu:%lu", vm.vcpus[vcpu].id);
  length = length < size ? length : size;
  memcpy (link, target, length);
  return (ssize_t) length;
}
