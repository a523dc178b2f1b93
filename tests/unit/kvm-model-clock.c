/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "kvm-model-clock.h"

#include <errno.h>
#include <glib.h>
#include <math.h>

#include "kvm-model-tsc.h"

#define NS_PER_S        1000000000ull
#define NS_PER_MS       1000000ull
#define RAW_RANGE_S     600u
#define PPB_PER_ONE     1000000000
#define CLOCK_FLAGS_ALL (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

typedef unsigned __int128 uint128;
typedef __int128 int128;

/* ns = ticks * 2^shift * mul / 2^32, as a pvclock page has it */
struct page_rate {
  int shift;
  uint32_t mul;
};

/* What kvm_get_time_scale() comes to: mul has its top bit set, so it rounds by a part in 2^31. */
static struct page_rate
page_rate_make (uint64_t tick_hz)
{
  struct page_rate rate = { 0 };

  for (; tick_hz > 2 * NS_PER_S; tick_hz /= 2)
    rate.shift--;
  for (; tick_hz <= NS_PER_S; tick_hz *= 2)
    rate.shift++;
  rate.mul = (uint32_t) ((NS_PER_S << 32) / tick_hz);
  return rate;
}

/* pvclock_scale_delta(), for readings before the snapshot too */
static int64_t
page_rate_ns (struct page_rate rate, int64_t ticks)
{
  int128 shifted = rate.shift < 0 ? ticks >> -rate.shift : (int128) ticks << rate.shift;

  return (int64_t) (shifted * rate.mul >> 32);
}

static struct page_rate
host_rate (const struct kvm_model_host *host)
{
  return page_rate_make ((uint64_t) host->host_khz * 1000);
}

/* The whole kHz that KVM takes the guest's TSC to run at. */
static struct page_rate
guest_rate (const struct kvm_model_host *host)
{
  return page_rate_make (kvm_model_tsc_scale (host, host->host_khz) * 1000);
}

/*
 * CLOCK_MONOTONIC_RAW counts ticks * mult >> shift. The kernel chooses the largest shift at which
 * RAW_RANGE_S of ticks do not overflow 64 bits: some 23 bits of mult are left at a few GHz.
 */
static uint64_t
raw_mult (const struct kvm_model_host *host, uint32_t *shift)
{
  uint64_t range_ticks = (uint64_t) RAW_RANGE_S * 1000 * host->host_khz;
  uint64_t mult_limit = (uint64_t) 1 << 32;
  uint64_t mult;

  for (uint64_t high = range_ticks >> 32; high != 0; high >>= 1)
    mult_limit >>= 1;
  *shift = 32;
  while ((mult = ((NS_PER_MS << *shift) + host->host_khz / 2) / host->host_khz) >= mult_limit)
    --*shift;
  return mult;
}

static int64_t
raw_ns (const struct kvm_model_host *host, uint64_t tsc)
{
  uint32_t shift;
  uint64_t mult = raw_mult (host, &shift);

  return host->raw_at_zero_ns +
         (int64_t) ((int128) (int64_t) (tsc - host->tsc_at_zero_ticks) * mult >> shift);
}

/* pvclock_update_vm_gtod_copy() */
static void
master_update (struct kvm_model_host *host)
{
  host->use_master = kvm_model_clock_can_master (host);
  host->master_cycle_now = kvm_model_tsc_of_host (host, kvm_model_now_ns ());
  host->master_kernel_ns = raw_ns (host, host->master_cycle_now);
}

static int64_t
kvmclock_base_ns (const struct kvm_model_host *host)
{
  return raw_ns (host, kvm_model_tsc_of_host (host, kvm_model_now_ns ()));
}

/* public functions */

bool
kvm_model_clock_can_master (const struct kvm_model_host *host)
{
  return host->stable_tsc && host->matched_count + 1 == host->vcpu_count;
}

int
kvm_model_clock_get (int index, struct kvm_clock_data *clock)
{
  struct kvm_model_host *host = &kvm_model_hosts[index];
  uint64_t now_ns = kvm_model_now_ns ();

  host->clock_read_at_ns = now_ns;
  *clock = (struct kvm_clock_data){ .clock = kvm_model_kvmclock (index, now_ns) };
  if (host->use_master && host->old_kernel)
    clock->flags = KVM_CLOCK_TSC_STABLE;
  if (host->use_master && !host->old_kernel) {
    clock->flags = CLOCK_FLAGS_ALL;
    clock->realtime = kvm_model_realtime (index, now_ns);
    clock->host_tsc = kvm_model_host_tsc (index, now_ns);
  }
  return 0;
}

int
kvm_model_clock_set (int index, const struct kvm_clock_data *clock)
{
  struct kvm_model_host *host = &kvm_model_hosts[index];
  uint64_t value_ns = clock->clock;

  host->set_clock_count++;
  host->clock_set_at_ns = kvm_model_now_ns ();
  if (clock->flags != 0 && (host->old_kernel || clock->flags != KVM_CLOCK_REALTIME)) {
    errno = EINVAL;
    return -1;
  }
  master_update (host);
  if (clock->flags == KVM_CLOCK_REALTIME) {
    uint64_t real_ns;

    kvm_model_pass (kvm_model_chance_ns (host->gap_min_ns, host->gap_max_ns));
    real_ns = kvm_model_realtime (index, kvm_model_now_ns ());
    if (real_ns > clock->realtime)
      value_ns += real_ns - clock->realtime;
  }
  if (!host->use_master)
    kvm_model_pass (kvm_model_chance_ns (20, 100));
  /* unsigned here and below: any clock can be set, and the kernel's sums wrap around */
  host->kvmclock_offset_ns =
    (int64_t) (value_ns -
               (uint64_t) (host->use_master ? host->master_kernel_ns : kvmclock_base_ns (host)));
  host->real_at_zero_ns += (uint64_t) host->realtime_step_ns;
  host->realtime_step_ns *= 2; /* a steady one would be corrected for */
  return 0;
}

uint64_t
kvm_model_kvmclock (int index, uint64_t at_ns)
{
  const struct kvm_model_host *host = &kvm_model_hosts[index];
  uint64_t tsc = kvm_model_tsc_of_host (host, at_ns);

  if (!host->use_master)
    return (uint64_t) raw_ns (host, tsc) + (uint64_t) host->kvmclock_offset_ns;
  return (uint64_t) host->master_kernel_ns + (uint64_t) host->kvmclock_offset_ns +
         (uint64_t) page_rate_ns (host_rate (host), (int64_t) (tsc - host->master_cycle_now));
}

double
kvm_model_kvmclock_fraction (int index, uint64_t at_ns)
{
  const struct kvm_model_host *host = &kvm_model_hosts[index];
  uint64_t tsc = kvm_model_tsc_of_host (host, at_ns);
  struct page_rate rate = host_rate (host);
  int64_t ticks = (int64_t) (tsc - host->master_cycle_now);
  /* down to the tick, the shift then cuts nothing off */
  int128 fine = (int128) ticks * rate.mul << MAX (rate.shift, 0);

  if (!host->use_master)
    return 0;
  return (double) (fine - ((int128) page_rate_ns (rate, ticks) << (32 - MIN (rate.shift, 0)))) /
         ldexp (1, 32 - MIN (rate.shift, 0));
}

double
kvm_model_kvmclock_rate (int index)
{
  const struct kvm_model_host *host = &kvm_model_hosts[index];
  struct page_rate rate = host_rate (host);
  double ticks_per_ns = ((double) host->host_khz * 1e3 + host->tsc_error_hz) / 1e9;
  uint32_t shift;
  double mult = (double) raw_mult (host, &shift);

  if (!host->use_master)
    return ticks_per_ns * ldexp (mult, -(int) shift);
  return ticks_per_ns * ldexp (rate.mul, rate.shift - 32);
}

uint64_t
kvm_model_page (int index, uint32_t vcpu, uint64_t at_ns)
{
  const struct kvm_model_host *host = &kvm_model_hosts[index];
  uint64_t timestamp = kvm_model_tsc_scale (host, host->master_cycle_now);
  uint64_t tsc = kvm_model_guest_tsc (index, vcpu, at_ns) - host->vcpus[vcpu].ofs_ticks;

  /* the page is made anew at each entry, from CLOCK_MONOTONIC_RAW */
  if (!host->use_master)
    return kvm_model_kvmclock (index, at_ns);
  return (uint64_t) (host->master_kernel_ns + host->kvmclock_offset_ns +
                     page_rate_ns (guest_rate (host), (int64_t) (tsc - timestamp)));
}

uint64_t
kvm_model_realtime (int index, uint64_t at_ns)
{
  const struct kvm_model_host *host = &kvm_model_hosts[index];

  return host->real_at_zero_ns + at_ns +
         (uint64_t) (int64_t) ((int128) at_ns * host->real_slew_ppb / PPB_PER_ONE);
}

double
kvm_model_realtime_rate (int index)
{
  return 1 + (double) kvm_model_hosts[index].real_slew_ppb / PPB_PER_ONE;
}

void
kvm_model_enter (int index)
{
  struct kvm_model_host *host = &kvm_model_hosts[index];

  if (host->update_pending || kvm_model_clock_can_master (host) != host->use_master)
    master_update (host);
  host->update_pending = false;
}

void
kvm_model_start_kvmclock (int index, uint64_t clock_ns)
{
  struct kvm_model_host *host = &kvm_model_hosts[index];

  master_update (host);
  host->update_pending = false;
  host->kvmclock_offset_ns = (int64_t) clock_ns - host->master_kernel_ns;
}
