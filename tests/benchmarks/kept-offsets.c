/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * kept-offsets - a KVM that keeps TSC offsets, for benchmarks on one that drops them
 *
 * Comes after the helper in LD_PRELOAD. Every ioctl goes to the kernel, so that all of them cost
 * what they cost; what KVM_GET_DEVICE_ATTR says of an offset is then what was set last, and
 * KVM_GET_CLOCK says that there is a master clock. A KVM_SET_MSRS of a TSC takes back what was set,
 * as QEMU's loading of a guest does.
 */

#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#define FDS_MAX 8192
#define MSR_TSC 0x10u

#define CLOCK_FLAGS (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

static int (*next_ioctl) (int fd, unsigned long request, ...);

static struct {
  bool is_kept;
  uint64_t ofs_ticks;
} offsets[FDS_MAX];

static bool
is_offset (int fd, const struct kvm_device_attr *attr)
{
  return fd >= 0 && fd < FDS_MAX && attr->group == KVM_VCPU_TSC_CTRL &&
         attr->attr == KVM_VCPU_TSC_OFFSET;
}

static void
keep (int fd, uint32_t request, const struct kvm_device_attr *attr)
{
  uint64_t *ofs_ticks = (uint64_t *) (uintptr_t) attr->addr;

  if (!is_offset (fd, attr))
    return;
  if (request == (uint32_t) KVM_SET_DEVICE_ATTR) {
    offsets[fd].is_kept = true;
    offsets[fd].ofs_ticks = *ofs_ticks;
  } else if (offsets[fd].is_kept) {
    *ofs_ticks = offsets[fd].ofs_ticks;
  }
}

static void
complete_clock (struct kvm_clock_data *clock)
{
  if ((clock->flags & CLOCK_FLAGS) == CLOCK_FLAGS)
    return;
  clock->flags |= CLOCK_FLAGS;
  clock->host_tsc = __rdtsc ();
}

__attribute__ ((visibility ("default"))) int
ioctl (int fd, unsigned long request, ...)
{
  va_list arguments;
  void *arg;
  int result;

  va_start (arguments, request);
  arg = va_arg (arguments, void *);
  va_end (arguments);

  result = next_ioctl (fd, request, arg);
  if (result < 0)
    return result;
  switch ((uint32_t) request) {
  case (uint32_t) KVM_GET_DEVICE_ATTR:
  case (uint32_t) KVM_SET_DEVICE_ATTR:
    keep (fd, (uint32_t) request, arg);
    break;
  case (uint32_t) KVM_GET_CLOCK:
    complete_clock (arg);
    break;
  case (uint32_t) KVM_SET_MSRS:
    if (fd < FDS_MAX && ((struct kvm_msrs *) arg)->entries[0].index == MSR_TSC)
      offsets[fd].is_kept = false;
    break;
  default:
    break;
  }
  return result;
}

__attribute__ ((constructor)) static void
start (void)
{
  void *symbol = dlsym (RTLD_NEXT, "ioctl");

  memcpy (&next_ioctl, &symbol, sizeof next_ioctl);
}
