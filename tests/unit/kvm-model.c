/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "kvm-model.h"

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/kvm.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "host-calls.h"
#include "kvm-vm.h"

#define VM_FD(index)         (1000 + 100 * (index))
#define VCPU_FD(index, vcpu) (VM_FD (index) + 1 + (int) (vcpu))

struct kvm_model_host kvm_model_hosts[2];

static uint64_t now_ns;
static int here;
static GRand *dice;
static char *links;
static struct host_calls real_calls;

static uint64_t
host_tsc (const struct kvm_model_host *host, uint64_t at_ns)
{
  return host->tsc_at_zero_ticks +
         (uint64_t) ((unsigned __int128) at_ns * host->host_khz / 1000000);
}

static bool
host_scales (const struct kvm_model_host *host)
{
  uint32_t low = (uint32_t) ((uint64_t) host->host_khz * 999750 / 1000000);
  uint32_t high = (uint32_t) ((uint64_t) host->host_khz * 1000250 / 1000000);

  return host->frac_bits != 0 && (host->guest_khz < low || host->guest_khz > high);
}

static uint64_t
scaled_tsc (const struct kvm_model_host *host, uint64_t tsc)
{
  unsigned __int128 ratio;

  if (!host_scales (host))
    return tsc;
  ratio = ((unsigned __int128) 1 << host->frac_bits) * host->guest_khz / host->host_khz;
  return (uint64_t) (tsc * ratio / ((unsigned __int128) 1 << host->frac_bits));
}

uint64_t
kvm_model_guest_tsc (int index, uint32_t vcpu, uint64_t at_ns)
{
  const struct kvm_model_host *host = &kvm_model_hosts[index];

  return scaled_tsc (host, host_tsc (host, at_ns)) + host->vcpus[vcpu].ofs_ticks;
}

uint64_t
kvm_model_kvmclock (int index, uint64_t at_ns)
{
  return (uint64_t) ((int64_t) at_ns + kvm_model_hosts[index].kvmclock_at_zero_ns);
}

uint64_t
kvm_model_realtime (int index, uint64_t at_ns)
{
  return kvm_model_hosts[index].real_at_zero_ns + at_ns;
}

static void
decide_master (struct kvm_model_host *host)
{
  host->use_master = host->stable_tsc && host->matched_count + 1 == host->vcpu_count;
}

void
kvm_model_enter (int index)
{
  decide_master (&kvm_model_hosts[index]);
}

static void
write_offset (struct kvm_model_host *host, struct kvm_model_vcpu *vcpu, uint64_t ofs_ticks)
{
  bool matched = host->last_ofs_ticks == ofs_ticks;

  host->last_ofs_ticks = ofs_ticks;
  vcpu->ofs_ticks = ofs_ticks;
  if (!matched) {
    host->generation++;
    host->matched_count = 0;
  } else if (vcpu->generation != host->generation) {
    host->matched_count++;
  }
  vcpu->generation = host->generation;
}

void
kvm_model_load_offsets (int index, const uint64_t *ofs_ticks)
{
  struct kvm_model_host *host = &kvm_model_hosts[index];

  host->last_ofs_ticks = ~ofs_ticks[0];
  for (uint32_t i = 0; i < host->vcpu_count; i++)
    write_offset (host, &host->vcpus[i], ofs_ticks[i]);
}

static int
fail (int error)
{
  errno = error;
  return -1;
}

static int
vm_get_clock (struct kvm_model_host *host, struct kvm_clock_data *clock)
{
  *clock = (struct kvm_clock_data){ .clock = kvm_model_kvmclock (here, now_ns) };
  if (host->use_master && host->old_kernel)
    clock->flags = KVM_CLOCK_TSC_STABLE;
  if (host->use_master && !host->old_kernel) {
    clock->flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
    clock->realtime = kvm_model_realtime (here, now_ns);
    clock->host_tsc = host_tsc (host, now_ns);
  }
  return 0;
}

static int
vm_set_clock (struct kvm_model_host *host, const struct kvm_clock_data *clock)
{
  uint64_t sampled_ns = now_ns;
  uint64_t value_ns = clock->clock;

  host->set_clock_count++;
  if (clock->flags != 0 && (host->old_kernel || clock->flags != KVM_CLOCK_REALTIME))
    return fail (EINVAL);
  decide_master (host);
  if (clock->flags == KVM_CLOCK_REALTIME) {
    uint64_t real_ns;

    now_ns +=
      (uint64_t) g_rand_int_range (dice, (int) host->gap_min_ns, (int) host->gap_max_ns + 1);
    real_ns = kvm_model_realtime (here, now_ns);
    if (real_ns > clock->realtime)
      value_ns += real_ns - clock->realtime;
  }
  host->kvmclock_at_zero_ns = (int64_t) (value_ns - sampled_ns);
  host->real_at_zero_ns += (uint64_t) host->realtime_step_ns;
  host->realtime_step_ns *= 2; /* a steady one would be corrected for */
  return 0;
}

static int
vm_check_extension (const struct kvm_model_host *host, long capability)
{
  switch (capability) {
  case KVM_CAP_ADJUST_CLOCK:
    return host->old_kernel ? 2 : 14;
  case KVM_CAP_TSC_CONTROL:
    return host->frac_bits != 0;
  default:
    return 0;
  }
}

static int
vcpu_attr (struct kvm_model_host *host, struct kvm_model_vcpu *vcpu, unsigned long request,
           const struct kvm_device_attr *attr)
{
  uint64_t *ofs_ticks = (uint64_t *) (uintptr_t) attr->addr;

  g_assert_cmpuint (attr->group, ==, KVM_VCPU_TSC_CTRL);
  g_assert_cmpuint (attr->attr, ==, KVM_VCPU_TSC_OFFSET);
  if (host->old_kernel)
    return fail (ENXIO);
  if (request == KVM_GET_DEVICE_ATTR)
    *ofs_ticks = vcpu->ofs_ticks;
  if (request == KVM_SET_DEVICE_ATTR) {
    host->set_offset_count++;
    host->kvmclock_at_zero_ns += host->kvmclock_step_ns;
    host->use_master = host->use_master && !host->loses_master;
    if (!host->drops_offsets)
      write_offset (host, vcpu, *ofs_ticks);
  }
  return 0;
}

/* The true time at which the vCPU's TSC, as it runs now, reaches the deadline */
static double
deadline_time (int index, uint32_t vcpu)
{
  const struct kvm_model_host *host = &kvm_model_hosts[index];
  uint64_t tsc = kvm_model_guest_tsc (index, vcpu, now_ns);

  return (double) now_ns +
         (double) (int64_t) (host->vcpus[vcpu].deadline_ticks - tsc) * 1e6 / host->guest_khz;
}

void
kvm_model_arm (int index, uint32_t vcpu, uint64_t deadline_ticks)
{
  kvm_model_hosts[index].vcpus[vcpu].deadline_ticks = deadline_ticks;
  kvm_model_hosts[index].vcpus[vcpu].deadline_at_host_ns = deadline_time (index, vcpu);
}

bool
kvm_model_is_armed_right (int index, uint32_t vcpu)
{
  double at_ns = kvm_model_hosts[index].vcpus[vcpu].deadline_at_host_ns;

  return fabs (at_ns - deadline_time (index, vcpu)) < 1000;
}

static int
vcpu_msrs (struct kvm_model_host *host, uint32_t vcpu, unsigned long request, void *arg)
{
  struct kvm_msrs *msrs = arg;
  struct kvm_msr_entry *entry = &msrs->entries[0];

  g_assert_cmpuint (msrs->nmsrs, ==, 1);
  if (request == KVM_GET_MSRS) {
    switch (entry->index) {
    case MSR_TSC:
      entry->data = kvm_model_guest_tsc (here, vcpu, now_ns) + (host->garbles_tsc ? 1u << 30 : 0);
      return 1;
    case MSR_TSC_DEADLINE:
      entry->data = host->vcpus[vcpu].deadline_ticks;
      return 1;
    case MSR_HYPERV_REFERENCE_TSC:
      entry->data = host->hyperv_reference_tsc;
      return 1;
    default:
      return 0;
    }
  }
  g_assert_cmpuint (entry->index, ==, MSR_TSC_DEADLINE);
  kvm_model_arm (here, vcpu, entry->data);
  return 1;
}

static int
vm_ioctl (struct kvm_model_host *host, unsigned long request, void *arg)
{
  switch (request) {
  case KVM_GET_CLOCK:
    return vm_get_clock (host, arg);
  case KVM_SET_CLOCK:
    return vm_set_clock (host, arg);
  case KVM_CHECK_EXTENSION:
    return vm_check_extension (host, (long) arg);
  case KVM_CREATE_VM: /* of /dev/kvm, which is not told apart */
    return VM_FD (here);
  case KVM_GET_TSC_KHZ:
    return host->old_vm_khz ? fail (EINVAL) : (int) host->host_khz;
  default:
    g_error ("unexpected VM ioctl %#lx", request);
  }
}

static int
vcpu_ioctl (struct kvm_model_host *host, uint32_t vcpu, unsigned long request, void *arg)
{
  /* kvm_arch_vcpu_load(): the last TSC that QEMU wrote, say 0, is what it reads again */
  if (host->drifting_tsc)
    host->vcpus[vcpu].ofs_ticks = -scaled_tsc (host, host_tsc (host, now_ns));
  switch (request) {
  case KVM_GET_TSC_KHZ:
    return (int) host->guest_khz;
  case KVM_KVMCLOCK_CTRL:
    return host->vcpus[vcpu].has_pvclock ? 0 : fail (EINVAL);
  case KVM_GET_MSRS:
  case KVM_SET_MSRS:
    return vcpu_msrs (host, vcpu, request, arg);
  case KVM_HAS_DEVICE_ATTR:
  case KVM_GET_DEVICE_ATTR:
  case KVM_SET_DEVICE_ATTR:
    return vcpu_attr (host, &host->vcpus[vcpu], request, arg);
  default:
    g_error ("unexpected vCPU ioctl %#lx", request);
  }
}

static int
model_ioctl (int fd, unsigned long request, void *arg)
{
  struct kvm_model_host *host = &kvm_model_hosts[here];
  int at = fd - VM_FD (here);

  g_assert_cmpint (at, >=, 0);
  g_assert_cmpint (at, <=, (int) host->vcpu_count);
  now_ns += (uint64_t) g_rand_int_range (dice, 200, 2000);
  request = (uint32_t) request; /* ioctl(2) takes an unsigned int in the kernel */
  if (request == host->fail_request && host->fail_after-- == 0) {
    host->fail_request = 0;
    return fail (EIO);
  }
  if (at == 0)
    return vm_ioctl (host, request, arg);
  return vcpu_ioctl (host, (uint32_t) at - 1, request, arg);
}

static uint64_t monotonic_lag_ns;

void
kvm_model_set_monotonic_lag (uint64_t ns)
{
  monotonic_lag_ns = ns;
}

static uint64_t
model_clock_ns (clockid_t clock)
{
  if (clock != CLOCK_REALTIME) {
    uint64_t real_ns = real_calls.clock_ns (clock);

    return real_ns > monotonic_lag_ns ? real_ns - monotonic_lag_ns : 0;
  }
  now_ns += 30;
  return kvm_model_realtime (here, now_ns);
}

static uint64_t
model_tsc_ticks (void)
{
  now_ns += 10;
  return host_tsc (&kvm_model_hosts[here], now_ns);
}

static uint32_t
model_ratio_frac_bits (void)
{
  return kvm_model_hosts[here].frac_bits;
}

void
kvm_model_start (uint32_t vcpu_count, uint32_t seed)
{
  g_assert_cmpuint (vcpu_count, <=, KVM_MODEL_VCPUS);
  now_ns = 5000000000;
  here = 0;
  dice = g_rand_new_with_seed (seed);
  links = g_dir_make_tmp ("kvm-model-XXXXXX", NULL);
  real_calls = host_calls;
  host_calls.ioctl = model_ioctl;
  host_calls.clock_ns = model_clock_ns;
  host_calls.tsc_ticks = model_tsc_ticks;
  host_calls.ratio_frac_bits = model_ratio_frac_bits;
  host_calls.fd_links = links;

  for (int index = 0; index < 2; index++) {
    struct kvm_model_host *host = &kvm_model_hosts[index];
    uint64_t offsets[KVM_MODEL_VCPUS];

    *host = (struct kvm_model_host){
      .host_khz = 2600000,
      .guest_khz = 2600000,
      .tsc_at_zero_ticks = index == 0 ? 7200000000000000 : 31000000000000,
      .real_at_zero_ns = 1800000000000000000,
      .stable_tsc = true,
      .gap_min_ns = 1000,
      .gap_max_ns = 1060,
      .vcpu_count = vcpu_count,
      .kvmclock_at_zero_ns = index == 0 ? 86400000000000 : 0,
    };
    for (uint32_t i = 0; i < vcpu_count; i++) {
      g_autofree char *link = g_strdup_printf ("%s/%d", links, VCPU_FD (index, i));
      g_autofree char *target = g_strdup_printf ("anon_inode:kvm-vcpu:%u", 2 * i);

      host->vcpus[i] = (struct kvm_model_vcpu){ .id = 2 * i, .has_pvclock = i == 0 };
      /* the destination's as stock QEMU loads them: seconds behind the source's */
      offsets[i] = (index == 0 ? 30000000000 : 12345) - host->tsc_at_zero_ticks;
      g_assert_cmpint (symlink (target, link), ==, 0);
      kvm_vm_note_vcpu (VM_FD (index), host->vcpus[i].id, VCPU_FD (index, i));
    }
    kvm_model_load_offsets (index, offsets);
  }
  decide_master (&kvm_model_hosts[0]);
  kvm_model_move (0);
}

void
kvm_model_stop (void)
{
  for (int index = 0; index < 2; index++) {
    for (uint32_t i = 0; i < KVM_MODEL_VCPUS; i++) {
      g_autofree char *link = g_strdup_printf ("%s/%d", links, VCPU_FD (index, i));

      g_unlink (link);
    }
  }
  g_rmdir (links);
  g_clear_pointer (&links, g_free);
  g_clear_pointer (&dice, g_rand_free);
  host_calls = real_calls;
}

void
kvm_model_move (int index)
{
  struct kvm_model_host *host = &kvm_model_hosts[index];

  here = index;
  /* ids are those of the vCPUs QEMU creates on that host */
  for (uint32_t i = 0; i < host->vcpu_count; i++)
    kvm_vm_note_vcpu (VM_FD (index), host->vcpus[i].id, VCPU_FD (index, i));
}

void
kvm_model_relink (int index, uint32_t vcpu, const char *target)
{
  g_autofree char *link = g_strdup_printf ("%s/%d", links, VCPU_FD (index, vcpu));

  g_assert_cmpint (unlink (link), ==, 0);
  g_assert_cmpint (symlink (target, link), ==, 0);
}

int
kvm_model_vm_fd (int index)
{
  return VM_FD (index);
}

void
kvm_model_pass (uint64_t ns)
{
  now_ns += ns;
}

uint64_t
kvm_model_now_ns (void)
{
  return now_ns;
}
