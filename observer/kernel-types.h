/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * kernel-types - those members of the kernel's structures that clock-watch.bpf.c reads
 *
 * Where they lie, libbpf learns from the BTF of the running kernel when it loads the program
 * (CO-RE): neither order nor size here mean anything, only names and types do. A member that some
 * kernels lack is asked after before it is read.
 */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* arch/x86/include/asm/ptrace.h: the arguments of a system call */
struct pt_regs {
  unsigned long di;
  unsigned long si;
  unsigned long dx;
  unsigned long orig_ax; /* the system call's number */
};

/* include/linux/dcache.h, path.h, fs.h, fdtable.h, sched.h */
struct qstr {
  const unsigned char *name;
};

struct dentry {
  struct qstr d_name;
};

struct path {
  struct dentry *dentry;
};

struct file {
  struct path f_path;
  void *private_data;
};

struct fdtable {
  unsigned int max_fds;
  struct file **fd;
};

struct files_struct {
  struct fdtable *fdt;
};

struct mm_struct;

struct task_struct {
  struct mm_struct *mm;
  struct files_struct *files;
};

/* include/linux/types.h, xarray.h */
typedef struct {
  int counter;
} atomic_t;

struct xarray {
  void *xa_head;
};

struct xa_node {
  unsigned char shift;
  void *slots[64];
};

/* arch/x86/include/asm/kvm_host.h, include/linux/kvm_host.h; vcpu_array is there since 5.17, default_tsc_khz
 * since 5.18 */
struct kvm_arch {
  __u32 default_tsc_khz;
};

struct kvm {
  struct mm_struct *mm; /* of the process that made it, which alone may use it */
  struct xarray vcpu_array;
  atomic_t online_vcpus;
  struct kvm_arch arch;
};

struct kvm_vcpu_arch {
  __u64 l1_tsc_offset;
  __u64 l1_tsc_scaling_ratio;
  __u32 virtual_tsc_khz;
  _Bool tsc_always_catchup;
  _Bool guest_tsc_protected; /* since 6.14 */
};

struct kvm_vcpu {
  struct kvm *kvm;
  int vcpu_id;
  struct kvm_vcpu_arch arch;
};

#pragma clang attribute pop
