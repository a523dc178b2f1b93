/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * migration-random-test - a million random migrations, and what is promised of each
 *
 * Every case is drawn from a seed of its own, the first seed and its number: a case that fails is
 * repeated alone by what is printed then. In the environment:
 *
 *   CLOCKFERRY_MIGRATIONS    how many, instead of a million
 *   CLOCKFERRY_SEED          the first seed
 *   CLOCKFERRY_MEASUREMENTS  a folder: write model.csv there, a sample of the guest's clocks' jumps
 *                            with clockferry and, for the same migrations, without
 */

#include <errno.h>
#include <linux/kvm.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>

#include "host-calls.h"
#include "migration-host.h"
#include "migration-seam.h"
#include "migration-trouble.h"

#define MIGRATIONS_DEFAULT 1000000
#define SEED_DEFAULT       20261123
#define SAMPLES_MAX        3500
#define EACH_KIND_WITHIN   20000 /* migrations */
#define IDEMPOTENCE_ONE_IN 8
#define IDEMPOTENCE_NS     8   /* each reading is rounded */
#define STOCK_NS           500 /* KVM's own sampling, without master clock */

/* What made a case that was fixed more than plain; a case may have several. */
enum trait {
  SOURCE_SCALES,
  DESTINATION_SCALES,
  BOTH_SCALE_DIFFERENTLY,
  OFFSETS_JOINED,
  OFFSETS_APART,
  VCPU_PLUGGED,
  TSC_WRAPS,
  SNAPSHOT_TEN_YEARS_OLD,
  CLOCKS_HARD_TO_READ,
  TRAIT_COUNT,
};

static const char *const trait_names[] = {
  [SOURCE_SCALES] = "source scales",
  [DESTINATION_SCALES] = "destination scales",
  [BOTH_SCALE_DIFFERENTLY] = "one by 48 bits and the other by 32",
  [OFFSETS_JOINED] = "offsets joined",
  [OFFSETS_APART] = "offsets kept apart",
  [VCPU_PLUGGED] = "vCPU that the source did not have",
  [TSC_WRAPS] = "guest's TSC wraps around in the blackout",
  [SNAPSHOT_TEN_YEARS_OLD] = "source's snapshot is ten years old",
  [CLOCKS_HARD_TO_READ] = "more than three attempts",
};
G_STATIC_ASSERT (G_N_ELEMENTS (trait_names) == TRAIT_COUNT);

struct tally {
  uint32_t migrations;
  uint32_t *of_trouble; /* by the index of migration_troubles */
  uint32_t of_trait[TRAIT_COUNT];
};

struct worst {
  double coherence_ns;
  double page_ns; /* less KVM's own */
  double kvms_own_ns;
  double continuity_ns;
};

static struct kvm_model_host *const dest = &kvm_model_hosts[DEST];

static uint32_t seed_at_work;
static struct hand_over fixture;
static FILE *measurements;

/* GLib ends a failing test here, whichever assertion it was. */
static void
on_abort (int signal_number)
{
  char text[128];
  /* NOLINTNEXTLINE(bugprone-signal-handler,cert-sig30-c): abort() of this thread, not amid a call */
  int length = g_snprintf (text, sizeof text,
                           "# repeat it alone: CLOCKFERRY_SEED=%u CLOCKFERRY_MIGRATIONS=1\n",
                           seed_at_work);

  if (write (STDERR_FILENO, text, (size_t) length) < 0)
    return;
}

static uint32_t
number_from_environment (const char *name, uint32_t fallback)
{
  const char *text = g_getenv (name);
  guint64 number;

  if (text == NULL)
    return fallback;
  if (!g_ascii_string_to_unsigned (text, 10, 0, UINT32_MAX, &number, NULL))
    g_error ("%s is not a number: %s", name, text);
  return (uint32_t) number;
}

/* QEMU's own ioctl went through, and nothing else was written. */
static void
expect_stock (const struct kvm_model_host *before)
{
  uint64_t clock_ns = kvm_model_kvmclock (DEST, dest->clock_set_at_ns);

  g_assert_cmpuint (hand_over_distance (clock_ns, fixture.record->guest_src_ns), <=, STOCK_NS);
  for (uint32_t i = 0; i < dest->vcpu_count; i++) {
    g_assert_cmphex (dest->vcpus[i].ofs_ticks, ==, before->vcpus[i].ofs_ticks);
    g_assert_cmpuint (dest->vcpus[i].deadline_ticks, ==, before->vcpus[i].deadline_ticks);
  }
}

static void
expect_offsets_untouched (const struct kvm_model_host *before)
{
  for (uint32_t i = 0; i < dest->vcpu_count && !dest->drifting_tsc; i++)
    g_assert_cmphex (dest->vcpus[i].ofs_ticks, ==, before->vcpus[i].ofs_ticks);
}

/* The same fix-up again, later: the clocks stay where they are, but for the two residuals. */
static void
expect_idempotent (const struct migration_case *this, const struct migration_seam *seam,
                   const struct helper_report *first)
{
  struct kvm_model_host once = *dest, twice;
  g_autofree struct helper_report *second = NULL;
  uint64_t pause_ns = (uint64_t) g_rand_int_range (this->dice, 1, 500) * NS_PER_MS;
  uint64_t once_ns, now_ns;
  double once_rate, allowed_ns;

  kvm_model_pass (pause_ns);
  second = hand_over_finish (&fixture);
  hand_over_expect_verdict (second, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);

  now_ns = kvm_model_now_ns ();
  twice = *dest;
  *dest = once;
  once_ns = kvm_model_kvmclock (DEST, now_ns);
  once_rate = kvm_model_kvmclock_rate (DEST);
  *dest = twice;
  allowed_ns =
    (double) llabs (first->residual_ns) + (double) llabs (second->residual_ns) + IDEMPOTENCE_NS +
    (double) (now_ns - once.clock_set_at_ns) * fabs (once_rate - kvm_model_realtime_rate (DEST));
  g_assert_cmpfloat ((double) hand_over_distance (kvm_model_kvmclock (DEST, now_ns), once_ns), <=,
                     allowed_ns);
  migration_seam_expect_fixed (seam, fixture.fixup, second);
}

static void
measure (const char *arm, const struct migration_jump *jump)
{
  fprintf (measurements, "model,%s,coherence,%ld\n", arm, lround (jump->coherence_ns));
  fprintf (measurements, "model,%s,continuity,%ld\n", arm, lround (jump->continuity_ns));
}

/* What became of the guest's clocks, and what would have without us. */
static void
measure_both (const struct migration_seam *seam, const struct migration_jump *jump,
              const struct kvm_model_host *before)
{
  struct kvm_clock_data clock = { .clock = fixture.record->guest_src_ns };
  struct migration_jump stock_jump;

  *dest = *before;
  g_assert_cmpint (host_calls.ioctl (kvm_model_vm_fd (DEST), KVM_SET_CLOCK, &clock), ==, 0);
  stock_jump = migration_seam_jump (seam, fixture.fixup->theta_ns);
  measure ("clockferry", jump);
  measure ("stock", &stock_jump);
}

static void
worst_note (struct worst *worst, const struct migration_jump *jump)
{
  worst->coherence_ns = fmax (worst->coherence_ns, fabs (jump->coherence_ns));
  worst->page_ns = fmax (worst->page_ns, fabs (jump->page_ns - jump->kvms_own_ns));
  worst->kvms_own_ns = fmax (worst->kvms_own_ns, fabs (jump->kvms_own_ns));
  worst->continuity_ns = fmax (worst->continuity_ns, fabs (jump->continuity_ns));
}

static void
traits_tally (const struct migration_case *this, const struct helper_report *report,
              struct tally *tally)
{
  const struct clock_record *record = &fixture.fixup->record;
  bool dest_scales = kvm_model_tsc_scale (dest, UINT32_MAX) != UINT32_MAX;
  uint64_t first_ticks = kvm_model_guest_tsc (SRC, 0, kvm_model_hosts[SRC].clock_read_at_ns);

  tally->of_trait[SOURCE_SCALES] += record->tsc_frac_bits != 0;
  tally->of_trait[DESTINATION_SCALES] += dest_scales;
  tally->of_trait[BOTH_SCALE_DIFFERENTLY] += dest_scales && record->tsc_frac_bits != 0 &&
                                             record->tsc_frac_bits != dest->frac_bits;
  tally->of_trait[OFFSETS_JOINED] += (report->flags & HELPER_REPORT_OFFSETS_JOINED) != 0;
  tally->of_trait[OFFSETS_APART] += (report->flags & HELPER_REPORT_OFFSETS_APART) != 0;
  tally->of_trait[VCPU_PLUGGED] += this->vcpu_plugged;
  tally->of_trait[TSC_WRAPS] += kvm_model_guest_tsc (DEST, 0, kvm_model_now_ns ()) < first_ticks;
  tally->of_trait[SNAPSHOT_TEN_YEARS_OLD] += this->age_ns == MIGRATION_UPTIME_MAX_NS;
  tally->of_trait[CLOCKS_HARD_TO_READ] += report->attempts > 3;
}

static void
expect_fixed (const struct migration_case *this, const struct migration_seam *seam,
              const struct helper_report *report, const struct kvm_model_host *before, bool sampled,
              struct worst *worst)
{
  struct migration_jump jump;

  migration_seam_expect_fixed (seam, fixture.fixup, report);
  jump = migration_seam_jump (seam, fixture.fixup->theta_ns);
  worst_note (worst, &jump);
  /* not both, as time passes in the one, and the two arms of the other are of one moment */
  if (sampled)
    measure_both (seam, &jump, before);
  else if (g_rand_int_range (this->dice, 0, IDEMPOTENCE_ONE_IN) == 0)
    expect_idempotent (this, seam, report);
}

static void
migrate (struct migration_case *this, bool sampled, struct tally *tally, struct worst *worst)
{
  const struct migration_trouble *trouble = this->trouble;
  struct migration_seam seam;
  struct kvm_model_host before;
  g_autofree struct helper_report *report = NULL;

  migration_case_blackout (this, &fixture);
  migration_seam_pause (&seam);
  before = *dest;
  report = migration_case_finish (this, &fixture);
  hand_over_expect_verdict (report, trouble->verdict, trouble->reason);
  tally->of_trouble[trouble - migration_troubles]++;

  switch (trouble->verdict) {
  case HELPER_VERDICT_FIXED:
    traits_tally (this, report, tally);
    expect_fixed (this, &seam, report, &before, sampled, worst);
    break;
  case HELPER_VERDICT_KVMCLOCK_ONLY:
    migration_seam_expect_kvmclock (&seam, fixture.fixup, report);
    expect_offsets_untouched (&before);
    break;
  case HELPER_VERDICT_OBSERVED:
    if (trouble->reason == HELPER_REASON_OBSERVE_ONLY)
      migration_seam_expect_observed (&seam, report);
    expect_stock (&before);
    break;
  case HELPER_VERDICT_STOCK:
    expect_stock (&before);
    break;
  }
}

static void
measurements_open (void)
{
  const char *folder = g_getenv ("CLOCKFERRY_MEASUREMENTS");
  g_autofree char *path = NULL;

  if (folder == NULL)
    return;
  g_mkdir_with_parents (folder, 0777);
  path = g_build_filename (folder, "model.csv", NULL);
  measurements = fopen (path, "w");
  if (measurements == NULL)
    g_error ("%s: %s", path, g_strerror (errno));
  fputs ("suite,arm,quantity,ns\n", measurements);
}

/* How many there were of each; in a long run, some of every one. */
static void
tally_tell (const struct tally *tally)
{
  bool long_run = tally->migrations >= EACH_KIND_WITHIN;

  for (uint32_t i = 0; i < migration_trouble_count; i++) {
    const struct migration_trouble *trouble = &migration_troubles[i];

    g_test_message ("%8u %-42s %s %s", tally->of_trouble[i], trouble->name,
                    helper_verdict_name (trouble->verdict), helper_reason_name (trouble->reason));
    g_assert_true (tally->of_trouble[i] > 0 || !long_run);
  }
  g_test_message ("of those fixed:");
  for (uint32_t i = 0; i < TRAIT_COUNT; i++) {
    g_test_message ("%8u %s", tally->of_trait[i], trait_names[i]);
    g_assert_true (tally->of_trait[i] > 0 || !long_run);
  }
}

static void
test_random (void)
{
  uint32_t first_seed = number_from_environment ("CLOCKFERRY_SEED", SEED_DEFAULT);
  g_autoptr (GRand) dice = g_rand_new ();
  g_autofree uint32_t *of_trouble = g_new0 (uint32_t, migration_trouble_count);
  struct tally tally = {
    .migrations = number_from_environment ("CLOCKFERRY_MIGRATIONS", MIGRATIONS_DEFAULT),
    .of_trouble = of_trouble,
  };
  struct migration_case at_work = { .dice = dice };
  struct worst worst = { 0 };
  uint32_t sample_every = MAX (tally.migrations / SAMPLES_MAX, 1);

  g_test_message ("CLOCKFERRY_SEED=%u CLOCKFERRY_MIGRATIONS=%u", first_seed, tally.migrations);
  measurements_open ();
  signal (SIGABRT, on_abort);
  hand_over_start (&fixture, 1, first_seed);
  for (uint32_t i = 0; i < tally.migrations; i++) {
    seed_at_work = first_seed + i;
    migration_case_draw (&at_work, seed_at_work);
    migrate (&at_work, measurements != NULL && i % sample_every == 0, &tally, &worst);
  }
  hand_over_tear_down (&fixture, NULL);
  signal (SIGABRT, SIG_DFL);
  if (measurements != NULL)
    g_assert_cmpint (fclose (measurements), ==, 0);

  tally_tell (&tally);
  g_test_message ("worst of those fixed: TSC against kvmclock %.2f ns, against the guest's page "
                  "%.2f ns and KVM's own %.6f s, kvmclock against CLOCK_REALTIME and theta %.0f ns",
                  worst.coherence_ns, worst.page_ns, worst.kvms_own_ns / 1e9, worst.continuity_ns);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/migration/random", test_random);

  return g_test_run ();
}
