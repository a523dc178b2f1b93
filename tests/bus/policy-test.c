/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy-test - an operator's policy in a domain's metadata: from there to the helper and the journal
 */

#include <string.h>

#include "event-tape.h"
#include "managed-pair.h"
#include "wait-until.h"

#define NS_PER_S G_GUINT64_CONSTANT (1000000000)

#define POLICY(attributes)                                                                         \
  "<clockferry:policy xmlns:clockferry='https://clockferry.org/policy/1' " attributes "/>"

#define BAD_POLICY POLICY ("mode='observe' maxAdvanceSec='0'")
#define BAD_REASON "maxAdvanceSec=\"0\": must be a number of seconds from 1 to 400"

/* `virsh metadata --set`, and wait until the daemon there has read it. */
static void
set_policy (ManagedHost *host, const char *policy)
{
  StandInLibvirt *libvirt = host->host->libvirt;
  guint before = stand_in_libvirt_count (libvirt, "GetXMLDesc", WEB);

  stand_in_libvirt_set_policy (libvirt, WEB, policy);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "GetXMLDesc", WEB) > before);
  /* the answer is handled before what libvirt says next */
  bus_host_boot_and_wait (host->host, MAIL, "mail", 9);
  stand_in_libvirt_remove_domain (libvirt, MAIL);
}

/* WEB goes, under @policy. */
static struct helper_fixup *
migrate (ManagedPair *pair, const char *policy)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  set_policy (pair->source, policy);
  managed_pair_prepare (pair);
  stand_in_qemu_send_record (pair->source->qemu, record);
  return managed_pair_expect_fixup (pair, record);
}

static void
arrive (ManagedPair *pair, enum helper_verdict verdict, enum helper_reason reason)
{
  stand_in_libvirt_set_state (pair->dest->host->libvirt, WEB, STATE_RUNNING);
  stand_in_qemu_send_report (pair->dest->qemu, verdict, reason);
  managed_host_emit (pair->dest, RESUMED_MIGRATED);
}

static void
test_stricter (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct helper_fixup *fixup =
    migrate (pair, POLICY ("mode='observe' maxAdvanceSec='60'"));

  g_assert_cmpuint (fixup->mode, ==, HELPER_MODE_OBSERVE);
  g_assert_cmpuint (fixup->max_advance_ns, ==, 60 * NS_PER_S);
  g_assert_cmpuint (fixup->flags, ==, 0);
  g_assert_cmpstr (event_tape_get ("arrival-armed", "CLOCKFERRY_MODE"), ==, "observe");

  arrive (pair, HELPER_VERDICT_OBSERVED, HELPER_REASON_OBSERVE_ONLY);
  WAIT_UNTIL (event_tape_count ("migration-observed") == 1);
  g_assert_cmpstr (event_tape_get ("migration-observed", "CLOCKFERRY_MODE"), ==, "observe");
  g_assert_cmpstr (event_tape_get ("migration-observed", "CLOCKFERRY_POLICY"), ==,
                   "mode=observe maxAdvanceSec=60");
  g_assert_cmpuint (event_tape_count ("policy-ignored"), ==, 0);
}

static void
test_bolder (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct helper_fixup *fixup = NULL;

  pair->dest->settings.mode = SETTINGS_MODE_OBSERVE;
  fixup = migrate (pair, POLICY ("mode='apply' guestsWithoutKvmclock='advance'"));
  g_assert_cmpuint (fixup->mode, ==, HELPER_MODE_APPLY);
  g_assert_cmpuint (fixup->flags, ==, HELPER_FIXUP_WITHOUT_PVCLOCK);
  /* what it does not say is as in the settings of the destination */
  g_assert_cmpuint (fixup->max_advance_ns, ==, 123 * NS_PER_S);

  arrive (pair, HELPER_VERDICT_STOCK, HELPER_REASON_MAX_ADVANCE);
  WAIT_UNTIL (event_tape_count ("migration-stock") == 1);
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_MODE"), ==, "apply");
  g_assert_cmpstr (event_tape_get ("migration-stock", "CLOCKFERRY_POLICY"), ==,
                   "mode=apply guestsWithoutKvmclock=advance");
}

/* Without a policy, the report says which mode the settings have. */
static void
test_none (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct helper_fixup *fixup = NULL;

  pair->dest->settings.mode = SETTINGS_MODE_OBSERVE;
  fixup = migrate (pair, NULL);
  g_assert_cmpuint (fixup->mode, ==, HELPER_MODE_OBSERVE);
  g_assert_cmpuint (fixup->flags, ==, 0);
  arrive (pair, HELPER_VERDICT_OBSERVED, HELPER_REASON_OBSERVE_ONLY);
  WAIT_UNTIL (event_tape_count ("migration-observed") == 1);
  g_assert_cmpstr (event_tape_get ("migration-observed", "CLOCKFERRY_MODE"), ==, "observe");
  g_assert_cmpstr (event_tape_get ("migration-observed", "CLOCKFERRY_POLICY"), ==, NULL);
}

/* Said where it was written, at once; again where the domain arrives; and its good half is ignored. */
static void
test_bad (ManagedPair *pair, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  g_autofree struct helper_fixup *fixup = NULL;

  set_policy (pair->source, BAD_POLICY);
  g_assert_cmpuint (event_tape_count ("policy-ignored"), ==, 1);
  g_assert_cmpstr (event_tape_get ("policy-ignored", "CLOCKFERRY_REASON"), ==, BAD_REASON);
  g_assert_cmpstr (event_tape_get ("policy-ignored", "CLOCKFERRY_DOMAIN"), ==, WEB);
  g_assert_nonnull (strstr (event_tape_get ("policy-ignored", "MESSAGE"), BAD_REASON));

  managed_pair_prepare (pair);
  stand_in_qemu_send_record (pair->source->qemu, record);
  fixup = managed_pair_expect_fixup (pair, record);
  g_assert_cmpuint (event_tape_count ("policy-ignored"), ==, 2);
  g_assert_cmpuint (fixup->mode, ==, HELPER_MODE_APPLY);
  g_assert_cmpuint (fixup->max_advance_ns, ==, 123 * NS_PER_S);

  arrive (pair, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  WAIT_UNTIL (event_tape_count ("migration-fixed") == 1);
  g_assert_cmpstr (event_tape_get ("migration-fixed", "CLOCKFERRY_POLICY"), ==, NULL);
  /* it lives there now, and that is still the same problem */
  WAIT_UNTIL (event_tape_count ("domain-ready") == 2);
  g_assert_cmpuint (event_tape_count ("policy-ignored"), ==, 2);
}

/* Looking again is no news; another problem is, and so is the same one after it was mended. */
static void
test_said_once (ManagedPair *pair, gconstpointer data)
{
  set_policy (pair->source, BAD_POLICY);
  set_policy (pair->source, BAD_POLICY);
  g_assert_cmpuint (event_tape_count ("policy-ignored"), ==, 1);
  set_policy (pair->source, POLICY ("mode='off'"));
  g_assert_cmpuint (event_tape_count ("policy-ignored"), ==, 2);
  set_policy (pair->source, POLICY ("mode='observe'"));
  g_assert_cmpuint (event_tape_count ("policy-ignored"), ==, 2);
  set_policy (pair->source, POLICY ("mode='off'"));
  g_assert_cmpuint (event_tape_count ("policy-ignored"), ==, 3);
}

/* With the persistent configuration: it is there from the start. */
static void
test_bad_at_boot (ManagedPair *pair, gconstpointer data)
{
  StandInLibvirt *libvirt = pair->dest->host->libvirt;

  stand_in_libvirt_add_domain (libvirt, OTHER, "other", 3);
  stand_in_libvirt_set_policy (libvirt, OTHER, BAD_POLICY);
  bus_host_boot_and_wait (pair->dest->host, MAIL, "mail", 9);
  /* it does not run yet, as far as was told */
  g_assert_cmpuint (event_tape_count ("policy-ignored"), ==, 0);
  g_assert_true (stand_in_libvirt_emit (libvirt, OTHER, STARTED_BOOTED));
  WAIT_UNTIL (event_tape_count ("policy-ignored") == 1);
  g_assert_cmpstr (event_tape_get ("policy-ignored", "CLOCKFERRY_DOMAIN"), ==, OTHER);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  event_tape_start ();

#define ADD(path, function)                                                                        \
  g_test_add ("/policy/" path, ManagedPair, NULL, managed_pair_set_up, function,                   \
              managed_pair_tear_down)
  ADD ("stricter", test_stricter);
  ADD ("bolder", test_bolder);
  ADD ("none", test_none);
  ADD ("bad", test_bad);
  ADD ("said-once", test_said_once);
  ADD ("bad-at-boot", test_bad_at_boot);
#undef ADD
  return g_test_run ();
}
