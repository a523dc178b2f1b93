/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * clock-watch - sees KVM_GET_CLOCK return to the processes that are watched, and reads their vCPUs
 *
 * It is attached to the return of ioctl(2) itself, and not of kvm_arch_vm_ioctl(): that is in a
 * module, to which an fexit program is attached by the module's BTF, and the kernel gives that to
 * CAP_SYS_ADMIN alone (bpf_btf_get_fd_by_id() in kernel/bpf/syscall.c). A kprobe there would take
 * perf_event_open(2), for which Debian 12 and Ubuntu want CAP_SYS_ADMIN as well by default
 * (kernel.perf_event_paranoid over 2). Every other ioctl costs one comparison, while it is attached.
 *
 * Only ever reads, and all of the guest's vCPUs in the very call that gave its clock: QEMU, which
 * has stopped them for it, goes on when this has ended.
 */

#include <linux/bpf.h>
#include <linux/kvm.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "clock-sight.h"
#include "kernel-types.h"

/* What is read by these helpers is for programs under the GPL; LGPL 2.1, section 3, allows that. */
char program_license[] SEC ("license") = "GPL";

#define WATCHED_MAX 4096
/* All that one process may have told at once, of as many vCPUs as can be. */
#define RING_BYTES (1u << 22)

/* arch/x86/entry/syscalls/syscall_64.tbl; linux/unistd.h has other numbers when it is read for BPF */
#define SYSCALL_IOCTL 16

/* One attempt of a few is undisturbed. */
#define READ_ATTEMPTS 4

/* QEMU asks twice for a pause. One that a guest has taken over may not fill the ring buffer of all, nor keep
 * those busy who read it: beyond these many at once, four a second are told. */
#define SIGHTS_BURST  16
#define SIGHT_COST_NS 250000000ull

struct {
  __uint (type, BPF_MAP_TYPE_HASH);
  __uint (max_entries, WATCHED_MAX);
  __type (key, __u32); /* a process */
  __type (value, struct clock_sight_budget);
} watched SEC (".maps");

struct {
  __uint (type, BPF_MAP_TYPE_RINGBUF);
  __uint (max_entries, RING_BYTES);
} sights SEC (".maps");

static __u64 last_number;

/* Several threads of one process at once may get a few more than that. */
static bool
take_credit (struct clock_sight_budget *budget)
{
  __u64 now_ns = bpf_ktime_get_ns ();
  __u64 filled_ns = budget->filled_ns;
  __u64 credit_ns = budget->credit_ns;

  /* another thread may have filled it since */
  if (now_ns > filled_ns)
    credit_ns += now_ns - filled_ns;
  if (credit_ns > SIGHTS_BURST * SIGHT_COST_NS)
    credit_ns = SIGHTS_BURST * SIGHT_COST_NS;
  budget->filled_ns = now_ns;
  budget->credit_ns = credit_ns < SIGHT_COST_NS ? credit_ns : credit_ns - SIGHT_COST_NS;
  return credit_ns >= SIGHT_COST_NS;
}

/*
 * The VM that is open as @fd in this process, NULL if that is something else. Its name is for the
 * kernel's other files; another file of that name would have to answer this very request with 0, and
 * what it has in the place of a VM's memory be this process's.
 */
static struct kvm *
find_vm (unsigned int fd)
{
  static const char vm_name[] = "kvm-vm";
  struct task_struct *task = (void *) bpf_get_current_task ();
  struct fdtable *table = BPF_CORE_READ (task, files, fdt);
  struct file **files = BPF_CORE_READ (table, fd);
  struct file *file = NULL;
  struct kvm *kvm;
  char name[sizeof vm_name + 1] = { 0 }; /* a longer one is not cut to it */

  if (fd >= BPF_CORE_READ (table, max_fds))
    return NULL;
  bpf_probe_read_kernel (&file, sizeof file, files + fd);
  bpf_probe_read_kernel_str (name, sizeof name, BPF_CORE_READ (file, f_path.dentry, d_name.name));
  for (unsigned int i = 0; i < sizeof vm_name; i++) {
    if (name[i] != vm_name[i])
      return NULL;
  }
  kvm = BPF_CORE_READ (file, private_data);
  return BPF_CORE_READ (kvm, mm) == BPF_CORE_READ (task, mm) ? kvm : NULL;
}

/* include/linux/xarray.h: the two low bits tell a node from what is stored */
static bool
is_node (const void *entry)
{
  return ((unsigned long) entry & 3) == 2 && (unsigned long) entry > 4096;
}

/* Entry @index, below CLOCK_SIGHT_VCPUS_MAX, of @array: xas_load() of at most two nodes of 64. */
static void *
load_entry (const struct xarray *array, __u32 index)
{
  void *entry = BPF_CORE_READ (array, xa_head);

  if (!is_node (entry))
    return index == 0 ? entry : NULL;
  for (int level = 0; level < 2 && is_node (entry); level++) {
    const struct xa_node *node = (void *) ((unsigned long) entry - 2);
    unsigned char shift = BPF_CORE_READ (node, shift);

    /* the root may be too small for @index */
    if (level == 0 && index >> (shift & 31) >= 64)
      return NULL;
    bpf_core_read (&entry, sizeof entry, &node->slots[(index >> (shift & 31)) & 63]);
  }
  return ((unsigned long) entry & 3) == 0 ? entry : NULL;
}

struct vcpu_loop {
  struct kvm *kvm;
  __u64 number;
};

static void
read_vcpu (const struct kvm_vcpu *vcpu, struct clock_sight_vcpu *sight)
{
  sight->id = (__u32) BPF_CORE_READ (vcpu, vcpu_id);
  sight->ofs_ticks = BPF_CORE_READ (vcpu, arch.l1_tsc_offset);
  sight->ratio = BPF_CORE_READ (vcpu, arch.l1_tsc_scaling_ratio);
  sight->freq_khz = BPF_CORE_READ (vcpu, arch.virtual_tsc_khz);
  if (BPF_CORE_READ (vcpu, arch.tsc_always_catchup))
    sight->flags |= CLOCK_SIGHT_VCPU_CATCHUP;
  if (bpf_core_field_exists (vcpu->arch.guest_tsc_protected) &&
      BPF_CORE_READ (vcpu, arch.guest_tsc_protected))
    sight->flags |= CLOCK_SIGHT_VCPU_PROTECTED;
}

static long
tell_vcpu (__u32 index, struct vcpu_loop *loop)
{
  struct clock_sight_vcpu *sight = bpf_ringbuf_reserve (&sights, sizeof *sight, 0);
  const struct kvm_vcpu *vcpu = load_entry (&loop->kvm->vcpu_array, index);

  if (sight == NULL)
    return 1; /* whoever reads sees that some are missing */
  *sight = (struct clock_sight_vcpu){ .kind = CLOCK_SIGHT_VCPU, .number = loop->number };
  if (vcpu != NULL && BPF_CORE_READ (vcpu, kvm) == loop->kvm)
    read_vcpu (vcpu, sight);
  else
    sight->flags = CLOCK_SIGHT_VCPU_MISSING;
  /* whoever has read all is woken at the first, or nobody would empty what the next ones do not fit into */
  bpf_ringbuf_submit (sight, 0);
  return 0;
}

/* CLOCK_BOOTTIME, and CLOCK_TAI at that time, as close together as a few attempts allow. */
static void
read_clocks (struct clock_sight_head *sight)
{
  bool has_tai = bpf_core_enum_value_exists (enum bpf_func_id, BPF_FUNC_ktime_get_tai_ns);
  __u64 width_ns = ~0ull;

  for (int i = 0; i < READ_ATTEMPTS; i++) {
    __u64 before_ns = bpf_ktime_get_boot_ns ();
    __u64 tai_ns = has_tai ? bpf_ktime_get_tai_ns () : 0;
    __u64 after_ns = bpf_ktime_get_boot_ns ();

    if (after_ns - before_ns >= width_ns)
      continue;
    width_ns = after_ns - before_ns;
    sight->boot_ns = before_ns + width_ns / 2;
    sight->tai_ns = tai_ns;
  }
}

static void
tell_sight (struct kvm *kvm, __u32 pid, const void *argument)
{
  struct clock_sight_head *sight = bpf_ringbuf_reserve (&sights, sizeof *sight, 0);
  struct kvm_clock_data clock = { 0 };
  struct vcpu_loop loop = { .kvm = kvm };
  __u32 vcpu_count = (__u32) BPF_CORE_READ (kvm, online_vcpus.counter);

  if (sight == NULL)
    return;
  *sight = (struct clock_sight_head){
    .kind = CLOCK_SIGHT_HEAD,
    .pid = pid,
    .number = __sync_add_and_fetch (&last_number, 1),
    .vcpu_count = vcpu_count,
  };
  if (bpf_core_field_exists (kvm->arch.default_tsc_khz))
    sight->host_khz = BPF_CORE_READ (kvm, arch.default_tsc_khz);
  read_clocks (sight);
  if (bpf_probe_read_user (&clock, sizeof clock, argument) < 0)
    sight->flags |= CLOCK_SIGHT_UNREADABLE;
  if (vcpu_count > CLOCK_SIGHT_VCPUS_MAX) {
    sight->flags |= CLOCK_SIGHT_TOO_MANY;
    sight->vcpu_count = 0;
    vcpu_count = 0;
  }
  sight->guest_ns = clock.clock;
  sight->host_ns = clock.realtime;
  sight->tsc_ticks = clock.host_tsc;
  sight->kvm_flags = clock.flags;
  loop.number = sight->number;
  bpf_ringbuf_submit (sight, 0);
  bpf_loop (vcpu_count, tell_vcpu, &loop, 0);
}

/* ioctl(2) returns @result; its arguments are in @regs. */
static void
see_ioctl (const struct pt_regs *regs, long result)
{
  __u32 pid = bpf_get_current_pid_tgid () >> 32;
  struct clock_sight_budget *budget;
  struct kvm *kvm;

  /* QEMU before 9.1 hands the request on as an int: sign-extended */
  if ((__u32) BPF_CORE_READ (regs, si) != (__u32) KVM_GET_CLOCK || result != 0)
    return;
  budget = bpf_map_lookup_elem (&watched, &pid);
  if (budget == NULL)
    return;
  kvm = find_vm ((__u32) BPF_CORE_READ (regs, di));
  if (kvm != NULL && take_credit (budget))
    tell_sight (kvm, pid, (const void *) BPF_CORE_READ (regs, dx));
}

SEC ("fexit/__x64_sys_ioctl")
int
BPF_PROG (on_ioctl_return, const struct pt_regs *regs, long result)
{
  see_ioctl (regs, result);
  return 0;
}

/* Where the kernel cannot attach the above: at the return of every system call. */
SEC ("raw_tp/sys_exit")
int
BPF_PROG (on_syscall_return, const struct pt_regs *regs, long result)
{
  if (BPF_CORE_READ (regs, orig_ax) == SYSCALL_IOCTL)
    see_ioctl (regs, result);
  return 0;
}
