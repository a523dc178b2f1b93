/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "clock-events.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "clock-fixup.h"
#include "clock-source.h"
#include "helper-channel.h"
#include "host-calls.h"
#include "host-time.h"
#include "kvm-vm.h"

static uint64_t qemu_started_ns; /* CLOCK_MONOTONIC */
static atomic_bool watching;

/*
 * With Xen emulation QEMU reads the clock while vCPUs run (kvm_get_current_ns() in
 * target/i386/kvm/xen-emu.c): then vCPU ioctls would block, so do nothing at all.
 */
static atomic_bool is_xen;

/* QEMU itself moves clocks as we would, as Oracle Linux's qemu-kvm 7.2.0-29 does: stand down. */
static atomic_bool is_patched;

/* One thread at a time works on the statics; whoever comes meanwhile just passes through. */
static atomic_flag busy = ATOMIC_FLAG_INIT;

static struct kvm_vm vm;

void
clock_events_start (const struct helper_process *process)
{
  qemu_started_ns = host_calls.clock_ns (CLOCK_MONOTONIC);
  helper_channel_open (process->home, process->domain, process->refused_uid);
  atomic_store (&watching, true);
}

void
clock_events_stop (void)
{
  atomic_store (&watching, false);
  atomic_store (&is_xen, false);
  atomic_store (&is_patched, false);
  helper_channel_close ();
}

/* The process has a VM, so it is the emulator and not a shell around it: take up work. */
static void
on_vm_created (void)
{
  int errno_before = errno;

  /* children of QEMU need no helper; not earlier, as a shell must still hand it down to QEMU */
  /* NOLINTNEXTLINE(concurrency-mt-unsafe): a reader may miss a variable meanwhile, and no more */
  unsetenv ("LD_PRELOAD");
  helper_channel_listen ();
  errno = errno_before;
}

static void
on_device_attr (int fd, const struct kvm_device_attr *attr)
{
  if (attr->group == KVM_VCPU_TSC_CTRL && attr->attr == KVM_VCPU_TSC_OFFSET && kvm_vm_is_vcpu (fd))
    atomic_store (&is_patched, true);
}

static void
send_no_record (enum helper_reason reason, const struct kvm_clock_data *clock)
{
  struct helper_report *report = helper_channel_report ();

  report->reason = reason;
  if (reason == HELPER_REASON_IOCTL_FAILED)
    report->failed_errno = errno;
  report->flags = HELPER_REPORT_NO_RECORD;
  report->clock_ns = clock->clock;
  helper_channel_send_report ();
}

/* After QEMU's KVM_GET_CLOCK gave @clock. */
static void
on_clock_read (int vm_fd, const struct kvm_clock_data *clock)
{
  uint64_t host_ns = clock_host_ns (clock);
  /* at once, as the clock may be set at any time */
  int64_t real_minus_boot_ns = host_real_minus_boot_ns ();
  enum helper_reason reason;

  kvm_vm_find_reading (vm_fd, &vm);
  helper_channel_service ();
  reason =
    kvm_vm_has_unseen_vcpus (&vm)
      ? HELPER_REASON_UNSEEN_VCPUS
      : clock_source_fill (&vm, clock, host_ns, real_minus_boot_ns, helper_channel_record ());
  if (reason == HELPER_REASON_NONE)
    helper_channel_send_record ();
  else
    send_no_record (reason, clock);
}

/* In place of QEMU's KVM_SET_CLOCK, for a migration that the daemon has announced. */
static int
clock_set (int fd, unsigned long request, struct kvm_clock_data *clock)
{
  uint64_t start_ns = host_calls.clock_ns (CLOCK_MONOTONIC);
  uint64_t waited_ns = atomic_load (&is_patched) ? 0 : helper_channel_await_fixup (clock->clock);
  const struct helper_fixup *fixup = helper_channel_fixup ();
  struct helper_report *report = helper_channel_report ();
  struct fixup_plan plan;
  enum helper_reason reason = HELPER_REASON_NO_RECORD;
  bool done = false;
  int result = 0;
  int errno_of_qemu = 0;

  report->clock_ns = clock->clock;
  report->waited_ns = waited_ns;
  if (atomic_load (&is_patched)) {
    reason = HELPER_REASON_PATCHED_QEMU;
  } else if (fixup != NULL) {
    kvm_vm_find (fd, &vm);
    reason = fixup_decide (fixup, &vm, clock->clock, qemu_started_ns, &plan);
    report->theta_ns = plan.theta_ns;
    report->theta_bound_ns = fixup->theta_bound_ns;
    report->deadline_monotonic_ns = fixup->deadline_monotonic_ns;
    report->freq_dest_khz = plan.tsc.freq_khz;
    if (reason == HELPER_REASON_IOCTL_FAILED)
      report->failed_errno = errno;
  }
  report->reason = reason;

  if (reason == HELPER_REASON_NONE && fixup->mode == HELPER_MODE_APPLY)
    done = clock_fixup_apply (&plan, report);
  if (!done) {
    result = host_calls.ioctl (fd, request, clock);
    errno_of_qemu = errno;
  }
  if (reason == HELPER_REASON_NONE && fixup->mode == HELPER_MODE_OBSERVE && result == 0)
    clock_fixup_observe (&plan, report);

  report->spent_ns = host_calls.clock_ns (CLOCK_MONOTONIC) - start_ns;
  helper_channel_send_report ();
  helper_channel_settle ();
  /* of interest if it failed: sending may have failed since, for another reason */
  errno = errno_of_qemu;
  return result;
}

static int
on_get_clock (int fd, unsigned long request, struct kvm_clock_data *clock)
{
  int result = host_calls.ioctl (fd, request, clock);

  if (result == 0)
    on_clock_read (fd, clock);
  return result;
}

static int
on_set_clock (int fd, unsigned long request, struct kvm_clock_data *clock)
{
  /* stock QEMU passes none; KVM_CLOCK_REALTIME does what we would */
  if (clock->flags != 0)
    atomic_store (&is_patched, true);
  helper_channel_service ();
  if (!helper_channel_is_expecting ())
    return host_calls.ioctl (fd, request, clock);
  return clock_set (fd, request, clock);
}

/*
 * The clock ioctls, one thread at a time. QEMU looks at errno after success too, so only a failing
 * ioctl of its own may change it.
 */
static int
on_clock_ioctl (int fd, unsigned long request, void *arg)
{
  int errno_before = errno;
  int result;

  if (atomic_load (&is_xen) || atomic_flag_test_and_set (&busy))
    return host_calls.ioctl (fd, request, arg);
  if ((uint32_t) request == (uint32_t) KVM_GET_CLOCK)
    result = on_get_clock (fd, request, arg);
  else
    result = on_set_clock (fd, request, arg);
  atomic_flag_clear (&busy);
  if (result == 0)
    errno = errno_before;
  return result;
}

int
clock_events_ioctl (int fd, unsigned long request, void *arg)
{
  int result;

  if (!atomic_load_explicit (&watching, memory_order_relaxed))
    return host_calls.ioctl (fd, request, arg);

  /* QEMU before 9.1 hands the request on as an int: sign-extended */
  switch ((uint32_t) request) {
  case (uint32_t) KVM_GET_CLOCK:
  case (uint32_t) KVM_SET_CLOCK:
    return on_clock_ioctl (fd, request, arg);
  case KVM_CREATE_VM:
    result = host_calls.ioctl (fd, request, arg);
    if (result >= 0)
      on_vm_created ();
    return result;
  case KVM_CREATE_VCPU:
    result = host_calls.ioctl (fd, request, arg);
    if (result >= 0)
      kvm_vm_note_vcpu (fd, (unsigned long) arg, result);
    return result;
  case KVM_SET_DEVICE_ATTR:
    on_device_attr (fd, arg);
    return host_calls.ioctl (fd, request, arg);
  case KVM_XEN_HVM_CONFIG:
    atomic_store (&is_xen, true);
    return host_calls.ioctl (fd, request, arg);
  default:
    return host_calls.ioctl (fd, request, arg);
  }
}
