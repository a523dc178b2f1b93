/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-kvm-probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Ticks that an offset is moved by: neither lost in rounding nor taken for one that "matches". */
#define OFFSET_STEP_TICKS (UINT64_C (1) << 40)

/* Remember the first ioctl that failed; nothing after it is of use. */
static int
try_ioctl (KvmProbe *probe, const char *name, int fd, unsigned long request, void *argument)
{
  int result = ioctl (fd, request, argument);

  if (result < 0) {
    probe->failed_call = name;
    probe->call_errno = errno;
  }
  return result;
}

static int
offset_ioctl (int vcpu_fd, unsigned long request, uint64_t *ofs_ticks)
{
  struct kvm_device_attr attribute = {
    .group = KVM_VCPU_TSC_CTRL,
    .attr = KVM_VCPU_TSC_OFFSET,
    .addr = (uintptr_t) ofs_ticks,
  };

  return ioctl (vcpu_fd, request, &attribute);
}

static void
probe_tsc_offset (int vcpu_fd, KvmProbe *probe)
{
  uint64_t ofs_ticks = 0;
  uint64_t wanted_ticks;

  /* an older kernel has no attributes at all: an error is its way to say so */
  probe->has_tsc_offset = offset_ioctl (vcpu_fd, KVM_HAS_DEVICE_ATTR, &ofs_ticks) == 0 &&
                          offset_ioctl (vcpu_fd, KVM_GET_DEVICE_ATTR, &ofs_ticks) == 0;
  if (!probe->has_tsc_offset)
    return;
  wanted_ticks = ofs_ticks + OFFSET_STEP_TICKS;
  probe->keeps_tsc_offset = offset_ioctl (vcpu_fd, KVM_SET_DEVICE_ATTR, &wanted_ticks) == 0 &&
                            offset_ioctl (vcpu_fd, KVM_GET_DEVICE_ATTR, &ofs_ticks) == 0 &&
                            ofs_ticks == wanted_ticks;
}

/* KVM decides on its master clock at KVM_SET_CLOCK; before, a VM that never ran has no flags. */
static void
probe_clock (int vm_fd, KvmProbe *probe)
{
  struct kvm_clock_data clock = { .clock = 1000000000 };

  probe->offered_clock_flags =
    (guint) MAX (0, ioctl (vm_fd, KVM_CHECK_EXTENSION, (long) KVM_CAP_ADJUST_CLOCK));
  if (try_ioctl (probe, "KVM_SET_CLOCK", vm_fd, KVM_SET_CLOCK, &clock) < 0 ||
      try_ioctl (probe, "KVM_GET_CLOCK", vm_fd, KVM_GET_CLOCK, &clock) < 0)
    return;
  probe->clock_flags = clock.flags;
}

static void
probe_vcpu (int vm_fd, int vcpu_fd, KvmProbe *probe)
{
  int khz;

  probe->has_scaling = ioctl (vm_fd, KVM_CHECK_EXTENSION, (long) KVM_CAP_TSC_CONTROL) > 0;
  probe->has_vm_tsc_khz = ioctl (vm_fd, KVM_CHECK_EXTENSION, (long) KVM_CAP_VM_TSC_CONTROL) > 0;
  khz = try_ioctl (probe, "KVM_GET_TSC_KHZ", vcpu_fd, KVM_GET_TSC_KHZ, NULL);
  if (khz < 0)
    return;
  probe->tsc_khz = (guint) khz;
  probe_clock (vm_fd, probe);
  if (probe->failed_call == NULL)
    probe_tsc_offset (vcpu_fd, probe);
}

/* public functions */

void
kvm_probe_run (const char *device, KvmProbe *probe)
{
  int kvm_fd = open (device, O_RDWR | O_CLOEXEC);
  int vm_fd, vcpu_fd;

  *probe = (KvmProbe){ 0 };
  if (kvm_fd < 0) {
    probe->open_errno = errno;
    return;
  }
  vm_fd = try_ioctl (probe, "KVM_CREATE_VM", kvm_fd, KVM_CREATE_VM, NULL);
  if (vm_fd >= 0) {
    vcpu_fd = try_ioctl (probe, "KVM_CREATE_VCPU", vm_fd, KVM_CREATE_VCPU, NULL);
    if (vcpu_fd >= 0) {
      probe_vcpu (vm_fd, vcpu_fd, probe);
      close (vcpu_fd);
    }
    close (vm_fd);
  }
  close (kvm_fd);
}
