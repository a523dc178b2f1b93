/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "migration-seam.h"

#include <math.h>

/* docs/accuracy.md derives these; a tick of the guest's, or some, comes to them. */
#define COHERENCE_NS      2.0
#define PAGE_COHERENCE_NS 4.0
/* kvmclock is cut to a ns and to some host ticks, CLOCK_REALTIME to a ns */
#define CONTINUITY_NS 3.0
#define RUN_ON_NS     8.0
/* without master clock kvmclock and CLOCK_REALTIME are read one after the other */
#define KVMCLOCK_ONLY_NS 250.0

#define RESIDUAL_GOOD_NS 100

static const struct kvm_model_host *const dest = &kvm_model_hosts[DEST];

/* Also false for a value that is no number. */
static void
expect_within (const char *what, double value_ns, double limit_ns)
{
  g_autofree char *text = NULL;

  if (fabs (value_ns) <= limit_ns)
    return;
  text = g_strdup_printf ("%s: off by %.3f ns, which is over %.3f", what, value_ns, limit_ns);
  g_assertion_message (G_LOG_DOMAIN, __FILE__, __LINE__, G_STRFUNC, text);
}

static struct migration_reading
reading_take (int index, uint64_t at_ns)
{
  struct migration_reading reading = {
    .at_ns = at_ns,
    .kvmclock_ns = kvm_model_kvmclock (index, at_ns),
    .page_ns = kvm_model_page (index, 0, at_ns),
    .real_ns = kvm_model_realtime (index, at_ns),
    .tsc_fraction_ticks = kvm_model_guest_tsc_fraction (index, at_ns),
    .kvmclock_fraction_ns = kvm_model_kvmclock_fraction (index, at_ns),
  };

  for (uint32_t i = 0; i < kvm_model_hosts[index].vcpu_count; i++)
    reading.tsc_ticks[i] = kvm_model_guest_tsc (index, i, at_ns);
  return reading;
}

/* @ticks less @ns, in ns at @khz, without rounding before the end. */
static double
ticks_ahead_ns (uint64_t ticks, uint64_t ns, uint32_t khz)
{
  __int128 ahead = (__int128) (int64_t) ticks * 1000000 - (__int128) (int64_t) ns * khz;

  return (double) ahead / khz;
}

static double
tick_ns (const struct migration_seam *this)
{
  return 1e6 / this->freq_khz;
}

/*
 * The vCPU of the source that @vcpu goes on with: its own, or the first if they were less than a
 * second apart, or if it is new.
 */
static uint32_t
origin (const struct migration_seam *this, uint32_t vcpu)
{
  uint64_t second_ticks = (uint64_t) this->freq_khz * 1000;
  uint64_t ahead_ticks = this->src_vcpus[vcpu].ofs_ticks - this->src_vcpus[0].ofs_ticks;

  if (vcpu >= this->src_vcpu_count || ahead_ticks < second_ticks || -ahead_ticks < second_ticks)
    return 0;
  return vcpu;
}

/*
 * The source is taken by what it reads, since that is what is handed over; on the destination the
 * TSC is taken with its fraction, or the reading would add a tick to what it finds.
 */
static double
tsc_ahead_ns (const struct migration_seam *this, const struct migration_reading *now, uint32_t vcpu,
              uint64_t elapsed_ns)
{
  uint64_t ticks = now->tsc_ticks[vcpu] - this->src.tsc_ticks[origin (this, vcpu)];

  return ticks_ahead_ns (ticks, elapsed_ns, this->freq_khz) +
         now->tsc_fraction_ticks * tick_ns (this);
}

/* The guest's TSC, in ns of its own frequency per ns of true time. */
static double
tsc_rate (const struct migration_seam *this, int index)
{
  return kvm_model_guest_tsc_rate (index) * tick_ns (this);
}

/* How far clocks have parted by @now_ns that run at these rates, if something set them @since_ns. */
static double
parted_ns (uint64_t now_ns, uint64_t since_ns, double a_rate, double b_rate)
{
  return since_ns == 0 ? 0 : (a_rate - b_rate) * (double) (now_ns - since_ns);
}

/* The TSC was derived from the KVM_GET_CLOCK before. */
static double
tsc_parted_ns (const struct migration_seam *this, uint64_t now_ns)
{
  return parted_ns (now_ns, dest->paired_at_ns, tsc_rate (this, DEST),
                    kvm_model_kvmclock_rate (DEST));
}

/* The residual is that of the last KVM_GET_CLOCK. */
static double
real_parted_ns (uint64_t now_ns)
{
  return parted_ns (now_ns, dest->clock_read_at_ns, kvm_model_kvmclock_rate (DEST),
                    kvm_model_realtime_rate (DEST));
}

static double
coherence_ns (const struct migration_seam *this, const struct migration_reading *now, uint32_t vcpu)
{
  return tsc_ahead_ns (this, now, vcpu, now->kvmclock_ns - this->src.kvmclock_ns) -
         tsc_parted_ns (this, now->at_ns);
}

static double
page_coherence_ns (const struct migration_seam *this, const struct migration_reading *now)
{
  return tsc_ahead_ns (this, now, 0, now->page_ns - this->src.page_ns) -
         tsc_parted_ns (this, now->at_ns);
}

static double
continuity_ns (const struct migration_seam *this, const struct migration_reading *now,
               int64_t theta_ns)
{
  uint64_t real_elapsed_ns = now->real_ns - (uint64_t) theta_ns - this->src.real_ns;

  return (double) (int64_t) (now->kvmclock_ns - this->src.kvmclock_ns - real_elapsed_ns) -
         real_parted_ns (now->at_ns);
}

/* KVM_GET_CLOCK, which is handed over, and the guest's page part with the age of KVM's snapshot. */
static double
kvms_own_ns (const struct migration_seam *this)
{
  return (double) (int64_t) (this->src.page_ns - this->src.kvmclock_ns);
}

static void
expect_coherent (const struct migration_seam *this, const struct migration_reading *now)
{
  for (uint32_t i = 0; i < dest->vcpu_count; i++)
    expect_within ("TSC against KVM_GET_CLOCK", coherence_ns (this, now, i),
                   COHERENCE_NS + tick_ns (this));
}

/*
 * Against the page the source's TSC stood elsewhere than against KVM_GET_CLOCK, by what KVM had
 * let part since its last snapshot: that much goes away, and no more.
 */
static void
expect_page_coherent (const struct migration_seam *this, const struct migration_reading *now)
{
  expect_within ("TSC against the guest's page, less KVM's own",
                 page_coherence_ns (this, now) - kvms_own_ns (this),
                 PAGE_COHERENCE_NS + 2 * tick_ns (this));
}

/* The residual is true, and small unless the host's clocks can not be read closer. */
static void
expect_continuous (const struct migration_seam *this, const struct helper_fixup *fixup,
                   const struct helper_report *report, const struct migration_reading *now)
{
  double jitter_ns = dest->gap_max_ns - dest->gap_min_ns;
  double slewed_ns = parted_ns (dest->clock_read_at_ns, dest->clock_set_at_ns,
                                kvm_model_kvmclock_rate (DEST), kvm_model_realtime_rate (DEST));

  expect_within ("kvmclock against CLOCK_REALTIME, less the residual",
                 continuity_ns (this, now, fixup->theta_ns) - (double) report->residual_ns,
                 CONTINUITY_NS);
  expect_within ("residual", (double) report->residual_ns,
                 fmax (jitter_ns, RESIDUAL_GOOD_NS) + CONTINUITY_NS + fabs (slewed_ns));
}

/*
 * The source's VM, had it run on, reads the same, but for the residual, an error in theta, and what
 * CLOCK_REALTIME, which carries the clock over, and kvmclock part in the blackout.
 */
static void
expect_as_if_run_on (const struct migration_seam *this, const struct helper_fixup *fixup,
                     const struct helper_report *report, const struct migration_reading *now)
{
  double blackout_ns = (double) (now->at_ns - this->src.at_ns);
  int64_t theta_ns =
    (int64_t) (kvm_model_realtime (DEST, now->at_ns) - kvm_model_realtime (SRC, now->at_ns));
  double src_rate = kvm_model_kvmclock_rate (SRC);
  double drift_ns = blackout_ns * fabs (kvm_model_realtime_rate (SRC) - src_rate);
  double tsc_drift_ns = blackout_ns * fabs (tsc_rate (this, SRC) - src_rate);
  double allowed_ns = fabs ((double) report->residual_ns) +
                      fabs ((double) (fixup->theta_ns - theta_ns)) + drift_ns + RUN_ON_NS +
                      fabs (real_parted_ns (now->at_ns));

  expect_within ("kvmclock against the source's",
                 (double) (int64_t) (now->kvmclock_ns - kvm_model_kvmclock (SRC, now->at_ns)),
                 allowed_ns);
  allowed_ns +=
    COHERENCE_NS + 3 * tick_ns (this) + tsc_drift_ns + fabs (tsc_parted_ns (this, now->at_ns));
  for (uint32_t i = 0; i < dest->vcpu_count; i++) {
    uint64_t src_ticks = kvm_model_guest_tsc (SRC, origin (this, i), now->at_ns);

    expect_within ("TSC against the source's",
                   ticks_ahead_ns (now->tsc_ticks[i] - src_ticks, 0, this->freq_khz), allowed_ns);
  }
}

/*
 * A vCPU that was ahead of the first, by less than a second, was put back to it, as KVM's own write
 * of the TSC would. And the page goes back by KVM's own discrepancy, if that is more than the
 * blackout.
 */
static void
expect_forwards (const struct migration_seam *this, const struct migration_reading *now)
{
  g_assert_cmpuint (now->kvmclock_ns, >=, this->src.kvmclock_ns);
  g_assert_cmpfloat ((double) (int64_t) (now->page_ns - this->src.page_ns), >=,
                     -fmax (kvms_own_ns (this), 0));
  for (uint32_t i = 0; i < dest->vcpu_count; i++)
    g_assert_cmpint ((int64_t) (now->tsc_ticks[i] - this->src.tsc_ticks[origin (this, i)]), >=, 0);
}

/* Offsets: equal ones are to the bit, and others as far apart as they were; and as reported. */
static void
expect_offsets (const struct migration_seam *this, const struct helper_report *report)
{
  uint32_t flags = 0;

  g_assert_cmpuint (report->vcpu_count, ==, dest->vcpu_count);
  for (uint32_t i = 0; i < dest->vcpu_count; i++) {
    uint32_t from = origin (this, i);

    g_assert_cmphex (dest->vcpus[i].ofs_ticks - dest->vcpus[0].ofs_ticks, ==,
                     this->src_vcpus[from].ofs_ticks - this->src_vcpus[0].ofs_ticks);
    g_assert_cmphex (dest->vcpus[i].ofs_ticks, ==, report->vcpus[i].ofs_dest_ticks);
    g_assert_true (dest->vcpus[i].deadline_ticks == 0 || kvm_model_is_armed_right (DEST, i));
    if (from != 0)
      flags |= HELPER_REPORT_OFFSETS_APART;
    else if (i < this->src_vcpu_count &&
             this->src_vcpus[i].ofs_ticks != this->src_vcpus[0].ofs_ticks)
      flags |= HELPER_REPORT_OFFSETS_JOINED;
  }
  g_assert_cmphex (report->flags, ==, flags);
}

/* public functions */

void
migration_seam_pause (struct migration_seam *this)
{
  const struct kvm_model_host *src = &kvm_model_hosts[SRC];

  this->freq_khz = src->guest_khz;
  this->src = reading_take (SRC, src->clock_read_at_ns);
  this->src_vcpu_count = src->vcpu_count;
  for (uint32_t i = 0; i < KVM_MODEL_VCPUS; i++)
    this->src_vcpus[i] = src->vcpus[i];
}

struct migration_jump
migration_seam_jump (const struct migration_seam *this, int64_t theta_ns)
{
  struct migration_reading now;
  double kvmclock_cut_ns;

  kvm_model_enter (DEST);
  now = reading_take (DEST, kvm_model_now_ns ());
  kvmclock_cut_ns = now.kvmclock_fraction_ns - this->src.kvmclock_fraction_ns;
  return (struct migration_jump){
    .coherence_ns = coherence_ns (this, &now, 0) - kvmclock_cut_ns -
                    this->src.tsc_fraction_ticks * tick_ns (this),
    .continuity_ns = continuity_ns (this, &now, theta_ns) + kvmclock_cut_ns,
    .page_ns = page_coherence_ns (this, &now),
    .kvms_own_ns = kvms_own_ns (this),
  };
}

void
migration_seam_expect_fixed (const struct migration_seam *this, const struct helper_fixup *fixup,
                             const struct helper_report *report)
{
  struct migration_reading now = reading_take (DEST, kvm_model_now_ns ());

  expect_coherent (this, &now);
  expect_continuous (this, fixup, report, &now);
  expect_as_if_run_on (this, fixup, report, &now);
  expect_forwards (this, &now);
  expect_offsets (this, report);

  kvm_model_enter (DEST);
  now = reading_take (DEST, now.at_ns);
  expect_forwards (this, &now);
  if ((report->flags & HELPER_REPORT_OFFSETS_APART) == 0) {
    g_assert_true (dest->use_master);
    expect_page_coherent (this, &now);
  }
}

void
migration_seam_expect_kvmclock (const struct migration_seam *this, const struct helper_fixup *fixup,
                                const struct helper_report *report)
{
  struct migration_reading now = reading_take (DEST, kvm_model_now_ns ());

  expect_within ("kvmclock against CLOCK_REALTIME, less the residual",
                 continuity_ns (this, &now, fixup->theta_ns) - (double) report->residual_ns,
                 KVMCLOCK_ONLY_NS);
  g_assert_cmpuint (now.kvmclock_ns, >=, this->src.kvmclock_ns);
}

void
migration_seam_expect_observed (const struct migration_seam *this,
                                const struct helper_report *report)
{
  uint64_t scaled_ticks = kvm_model_tsc_scale (dest, report->tsc_dest_ticks);
  uint64_t elapsed_ns = report->guest_dest_ns - this->src.kvmclock_ns;

  for (uint32_t i = 0; i < dest->vcpu_count; i++) {
    uint64_t ticks =
      scaled_ticks + report->vcpus[i].ofs_dest_ticks - this->src.tsc_ticks[origin (this, i)];

    expect_within ("TSC that was not set, against the kvmclock that was not",
                   ticks_ahead_ns (ticks, elapsed_ns, this->freq_khz), tick_ns (this));
  }
}
