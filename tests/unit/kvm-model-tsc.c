/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "kvm-model-tsc.h"

#include <glib.h>
#include <math.h>

#include "kvm-model-clock.h"

#define NS_PER_S      1000000000ull
#define TOLERANCE_PPM 250

typedef unsigned __int128 uint128;

static uint64_t
host_hz (const struct kvm_model_host *host)
{
  return (uint64_t) ((int64_t) host->host_khz * 1000 + host->tsc_error_hz);
}

/* Outside the tolerance, and able to. */
static bool
host_scales (const struct kvm_model_host *host)
{
  uint32_t low_khz = (uint32_t) ((uint64_t) host->host_khz * (1000000 - TOLERANCE_PPM) / 1000000);
  uint32_t high_khz = (uint32_t) ((uint64_t) host->host_khz * (1000000 + TOLERANCE_PPM) / 1000000);

  return host->frac_bits != 0 && (host->guest_khz < low_khz || host->guest_khz > high_khz);
}

static uint64_t
scale_ratio (const struct kvm_model_host *host)
{
  return (uint64_t) (((uint128) 1 << host->frac_bits) * host->guest_khz / host->host_khz);
}

/*
 * Where within its ns, in parts of 2^32, a true time lies: anywhere, and the same on both hosts. Or
 * times that KVM rounds would keep step with the model's ns, and the rounding have a preference.
 */
static uint64_t
within_ns (uint64_t at_ns)
{
  return at_ns * 0x9e3779b97f4a7c15u >> 32;
}

/* kvm_track_tsc_matching(): a new generation moves the master clock's point of reference. */
static void
matching_track (struct kvm_model_host *host, bool matched)
{
  if ((host->use_master && !matched) || kvm_model_clock_can_master (host) != host->use_master)
    host->update_pending = true;
}

/* The true time at which the vCPU's TSC, as it runs now, reaches the deadline */
static double
deadline_time (int index, uint32_t vcpu)
{
  const struct kvm_model_host *host = &kvm_model_hosts[index];
  uint64_t tsc = kvm_model_guest_tsc (index, vcpu, kvm_model_now_ns ());

  return (double) kvm_model_now_ns () +
         (double) (int64_t) (host->vcpus[vcpu].deadline_ticks - tsc) * 1e6 / host->guest_khz;
}

/* public functions */

uint64_t
kvm_model_tsc_of_host (const struct kvm_model_host *host, uint64_t at_ns)
{
  uint128 at = (uint128) at_ns << 32 | within_ns (at_ns);

  return host->tsc_at_zero_ticks + (uint64_t) (at * host_hz (host) / NS_PER_S >> 32);
}

/* Whole part and fraction of the ratio apart, so that an overflow would show. */
uint64_t
kvm_model_tsc_scale (const struct kvm_model_host *host, uint64_t ticks)
{
  uint64_t ratio, whole_ticks, fraction_ticks, sum_ticks;

  if (!host_scales (host))
    return ticks;
  ratio = scale_ratio (host);
  g_assert_false (__builtin_mul_overflow (ticks, ratio >> host->frac_bits, &whole_ticks));
  fraction_ticks =
    (uint64_t) ((uint128) ticks * (ratio & (((uint64_t) 1 << host->frac_bits) - 1)) >>
                host->frac_bits);
  g_assert_false (__builtin_add_overflow (whole_ticks, fraction_ticks, &sum_ticks));
  return sum_ticks;
}

void
kvm_model_tsc_write_offset (struct kvm_model_host *host, struct kvm_model_vcpu *vcpu,
                            uint64_t ofs_ticks)
{
  bool matched = host->last_ofs_ticks == ofs_ticks;

  host->last_ofs_ticks = ofs_ticks;
  vcpu->ofs_ticks = ofs_ticks;
  if (!matched) {
    host->generation++;
    host->matched_count = 0;
  } else if (vcpu->generation != host->generation) {
    host->matched_count++;
  }
  vcpu->generation = host->generation;
  matching_track (host, matched);
}

uint64_t
kvm_model_host_tsc (int index, uint64_t at_ns)
{
  return kvm_model_tsc_of_host (&kvm_model_hosts[index], at_ns);
}

uint64_t
kvm_model_guest_tsc (int index, uint32_t vcpu, uint64_t at_ns)
{
  const struct kvm_model_host *host = &kvm_model_hosts[index];

  return kvm_model_tsc_scale (host, kvm_model_tsc_of_host (host, at_ns)) +
         host->vcpus[vcpu].ofs_ticks;
}

double
kvm_model_guest_tsc_fraction (int index, uint64_t at_ns)
{
  const struct kvm_model_host *host = &kvm_model_hosts[index];
  uint128 scaled;

  if (!host_scales (host))
    return 0;
  scaled = (uint128) kvm_model_tsc_of_host (host, at_ns) * scale_ratio (host);
  return ldexp ((double) (uint64_t) (scaled & (((uint128) 1 << host->frac_bits) - 1)),
                -(int) host->frac_bits);
}

double
kvm_model_guest_tsc_rate (int index)
{
  const struct kvm_model_host *host = &kvm_model_hosts[index];
  double ticks_per_ns = (double) host_hz (host) / 1e9;

  if (!host_scales (host))
    return ticks_per_ns;
  return ticks_per_ns * (double) scale_ratio (host) / ldexp (1, (int) host->frac_bits);
}

void
kvm_model_load_offsets (int index, const uint64_t *ofs_ticks)
{
  struct kvm_model_host *host = &kvm_model_hosts[index];

  host->last_ofs_ticks = ~ofs_ticks[0];
  for (uint32_t i = 0; i < host->vcpu_count; i++)
    kvm_model_tsc_write_offset (host, &host->vcpus[i], ofs_ticks[i]);
}

void
kvm_model_arm (int index, uint32_t vcpu, uint64_t deadline_ticks)
{
  kvm_model_hosts[index].vcpus[vcpu].deadline_ticks = deadline_ticks;
  kvm_model_hosts[index].vcpus[vcpu].deadline_at_host_ns = deadline_time (index, vcpu);
}

bool
kvm_model_is_armed_right (int index, uint32_t vcpu)
{
  double at_ns = kvm_model_hosts[index].vcpus[vcpu].deadline_at_host_ns;

  return fabs (at_ns - deadline_time (index, vcpu)) < 1000;
}
