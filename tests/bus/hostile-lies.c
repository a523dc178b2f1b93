/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostile-lies.h"

#include "bus-host.h"
#include "clock-record.h"
#include "host-clock.h"
#include "stand-in-qemu.h"

/* 2200-01-01, in seconds */
#define YEAR_2200_S G_GINT64_CONSTANT (7258118400)
#define NS_PER_S    G_GINT64_CONSTANT (1000000000)

/* Of four messages each: just less than what PEER_STREAM_MESSAGES_PER_S lets through. */
#define FLOOD_PERIOD_MS 100

static void
send_record (HostileVictim *victim, const struct clock_record *record, gsize size)
{
  bus_peer_emit_record (victim->skeleton, victim->domain,
                        g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, record, size, 1));
}

static gboolean
on_flood (gpointer user_data)
{
  HostileVictim *victim = user_data;
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  for (guint i = 0; i < 2; i++) {
    bus_peer_emit_withdrawn (victim->skeleton, victim->domain, "flood");
    send_record (victim, record, clock_record_size (record->vcpu_count));
  }
  return G_SOURCE_CONTINUE;
}

static void
on_asked_back (GObject *bus, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GVariant)
    reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (bus), result, NULL);

  if (reply != NULL)
    ((HostileSource *) user_data)->is_asked_back = TRUE;
}

/* public functions, to Claim */

void
hostile_claim_accept (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  bus_peer_complete_claim (victim->skeleton, invocation, FALSE, G_MAXUINT64);
}

void
hostile_claim_send_good (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  hostile_claim_accept (victim, invocation);
  send_record (victim, record, clock_record_size (record->vcpu_count));
}

void
hostile_claim_refuse_noisily (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree char *noise = g_strnfill (60000, 'x');
  g_autofree char *text = g_strconcat ("\x1b[2J\nmigration-fixed: all is well\n", noise, NULL);

  g_dbus_method_invocation_return_dbus_error (invocation, "org.evil.Error", text);
}

void
hostile_claim_refuse_as_cancelled (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  g_dbus_method_invocation_return_dbus_error (
    invocation, "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code19", "never mind");
}

void
hostile_claim_answer_with_nonsense (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  g_autoptr (GDBusMessage)
    reply = g_dbus_message_new_method_reply (g_dbus_method_invocation_get_message (invocation));

  g_dbus_message_set_body (reply, g_variant_new ("(sv)", "yes", g_variant_new_int32 (1)));
  (void) g_dbus_connection_send_message (victim->bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL,
                                         NULL);
  g_object_unref (invocation);
}

void
hostile_claim_send_impossible (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  gsize size = clock_record_size (record->vcpu_count);

  hostile_claim_accept (victim, invocation);
  switch (victim->source->attempts / victim->source->guests % 9) {
  case 0:
    record->freq_khz = 0;
    break;
  case 1:
    record->vcpu_count = 5000;
    break;
  case 2:
    record->vcpu_count = 0;
    break;
  case 3:
    record->guest_src_ns = (guint64) -1000;
    break;
  case 4:
    record->host_src_ns = (guint64) -1;
    break;
  case 5:
    record->tsc_ratio = 1;
    record->tsc_frac_bits = 200;
    break;
  case 6:
    record->flags = 0xffffffff;
    break;
  case 7:
    record->vcpus[1].id = record->vcpus[0].id;
    break;
  case 8:
    size = 0;
    break;
  }
  send_record (victim, record, size);
}

void
hostile_claim_send_of_2200 (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  hostile_claim_accept (victim, invocation);
  record->host_src_ns = (guint64) (YEAR_2200_S * NS_PER_S);
  send_record (victim, record, clock_record_size (record->vcpu_count));
}

void
hostile_claim_send_of_1970 (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  hostile_claim_accept (victim, invocation);
  record->host_src_ns = 1;
  send_record (victim, record, clock_record_size (record->vcpu_count));
}

void
hostile_claim_send_of_late_boot (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  hostile_claim_accept (victim, invocation);
  record->boot_src_ns = G_MAXINT64;
  send_record (victim, record, clock_record_size (record->vcpu_count));
}

void
hostile_claim_send_of_other_domain (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  hostile_claim_accept (victim, invocation);
  g_free (victim->domain);
  victim->domain = g_strdup (WEB);
  send_record (victim, record, clock_record_size (record->vcpu_count));
}

void
hostile_claim_send_old_last (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *older = stand_in_qemu_make_record (1000);
  g_autofree struct clock_record *newer = stand_in_qemu_make_record (2000);
  gsize size = clock_record_size (newer->vcpu_count);

  hostile_claim_accept (victim, invocation);
  send_record (victim, older, size);
  send_record (victim, newer, size);
  send_record (victim, newer, size);
  send_record (victim, older, size);
}

void
hostile_claim_flood (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  hostile_claim_accept (victim, invocation);
  victim->flood_id = g_timeout_add (FLOOD_PERIOD_MS, on_flood, victim);
}

void
hostile_claim_burst (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = g_malloc0 (CLOCK_RECORD_SIZE_MAX);

  hostile_claim_accept (victim, invocation);
  for (guint i = 0; i < 100; i++)
    send_record (victim, record, CLOCK_RECORD_SIZE_MAX);
}

void
hostile_claim_send_huge (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree guint8 *filler = g_malloc0 (8 * 1024 * 1024);

  hostile_claim_accept (victim, invocation);
  bus_peer_emit_record (
    victim->skeleton, victim->domain,
    g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, filler, 8 * 1024 * 1024, 1));
}

void
hostile_claim_ask_back (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  hostile_claim_accept (victim, invocation);
  g_dbus_connection_call (victim->bus, NULL, "/", "org.freedesktop.DBus.Peer", "GetMachineId", NULL,
                          NULL, G_DBUS_CALL_FLAGS_NONE, 2000, NULL, on_asked_back, victim->source);
}

/* public functions, to Time */

void
hostile_time_tell (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  bus_peer_complete_time (victim->skeleton, invocation, host_clock_boottime_ns ());
}

void
hostile_time_tell_negative (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  bus_peer_complete_time (victim->skeleton, invocation, -NS_PER_S);
}

void
hostile_time_tell_last (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  bus_peer_complete_time (victim->skeleton, invocation, G_MAXINT64);
}

void
hostile_time_tell_backwards (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  gint64 back_h = victim->source->answers++ % 100;

  bus_peer_complete_time (victim->skeleton, invocation,
                          host_clock_boottime_ns () + (100 - back_h) * 3600 * NS_PER_S);
}

void
hostile_time_refuse_as_timed_out (HostileVictim *victim, GDBusMethodInvocation *invocation)
{
  victim->source->answers++;
  g_dbus_method_invocation_return_dbus_error (
    invocation, "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code24", "never mind");
}
