/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "managed-pair.h"

#include <string.h>

#include "event-tape.h"
#include "wait-until.h"

void
managed_pair_set_up (ManagedPair *pair, gconstpointer data)
{
  event_tape_clear ();
  pair->source = managed_host_new ();
  pair->dest = managed_host_new ();
  pair->dest->settings.max_advance_s = 123;
  managed_host_start_daemon (pair->source);
  managed_host_start_daemon (pair->dest);
  WAIT_UNTIL (event_tape_count ("libvirt-connected") == 2);
  managed_host_boot (pair->source);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 1);
}

void
managed_pair_tear_down (ManagedPair *pair, gconstpointer data)
{
  g_clear_pointer (&pair->dest, managed_host_free);
  g_clear_pointer (&pair->source, managed_host_free);
}

void
managed_pair_prepare (ManagedPair *pair)
{
  g_autofree struct helper_incoming *incoming = NULL;

  managed_host_prepare (pair->dest, pair->source, TRUE);
  WAIT_UNTIL (stand_in_qemu_count (pair->dest->qemu) == 1);
  incoming = stand_in_qemu_take (pair->dest->qemu, HELPER_MESSAGE_INCOMING);
  g_assert_cmpuint (incoming->deadline_monotonic_ns / 1000, >, (guint64) g_get_monotonic_time ());
  WAIT_UNTIL (event_tape_count ("departure-claimed") == 1);
  WAIT_UNTIL (event_tape_count ("arrival-claimed") == 1);
}

gpointer
managed_pair_expect (ManagedPair *pair, enum helper_message_type type)
{
  for (;;) {
    WAIT_UNTIL (stand_in_qemu_count (pair->dest->qemu) > 0);
    if (stand_in_qemu_peek (pair->dest->qemu) == type)
      return stand_in_qemu_take (pair->dest->qemu, type);
    g_free (stand_in_qemu_take (pair->dest->qemu, HELPER_MESSAGE_FIXUP));
  }
}

struct helper_fixup *
managed_pair_expect_fixup (ManagedPair *pair, const struct clock_record *record)
{
  for (;;) {
    g_autofree struct helper_fixup *fixup = managed_pair_expect (pair, HELPER_MESSAGE_FIXUP);

    if (fixup->record.guest_src_ns != record->guest_src_ns)
      continue;
    g_assert_cmpmem (&fixup->record, clock_record_size (fixup->record.vcpu_count), record,
                     clock_record_size (record->vcpu_count));
    return g_steal_pointer (&fixup);
  }
}

void
managed_pair_pass_record (ManagedPair *pair, guint64 guest_src_ns)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (guest_src_ns);
  g_autofree struct helper_fixup *fixup = NULL;

  stand_in_qemu_send_record (pair->source->qemu, record);
  fixup = managed_pair_expect_fixup (pair, record);
}

void
managed_pair_pass_unread_record (ManagedPair *pair, guint64 guest_src_ns)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (guest_src_ns);

  stand_in_qemu_stop_reading (pair->dest->qemu);
  stand_in_qemu_send_record (pair->source->qemu, record);
  WAIT_UNTIL (event_tape_count ("arrival-armed") == 1);
}

void
managed_pair_expect_withdraw (ManagedPair *pair)
{
  g_autofree struct helper_header *withdraw = managed_pair_expect (pair, HELPER_MESSAGE_WITHDRAW);
}

void
managed_pair_expect_unknown (const char *reason)
{
  WAIT_UNTIL (event_tape_count ("migration-unknown") == 1);
  g_assert_cmpuint (event_tape_count ("migration-stock"), ==, 0);
  g_assert_cmpstr (event_tape_get ("migration-unknown", "CLOCKFERRY_VERDICT"), ==, "unknown");
  g_assert_cmpstr (event_tape_get ("migration-unknown", "CLOCKFERRY_STEP"), ==, "fixup");
  g_assert_nonnull (strstr (event_tape_get ("migration-unknown", "CLOCKFERRY_REASON"), reason));
}
