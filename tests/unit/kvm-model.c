/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "kvm-model.h"

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/kvm.h>
#include <unistd.h>

#include "host-calls.h"
#include "kvm-model-clock.h"
#include "kvm-model-tsc.h"
#include "kvm-vm.h"

#define VM_FD(index)         (1000 + 100 * (index))
#define VCPU_FD(index, vcpu) (VM_FD (index) + 1 + (int) (vcpu))
#define VCPU_ID(vcpu)        (2 * (uint32_t) (vcpu)) /* APIC ids have gaps */

/* So that a QEMU can be hours old on a machine that was started just now. */
#define MONOTONIC_AHEAD_NS (10 * 3600 * 1000000000ull)

struct kvm_model_host kvm_model_hosts[2];

static uint64_t now_ns;
static int here;
static GRand *dice;
static char *links;
static uint32_t fd_limit; /* 0: nothing is hidden, so that there is nothing to be found */
static uint64_t monotonic_lag_ns;
static struct host_calls real_calls;

static int
fail (int error)
{
  errno = error;
  return -1;
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
    host->paired_at_ns = host->clock_read_at_ns;
    host->kvmclock_offset_ns += host->kvmclock_step_ns;
    host->use_master = host->use_master && !host->loses_master;
    if (!host->drops_offsets)
      kvm_model_tsc_write_offset (host, vcpu, *ofs_ticks);
  }
  return 0;
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
    return kvm_model_clock_get (here, arg);
  case KVM_SET_CLOCK:
    return kvm_model_clock_set (here, arg);
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
  if (host->vcpus[vcpu].is_gone)
    return fail (ENOTTY);
  /* kvm_arch_vcpu_load(): the last TSC that QEMU wrote, say 0, is what it reads again */
  if (host->drifting_tsc)
    host->vcpus[vcpu].ofs_ticks = -kvm_model_tsc_scale (host, kvm_model_tsc_of_host (host, now_ns));
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
  now_ns += kvm_model_chance_ns (200, 2000);
  request = (uint32_t) request; /* ioctl(2) takes an unsigned int in the kernel */
  if (request == host->fail_request && host->fail_after-- == 0) {
    host->fail_request = 0;
    return fail (EIO);
  }
  if (at == 0)
    return vm_ioctl (host, request, arg);
  return vcpu_ioctl (host, (uint32_t) at - 1, request, arg);
}

static uint64_t
model_clock_ns (clockid_t clock)
{
  /* slewed with CLOCK_REALTIME, and not set with it */
  if (clock == CLOCK_BOOTTIME)
    return kvm_model_realtime (here, now_ns) - kvm_model_hosts[here].real_at_zero_ns;
  if (clock != CLOCK_REALTIME)
    return real_calls.clock_ns (clock) + MONOTONIC_AHEAD_NS - monotonic_lag_ns;
  now_ns += 30;
  return kvm_model_realtime (here, now_ns);
}

static uint64_t
model_tsc_ticks (void)
{
  now_ns += 10;
  return kvm_model_host_tsc (here, now_ns);
}

static uint32_t
model_ratio_frac_bits (void)
{
  return kvm_model_hosts[here].frac_bits;
}

static uint32_t
model_fd_limit (void)
{
  return fd_limit;
}

static void
links_make (void)
{
  links = g_dir_make_tmp ("kvm-model-XXXXXX", NULL);
  for (int index = 0; index < 2; index++) {
    for (uint32_t i = 0; i < KVM_MODEL_VCPUS; i++) {
      g_autofree char *link = g_strdup_printf ("%s/%d", links, VCPU_FD (index, i));
      g_autofree char *target = g_strdup_printf ("anon_inode:kvm-vcpu:%u", VCPU_ID (i));

      g_assert_cmpint (symlink (target, link), ==, 0);
    }
  }
}

/* public functions */

void
kvm_model_start (uint32_t vcpu_count, uint32_t seed)
{
  links_make ();
  dice = g_rand_new ();
  real_calls = host_calls;
  host_calls.ioctl = model_ioctl;
  host_calls.clock_ns = model_clock_ns;
  host_calls.tsc_ticks = model_tsc_ticks;
  host_calls.ratio_frac_bits = model_ratio_frac_bits;
  host_calls.fd_links = links;
  host_calls.fd_limit = model_fd_limit;
  kvm_model_reset (vcpu_count, seed);
}

void
kvm_model_reset (uint32_t vcpu_count, uint32_t seed)
{
  g_assert_cmpuint (vcpu_count, <=, KVM_MODEL_VCPUS);
  now_ns = 5000000000;
  g_rand_set_seed (dice, seed);

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
    };
    for (uint32_t i = 0; i < KVM_MODEL_VCPUS; i++) {
      host->vcpus[i] = (struct kvm_model_vcpu){ .id = VCPU_ID (i), .has_pvclock = i == 0 };
      /* the destination's as stock QEMU loads them: seconds behind the source's */
      offsets[i] = (index == 0 ? 30000000000 : 12345) - host->tsc_at_zero_ticks;
    }
    kvm_model_load_offsets (index, offsets);
  }
  kvm_model_start_kvmclock (0, 86400000000000 + now_ns);
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
  fd_limit = 0;
  /* a QEMU has one VM, and this is it: its vCPUs, and none that another VM had more of */
  for (uint32_t i = 0; i < KVM_MODEL_VCPUS; i++) {
    bool exists = i < host->vcpu_count;

    kvm_vm_note_vcpu (exists ? VM_FD (index) : -1, VCPU_ID (i), exists ? VCPU_FD (index, i) : -1);
  }
}

void
kvm_model_hide_vcpu (int index, uint32_t vcpu)
{
  kvm_vm_note_vcpu (-1, VCPU_ID (vcpu), -1);
  fd_limit = VCPU_FD (index, kvm_model_hosts[index].vcpu_count);
}

void
kvm_model_relink (int index, uint32_t vcpu, const char *target)
{
  g_autofree char *link = g_strdup_printf ("%s/%d", links, VCPU_FD (index, vcpu));

  g_assert_cmpint (unlink (link), ==, 0);
  g_assert_cmpint (symlink (target, link), ==, 0);
  kvm_model_hosts[index].vcpus[vcpu].is_gone = true;
}

int
kvm_model_vm_fd (int index)
{
  return VM_FD (index);
}

void
kvm_model_set_monotonic_lag (uint64_t ns)
{
  g_assert_cmpuint (ns, <=, MONOTONIC_AHEAD_NS);
  monotonic_lag_ns = ns;
}

uint64_t
kvm_model_chance_ns (uint32_t low_ns, uint32_t high_ns)
{
  return (uint64_t) g_rand_int_range (dice, (int) low_ns, (int) high_ns + 1);
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
