/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-preload-test - the helper as it is installed, in a process of its own: QEMUs that make their
 * ioctls by syscall(2), libraries beside it, and QEMU's sandbox
 */

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "emulator.h"

#define VCPUS 3

/* "sets PLAIN REALTIME writes N offsets TICKS..." */
typedef struct {
  guint64 plain_sets;
  guint64 sets_with_realtime;
  guint64 offset_writes;
  guint64 ofs_ticks[VCPUS];
} Clocks;

static void
read_clocks (Emulator *emulator, Clocks *clocks)
{
  g_autofree char *answer = emulator_ask (emulator, "clocks");
  g_auto (GStrv) words = g_strsplit (answer, " ", -1);

  g_assert_cmpuint (g_strv_length (words), ==, 6 + VCPUS);
  clocks->plain_sets = g_ascii_strtoull (words[1], NULL, 10);
  clocks->sets_with_realtime = g_ascii_strtoull (words[2], NULL, 10);
  clocks->offset_writes = g_ascii_strtoull (words[4], NULL, 10);
  for (guint i = 0; i < VCPUS; i++)
    clocks->ofs_ticks[i] = g_ascii_strtoull (words[6 + i], NULL, 10);
}

/* QEMU's own KVM_SET_CLOCK went through, and nothing besides: not one clock of one vCPU was moved. */
static void
expect_as_stock (Emulator *emulator, const Clocks *before)
{
  Clocks after;

  read_clocks (emulator, &after);
  g_assert_cmpuint (after.plain_sets, ==, before->plain_sets + 1);
  g_assert_cmpuint (after.sets_with_realtime, ==, before->sets_with_realtime);
  g_assert_cmpuint (after.offset_writes, ==, before->offset_writes);
  g_assert_cmpmem (after.ofs_ticks, sizeof after.ofs_ticks, before->ofs_ticks,
                   sizeof before->ofs_ticks);
}

static void
expect_type (gconstpointer message, enum helper_message_type type)
{
  g_assert_nonnull (message);
  g_assert_cmpuint (((const struct helper_header *) message)->type, ==, type);
}

static void
expect_verdict (const struct helper_report *report, enum helper_verdict verdict,
                enum helper_reason reason)
{
  expect_type (report, HELPER_MESSAGE_REPORT);
  g_assert_cmpstr (helper_verdict_name (report->verdict), ==, helper_verdict_name (verdict));
  g_assert_cmpstr (helper_reason_name (report->reason), ==, helper_reason_name (reason));
}

/* A record of a healthy QEMU, for the ones under test. */
static struct clock_record *
make_record (void)
{
  g_autoptr (Emulator) source = emulator_start (&(EmulatorTerms){ 0 });
  g_autofree struct helper_record *message = NULL;

  g_assert_cmpint (emulator_connect (source), ==, 0);
  emulator_pause (source, TRUE);
  message = emulator_take_last (source);
  expect_type (message, HELPER_MESSAGE_RECORD);
  return g_memdup2 (&message->record, clock_record_size (message->record.vcpu_count));
}

/* Both clocks of every vCPU are moved, by a QEMU like @terms to another like it. */
static void
expect_handed_over (const EmulatorTerms *terms)
{
  gboolean keeps_errno = terms->neighbour != EMULATOR_NEIGHBOUR_BEFORE;
  g_autoptr (Emulator) source = emulator_start (terms);
  g_autoptr (Emulator) destination = emulator_start (terms);
  g_autofree struct helper_record *message = NULL;
  g_autofree struct helper_report *report = NULL;
  g_autofree char *preload = emulator_ask (destination, "preload");
  guint64 clock_ns;
  Clocks clocks;

  g_assert_cmpstr (preload, ==, "unset");
  g_assert_cmpint (emulator_connect (source), ==, 0);
  clock_ns = emulator_pause (source, keeps_errno);
  message = emulator_take_last (source);
  expect_type (message, HELPER_MESSAGE_RECORD);
  g_assert_cmpuint (message->record.guest_src_ns, ==, clock_ns);
  g_assert_cmpuint (message->record.vcpu_count, ==, VCPUS);

  g_assert_cmpint (emulator_connect (destination), ==, 0);
  emulator_send_fixup (destination, &message->record);
  emulator_resume (destination, clock_ns, keeps_errno);
  report = emulator_take_last (destination);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  g_assert_cmpuint (report->vcpu_count, ==, VCPUS);
  g_assert_cmpint (report->advance_ns, >, 0);
  read_clocks (destination, &clocks);
  g_assert_cmpuint (clocks.plain_sets, ==, 0);
  for (guint i = 0; i < VCPUS; i++)
    g_assert_cmpuint (clocks.ofs_ticks[i], ==, report->vcpus[0].ofs_dest_ticks);
}

static void
test_alone (void)
{
  expect_handed_over (&(EmulatorTerms){ 0 });
}

/* QEMUs that make ioctls by syscall(2) */

/* It is there, and says so by a socket that nobody answers; on either host all is as without it. */
static void
test_idle (gconstpointer past)
{
  g_autofree struct clock_record *record = make_record ();
  g_autoptr (Emulator) emulator = emulator_start (&(EmulatorTerms){ .past = past });
  Clocks before;

  g_assert_cmpint (emulator_connect (emulator), ==, ECONNREFUSED);
  emulator_pause (emulator, TRUE);
  read_clocks (emulator, &before);
  emulator_resume (emulator, record->guest_src_ns, TRUE);
  expect_as_stock (emulator, &before);
  g_assert_cmpint (emulator_connect (emulator), ==, ECONNREFUSED);
}

/* What the daemon can tell that from. */
static void
test_not_loaded (void)
{
  g_autoptr (Emulator) emulator = emulator_start (&(EmulatorTerms){ .without_helper = TRUE });

  g_assert_cmpint (emulator_connect (emulator), ==, ENOENT);
}

/* Some or all vCPUs are unknown: no record of the others, and none of their clocks is moved. */
static void
test_unseen_vcpus (gconstpointer past)
{
  g_autofree struct clock_record *record = make_record ();
  g_autoptr (Emulator) emulator = emulator_start (&(EmulatorTerms){ .past = past });
  g_autofree struct helper_report *no_record = NULL;
  g_autofree struct helper_report *report = NULL;
  guint64 clock_ns;
  Clocks before;

  g_assert_cmpint (emulator_connect (emulator), ==, 0);
  clock_ns = emulator_pause (emulator, TRUE);
  no_record = emulator_take_last (emulator);
  expect_verdict (no_record, HELPER_VERDICT_STOCK, HELPER_REASON_UNSEEN_VCPUS);
  g_assert_cmpuint (no_record->flags, ==, HELPER_REPORT_NO_RECORD);
  g_assert_cmpuint (no_record->clock_ns, ==, clock_ns);

  read_clocks (emulator, &before);
  emulator_send_fixup (emulator, record);
  emulator_resume (emulator, record->guest_src_ns, TRUE);
  report = emulator_take_last (emulator);
  expect_verdict (report, HELPER_VERDICT_STOCK, HELPER_REASON_UNSEEN_VCPUS);
  g_assert_cmpuint (report->flags, ==, 0);
  expect_as_stock (emulator, &before);
}

/* The source gives no record, and the daemon hears nothing at all. A destination needs none. */
static void
test_unseen_get (void)
{
  g_autofree struct clock_record *record = make_record ();
  g_autoptr (Emulator) emulator = emulator_start (&(EmulatorTerms){ .past = "get" });
  g_autofree struct helper_report *report = NULL;
  g_autofree gpointer nothing = NULL;

  g_assert_cmpint (emulator_connect (emulator), ==, 0);
  emulator_pause (emulator, TRUE);
  nothing = emulator_take_last (emulator);
  g_assert_null (nothing);

  emulator_send_fixup (emulator, record);
  emulator_resume (emulator, record->guest_src_ns, TRUE);
  report = emulator_take_last (emulator);
  expect_verdict (report, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
}

/* The destination's fix-up stays unread, which the daemon can tell. A source needs none. */
static void
test_unseen_set (void)
{
  g_autofree struct clock_record *record = make_record ();
  g_autoptr (Emulator) emulator = emulator_start (&(EmulatorTerms){ .past = "set" });
  g_autofree gpointer nothing = NULL;
  g_autofree gpointer message = NULL;
  Clocks before;

  g_assert_cmpint (emulator_connect (emulator), ==, 0);
  read_clocks (emulator, &before);
  emulator_send_fixup (emulator, record);
  emulator_resume (emulator, record->guest_src_ns, TRUE);
  nothing = emulator_take_last (emulator);
  g_assert_null (nothing);
  g_assert_true (emulator_is_unread (emulator));
  expect_as_stock (emulator, &before);

  emulator_pause (emulator, TRUE);
  message = emulator_take_last (emulator);
  expect_type (message, HELPER_MESSAGE_RECORD);
}

/* libraries beside it, and the sandbox */

typedef struct {
  const char *name;
  EmulatorTerms terms;
} HandedOver;

static const HandedOver handed_over[] = {
  { "neighbour/idle/before", { .neighbour = EMULATOR_NEIGHBOUR_BEFORE } },
  { "neighbour/idle/behind", { .neighbour = EMULATOR_NEIGHBOUR_BEHIND } },
  { "neighbour/errno/before",
    { .neighbour = EMULATOR_NEIGHBOUR_BEFORE, .neighbour_does = "errno" } },
  { "neighbour/errno/behind",
    { .neighbour = EMULATOR_NEIGHBOUR_BEHIND, .neighbour_does = "errno" } },
  { "neighbour/sleep/before",
    { .neighbour = EMULATOR_NEIGHBOUR_BEFORE, .neighbour_does = "sleep" } },
  { "neighbour/sleep/behind",
    { .neighbour = EMULATOR_NEIGHBOUR_BEHIND, .neighbour_does = "sleep" } },
  { "neighbour/call-back/before",
    { .neighbour = EMULATOR_NEIGHBOUR_BEFORE, .neighbour_does = "call-back" } },
  { "neighbour/call-back/behind",
    { .neighbour = EMULATOR_NEIGHBOUR_BEHIND, .neighbour_does = "call-back" } },
  { "sandbox/handed-over", { .is_sandboxed = TRUE } },
};

static void
test_handed_over (gconstpointer data)
{
  const HandedOver *c = data;

  expect_handed_over (&c->terms);
}

static void
test_sandbox_is_closed (void)
{
  g_autoptr (Emulator) emulator = emulator_start (&(EmulatorTerms){ .is_sandboxed = TRUE });
  g_autofree char *answer = emulator_ask (emulator, "fork");

  g_assert_null (answer);
  g_assert_cmpint (emulator_wait_for_signal (emulator), ==, SIGSYS);
}

static void
test_no_sandbox (void)
{
  g_autoptr (Emulator) emulator = emulator_start (&(EmulatorTerms){ 0 });
  g_autofree char *answer = emulator_ask (emulator, "fork");

  g_assert_cmpstr (answer, ==, "forked");
}

static void
test_skipped (void)
{
  g_test_skip ("only root's QEMU accepts a daemon that runs as the same user");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (geteuid () != 0) {
    g_test_add_func ("/helper-preload", test_skipped);
    return g_test_run ();
  }

  g_test_add_func ("/helper-preload/alone", test_alone);
  g_test_add_func ("/helper-preload/not-loaded", test_not_loaded);
  g_test_add_data_func ("/helper-preload/past/vm", "vm", test_idle);
  g_test_add_data_func ("/helper-preload/past/all", "vm,vcpu,get,set", test_idle);
  g_test_add_data_func ("/helper-preload/past/vcpu", "vcpu", test_unseen_vcpus);
  g_test_add_data_func ("/helper-preload/past/second-vcpu", "second-vcpu", test_unseen_vcpus);
  g_test_add_func ("/helper-preload/past/get", test_unseen_get);
  g_test_add_func ("/helper-preload/past/set", test_unseen_set);
  for (gsize i = 0; i < G_N_ELEMENTS (handed_over); i++) {
    g_autofree char *path = g_strconcat ("/helper-preload/", handed_over[i].name, NULL);

    g_test_add_data_func (path, &handed_over[i], test_handed_over);
  }
  g_test_add_func ("/helper-preload/sandbox/is-closed", test_sandbox_is_closed);
  g_test_add_func ("/helper-preload/sandbox/none", test_no_sandbox);
  return g_test_run ();
}
