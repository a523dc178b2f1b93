/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * hand-over - whole hand-overs between two modelled hosts, for tests
 *
 * The helper's own objects, from QEMU's ioctl down, with the daemon's end on the real socket. The
 * yardstick is not the formula: it is the source's VM, had it run on, read at the same true time.
 */

#include <glib.h>

#include "helper-protocol.h"
#include "kvm-model-clock.h"
#include "kvm-model-tsc.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull
#define SRC       0
#define DEST      1

struct hand_over {
  int daemon;
  struct clock_record *record; /* of the last KVM_GET_CLOCK */
  struct helper_fixup *fixup;
};

/* A test with a fixture: three vCPUs, both hosts in good health. */
void hand_over_add (const char *path, void (*test) (struct hand_over *, gconstpointer));

/* For a test that makes its own, with @vcpu_count vCPUs; then clear up. */
void hand_over_start (struct hand_over *fixture, uint32_t vcpu_count, uint32_t seed);
void hand_over_tear_down (struct hand_over *fixture, gconstpointer unused);

/* QEMU on the destination was started @age_ns ago. */
void hand_over_start_helper (uint64_t age_ns);

/* QEMU pauses the source: KVM_GET_CLOCK, and the record that comes of it. */
void hand_over_pause (struct hand_over *fixture);

/* Pause, let @blackout_ns pass, be on the destination with a fix-up prepared. */
void hand_over_blackout (struct hand_over *fixture, uint64_t blackout_ns);

/* A fix-up of the record as it now is. */
void hand_over_prepare (struct hand_over *fixture);

/* QEMU resumes on the destination with KVM_SET_CLOCK {flags = 0, clock of the source}. */
int hand_over_resume (struct hand_over *fixture);

/* Send the fix-up and resume. Returns: the report, to be freed with g_free(). */
struct helper_report *hand_over_finish (struct hand_over *fixture);

/* |@a - @b| */
uint64_t hand_over_distance (uint64_t a, uint64_t b);

void hand_over_expect_verdict (const struct helper_report *report, enum helper_verdict verdict,
                               enum helper_reason reason);

/* Both clocks of @vcpu read on the destination as they would on the source at this very time. */
void hand_over_expect_continuous (uint32_t vcpu, uint64_t tolerance_ns);

/*
 * kvmclock where the source stopped it, as stock QEMU has it, and the offsets as in @before, as
 * QEMU loaded them.
 */
void hand_over_expect_as_stock (const struct hand_over *fixture,
                                const struct kvm_model_host *before);

/* A hand-over that must come to @reason and leave everything as stock. Returns: as above. */
struct helper_report *hand_over_expect_stock (struct hand_over *fixture, enum helper_reason reason);

/* As above, decided before the first write. */
void hand_over_expect_untouched (struct hand_over *fixture, enum helper_reason reason);
