/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * migration-seam - how well a guest's clocks go on from one modelled host to the other
 *
 * The yardstick is what the model's clocks read, not the helper's formula: at the pause on the
 * source, and after the resume on the destination. docs/accuracy.md derives the bounds.
 *
 * Clocks that run at different rates part whatever is done at the seam: what the model's rates part
 * between the helper's own reading and the yardstick's, some 10 us later, is taken off.
 */

#include "hand-over.h"

/* All that can be read on a host at one true time. */
struct migration_reading {
  uint64_t at_ns;
  uint64_t kvmclock_ns; /* KVM_GET_CLOCK */
  uint64_t page_ns;     /* the first vCPU's pvclock page */
  uint64_t real_ns;
  uint64_t tsc_ticks[KVM_MODEL_VCPUS];
  /* what KVM's arithmetic has cut off */
  double tsc_fraction_ticks;
  double kvmclock_fraction_ns;
};

struct migration_seam {
  uint32_t freq_khz;
  struct migration_reading src; /* at KVM_GET_CLOCK */
  struct kvm_model_vcpu src_vcpus[KVM_MODEL_VCPUS];
  uint32_t src_vcpu_count;
};

/* How far the guest's clocks jump at the seam, ns. */
struct migration_jump {
  double coherence_ns;  /* first vCPU's TSC ahead of kvmclock: of the lines, not of what is read */
  double continuity_ns; /* kvmclock, likewise, ahead of CLOCK_REALTIME and theta */
  double page_ns;       /* first vCPU's TSC ahead of the guest's pvclock page, as is read */
  double kvms_own_ns;   /* and what of that KVM had let part on the source before */
};

/* Right after the pause: note what the source read at its last KVM_GET_CLOCK. */
void migration_seam_pause (struct migration_seam *this);

/* The vCPUs enter the guest on the destination: how far did its clocks jump? */
struct migration_jump migration_seam_jump (const struct migration_seam *this, int64_t theta_ns);

/* Everything that is promised of a fix-up, before the vCPUs enter the guest, and then after. */
void migration_seam_expect_fixed (const struct migration_seam *this,
                                  const struct helper_fixup *fixup,
                                  const struct helper_report *report);

/* kvmclock goes on, as well as a host without master clock can tell. */
void migration_seam_expect_kvmclock (const struct migration_seam *this,
                                     const struct helper_fixup *fixup,
                                     const struct helper_report *report);

/* Observed: the offsets that the report has would have kept the clocks together. */
void migration_seam_expect_observed (const struct migration_seam *this,
                                     const struct helper_report *report);
