/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reason-words.h"

#include <glib/gi18n.h>

#include "helper-protocol.h"

#define REPORT_BUG                                                                                 \
  N_ ("This should not happen: please report it, with the output of clockferryctl show --json.")

/* clang-format off */
static const ReasonWords helper_reasons[HELPER_REASON_COUNT] = {
  [HELPER_REASON_NO_RECORD] = {
    N_ ("The guest had to go on before the source's record of its clocks was here."),
    N_ ("See on both hosts whether their daemons reach each other: clockferryctl check --peer HOST.") },
  [HELPER_REASON_CLOCK_MISMATCH] = {
    N_ ("The record was not of the pause that this guest was resumed from."),
    N_ ("Harmless if the migration was tried several times in a row; otherwise see the journal of the "
        "source.") },
  [HELPER_REASON_DEADLINE_PASSED] = {
    N_ ("The record was older than the longest blackout that may be credited."),
    N_ ("Find out what held the migration up, or raise MaxAdvanceSec= or the domain's own "
        "maxAdvanceSec.") },
  [HELPER_REASON_PATCHED_QEMU] = {
    N_ ("This QEMU hands the clocks over itself, so clockferry stood back."), NULL },
  [HELPER_REASON_KERNEL_TOO_OLD] = {
    N_ ("KVM of this host cannot set kvmclock by CLOCK_REALTIME or shift a guest's TSC."),
    N_ ("Run Linux 5.16 or newer on this host.") },
  [HELPER_REASON_NEGATIVE_ELAPSED] = {
    N_ ("By the hosts' clocks the guest resumed here before it was paused there."),
    N_ ("Synchronise both hosts' clocks (chronyc tracking), and do not set HostClock=trust unless they "
        "are.") },
  [HELPER_REASON_MAX_ADVANCE] = {
    N_ ("The blackout was longer than the longest one that may be credited."),
    N_ ("Make the blackout shorter (virsh migrate-setmaxdowntime), or raise MaxAdvanceSec= or the "
        "domain's own maxAdvanceSec.") },
  [HELPER_REASON_LONGER_THAN_KNOWN] = {
    N_ ("By the hosts' clocks the guest was paused before the QEMU that received it was started."),
    N_ ("Synchronise both hosts' clocks (chronyc tracking), and do not set HostClock=trust unless they "
        "are.") },
  [HELPER_REASON_FREQUENCY] = {
    N_ ("The TSCs of the two hosts differ by more than 250 ppm, and this host cannot scale them."),
    N_ ("Migrate such guests among hosts of the same TSC frequency, or to one with TSC scaling.") },
  [HELPER_REASON_TSC_CATCHUP] = {
    N_ ("KVM of one of the two hosts makes up for a TSC that is too slow by moving it itself."),
    N_ ("Migrate such guests among hosts of the same TSC frequency, or hosts with TSC scaling.") },
  [HELPER_REASON_NO_PVCLOCK] = {
    N_ ("The guest uses neither kvmclock nor the Hyper-V reference TSC; advancing its TSC alone may "
        "make it distrust that."),
    N_ ("If it does not check its TSC against another clock, set guestsWithoutKvmclock=\"advance\" in "
        "its policy.") },
  [HELPER_REASON_NO_MASTER_CLOCK] = {
    N_ ("One of the two hosts runs this guest without KVM's master clock, so kvmclock alone can be trusted, and the "
        "TSC was left alone."),
    N_ ("See that both hosts use the clocksource tsc: clockferryctl check.") },
  [HELPER_REASON_OFFSET_DROPPED] = {
    N_ ("KVM accepted the TSC offset and did not use it, as it does for confidential guests and in "
        "kvm-pvm."),
    NULL },
  [HELPER_REASON_NO_VCPUS] = { N_ ("No vCPU was found in its QEMU."), REPORT_BUG },
  [HELPER_REASON_IOCTL_FAILED] = { N_ ("A call to KVM failed."), REPORT_BUG },
  [HELPER_REASON_CHECK_FAILED] = {
    N_ ("The clocks were not as promised after they were set, so all was undone."), REPORT_BUG },
  [HELPER_REASON_OBSERVE_ONLY] = {
    N_ ("Only observed: this is what would have been done."),
    N_ ("To have it done, set Mode=apply on the destination, or mode=\"apply\" in the domain's policy.") },
  [HELPER_REASON_TSC_OPAQUE] = {
    N_ ("One of the two hosts does not tell how it makes the guest's TSC out of its own."),
    N_ ("Look at both hosts: clockferryctl check.") },
  [HELPER_REASON_UNSEEN_VCPUS] = {
    N_ ("Its QEMU made vCPUs by other means than the C library's ioctl(), so clockferry could not see "
        "them and left all clocks alone."),
    N_ ("Run this guest in a QEMU that makes its ioctls through the C library, as Debian's does.") },
  [HELPER_REASON_TSC_MISMATCH] = {
    N_ ("The source's record of the TSC does not go with the TSC that QEMU brought."),
    N_ ("Harmless if the guest had been stopped for longer than MaxAdvanceSec= before it was migrated; "
        "otherwise the source's clockferryd is not to be trusted.") },
};

static const struct {
  const char *step;
  const char *advice;
} steps[] = {
  { "lookup", N_ ("See whether libvirt-dbus answers on the destination: clockferryctl check.") },
  { "helper", N_ ("See whether the hook and the helper are in place on the destination: clockferryctl "
                  "check.") },
  { "source-element", N_ ("See whether clockferryd runs on the source and the domain is ready there: "
                          "clockferryctl list.") },
  { "peer", N_ ("See whether the destination reaches the source's daemon: clockferryctl check --peer "
                "HOST.") },
  { "record", N_ ("See whether the domain was ready on the source: clockferryctl list, journalctl -u "
                  "clockferryd.") },
  { "clock-offset", N_ ("Synchronise both hosts' clocks, and see how they compare: clockferryctl check "
                        "--peer HOST.") },
  { "fixup", N_ ("See what the helper met with: journalctl -u clockferryd on the destination.") },
};
/* clang-format on */

static const ReasonWords arrived_paused = {
  N_ ("The guest arrived paused; its clocks stand still until it is resumed, as in stock QEMU."),
  NULL,
};

static const char *const unknown_advice =
  N_ ("See in the guest whether its clock is behind (chronyc tracking), and set it if it is "
      "(chronyc makestep).");

static const ReasonWords *
find_untranslated (const char *reason)
{
  if (g_str_equal (reason, "arrived-paused"))
    return &arrived_paused;
  for (guint i = HELPER_REASON_NONE + 1; i < HELPER_REASON_COUNT; i++) {
    if (g_str_equal (reason, helper_reason_name (i)))
      return &helper_reasons[i];
  }
  return NULL;
}

/* public functions */

gboolean
reason_words_find (const char *reason, ReasonWords *words)
{
  const ReasonWords *found = find_untranslated (reason);

  if (found == NULL)
    return FALSE;
  words->meaning = _ (found->meaning);
  words->advice = found->advice != NULL ? _ (found->advice) : NULL;
  return TRUE;
}

const char *
reason_words_advise_unknown (void)
{
  return _ (unknown_advice);
}

const char *
reason_words_advise_step (const char *step)
{
  for (gsize i = 0; i < G_N_ELEMENTS (steps); i++) {
    if (g_strcmp0 (steps[i].step, step) == 0)
      return _ (steps[i].advice);
  }
  return NULL;
}
