/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * clock-ioctls - what the helper adds inside KVM_GET_CLOCK and KVM_SET_CLOCK
 *
 * The yardstick is what nobody could do without: the ioctls of plugin/qemu/README.md that make up a
 * record or a fix-up, made directly one after the other, in the same process and in turns. What the
 * helper takes beyond is its own: finding the vCPUs, the channel to the daemon, arithmetic.
 */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "figures.h"
#include "helper-protocol.h"
#include "host-time.h"
#include "kvm-vm.h"
#include "preload.h"

#define ROUNDS    201
#define VCPUS_MAX 512

#define MEMORY_SIZE             0x100000
#define PVCLOCK_SIZE            64
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01u
#define NS_PER_S                UINT64_C (1000000000)

static Preload preload;
static int daemon_fd;

/* A VM as QEMU makes one, by ioctls that the helper sees. */
struct bench_vm {
  int fd;
  int vcpu_count;
  int vcpu_fds[VCPUS_MAX];
  void *memory;
};

static double
now_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC_RAW, &now);
  return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

/* the bare ioctls */

static int
must (int result, const char *what)
{
  if (result < 0)
    g_error ("%s: %s", what, g_strerror (errno));
  return result;
}

static uint64_t
offset_ioctl (int vcpu_fd, unsigned long request, uint64_t ofs_ticks)
{
  struct kvm_device_attr attr = {
    .group = KVM_VCPU_TSC_CTRL,
    .attr = KVM_VCPU_TSC_OFFSET,
    .addr = (uintptr_t) &ofs_ticks,
  };

  must (preload.stock (vcpu_fd, request, &attr), "the TSC offset attribute");
  return ofs_ticks;
}

/* KVM_GET_MSRS or KVM_SET_MSRS of one; whether this KVM knows it is not asked. */
static void
msr_ioctl (int vcpu_fd, unsigned long request, uint32_t index, uint64_t value)
{
  struct {
    struct kvm_msrs head;
    struct kvm_msr_entry entry;
  } msr = { .head = { .nmsrs = 1 }, .entry = { .index = index, .data = value } };

  must (preload.stock (vcpu_fd, request, &msr), "KVM_GET_MSRS or KVM_SET_MSRS");
}

static void
clock_ioctl (const struct bench_vm *vm, unsigned long request, struct kvm_clock_data *clock)
{
  must (preload.stock (vm->fd, request, clock), "KVM_GET_CLOCK or KVM_SET_CLOCK");
}

/* What tells how the guest's TSC comes of the host's. */
static void
learn_tsc (const struct bench_vm *vm)
{
  int first_fd = vm->vcpu_fds[0];

  must (preload.stock (vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL), "KVM_CHECK_EXTENSION");
  must (preload.stock (first_fd, KVM_GET_TSC_KHZ, NULL), "KVM_GET_TSC_KHZ");
  must (preload.stock (vm->fd, KVM_GET_TSC_KHZ, NULL), "KVM_GET_TSC_KHZ");
  for (int i = 0; i < 3; i++)
    offset_ioctl (first_fd, KVM_GET_DEVICE_ATTR, 0);
  msr_ioctl (first_fd, KVM_GET_MSRS, MSR_TSC, 0);
}

/* All that a record takes beside KVM_GET_CLOCK. Returns ns. */
static double
measure_record_ioctls (const struct bench_vm *vm)
{
  double start_ns = now_ns ();

  learn_tsc (vm);
  for (int i = 0; i < vm->vcpu_count; i++)
    offset_ioctl (vm->vcpu_fds[i], KVM_GET_DEVICE_ATTR, 0);
  return now_ns () - start_ns;
}

static void
write_offsets (const struct bench_vm *vm, uint64_t ofs_ticks)
{
  for (int i = 0; i < vm->vcpu_count; i++) {
    offset_ioctl (vm->vcpu_fds[i], KVM_SET_DEVICE_ATTR, ofs_ticks);
    offset_ioctl (vm->vcpu_fds[i], KVM_GET_DEVICE_ATTR, 0);
  }
}

/* All that a fix-up with @attempts takes beside QEMU's own KVM_SET_CLOCK, which it replaces. */
static double
measure_fixup_ioctls (const struct bench_vm *vm, uint32_t attempts)
{
  uint64_t unused;
  struct kvm_device_attr attr = {
    .group = KVM_VCPU_TSC_CTRL,
    .attr = KVM_VCPU_TSC_OFFSET,
    .addr = (uintptr_t) &unused,
  };
  struct kvm_clock_data clock = { 0 };
  uint64_t ofs_ticks = offset_ioctl (vm->vcpu_fds[0], KVM_GET_DEVICE_ATTR, 0);
  double start_ns = now_ns ();

  must (preload.stock (vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_ADJUST_CLOCK), "KVM_CHECK_EXTENSION");
  must (preload.stock (vm->vcpu_fds[0], KVM_HAS_DEVICE_ATTR, &attr), "KVM_HAS_DEVICE_ATTR");
  learn_tsc (vm);
  must (preload.stock (vm->vcpu_fds[0], KVM_KVMCLOCK_CTRL, NULL), "KVM_KVMCLOCK_CTRL");
  /* as they were, for an undo; in step, for the master clock; then each where it is to be */
  for (int i = 0; i < vm->vcpu_count; i++)
    offset_ioctl (vm->vcpu_fds[i], KVM_GET_DEVICE_ATTR, 0);
  write_offsets (vm, ofs_ticks);
  for (uint32_t i = 0; i < attempts; i++) {
    clock.flags = 0;
    clock_ioctl (vm, KVM_SET_CLOCK, &clock);
    clock_ioctl (vm, KVM_GET_CLOCK, &clock);
  }
  write_offsets (vm, ofs_ticks - 1);
  for (int i = 0; i < vm->vcpu_count; i++)
    msr_ioctl (vm->vcpu_fds[i], KVM_GET_MSRS, MSR_TSC_DEADLINE, 0);
  clock_ioctl (vm, KVM_GET_CLOCK, &clock);
  return now_ns () - start_ns;
}

/* the VM */

static void
vm_make (struct bench_vm *vm, int kvm_fd, int vcpu_count)
{
  struct kvm_userspace_memory_region region = { .memory_size = MEMORY_SIZE };

  vm->fd = must (preload.helper (kvm_fd, KVM_CREATE_VM, NULL), "KVM_CREATE_VM");
  vm->memory = mmap (NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  g_assert_true (vm->memory != MAP_FAILED);
  region.userspace_addr = (uintptr_t) vm->memory;
  must (preload.helper (vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
  vm->vcpu_count = vcpu_count;
  for (int i = 0; i < vcpu_count; i++)
    vm->vcpu_fds[i] =
      must (preload.helper (vm->fd, KVM_CREATE_VCPU, (void *) (intptr_t) i), "KVM_CREATE_VCPU");
  for (int i = 0; i < vcpu_count; i++)
    msr_ioctl (vm->vcpu_fds[i], KVM_SET_MSRS, MSR_KVM_SYSTEM_TIME_NEW,
               (uint64_t) i * PVCLOCK_SIZE | 1);
}

static void
vm_clear (struct bench_vm *vm)
{
  for (int i = 0; i < vm->vcpu_count; i++)
    close (vm->vcpu_fds[i]);
  close (vm->fd);
  munmap (vm->memory, MEMORY_SIZE);
}

/* QEMU loads the guest: clocks of an hour ago, the same for all vCPUs. */
static void
vm_load (const struct bench_vm *vm)
{
  struct kvm_clock_data clock = { .clock = 3600 * NS_PER_S };

  for (int i = 0; i < vm->vcpu_count; i++)
    msr_ioctl (vm->vcpu_fds[i], KVM_SET_MSRS, MSR_TSC, UINT64_C (3600) << 31);
  clock_ioctl (vm, KVM_SET_CLOCK, &clock);
}

/* the daemon's end */

static void *
receive (enum helper_message_type type)
{
  static uint64_t buffer[HELPER_MESSAGE_SIZE_MAX / sizeof (uint64_t) + 1];
  const struct helper_header *header = (const struct helper_header *) buffer;
  ssize_t got = recv (daemon_fd, buffer, sizeof buffer, 0);

  if (got <= 0)
    g_error ("the helper has closed the connection: %s", g_strerror (got < 0 ? errno : 0));
  if (helper_message_check (buffer, (size_t) got, HELPER_TO_DAEMON, preload_domain, NULL) !=
      HELPER_REFUSAL_NONE)
    g_error ("the helper sent a message that the daemon would refuse");
  if (header->type == HELPER_MESSAGE_REPORT && type == HELPER_MESSAGE_RECORD)
    g_error ("the helper made no record: %s",
             helper_reason_name (((const struct helper_report *) buffer)->reason));
  if (header->type != type)
    g_error ("the helper sent a message of type %d, not %d", header->type, type);
  return buffer;
}

static void
send_fixup (const struct clock_record *record)
{
  static uint64_t buffer[HELPER_MESSAGE_SIZE_MAX / sizeof (uint64_t) + 1];
  struct helper_fixup *fixup = (struct helper_fixup *) buffer;
  size_t size = offsetof (struct helper_fixup, record) + clock_record_size (record->vcpu_count);

  memset (fixup, 0, sizeof *fixup);
  helper_header_init (&fixup->header, HELPER_MESSAGE_FIXUP, (uint32_t) size, preload_domain);
  fixup->theta_bound_ns = 1000000;
  fixup->real_minus_boot_ns = host_real_minus_boot_ns ();
  fixup->deadline_monotonic_ns = (uint64_t) g_get_monotonic_time () * 1000 + 60 * NS_PER_S;
  fixup->max_advance_ns = 300 * NS_PER_S;
  memcpy (&fixup->record, record, clock_record_size (record->vcpu_count));
  g_assert_cmpint (send (daemon_fd, fixup, size, 0), ==, (ssize_t) size);
}

/* measuring */

static double
measure_clock_ioctl (const struct bench_vm *vm, PreloadIoctl call, unsigned long request,
                     struct kvm_clock_data *clock)
{
  double start_ns = now_ns ();

  must (call (vm->fd, request, clock), "KVM_GET_CLOCK or KVM_SET_CLOCK");
  return now_ns () - start_ns;
}

/* One hand-over of the VM to itself. */
static void
measure_round (const struct bench_vm *vm, GArray *get_added, GArray *get_bare, GArray *set_added,
               GArray *set_bare)
{
  struct kvm_clock_data clock = { 0 };
  struct kvm_clock_data own = { 0 };
  const struct helper_record *message;
  const struct helper_report *report;
  double own_ns, with_ns, bare_ns;

  vm_load (vm);
  own_ns = measure_clock_ioctl (vm, preload.stock, KVM_GET_CLOCK, &own);
  with_ns = measure_clock_ioctl (vm, preload.helper, KVM_GET_CLOCK, &clock);
  samples_add (get_added, with_ns - own_ns);
  samples_add (get_bare, measure_record_ioctls (vm));
  message = receive (HELPER_MESSAGE_RECORD);
  if (message->record.guest_src_ns != clock.clock ||
      message->record.vcpu_count != (uint32_t) vm->vcpu_count)
    g_error ("the record is not of this KVM_GET_CLOCK");
  send_fixup (&message->record);

  own = (struct kvm_clock_data){ .clock = clock.clock };
  own_ns = measure_clock_ioctl (vm, preload.stock, KVM_SET_CLOCK, &own);
  clock = (struct kvm_clock_data){ .clock = clock.clock };
  with_ns = measure_clock_ioctl (vm, preload.helper, KVM_SET_CLOCK, &clock);
  report = receive (HELPER_MESSAGE_REPORT);
  if (report->verdict != HELPER_VERDICT_FIXED)
    g_error ("the helper did not fix the clocks: %s, %s", helper_verdict_name (report->verdict),
             helper_reason_name (report->reason));
  bare_ns = measure_fixup_ioctls (vm, report->attempts);
  /* else this process was not running in the midst of QEMU's own ioctl, and the round tells nothing */
  if (bare_ns > own_ns) {
    samples_add (set_added, with_ns - own_ns);
    samples_add (set_bare, bare_ns - own_ns);
  }
}

static void
report_figure (const char *ioctl_name, int vcpu_count, GArray *added, GArray *bare)
{
  g_autofree char *what = g_strdup_printf ("time added inside %s, %d vCPU%s", ioctl_name,
                                           vcpu_count, vcpu_count == 1 ? "" : "s");

  figure_print (&(Figure){
    .part = "helper",
    .what = what,
    .unit = "ns",
    .samples = added,
    .against = "the bare ioctls that have to be made",
    .control = bare,
    .goal = FIGURE_GOAL_RATIO,
    .limit = 1.5,
    .remark = preload.keeps_offsets
                ? "KVM of this machine drops TSC offsets: what is read back is a stand-in's"
                : NULL,
  });
}

static void
measure_vm (int kvm_fd, int vcpu_count)
{
  g_autoptr (GArray) get_added = samples_new ();
  g_autoptr (GArray) get_bare = samples_new ();
  g_autoptr (GArray) set_added = samples_new ();
  g_autoptr (GArray) set_bare = samples_new ();
  struct bench_vm vm;

  vm_make (&vm, kvm_fd, vcpu_count);
  if (daemon_fd < 0)
    daemon_fd = preload_connect ();
  for (int i = 0; i < ROUNDS; i++)
    measure_round (&vm, get_added, get_bare, set_added, set_bare);
  vm_clear (&vm);
  report_figure ("KVM_GET_CLOCK", vcpu_count, get_added, get_bare);
  report_figure ("KVM_SET_CLOCK", vcpu_count, set_added, set_bare);
}

int
main (int argc, char **argv)
{
  static const int vcpu_counts[] = { 1, 8, 64, VCPUS_MAX };
  int kvm_fd;

  preload_begin (argc, argv, true, &preload);
  kvm_fd = open ("/dev/kvm", O_RDWR | O_CLOEXEC);
  g_assert_no_errno (kvm_fd);
  daemon_fd = -1;
  for (size_t i = 0; i < G_N_ELEMENTS (vcpu_counts); i++)
    measure_vm (kvm_fd, vcpu_counts[i]);
  preload_end ();
  return EXIT_SUCCESS;
}
