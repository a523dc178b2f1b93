/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * kvm-cases - the named cases of one program, on the KVM at hand
 *
 * A program prints "ok NAME" for a case that holds, "# ..." for figures, and "skip NAME: WHY" for
 * one that this KVM can not do. A case that does not hold ends the program with SIGABRT.
 */

#include <stddef.h>
#include <stdint.h>

/* What a KVM may lack. */
enum kvm_ability {
  KVM_ABILITY_OFFSETS = 1 << 0,      /* a TSC offset that is written stays: not in kvm-pvm */
  KVM_ABILITY_MASTER_CLOCK = 1 << 1, /* the host's clocksource is its TSC */
  KVM_ABILITY_DEADLINE = 1 << 2,     /* in-kernel APIC with TSC deadline */

  KVM_ABILITY_BOTH_CLOCKS = KVM_ABILITY_OFFSETS | KVM_ABILITY_MASTER_CLOCK,
};

struct kvm_case {
  const char *name;
  void (*run) (int kvm_fd);
  unsigned needs;  /* enum kvm_ability: skipped by name where one is missing */
  unsigned unless; /* enum kvm_ability: about a KVM that lacks these, left out where one is there */
};

/*
 * Open /dev/kvm and run @count @cases in turn. Returns what main() is to: 0, or 77 if nothing at
 * all can run here. A case that hangs ends the program with SIGALRM.
 */
int kvm_cases_run (const struct kvm_case *cases, size_t count);
