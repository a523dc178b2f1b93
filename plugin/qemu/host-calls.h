/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * host-calls - the few things the helper asks of its host
 *
 * One struct, so that everything the helper does to KVM goes through one place: past our own
 * ioctl(2) to libc's, and in tests to a model of KVM's clock. Set once, before any event.
 */

#include <stdint.h>
#include <time.h>

struct host_calls {
  /* ioctl(2): returns its value and sets errno. */
  int (*ioctl) (int fd, unsigned long request, void *arg);
  /* clock_gettime(2) in ns. */
  uint64_t (*clock_ns) (clockid_t clock);
  /* RDTSC of this host, ordered after what precedes it. */
  uint64_t (*tsc_ticks) (void);
  /* Fraction bits of this CPU's TSC scaling ratio: VMX has 48, SVM 32. */
  uint32_t (*ratio_frac_bits) (void);
  /* Directory of links that say what an fd is. */
  const char *fd_links;
  /* One more than the highest fd that this process may have open. */
  uint32_t (*fd_limit) (void);
};

extern struct host_calls host_calls;

/* What host_calls.ioctl comes to where no test has replaced it: for KVM_RUN, a jump less. */
extern int (*host_next_ioctl) (int fd, unsigned long request, ...);

/* Find the ioctl(2) that comes after ours; until then, and if there is none, the bare system call.
 */
void host_calls_init (void);
