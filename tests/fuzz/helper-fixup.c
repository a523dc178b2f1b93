/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helper-fixup - a migration that ends with whatever fix-up the daemon is made to send
 *
 * Whole hand-overs between two modelled hosts (tests/unit/hand-over.h), of which the input chooses the
 * hosts, the blackout, and what is put in place of fields of the fix-up and of its record. The guest
 * ends with both clocks moved as they were told, or with what stock QEMU makes of it.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock-events.h"
#include "clock-fixup.h"
#include "fuzz-target.h"
#include "hand-over.h"
#include "helper-channel.h"
#include "helper-peer.h"

#define QEMU_AGE_NS  (9 * 3600 * NS_PER_S)
#define BLACKOUT_MAX (400 * NS_PER_S)

enum {
  STEP_SET,   /* a byte (which 64 bits behind the header), then their value */
  STEP_ADD,   /* the same, to be added to what is there */
  STEP_HOST,  /* a byte (of which host), flags, kHz */
  STEP_TWICE, /* QEMU sets the clock again, if it still listens */
  STEP_COUNT,
};

enum {
  HOST_UNSTABLE = 1 << 0,
  HOST_DRIFTS = 1 << 1,
  HOST_OLD = 1 << 2,
  HOST_OLD_KHZ = 1 << 3,
  HOST_DROPS = 1 << 4,
  HOST_GARBLES = 1 << 5,
  HOST_SCALES = 1 << 6,
  HOST_LOSES_MASTER = 1 << 7,
};

/* Frequencies of hosts that the model can hold. */
#define KHZ_MIN 1000000u
#define KHZ_MAX 4000000u

static void
start_helper (struct hand_over *fixture, uint32_t vcpu_count)
{
  static gboolean is_modelled;

  if (!is_modelled) {
    kvm_model_start (vcpu_count, 1);
    helper_peer_start ();
    atexit (helper_peer_stop);
    is_modelled = TRUE;
  } else {
    kvm_model_reset (vcpu_count, 1);
    helper_channel_open (helper_peer_directory (), helper_peer_domain, 0);
    helper_channel_listen ();
  }
  hand_over_start_helper (QEMU_AGE_NS);
  fixture->daemon = helper_peer_connect ();
}

static void
stop_helper (struct hand_over *fixture)
{
  close (fixture->daemon);
  g_free (fixture->record);
  g_free (fixture->fixup);
  clock_events_stop ();
}

static void
set_host (FuzzStep *step)
{
  struct kvm_model_host *host = &kvm_model_hosts[fuzz_take_u8 (step) & 1];
  uint8_t flags = fuzz_take_u8 (step);

  host->stable_tsc = !(flags & HOST_UNSTABLE);
  host->drifting_tsc = flags & HOST_DRIFTS;
  host->old_kernel = flags & HOST_OLD;
  host->old_vm_khz = flags & HOST_OLD_KHZ;
  host->drops_offsets = flags & HOST_DROPS;
  host->garbles_tsc = flags & HOST_GARBLES;
  host->loses_master = flags & HOST_LOSES_MASTER;
  if (flags & HOST_SCALES) {
    host->frac_bits = 48;
    host->host_khz = KHZ_MIN + (uint32_t) (fuzz_take_u64 (step) % (KHZ_MAX - KHZ_MIN));
  }
}

/* Behind the header, so that what is under test is not just refused. */
static void
change_fixup (struct helper_fixup *fixup, FuzzStep *step, gboolean adds)
{
  uint64_t *words = (void *) fixup;
  size_t head = sizeof fixup->header / sizeof *words;
  size_t count = fixup->header.length / sizeof *words - head;
  uint64_t *word = &words[head + fuzz_take_u8 (step) % count];
  uint64_t value = fuzz_take_u64 (step);

  *word = adds ? *word + value : value;
}

static void
check_fixed (const struct helper_report *report, const struct helper_fixup *fixup)
{
  g_assert_cmpint (fixup->mode, ==, HELPER_MODE_APPLY);
  g_assert_cmpint (report->advance_ns, >=, 0);
  g_assert_cmpint (report->residual_ns, <=, FIXUP_RESIDUAL_MAX_NS);
  g_assert_cmpint (report->residual_ns, >=, -FIXUP_RESIDUAL_MAX_NS);
  /* what the daemon allows, and what moving the clocks took */
  g_assert_cmpuint ((uint64_t) report->advance_ns, <=, fixup->max_advance_ns + NS_PER_S);
}

/* The offsets as QEMU loaded them; the clock is where QEMU's own ioctl put it. */
static void
check_stock (const struct hand_over *fixture, const struct kvm_model_host *before,
             const struct helper_report *report)
{
  if (report != NULL)
    g_assert_cmpuint (report->flags & HELPER_REPORT_UNDO_FAILED, ==, 0);
  /* there KVM itself works out the offsets anew, at any ioctl */
  if (!before->drifting_tsc)
    hand_over_expect_as_stock (fixture, before);
}

static void
check_report (const struct hand_over *fixture, const struct kvm_model_host *before,
              const struct helper_report *report)
{
  switch ((enum helper_verdict) report->verdict) {
  case HELPER_VERDICT_FIXED:
  case HELPER_VERDICT_KVMCLOCK_ONLY:
    check_fixed (report, fixture->fixup);
    break;
  case HELPER_VERDICT_STOCK:
    g_assert_cmpint (report->advance_ns, ==, 0);
    check_stock (fixture, before, report);
    break;
  case HELPER_VERDICT_OBSERVED:
    g_assert_cmpint (fixture->fixup->mode, ==, HELPER_MODE_OBSERVE);
    check_stock (fixture, before, report);
    break;
  }
}

/* Returns: whether the helper still listens: a bad message is the last one. */
static gboolean
resume (struct hand_over *fixture)
{
  struct kvm_model_host before = kvm_model_hosts[DEST];
  const struct helper_fixup *fixup = fixture->fixup;
  gboolean is_valid = helper_message_check (fixup, fixup->header.length, HELPER_TO_HELPER,
                                            helper_peer_domain, NULL) == HELPER_REFUSAL_NONE;
  g_autofree struct helper_header *message = NULL;
  gboolean is_closed;

  helper_peer_send (fixture->daemon, fixup, fixup->header.length);
  errno = EDOM;
  g_assert_cmpint (hand_over_resume (fixture), ==, 0);
  g_assert_cmpint (errno, ==, EDOM);
  message = helper_peer_receive (fixture->daemon, &is_closed);
  g_assert_nonnull (message);
  g_assert_cmpuint (message->type, ==, is_valid ? HELPER_MESSAGE_REPORT : HELPER_MESSAGE_REFUSED);
  if (is_valid)
    check_report (fixture, &before, (const void *) message);
  else
    check_stock (fixture, &before, NULL);
  return is_valid;
}

/* The guest brings the clock that the fix-up is for, if that can be one. */
static void
take_over_guest_src (struct hand_over *fixture)
{
  if (fixture->fixup->record.guest_src_ns <= INT64_MAX)
    fixture->record->guest_src_ns = fixture->fixup->record.guest_src_ns;
}

/* Returns: whether there is more to try. */
static gboolean
take_step (struct hand_over *fixture, FuzzStep *step)
{
  switch (step->kind % STEP_COUNT) {
  case STEP_SET:
    change_fixup (fixture->fixup, step, FALSE);
    break;
  case STEP_ADD:
    change_fixup (fixture->fixup, step, TRUE);
    break;
  case STEP_HOST:
    set_host (step);
    break;
  case STEP_TWICE:
    take_over_guest_src (fixture);
    return resume (fixture);
  }
  return TRUE;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct hand_over fixture = { 0 };
  FuzzStep first = { 0, data, size };
  uint32_t vcpu_count = 1 + fuzz_take_u8 (&first) % KVM_MODEL_VCPUS;
  uint64_t blackout_ns = fuzz_take_u64 (&first) % BLACKOUT_MAX;
  FuzzInput input = { first.data, first.size };
  FuzzStep step;
  gboolean goes_on = TRUE;

  fuzz_begin ();
  start_helper (&fixture, vcpu_count);
  hand_over_blackout (&fixture, blackout_ns);
  while (goes_on && fuzz_next_step (&input, &step))
    goes_on = take_step (&fixture, &step);
  take_over_guest_src (&fixture);
  if (goes_on)
    resume (&fixture);
  stop_helper (&fixture);
  return 0;
}
