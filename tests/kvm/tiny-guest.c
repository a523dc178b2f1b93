/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tiny-guest.h"

#include <errno.h>
#include <glib.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host-calls.h"

#define CPUID_ENTRIES_MAX 256
/* Leaf 1, ECX */
#define CPUID_X2APIC       (1u << 21)
#define CPUID_TSC_DEADLINE (1u << 24)

/* MSR_IA32_APICBASE: enabled, in x2APIC mode */
#define APIC_BASE_X2APIC 0xc00u

#define HOST_PAIRS 64

/* A pair (host TSC, CLOCK_REALTIME), and how far it may be off. */
struct host_pair {
  uint64_t tsc_ticks;
  uint64_t real_ns;
  uint64_t bound_ticks;
};

static int
bare_ioctl (int fd, unsigned long request, void *arg)
{
  return ioctl (fd, request, arg);
}

/* Past the helper, whose own ways to the same things are what is tested. */
static int
one_msr_ioctl (const struct tiny_vm *vm, int index, unsigned long request,
               struct kvm_msr_entry *entry)
{
  g_autofree struct kvm_msrs *msrs = g_malloc0 (sizeof *msrs + sizeof *entry);
  int done;

  msrs->nmsrs = 1;
  msrs->entries[0] = *entry;
  done = ioctl (vm->vcpus[index].fd, request, msrs);
  *entry = msrs->entries[0];
  return done;
}

static int
offset_ioctl (const struct tiny_vm *vm, int index, unsigned long request, uint64_t *ofs_ticks)
{
  struct kvm_device_attr attr = {
    .group = KVM_VCPU_TSC_CTRL,
    .attr = KVM_VCPU_TSC_OFFSET,
    .addr = (uintptr_t) ofs_ticks,
  };

  return ioctl (vm->vcpus[index].fd, request, &attr);
}

/* building a VM */

/* All that this KVM can do, and for a guest with an APIC what it does not offer by itself. */
static void
vcpu_set_cpuid (const struct tiny_vm *vm, int fd)
{
  g_autofree struct kvm_cpuid2 *cpuid =
    g_malloc0 (sizeof (struct kvm_cpuid2) + CPUID_ENTRIES_MAX * sizeof (struct kvm_cpuid_entry2));

  cpuid->nent = CPUID_ENTRIES_MAX;
  tiny_must_ioctl (vm->call, vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid, "KVM_GET_SUPPORTED_CPUID");
  for (uint32_t i = 0; i < cpuid->nent; i++) {
    if (cpuid->entries[i].function == 1 && vm->has_apic)
      cpuid->entries[i].ecx |= CPUID_X2APIC | CPUID_TSC_DEADLINE;
  }
  tiny_must_ioctl (vm->call, fd, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2");
}

static void
segment_set (struct kvm_segment *segment, uint32_t base)
{
  segment->base = base;
  segment->selector = (uint16_t) (base >> 4);
}

static void
vcpu_set_registers (const struct tiny_vm *vm, int fd, uint32_t data_at)
{
  struct kvm_regs regs = { .rsp = GUEST_DATA_SIZE, .rflags = 2 };
  struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
  struct kvm_sregs sregs;

  tiny_must_ioctl (vm->call, fd, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
  segment_set (&sregs.cs, GUEST_CODE_AT);
  segment_set (&sregs.ds, data_at);
  segment_set (&sregs.es, data_at);
  segment_set (&sregs.ss, data_at);
  if (vm->has_apic)
    sregs.apic_base |= APIC_BASE_X2APIC;
  tiny_must_ioctl (vm->call, fd, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
  tiny_must_ioctl (vm->call, fd, KVM_SET_REGS, &regs, "KVM_SET_REGS");
  if (vm->has_apic)
    tiny_must_ioctl (vm->call, fd, KVM_SET_MP_STATE, &runnable, "KVM_SET_MP_STATE");
}

static void
memory_add (struct tiny_vm *vm)
{
  struct kvm_userspace_memory_region region = { .memory_size = GUEST_MEMORY_SIZE };
  uint16_t interrupt[2] = {
    (uint16_t) (guest_timer_interrupt - guest_code_start),
    GUEST_CODE_AT >> 4,
  };

  vm->memory =
    mmap (NULL, GUEST_MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_assert_true (vm->memory != MAP_FAILED);
  memcpy (vm->memory + GUEST_CODE_AT, guest_code_start,
          (size_t) (guest_code_end - guest_code_start));
  memcpy (vm->memory + GUEST_TIMER_VECTOR * sizeof interrupt, interrupt, sizeof interrupt);
  region.userspace_addr = (uintptr_t) vm->memory;
  tiny_must_ioctl (vm->call, vm->fd, KVM_SET_USER_MEMORY_REGION, &region,
                   "KVM_SET_USER_MEMORY_REGION");
}

/* reading a guest's clocks */

/* The tightest of some pairs: what comes between makes it wider, never wrong. */
static struct host_pair
host_pair_read (void)
{
  struct host_pair best = { .bound_ticks = UINT64_MAX };

  for (int i = 0; i < HOST_PAIRS; i++) {
    uint64_t before_ticks = host_calls.tsc_ticks ();
    uint64_t real_ns = host_calls.clock_ns (CLOCK_REALTIME);
    uint64_t bound_ticks = (host_calls.tsc_ticks () - before_ticks) / 2;

    if (bound_ticks < best.bound_ticks)
      best = (struct host_pair){
        .tsc_ticks = before_ticks + bound_ticks,
        .real_ns = real_ns,
        .bound_ticks = bound_ticks,
      };
  }
  return best;
}

/* The frequencies are the same, so the guest's TSC is the host's plus the offset. */
static void
sample_place (const struct tiny_vm *vm, int index, struct tiny_sample *sample)
{
  struct host_pair pair = host_pair_read ();
  uint64_t host_tsc_ticks = sample->tsc_ticks - tiny_vcpu_get_offset (vm, index);

  sample->real_ns =
    pair.real_ns - (uint64_t) ticks_to_ns ((int64_t) (pair.tsc_ticks - host_tsc_ticks), vm->khz);
  sample->real_bound_ns = (uint64_t) ticks_to_ns ((int64_t) pair.bound_ticks, vm->khz);
}

/* public functions */

void
tiny_vm_init (struct tiny_vm *vm, int kvm_fd, int vcpu_count, bool has_apic, tiny_ioctl call)
{
  *vm = (struct tiny_vm){
    .kvm_fd = kvm_fd,
    .call = call != NULL ? call : bare_ioctl,
    .has_apic = has_apic,
  };
  vm->fd = tiny_must_ioctl (vm->call, kvm_fd, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
  memory_add (vm);
  /* VMX without unrestricted guests needs a place for real mode; others have no use for it */
  vm->call (vm->fd, KVM_SET_TSS_ADDR, (void *) 0xfffbd000);
  if (has_apic)
    tiny_must_ioctl (vm->call, vm->fd, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
  vm->run_size = (size_t) tiny_must_ioctl (vm->call, kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL,
                                           "KVM_GET_VCPU_MMAP_SIZE");
  for (int i = 0; i < vcpu_count; i++)
    tiny_vm_add_vcpu (vm);
  for (int i = 0; i < vcpu_count; i++)
    tiny_vcpu_enable_pvclock (vm, i);
}

void
tiny_vm_clear (struct tiny_vm *vm)
{
  for (int i = 0; i < vm->vcpu_count; i++) {
    munmap (vm->vcpus[i].run, vm->run_size);
    close (vm->vcpus[i].fd);
  }
  close (vm->fd);
  munmap (vm->memory, GUEST_MEMORY_SIZE);
}

int
tiny_vm_add_vcpu (struct tiny_vm *vm)
{
  int index = vm->vcpu_count;
  uint32_t data_at = GUEST_DATA_AT + GUEST_DATA_SIZE * (uint32_t) index;
  struct tiny_vcpu *vcpu = &vm->vcpus[index];

  g_assert_cmpint (index, <, GUEST_VCPUS_MAX);
  vcpu->fd = tiny_must_ioctl (vm->call, vm->fd, KVM_CREATE_VCPU, (void *) (uintptr_t) index,
                              "KVM_CREATE_VCPU");
  vcpu->run = mmap (NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
  g_assert_true (vcpu->run != MAP_FAILED);
  vcpu->data = (struct guest_data *) (void *) (vm->memory + data_at);
  vcpu_set_cpuid (vm, vcpu->fd);
  vcpu_set_registers (vm, vcpu->fd, data_at);
  vm->khz =
    (uint32_t) tiny_must_ioctl (vm->call, vcpu->fd, KVM_GET_TSC_KHZ, NULL, "KVM_GET_TSC_KHZ");
  return vm->vcpu_count++;
}

uint64_t
tiny_vcpu_pvclock_msr (int index)
{
  return (GUEST_DATA_AT + GUEST_DATA_SIZE * (unsigned) index + GUEST_PVCLOCK) | KVM_PVCLOCK_ENABLED;
}

void
tiny_vcpu_enable_pvclock (struct tiny_vm *vm, int index)
{
  tiny_vcpu_set_msr (vm, index, MSR_KVM_SYSTEM_TIME_NEW, tiny_vcpu_pvclock_msr (index));
}

bool
tiny_vcpu_run (struct tiny_vm *vm, int index, const uint8_t *operation)
{
  struct tiny_vcpu *vcpu = &vm->vcpus[index];
  int result;

  vcpu->data->operation = (uint16_t) (operation - guest_code_start);
  do
    result = vm->call (vcpu->fd, KVM_RUN, NULL);
  while (result < 0 && errno == EINTR);
  return result == 0 && vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == GUEST_PORT;
}

struct tiny_sample
tiny_vcpu_read_clocks (struct tiny_vm *vm, int index)
{
  const struct guest_data *data = vm->vcpus[index].data;
  struct tiny_sample sample = { .host_tsc_enter_ticks = host_calls.tsc_ticks () };

  g_assert_true (tiny_vcpu_run (vm, index, guest_read_clocks));
  sample.host_tsc_leave_ticks = host_calls.tsc_ticks ();
  sample.tsc_ticks = data->tsc_ticks;
  sample.page = data->pvclock_read;
  sample.kvmclock_ns = pvclock_at (&sample.page, sample.tsc_ticks);
  sample_place (vm, index, &sample);
  return sample;
}

void
tiny_vcpu_write_msr (struct tiny_vm *vm, int index, uint32_t msr, uint64_t value)
{
  vm->vcpus[index].data->msr_index = msr;
  vm->vcpus[index].data->msr_value = value;
  g_assert_true (tiny_vcpu_run (vm, index, guest_write_msr));
}

uint64_t
tiny_vcpu_read_msr (struct tiny_vm *vm, int index, uint32_t msr)
{
  vm->vcpus[index].data->msr_index = msr;
  g_assert_true (tiny_vcpu_run (vm, index, guest_read_msr));
  return vm->vcpus[index].data->msr_value;
}

void
tiny_vcpu_set_msr (const struct tiny_vm *vm, int index, uint32_t msr, uint64_t value)
{
  struct kvm_msr_entry entry = { .index = msr, .data = value };

  g_assert_cmpint (one_msr_ioctl (vm, index, KVM_SET_MSRS, &entry), ==, 1);
}

uint64_t
tiny_vcpu_get_msr (const struct tiny_vm *vm, int index, uint32_t msr)
{
  struct kvm_msr_entry entry = { .index = msr };

  g_assert_cmpint (one_msr_ioctl (vm, index, KVM_GET_MSRS, &entry), ==, 1);
  return entry.data;
}

void
tiny_vcpu_set_offset (const struct tiny_vm *vm, int index, uint64_t ofs_ticks)
{
  g_assert_cmpint (offset_ioctl (vm, index, KVM_SET_DEVICE_ATTR, &ofs_ticks), ==, 0);
}

uint64_t
tiny_vcpu_get_offset (const struct tiny_vm *vm, int index)
{
  uint64_t ofs_ticks = 0;

  g_assert_cmpint (offset_ioctl (vm, index, KVM_GET_DEVICE_ATTR, &ofs_ticks), ==, 0);
  return ofs_ticks;
}

struct kvm_clock_data
tiny_vm_get_clock (const struct tiny_vm *vm)
{
  struct kvm_clock_data clock = { 0 };

  tiny_must_ioctl (bare_ioctl, vm->fd, KVM_GET_CLOCK, &clock, "KVM_GET_CLOCK");
  return clock;
}

void
tiny_vm_set_clock (const struct tiny_vm *vm, uint64_t clock_ns, uint64_t realtime_ns)
{
  struct kvm_clock_data clock = {
    .clock = clock_ns,
    .flags = realtime_ns != 0 ? KVM_CLOCK_REALTIME : 0,
    .realtime = realtime_ns,
  };

  tiny_must_ioctl (bare_ioctl, vm->fd, KVM_SET_CLOCK, &clock, "KVM_SET_CLOCK");
}

int
tiny_must_ioctl (tiny_ioctl call, int fd, unsigned long request, void *arg, const char *what)
{
  int result = call (fd, request, arg);

  if (result < 0)
    g_error ("%s: %s", what, g_strerror (errno));
  return result;
}

uint64_t
pvclock_at (const struct pvclock_page *page, uint64_t tsc_ticks)
{
  uint64_t delta = tsc_ticks - page->tsc_timestamp;

  if (page->tsc_shift >= 0)
    delta <<= page->tsc_shift;
  else
    delta >>= -page->tsc_shift;
  return page->system_time + (uint64_t) ((unsigned __int128) delta * page->tsc_to_system_mul >> 32);
}

int64_t
ticks_to_ns (int64_t ticks, uint32_t khz)
{
  return (int64_t) ((__int128) ticks * 1000000 / khz);
}
