/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * sight-record - the clock record that a sight of KVM_GET_CLOCK amounts to
 *
 * The very one that the helper would have made of the same KVM_GET_CLOCK (clock_source_fill() in
 * plugin/qemu), but for boot_src_ns, for which each reads two clocks, one after the other. The helper
 * works the TSC scaling out and checks it against the guest's TSC; here it is KVM's own.
 */

#include <glib.h>

#include "clock-record.h"
#include "clock-sight.h"
#include "observer-protocol.h"

/*
 * Fill @record, with room for @head's vcpu_count of vCPUs, of which @vcpus are all. CLOCK_REALTIME
 * is ahead of CLOCK_BOOTTIME by @real_minus_boot_ns, and @tai_minus_real_s behind CLOCK_TAI, by this
 * process; where @head has CLOCK_TAI, the former is not needed. On OBSERVER_REASON_IMPLAUSIBLE
 * *@detail is the enum clock_record_error.
 */
enum observer_reason sight_record_fill (const struct clock_sight_head *head,
                                        const struct clock_sight_vcpu *vcpus,
                                        gint64 real_minus_boot_ns, gint64 tai_minus_real_s,
                                        struct clock_record *record, guint32 *detail);
