/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "migration-trouble.h"

#include "migration-host.h"

static struct kvm_model_host *const src = &kvm_model_hosts[SRC];
static struct kvm_model_host *const dest = &kvm_model_hosts[DEST];

static void
none (struct migration_case *this)
{
}

static void
src_clocksource (struct migration_case *this)
{
  src->stable_tsc = false;
}

static void
dest_clocksource (struct migration_case *this)
{
  dest->stable_tsc = false;
}

static void
src_tsc_unstable (struct migration_case *this)
{
  src->stable_tsc = false;
  src->drifting_tsc = true;
}

static void
dest_tsc_unstable (struct migration_case *this)
{
  dest->stable_tsc = false;
  dest->drifting_tsc = true;
}

static void
src_kernel_old (struct migration_case *this)
{
  src->old_kernel = true;
}

static void
dest_kernel_old (struct migration_case *this)
{
  dest->old_kernel = true;
}

/* A host as fast as @guest_khz times @factor, that can not scale. */
static void
unscaled (struct migration_case *this, struct kvm_model_host *host, double low, double high)
{
  double factor = low + (high - low) * g_rand_double (this->dice);

  host->frac_bits = 0;
  host->host_khz = (uint32_t) (host->guest_khz * factor);
}

static void
src_too_slow (struct migration_case *this)
{
  unscaled (this, src, 0.5, 0.9997);
}

static void
src_too_fast (struct migration_case *this)
{
  unscaled (this, src, 1.0003, 2);
}

static void
dest_too_slow (struct migration_case *this)
{
  unscaled (this, dest, 0.5, 0.9997);
}

static void
dest_too_fast (struct migration_case *this)
{
  unscaled (this, dest, 1.0003, 2);
}

/* QEMU ignores that it could not set the frequency: the guest gets the host's. */
static void
dest_khz_its_own (struct migration_case *this)
{
  dest->host_khz = dest->guest_khz = migration_far_khz_draw (this->dice, dest->guest_khz);
}

/* The same, so close that it does not matter. */
static void
dest_khz_close (struct migration_case *this)
{
  dest->host_khz = dest->guest_khz += (uint32_t) g_rand_int_range (this->dice, 1, 200);
}

static void
offset_dropped (struct migration_case *this)
{
  dest->drops_offsets = true;
}

static void
src_tsc_opaque (struct migration_case *this)
{
  src->garbles_tsc = true;
}

static void
dest_tsc_opaque (struct migration_case *this)
{
  dest->garbles_tsc = true;
}

/* Kernels 5.16 and 5.17 do not tell the host's frequency, so the ratio can not be worked out. */
static void
src_ratio_unknown (struct migration_case *this)
{
  src->old_vm_khz = true;
  src->frac_bits = migration_scaling_draw (this->dice);
  src->host_khz = migration_far_khz_draw (this->dice, src->guest_khz);
}

static void
dest_ratio_unknown (struct migration_case *this)
{
  dest->old_vm_khz = true;
  dest->frac_bits = migration_scaling_draw (this->dice);
  dest->host_khz = migration_far_khz_draw (this->dice, dest->guest_khz);
}

/* No harm without scaling. */
static void
khz_unknown (struct migration_case *this)
{
  src->old_vm_khz = dest->old_vm_khz = true;
  src->host_khz = src->guest_khz;
  dest->host_khz = dest->guest_khz + 1;
}

static void
pvclock_missing (struct migration_case *this)
{
  for (uint32_t i = 0; i < KVM_MODEL_VCPUS; i++)
    dest->vcpus[i].has_pvclock = false;
  dest->hyperv_reference_tsc = migration_chance_64 (this->dice) & ~(uint64_t) 1;
}

static void
pvclock_not_wanted (struct migration_case *this)
{
  pvclock_missing (this);
  this->flags = HELPER_FIXUP_WITHOUT_PVCLOCK;
}

static void
hyperv_page (struct migration_case *this)
{
  pvclock_missing (this);
  dest->hyperv_reference_tsc |= 1;
}

/* The clocks of the hosts are further apart than the daemon knows. */
static void
elapsed_negative (struct migration_case *this)
{
  this->theta_error_ns = (int64_t) (this->blackout_ns + NS_PER_S);
}

static void
blackout_too_long (struct migration_case *this)
{
  this->max_advance_ns = this->blackout_ns / 2;
}

static void
blackout_unknown (struct migration_case *this)
{
  this->blackout_ns += 3 * NS_PER_S;
  this->qemu_age_ns = this->blackout_ns - 2 * NS_PER_S;
}

static void
deadline_passed (struct migration_case *this)
{
  this->deadline_in_ns = -1;
}

static void
clock_mismatch (struct migration_case *this)
{
  this->clock_mismatch = true;
}

static void
fixup_missing (struct migration_case *this)
{
  this->fixup_missing = true;
}

static void
observe (struct migration_case *this)
{
  this->mode = HELPER_MODE_OBSERVE;
}

static void
observe_without_master (struct migration_case *this)
{
  this->mode = HELPER_MODE_OBSERVE;
  dest->stable_tsc = false;
}

#define FIXED         HELPER_VERDICT_FIXED, HELPER_REASON_NONE
#define KVMCLOCK_ONLY HELPER_VERDICT_KVMCLOCK_ONLY, HELPER_REASON_NO_MASTER_CLOCK
#define STOCK(reason) HELPER_VERDICT_STOCK, HELPER_REASON_##reason

const struct migration_trouble migration_troubles[] = {
  { "none", FIXED, none },
  { "source's clocksource is not TSC", KVMCLOCK_ONLY, src_clocksource },
  { "destination's clocksource is not TSC", KVMCLOCK_ONLY, dest_clocksource },
  { "source's TSC is unstable", KVMCLOCK_ONLY, src_tsc_unstable },
  { "destination's TSC is unstable", KVMCLOCK_ONLY, dest_tsc_unstable },
  { "source's kernel is before 5.16", STOCK (TSC_OPAQUE), src_kernel_old },
  { "destination's kernel is before 5.16", STOCK (KERNEL_TOO_OLD), dest_kernel_old },
  { "source is too slow and can not scale", STOCK (TSC_CATCHUP), src_too_slow },
  { "source is too fast and can not scale", STOCK (TSC_CATCHUP), src_too_fast },
  { "destination is too slow and can not scale", STOCK (TSC_CATCHUP), dest_too_slow },
  { "destination is too fast and can not scale", STOCK (FREQUENCY), dest_too_fast },
  { "destination kept its own frequency", STOCK (FREQUENCY), dest_khz_its_own },
  { "destination kept its own, close by", FIXED, dest_khz_close },
  { "destination drops offsets", STOCK (OFFSET_DROPPED), offset_dropped },
  { "source's TSC is not scale and offset", STOCK (TSC_OPAQUE), src_tsc_opaque },
  { "destination's TSC is not scale and offset", STOCK (TSC_OPAQUE), dest_tsc_opaque },
  { "source scales before 5.18", STOCK (TSC_OPAQUE), src_ratio_unknown },
  { "destination scales before 5.18", STOCK (TSC_OPAQUE), dest_ratio_unknown },
  { "both before 5.18, neither scales", FIXED, khz_unknown },
  { "guest uses no paravirtual clock", STOCK (NO_PVCLOCK), pvclock_missing },
  { "none used, and fix-up wanted", FIXED, pvclock_not_wanted },
  { "guest uses the Hyper-V page", FIXED, hyperv_page },
  { "elapsed time is negative", STOCK (NEGATIVE_ELAPSED), elapsed_negative },
  { "blackout over the maximum", STOCK (MAX_ADVANCE), blackout_too_long },
  { "blackout longer than known", STOCK (LONGER_THAN_KNOWN), blackout_unknown },
  { "fix-up past its deadline", STOCK (DEADLINE_PASSED), deadline_passed },
  { "fix-up for another pause", STOCK (CLOCK_MISMATCH), clock_mismatch },
  { "no fix-up came", STOCK (NO_RECORD), fixup_missing },
  { "observe", HELPER_VERDICT_OBSERVED, HELPER_REASON_OBSERVE_ONLY, observe },
  { "observe, destination without master clock", HELPER_VERDICT_OBSERVED,
    HELPER_REASON_NO_MASTER_CLOCK, observe_without_master },
};

const uint32_t migration_trouble_count = G_N_ELEMENTS (migration_troubles);
