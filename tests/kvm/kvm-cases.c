/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "kvm-cases.h"

#include <fcntl.h>
#include <glib.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tiny-guest.h"

#define EXIT_SKIP 77
/* For a guest that waits for an interrupt in vain: no case takes half as long. */
#define HANG_S 60

static const struct {
  enum kvm_ability ability;
  const char *lack;
} lacks[] = {
  { KVM_ABILITY_OFFSETS, "this KVM drops TSC offsets" },
  { KVM_ABILITY_MASTER_CLOCK, "this KVM has no master clock" },
  { KVM_ABILITY_DEADLINE, "this KVM has no TSC deadline timer" },
};

static int
skip_all (const char *why)
{
  printf ("skip everything: %s\n", why);
  return EXIT_SKIP;
}

static unsigned
abilities_find (int kvm_fd, struct tiny_vm *vm)
{
  unsigned abilities = 0;
  uint64_t ofs_ticks = tiny_vcpu_get_offset (vm, 0) + 12345;

  tiny_vm_set_clock (vm, 0, 0);
  if ((tiny_vm_get_clock (vm).flags & KVM_CLOCK_TSC_STABLE) != 0)
    abilities |= KVM_ABILITY_MASTER_CLOCK;
  tiny_vcpu_set_offset (vm, 0, ofs_ticks);
  if (tiny_vcpu_get_offset (vm, 0) == ofs_ticks)
    abilities |= KVM_ABILITY_OFFSETS;
  if (ioctl (kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
    abilities |= KVM_ABILITY_DEADLINE;
  return abilities;
}

static void
case_run (const struct kvm_case *each, int kvm_fd, unsigned abilities)
{
  if ((each->unless & abilities) != 0)
    return;
  for (size_t i = 0; i < G_N_ELEMENTS (lacks); i++) {
    if ((each->needs & ~abilities & lacks[i].ability) != 0) {
      printf ("skip %s: %s\n", each->name, lacks[i].lack);
      return;
    }
  }
  alarm (HANG_S);
  each->run (kvm_fd);
  alarm (0);
  printf ("ok %s\n", each->name);
}

/* public functions */

int
kvm_cases_run (const struct kvm_case *cases, size_t count)
{
  int kvm_fd = open ("/dev/kvm", O_RDWR | O_CLOEXEC);
  struct tiny_vm probe;
  unsigned abilities;

  /* what was said before an abort is to be seen */
  setvbuf (stdout, NULL, _IOLBF, 0);
  if (kvm_fd < 0)
    return skip_all ("no /dev/kvm");
  if ((ioctl (kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_REALTIME) == 0)
    return skip_all ("KVM of a kernel before 5.16");
  tiny_vm_init (&probe, kvm_fd, 1, false, NULL);
  if (!tiny_vcpu_run (&probe, 0, guest_read_clocks))
    return skip_all ("this KVM does not run a real-mode guest");
  abilities = abilities_find (kvm_fd, &probe);
  tiny_vm_clear (&probe);

  for (size_t i = 0; i < count; i++)
    case_run (&cases[i], kvm_fd, abilities);
  close (kvm_fd);
  return EXIT_SUCCESS;
}
