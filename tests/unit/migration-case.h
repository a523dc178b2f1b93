/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * migration-case - a random migration between two modelled hosts
 *
 * Drawn from a seed alone: two hosts, a VM that has run on the first, and a blackout. Most are in
 * good health; the others have one trouble each, and with it what the design says must come of that.
 */

#include "hand-over.h"

struct migration_trouble;

struct migration_case {
  uint32_t seed;
  const struct migration_trouble *trouble;

  uint64_t age_ns; /* of the source's master clock snapshot at the pause */
  uint64_t blackout_ns;
  uint64_t qemu_age_ns; /* of the destination's QEMU when it resumes */
  int64_t theta_error_ns;
  uint64_t theta_bound_ns;
  bool offsets_differ; /* on the source, by the guest's own doing */
  bool vcpu_plugged;   /* the destination has one more */

  /* of the fix-up, as the trouble has it */
  uint64_t max_advance_ns;
  int64_t deadline_in_ns;
  uint32_t mode;
  uint32_t flags;
  bool clock_mismatch;
  bool fixup_missing; /* a migration is announced, and no fix-up comes */

  GRand *dice;
};

/* Draw the case of @seed and set the model up for it: the source's VM is about to start. */
void migration_case_draw (struct migration_case *this, uint32_t seed);

/*
 * Let the VM run on the source until the pause, and be on the destination at the end of the
 * blackout, with QEMU's state loaded as stock QEMU does it, and the fix-up in @fixture.
 */
void migration_case_blackout (struct migration_case *this, struct hand_over *fixture);

/* Send the fix-up, if there is one, and resume. Returns: the report, to be freed with g_free(). */
struct helper_report *migration_case_finish (const struct migration_case *this,
                                             struct hand_over *fixture);

/*
 * The offsets that stock QEMU loads at this moment on host @index: the TSC stands where it stood at
 * true time @saved_at_ns on the source.
 */
void migration_load_stock_offsets (int index, uint64_t saved_at_ns);
