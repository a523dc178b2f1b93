/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * clock-fixup - make the guest see one clock that never stopped
 *
 * kvmclock is set to where it would be, had it gone on through the blackout; then the TSC is
 * derived from kvmclock, so that the blackout is credited once and both stand to each other as on
 * the source:
 *
 *   g_src[i]    = S_src(tsc_src) + ofs_src[i]
 *   g_dest[i]   = g_src[i] + (guest_dest - guest_src) * freq / 10^6
 *   ofs_dest[i] = g_dest[i] - S_dest(tsc_dest)
 *
 * It pairs one (TSC, kvmclock) reading of each host, so it does not matter how long anything took
 * in between, nor how often it is done.
 */

#include <stdbool.h>

#include "fixup-decision.h"
#include "helper-protocol.h"

/* kvmclock within this of CLOCK_REALTIME is as good as it gets. */
#define FIXUP_RESIDUAL_GOOD_NS 100
#define FIXUP_ATTEMPTS_MAX     8
/* From this attempt on, one that is no worse than all before is taken. */
#define FIXUP_ATTEMPTS_PICKY 4
/* A result further off than this is not what was asked for: something set the host's clock. */
#define FIXUP_RESIDUAL_MAX_NS 10000000
/*
 * The TSC that QEMU has loaded may be ahead of the record's by this, or, when the longest blackout that
 * may be credited is added, behind. KVM joins writes of the TSC within a second, and so do we.
 */
#define FIXUP_TSC_SLACK_NS 2000000000
/* The TSC may be this far from where kvmclock puts it, when read again at the end. */
#define FIXUP_COHERENCE_MAX_NS 10000

/*
 * Do what @plan says, in place of QEMU's KVM_SET_CLOCK, and fill @report. True: kvmclock is set,
 * alone or with the TSC, as the verdict says. False: the offsets are as they were, the reason is in
 * @report, and QEMU's own ioctl is to be issued now.
 */
bool clock_fixup_apply (const struct fixup_plan *plan, struct helper_report *report);

/*
 * After QEMU's own KVM_SET_CLOCK: fill @report with what clock_fixup_apply() would have done.
 * Changes nothing.
 */
void clock_fixup_observe (const struct fixup_plan *plan, struct helper_report *report);
