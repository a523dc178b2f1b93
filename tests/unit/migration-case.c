/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "migration-case.h"

#include "helper-peer.h"
#include "host-calls.h"
#include "migration-host.h"
#include "migration-trouble.h"

#define BLACKOUT_MAX_NS     (290 * NS_PER_S)
#define TROUBLE_PROBABILITY 0.4

static struct kvm_model_host *const src = &kvm_model_hosts[SRC];
static struct kvm_model_host *const dest = &kvm_model_hosts[DEST];

/* Where the guest's TSC stands: started with kvmclock, anywhere, or about to wrap around. */
static uint64_t
guest_tsc_draw (GRand *dice, uint64_t kvmclock_ns, uint32_t khz)
{
  double kind = g_rand_double (dice);

  if (kind < 0.6)
    return (uint64_t) ((unsigned __int128) kvmclock_ns * khz / 1000000);
  if (kind < 0.8)
    return migration_chance_64 (dice);
  return -migration_chance_log (dice, 1e6, 1e12);
}

static void
vm_start (struct migration_case *this)
{
  uint64_t kvmclock_ns = migration_chance_log (this->dice, NS_PER_S, MIGRATION_UPTIME_MAX_NS);
  uint64_t tsc_ticks = guest_tsc_draw (this->dice, kvmclock_ns, src->guest_khz);
  uint64_t scaled_ticks = kvm_model_tsc_scale (src, kvm_model_host_tsc (SRC, kvm_model_now_ns ()));
  uint64_t offsets[KVM_MODEL_VCPUS];

  for (uint32_t i = 0; i < KVM_MODEL_VCPUS; i++)
    offsets[i] = tsc_ticks - scaled_ticks;
  kvm_model_load_offsets (SRC, offsets);
  kvm_model_start_kvmclock (SRC, kvmclock_ns);
}

/* A guest that writes its TSC moves an offset, and KVM's match of them does not notice. */
static void
offsets_part (struct migration_case *this)
{
  int64_t second_ticks = (int64_t) src->guest_khz * 1000;

  for (uint32_t i = 1; i < src->vcpu_count; i++) {
    double kind = g_rand_double (this->dice);
    int64_t ahead_ticks =
      (int64_t) ((g_rand_double (this->dice) - 0.5) * 3 * (double) second_ticks);

    if (kind < 0.1)
      ahead_ticks = second_ticks;
    else if (kind < 0.2)
      ahead_ticks = 1 - second_ticks;
    else if (kind < 0.4)
      ahead_ticks = 0;
    src->vcpus[i].ofs_ticks += (uint64_t) ahead_ticks;
  }
}

/* QEMU's writes of the TSC, one by one, were not taken for one. */
static void
offset_mislay (struct migration_case *this)
{
  struct kvm_model_vcpu *vcpu =
    &dest->vcpus[g_rand_int_range (this->dice, 0, (int) dest->vcpu_count)];

  kvm_model_tsc_write_offset (dest, vcpu, vcpu->ofs_ticks + 1000);
}

/* A timer of the guest's, due in up to ten seconds. */
static void
deadline_arm (struct migration_case *this)
{
  uint32_t vcpu = (uint32_t) g_rand_int_range (this->dice, 0, (int) dest->vcpu_count);
  uint64_t left_ticks = migration_chance_log (this->dice, 1e3, 1e4 * dest->guest_khz);

  kvm_model_arm (DEST, vcpu, kvm_model_guest_tsc (DEST, vcpu, kvm_model_now_ns ()) + left_ticks);
}

static void
case_in_health (struct migration_case *this)
{
  GRand *dice = this->dice;
  uint32_t guest_khz = (uint32_t) g_rand_int_range (dice, MIGRATION_KHZ_MIN, MIGRATION_KHZ_MAX + 1);

  kvm_model_reset ((uint32_t) g_rand_int_range (dice, 1, KVM_MODEL_VCPUS + 1), this->seed);
  migration_host_draw (dice, guest_khz, src);
  migration_host_draw (dice, guest_khz, dest);
  for (uint32_t i = 1; i < KVM_MODEL_VCPUS; i++)
    dest->vcpus[i].has_pvclock = migration_chance (dice, 0.5);
  dest->vcpus[0].has_pvclock = dest->vcpu_count == 1 || !dest->vcpus[1].has_pvclock;

  this->age_ns = migration_chance (dice, 0.02)
                   ? MIGRATION_UPTIME_MAX_NS
                   : migration_chance_log (dice, NS_PER_S, 30 * MIGRATION_NS_PER_DAY);
  this->blackout_ns = migration_chance_log (dice, 2 * NS_PER_MS, BLACKOUT_MAX_NS);
  this->qemu_age_ns =
    this->blackout_ns + migration_chance_log (dice, NS_PER_S, MIGRATION_NS_PER_HOUR);
  if (migration_chance (dice, 0.7)) {
    this->theta_bound_ns = migration_chance_log (dice, 100, 0.5 * NS_PER_MS);
    this->theta_error_ns =
      (int64_t) ((g_rand_double (dice) - 0.5) * 2 * (double) this->theta_bound_ns);
  }
  this->max_advance_ns = 300 * NS_PER_S;
  this->deadline_in_ns = 60 * NS_PER_S;
  this->offsets_differ = migration_chance (dice, 0.1);
  this->vcpu_plugged = migration_chance (dice, 0.1) && dest->vcpu_count < KVM_MODEL_VCPUS;
}

/* public functions */

void
migration_load_stock_offsets (int index, uint64_t saved_at_ns)
{
  struct kvm_model_host *host = &kvm_model_hosts[index];
  uint64_t scaled_ticks =
    kvm_model_tsc_scale (host, kvm_model_host_tsc (index, kvm_model_now_ns ()));
  uint64_t offsets[KVM_MODEL_VCPUS];

  for (uint32_t i = 0; i < KVM_MODEL_VCPUS; i++)
    offsets[i] = kvm_model_guest_tsc (SRC, 0, saved_at_ns) - scaled_ticks;
  kvm_model_load_offsets (index, offsets);
}

void
migration_case_draw (struct migration_case *this, uint32_t seed)
{
  GRand *dice = this->dice;

  *this = (struct migration_case){ .seed = seed, .dice = dice, .trouble = &migration_troubles[0] };
  g_rand_set_seed (dice, seed);
  case_in_health (this);
  if (migration_chance (dice, TROUBLE_PROBABILITY))
    this->trouble = &migration_troubles[g_rand_int_range (dice, 1, (int) migration_trouble_count)];
  this->trouble->bring (this);
  dest->vcpu_count += this->vcpu_plugged;
  vm_start (this);
}

/* Stock QEMU: TSC read at the pause, kvmclock a little later, TSC loaded somewhere in between. */
void
migration_case_blackout (struct migration_case *this, struct hand_over *fixture)
{
  uint64_t saved_at_ns, load_ns;

  kvm_model_pass (this->age_ns);
  if (this->offsets_differ)
    offsets_part (this);
  saved_at_ns = kvm_model_now_ns ();
  kvm_model_pass (migration_chance_log (this->dice, 1000, 10 * NS_PER_MS));
  hand_over_pause (fixture);

  load_ns = (uint64_t) (g_rand_double (this->dice) * (double) this->blackout_ns);
  kvm_model_pass (load_ns);
  migration_load_stock_offsets (DEST, saved_at_ns);
  /* who only observes can not bring them into step, and finds no master clock */
  if (migration_chance (this->dice, 0.1) && this->mode == HELPER_MODE_APPLY)
    offset_mislay (this);
  if (migration_chance (this->dice, 0.5))
    deadline_arm (this);
  kvm_model_pass (this->blackout_ns - load_ns);
  kvm_model_move (DEST);
  hand_over_start_helper (this->qemu_age_ns);

  hand_over_prepare (fixture);
  fixture->fixup->theta_ns = (int64_t) (kvm_model_realtime (DEST, kvm_model_now_ns ()) -
                                        kvm_model_realtime (SRC, kvm_model_now_ns ())) +
                             this->theta_error_ns;
  fixture->fixup->theta_bound_ns = this->theta_bound_ns;
  fixture->fixup->max_advance_ns = this->max_advance_ns;
  fixture->fixup->deadline_monotonic_ns =
    host_calls.clock_ns (CLOCK_MONOTONIC) + (uint64_t) this->deadline_in_ns;
  fixture->fixup->mode = this->mode;
  fixture->fixup->flags = this->flags;
  fixture->fixup->record.guest_src_ns += this->clock_mismatch;
}

struct helper_report *
migration_case_finish (const struct migration_case *this, struct hand_over *fixture)
{
  if (!this->fixup_missing)
    return hand_over_finish (fixture);
  helper_peer_announce (fixture->daemon, host_calls.clock_ns (CLOCK_MONOTONIC) + NS_PER_S);
  g_assert_cmpint (hand_over_resume (fixture), ==, 0);
  return helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
}
