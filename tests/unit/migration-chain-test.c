/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * migration-chain-test - a guest that is migrated a thousand times, and what adds up
 *
 * docs/accuracy.md derives the bounds and says how to read what is printed. CLOCKFERRY_SEED in the
 * environment is the seed of the first chain.
 */

#include <math.h>

#include "migration-case.h"
#include "migration-host.h"
#include "migration-seam.h"

#define MIGRATIONS   1000
#define SEED_DEFAULT 20261123
#define CHAINS       16
#define HOSTS_MAX    16
#define VCPUS        3

#define REAL_AT_ZERO_S 1800000000 /* in 2027 */

/*
 * What one migration moves the TSC against kvmclock: down by the rounding of one product, half a tick
 * on average; and either way, on average not at all, by what KVM cuts off where it tells and scales
 * clocks. Five times the root of their number is hardly ever exceeded by the latter.
 */
#define SCATTER_NS     1.0
#define SCATTER_SIGMAS 5

/* What a residual, told in whole ns of three clocks, may be off by. */
#define RESIDUAL_ROUNDING_NS 3.0

struct chain {
  uint32_t freq_khz;
  uint32_t host_count;
  struct kvm_model_host hosts[HOSTS_MAX];
  uint64_t theta_bound_ns;
  GRand *dice;

  /* what has added up */
  double coherence_ns;
  double continuity_ns;
  double residual_ns; /* by the reports, with its sign */
  double theta_error_ns;
};

static uint32_t
first_seed (void)
{
  const char *text = g_getenv ("CLOCKFERRY_SEED");

  return text == NULL ? SEED_DEFAULT : (uint32_t) g_ascii_strtoull (text, NULL, 10);
}

/* An idle host of the chain takes the place of the modelled destination. */
static void
host_take (struct chain *this, uint32_t at)
{
  struct kvm_model_host *dest = &kvm_model_hosts[DEST];

  *dest = this->hosts[at];
  dest->vcpu_count = VCPUS;
  for (uint32_t i = 0; i < KVM_MODEL_VCPUS; i++)
    dest->vcpus[i] =
      (struct kvm_model_vcpu){ .id = kvm_model_hosts[SRC].vcpus[i].id, .has_pvclock = i == 0 };
}

static void
vm_start (struct chain *this)
{
  const uint64_t offsets[VCPUS] = { 0 };

  host_take (this, 0);
  kvm_model_hosts[SRC] = kvm_model_hosts[DEST];
  kvm_model_load_offsets (SRC, offsets);
  kvm_model_start_kvmclock (SRC, NS_PER_S);
}

static int64_t
theta_error_draw (struct chain *this)
{
  return (int64_t) ((g_rand_double (this->dice) - 0.5) * 2 * (double) this->theta_bound_ns);
}

static void
migrate (struct chain *this, struct hand_over *fixture, uint32_t to)
{
  g_autofree struct helper_report *report = NULL;
  int64_t theta_error_ns = theta_error_draw (this);
  struct migration_seam seam;
  struct migration_jump jump;
  uint64_t saved_at_ns;

  kvm_model_move (SRC);
  kvm_model_pass (migration_chance_log (this->dice, NS_PER_S, MIGRATION_NS_PER_DAY));
  saved_at_ns = kvm_model_now_ns ();
  kvm_model_pass (migration_chance_log (this->dice, 1000, 10 * NS_PER_MS));
  hand_over_pause (fixture);
  migration_seam_pause (&seam);

  host_take (this, to);
  migration_load_stock_offsets (DEST, saved_at_ns);
  kvm_model_pass (migration_chance_log (this->dice, 2 * NS_PER_MS, 60 * NS_PER_S));
  kvm_model_move (DEST);
  hand_over_prepare (fixture);
  fixture->fixup->theta_ns = (int64_t) (kvm_model_realtime (DEST, kvm_model_now_ns ()) -
                                        kvm_model_realtime (SRC, kvm_model_now_ns ())) +
                             theta_error_ns;
  fixture->fixup->theta_bound_ns = this->theta_bound_ns;
  report = hand_over_finish (fixture);
  hand_over_expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  migration_seam_expect_fixed (&seam, fixture->fixup, report);

  jump = migration_seam_jump (&seam, fixture->fixup->theta_ns);
  this->coherence_ns += jump.coherence_ns;
  this->continuity_ns += jump.continuity_ns + (double) theta_error_ns;
  this->residual_ns += (double) report->residual_ns;
  this->theta_error_ns += (double) theta_error_ns;
  kvm_model_hosts[SRC] = kvm_model_hosts[DEST];
}

/* Run a chain whose hosts are there. */
static void
chain_run (struct chain *this, uint32_t seed)
{
  struct hand_over fixture = { 0 };
  uint32_t at = 0;

  hand_over_start (&fixture, VCPUS, seed);
  vm_start (this);
  for (uint32_t i = 0; i < MIGRATIONS; i++) {
    at =
      (at + (uint32_t) g_rand_int_range (this->dice, 1, (int) this->host_count)) % this->host_count;
    migrate (this, &fixture, at);
  }
  hand_over_tear_down (&fixture, NULL);
}

static double
rounded_down_ns (const struct chain *this)
{
  return MIGRATIONS * 0.5e6 / this->freq_khz;
}

/* No more than rounding, and of kvmclock what the reports have told. */
static void
chain_expect_bounded (const struct chain *this)
{
  double chance = SCATTER_SIGMAS * sqrt (MIGRATIONS);
  double told_ns = this->residual_ns + this->theta_error_ns;

  g_assert_cmpfloat (this->coherence_ns, <, chance * SCATTER_NS);
  g_assert_cmpfloat (this->coherence_ns, >, -rounded_down_ns (this) - chance * SCATTER_NS);
  g_assert_cmpfloat (fabs (this->continuity_ns - told_ns), <, chance * RESIDUAL_ROUNDING_NS);
}

static void
chain_tell (const struct chain *this)
{
  g_test_message ("%u migrations among %2u hosts, guest at %7u kHz: TSC against kvmclock %8.2f ns, "
                  "half a tick each is %8.2f; kvmclock %10.0f ns, residuals %8.0f, theta %10.0f",
                  MIGRATIONS, this->host_count, this->freq_khz, this->coherence_ns,
                  -rounded_down_ns (this), this->continuity_ns, this->residual_ns,
                  this->theta_error_ns);
}

/* Hosts of all kinds, @host_count of them. */
static void
test_chains (uint32_t host_count, uint64_t theta_bound_ns)
{
  for (uint32_t i = 0; i < CHAINS; i++) {
    uint32_t seed = first_seed () + i;
    g_autoptr (GRand) dice = g_rand_new_with_seed (seed);
    struct chain chain = {
      .dice = dice,
      .host_count = host_count,
      .theta_bound_ns = theta_bound_ns,
      .freq_khz = (uint32_t) g_rand_int_range (dice, MIGRATION_KHZ_MIN, MIGRATION_KHZ_MAX + 1),
    };

    for (uint32_t at = 0; at < host_count; at++) {
      chain.hosts[at] =
        (struct kvm_model_host){ .stable_tsc = true, .real_at_zero_ns = REAL_AT_ZERO_S * NS_PER_S };
      migration_host_draw (dice, chain.freq_khz, &chain.hosts[at]);
    }
    g_test_message ("CLOCKFERRY_SEED=%u", seed);
    chain_run (&chain, seed);
    chain_tell (&chain);
    chain_expect_bounded (&chain);
  }
}

static void
test_back_and_forth (void)
{
  test_chains (2, NS_PER_MS / 2);
}

static void
test_among_many (void)
{
  test_chains (HOSTS_MAX, NS_PER_MS / 2);
}

/*
 * At 1 GHz nothing needs rounding: a ns is a tick, and both of KVM's rates are powers of two. Then
 * nothing may add up at all, to the tick, whatever the residuals are.
 */
static void
test_nothing_to_round (void)
{
  g_autoptr (GRand) dice = g_rand_new_with_seed (SEED_DEFAULT);
  struct chain chain = { .dice = dice, .host_count = 2, .freq_khz = 1000000 };

  for (uint32_t i = 0; i < chain.host_count; i++)
    chain.hosts[i] = (struct kvm_model_host){
      .stable_tsc = true,
      .host_khz = chain.freq_khz,
      .guest_khz = chain.freq_khz,
      .tsc_at_zero_ticks = (i + 1) * 4711 * NS_PER_S,
      .real_at_zero_ns = (REAL_AT_ZERO_S + 60 * i) * NS_PER_S,
      .raw_at_zero_ns = (int64_t) ((i + 1) * 4711 * NS_PER_S),
      .gap_min_ns = 1000,
      .gap_max_ns = 1060,
    };
  chain_run (&chain, SEED_DEFAULT);
  chain_tell (&chain);
  g_assert_cmpfloat (chain.coherence_ns, ==, 0);
  g_assert_cmpfloat (chain.continuity_ns, ==, chain.residual_ns);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/migration/chain/back-and-forth", test_back_and_forth);
  g_test_add_func ("/migration/chain/among-many", test_among_many);
  g_test_add_func ("/migration/chain/nothing-to-round", test_nothing_to_round);

  return g_test_run ();
}
