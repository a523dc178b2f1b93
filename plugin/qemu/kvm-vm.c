/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "kvm-vm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host-calls.h"

/* KVM_MAX_VCPU_IDS of x86 is four times KVM_MAX_VCPUS: APIC ids have gaps. */
#define VCPU_IDS_MAX (4 * CLOCK_RECORD_VCPUS_MAX)

/*
 * fds that are looked at, each for some us within the guest's pause: QEMU makes its vCPUs early, and
 * takes the lowest numbers that are free. FDSize may be larger, if libvirtd's was when it forked.
 */
#define FDS_MAX 8192

#define VCPU_LINK "anon_inode:kvm-vcpu:"

/* Of each vCPU id: the VM's fd and the vCPU's, plus one each so that zero is none. */
struct vcpu_note {
  atomic_int vm_fd_plus_1;
  atomic_int fd_plus_1;
};

static struct vcpu_note vcpu_notes[VCPU_IDS_MAX];
static atomic_uint note_ids_end; /* one more than the highest id that was noted */
static atomic_uint notes_taken;
static unsigned int notes_complete_at; /* notes_taken when all vCPUs were among them, 0 is never */

void
kvm_vm_note_vcpu (int vm_fd, unsigned long id, int vcpu_fd)
{
  uint32_t end = atomic_load (&note_ids_end);

  if (id >= VCPU_IDS_MAX)
    return;
  /* an fd that KVM gives out is no longer that of a vCPU before */
  for (uint32_t other = 0; other < end; other++) {
    if (atomic_load (&vcpu_notes[other].fd_plus_1) == vcpu_fd + 1)
      atomic_store (&vcpu_notes[other].fd_plus_1, 0);
  }
  while (end <= id && !atomic_compare_exchange_weak (&note_ids_end, &end, (uint32_t) id + 1))
    continue;
  atomic_store (&vcpu_notes[id].vm_fd_plus_1, vm_fd + 1);
  atomic_store (&vcpu_notes[id].fd_plus_1, vcpu_fd + 1);
  atomic_fetch_add (&notes_taken, 1);
}

bool
kvm_vm_is_vcpu (int fd)
{
  uint32_t end = atomic_load (&note_ids_end);

  for (uint32_t id = 0; id < end; id++) {
    if (atomic_load (&vcpu_notes[id].fd_plus_1) == fd + 1)
      return true;
  }
  return false;
}

/* Decimal without stdio, which may take locks and allocate. Returns the end of the text. */
static char *
append_number (char *at, uint32_t number)
{
  char digits[10];
  size_t count = 0;

  do {
    digits[count++] = (char) ('0' + number % 10);
    number /= 10;
  } while (number != 0);
  while (count > 0)
    *at++ = digits[--count];
  *at = '\0';
  return at;
}

/* readlink(2) of what @fd is. */
static ssize_t
fd_readlink (int fd, char *link, size_t size)
{
  char path[128];
  size_t directory_length = strlen (host_calls.fd_links);

  if (directory_length > sizeof path - 16) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy (path, host_calls.fd_links, directory_length);
  path[directory_length] = '/';
  append_number (path + directory_length + 1, (uint32_t) fd);
  return readlink (path, link, size);
}

/* Does the link of @fd still name vCPU @id? QEMU may have closed it and the number be another file.
 */
static bool
fd_is_vcpu (int fd, uint32_t id)
{
  char expected[40] = VCPU_LINK;
  char link[64];
  char *expected_end = append_number (expected + strlen (expected), id);
  ssize_t length = fd_readlink (fd, link, sizeof link);

  if (length < 0)
    /* a policy that hides the link hides nothing we saw: QEMU made this fd, and closes none */
    return errno == EACCES || errno == EPERM;
  return length == expected_end - expected && memcmp (link, expected, (size_t) length) == 0;
}

/* The vCPU that the link of @fd names, -1 if it is something else or is hidden. */
static long
fd_vcpu_id (int fd)
{
  char link[64];
  ssize_t length = fd_readlink (fd, link, sizeof link - 1);

  if (length <= (ssize_t) strlen (VCPU_LINK) || memcmp (link, VCPU_LINK, strlen (VCPU_LINK)) != 0)
    return -1;
  link[length] = '\0';
  return strtol (link + strlen (VCPU_LINK), NULL, 10);
}

static int
compare_ids (const void *key, const void *element)
{
  const long *id = key;
  const struct kvm_vcpu_fd *vcpu = element;

  return (*id > (long) vcpu->id) - (*id < (long) vcpu->id);
}

bool
kvm_vm_has_unseen_vcpus (const struct kvm_vm *vm)
{
  unsigned int notes = atomic_load (&notes_taken);
  uint32_t limit;

  if (notes != 0 && notes == notes_complete_at)
    return false;
  limit = host_calls.fd_limit ();
  if (limit > FDS_MAX)
    limit = FDS_MAX;
  for (uint32_t fd = 0; fd < limit; fd++) {
    long id = fd_vcpu_id ((int) fd);

    if (id >= 0 &&
        bsearch (&id, vm->vcpus, vm->vcpu_count, sizeof vm->vcpus[0], compare_ids) == NULL)
      return true;
  }
  notes_complete_at = notes;
  return false;
}

static bool
vcpu_is_linked (struct kvm_vcpu_fd *vcpu)
{
  return fd_is_vcpu (vcpu->fd, vcpu->id);
}

static bool
vcpu_tells_offset (struct kvm_vcpu_fd *vcpu)
{
  vcpu->has_ofs = kvm_vcpu_get_tsc_offset (vcpu->fd, &vcpu->ofs_ticks) == 0;
  return vcpu->has_ofs || vcpu_is_linked (vcpu);
}

/* The noted vCPUs of @vm_fd that still are there. */
static void
vcpus_find (int vm_fd, struct kvm_vm *vm, bool (*is_there) (struct kvm_vcpu_fd *vcpu))
{
  uint32_t end = atomic_load (&note_ids_end);

  vm->fd = vm_fd;
  vm->vcpu_count = 0;
  for (uint32_t id = 0; id < end; id++) {
    struct kvm_vcpu_fd vcpu = {
      .id = id,
      .fd = atomic_load (&vcpu_notes[id].fd_plus_1) - 1,
    };

    if (vcpu.fd < 0 || atomic_load (&vcpu_notes[id].vm_fd_plus_1) != vm_fd + 1 || !is_there (&vcpu))
      continue;
    if (vm->vcpu_count == CLOCK_RECORD_VCPUS_MAX) {
      vm->vcpu_count = 0;
      return;
    }
    vm->vcpus[vm->vcpu_count++] = vcpu;
  }
}

void
kvm_vm_find (int vm_fd, struct kvm_vm *vm)
{
  vcpus_find (vm_fd, vm, vcpu_is_linked);
}

void
kvm_vm_find_reading (int vm_fd, struct kvm_vm *vm)
{
  vcpus_find (vm_fd, vm, vcpu_tells_offset);
}

int
kvm_vm_capability (const struct kvm_vm *vm, long capability)
{
  int value = host_calls.ioctl (vm->fd, KVM_CHECK_EXTENSION, (void *) capability);

  return value < 0 ? 0 : value;
}

static int
tsc_offset_ioctl (int vcpu_fd, unsigned long request, uint64_t *ofs_ticks)
{
  struct kvm_device_attr attr = {
    .group = KVM_VCPU_TSC_CTRL,
    .attr = KVM_VCPU_TSC_OFFSET,
    .addr = (uintptr_t) ofs_ticks,
  };

  return host_calls.ioctl (vcpu_fd, request, &attr);
}

int
kvm_vcpu_get_tsc_offset (int vcpu_fd, uint64_t *ofs_ticks)
{
  return tsc_offset_ioctl (vcpu_fd, KVM_GET_DEVICE_ATTR, ofs_ticks);
}

int
kvm_vcpu_set_tsc_offset (int vcpu_fd, uint64_t ofs_ticks)
{
  return tsc_offset_ioctl (vcpu_fd, KVM_SET_DEVICE_ATTR, &ofs_ticks);
}

bool
kvm_vcpu_has_tsc_offset (int vcpu_fd)
{
  uint64_t unused_ticks = 0;

  return tsc_offset_ioctl (vcpu_fd, KVM_HAS_DEVICE_ATTR, &unused_ticks) == 0;
}

/* struct kvm_msrs with room for one entry, which is what the flexible array member stands for */
union one_msr {
  struct kvm_msrs head;
  struct {
    uint64_t head_bytes;
    struct kvm_msr_entry entry;
  };
};
_Static_assert(sizeof (struct kvm_msrs) == sizeof (uint64_t), "the entry follows the head");

/* KVM_GET_MSRS and KVM_SET_MSRS return how many MSRs they did. */
static int
one_msr_ioctl (int vcpu_fd, unsigned long request, union one_msr *msr)
{
  int done = host_calls.ioctl (vcpu_fd, request, msr);

  if (done == 1)
    return 0;
  if (done >= 0)
    errno = ENOENT;
  return -1;
}

int
kvm_vcpu_get_msr (int vcpu_fd, uint32_t index, uint64_t *value)
{
  union one_msr msr = { .head = { .nmsrs = 1 } };

  msr.entry = (struct kvm_msr_entry){ .index = index };
  if (one_msr_ioctl (vcpu_fd, KVM_GET_MSRS, &msr) < 0)
    return -1;
  *value = msr.entry.data;
  return 0;
}

int
kvm_vcpu_set_msr (int vcpu_fd, uint32_t index, uint64_t value)
{
  union one_msr msr = { .head = { .nmsrs = 1 } };

  msr.entry = (struct kvm_msr_entry){ .index = index, .data = value };
  return one_msr_ioctl (vcpu_fd, KVM_SET_MSRS, &msr);
}
