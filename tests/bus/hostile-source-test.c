/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile-source-test - the daemon of a destination, and guests whose source lies, floods or is silent
 *
 * The hostile source has the key and the tickets: it is a host that libvirt lets migrate. It may keep its
 * own guests from being fixed, and that is all: an honest guest arrives with its clocks meanwhile, and the
 * daemon stays small.
 */

#include "clock-record.h"
#include "daemon-pair.h"
#include "host-clock.h"
#include "identity.h"
#include "names.h"
#include "peer-bus.h"
#include "temp-folder.h"
#include "wait-until.h"

#define MEMORY_MAX_KIB (64 * 1024)

/* Sanitizers take memory of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED TRUE
#else
#define IS_SANITIZED FALSE
#endif

/* More than GIO has threads for handshakes at first. */
#define EVIL_GUESTS 12

#define TICKET "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* 2200-01-01, in seconds */
#define YEAR_2200_S G_GINT64_CONSTANT (7258118400)
#define NS_PER_S    G_GINT64_CONSTANT (1000000000)

#define FLOOD_PERIOD_MS 20

typedef struct HostileSource HostileSource;
typedef struct Fixture Fixture;

/* One of its connections. */
typedef struct {
  HostileSource *source;
  GDBusConnection *bus;
  BusPeer *skeleton;
  char *domain; /* NULL until somebody claims it */
  guint flood_id;
} Victim;

typedef struct {
  const char *path;
  gboolean is_mute; /* accepts a connection, and not a word */
  void (*claim) (Victim *victim, GDBusMethodInvocation *invocation); /* NULL: no answer */
  void (*time) (Victim *victim, GDBusMethodInvocation *invocation);  /* NULL: no answer */
  guint attempts;      /* connections to wait for before the guest resumes */
  const char *step;    /* that the report blames; NULL: whatever it was at just then */
  gboolean is_fixable; /* what it sends is a record for all that can be known */
  void (*check) (Fixture *fixture);
} Lie;

struct HostileSource {
  const Lie *lie;
  GSocketService *service;
  guint16 port;
  GTlsCertificate *certificate;
  char *element;
  GPtrArray *victims;
  GPtrArray *mutes;       /* of GSocketConnection */
  guint attempts;         /* connections so far */
  guint answers;          /* to questions for the time */
  gboolean is_asked_back; /* it got an answer to a question of its own */
};

struct Fixture {
  DaemonPair pair;
  PairGuest honest;
  PairGuest evil[EVIL_GUESTS];
  char *uuids[EVIL_GUESTS];
  char *names[EVIL_GUESTS];
  HostileSource source;
};

/* what it says */

static void
send_record (Victim *victim, const struct clock_record *record, gsize size)
{
  bus_peer_emit_record (victim->skeleton, victim->domain,
                        g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, record, size, 1));
}

static void
complete_claim (Victim *victim, GDBusMethodInvocation *invocation)
{
  bus_peer_complete_claim (victim->skeleton, invocation, FALSE, G_MAXUINT64);
}

static void
refuse_with_noise (Victim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree char *noise = g_strnfill (60000, 'x');
  g_autofree char *text = g_strconcat ("\x1b[2J\nmigration-fixed: all is well\n", noise, NULL);

  g_dbus_method_invocation_return_dbus_error (invocation, "org.evil.Error", text);
}

/* GDBus makes GIO's own codes of these: cancelled, and timed out. */
static void
refuse_as_cancelled (Victim *victim, GDBusMethodInvocation *invocation)
{
  g_dbus_method_invocation_return_dbus_error (
    invocation, "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code19", "never mind");
}

static void
refuse_as_timed_out (Victim *victim, GDBusMethodInvocation *invocation)
{
  victim->source->answers++;
  g_dbus_method_invocation_return_dbus_error (
    invocation, "org.gtk.GDBus.UnmappedGError.Quark._g_2dio_2derror_2dquark.Code24", "never mind");
}

static void
answer_with_nonsense (Victim *victim, GDBusMethodInvocation *invocation)
{
  g_autoptr (GDBusMessage)
    reply = g_dbus_message_new_method_reply (g_dbus_method_invocation_get_message (invocation));

  g_dbus_message_set_body (reply, g_variant_new ("(sv)", "yes", g_variant_new_int32 (1)));
  (void) g_dbus_connection_send_message (victim->bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL,
                                         NULL);
  g_object_unref (invocation);
}

static struct clock_record *
make_record (guint64 guest_src_ns)
{
  return stand_in_qemu_make_record (guest_src_ns);
}

/* No host and no guest has these: each attempt gets another. */
static void
send_impossible_record (Victim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = make_record (1000);
  gsize size = clock_record_size (record->vcpu_count);

  complete_claim (victim, invocation);
  switch (victim->source->attempts / EVIL_GUESTS % 9) {
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

static void
send_record_of_2200 (Victim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = make_record (1000);

  complete_claim (victim, invocation);
  record->host_src_ns = (guint64) (YEAR_2200_S * NS_PER_S);
  send_record (victim, record, clock_record_size (record->vcpu_count));
}

static void
send_record_of_1970 (Victim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = make_record (1000);

  complete_claim (victim, invocation);
  record->host_src_ns = 1;
  send_record (victim, record, clock_record_size (record->vcpu_count));
}

static void
send_record_of_late_boot (Victim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = make_record (1000);

  complete_claim (victim, invocation);
  record->boot_src_ns = G_MAXINT64;
  send_record (victim, record, clock_record_size (record->vcpu_count));
}

static void
send_record_of_other_domain (Victim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = make_record (1000);

  complete_claim (victim, invocation);
  g_free (victim->domain);
  victim->domain = g_strdup (WEB);
  send_record (victim, record, clock_record_size (record->vcpu_count));
}

/* An old record after a newer one, as if somebody had kept it, and the newer one twice. */
static void
send_old_record_last (Victim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *older = make_record (1000);
  g_autofree struct clock_record *newer = make_record (2000);
  gsize size = clock_record_size (newer->vcpu_count);

  complete_claim (victim, invocation);
  send_record (victim, older, size);
  send_record (victim, newer, size);
  send_record (victim, newer, size);
  send_record (victim, older, size);
}

static gboolean
on_flood (gpointer user_data)
{
  Victim *victim = user_data;
  g_autofree struct clock_record *record = make_record (1000);

  for (guint i = 0; i < 2; i++) {
    bus_peer_emit_withdrawn (victim->skeleton, victim->domain, "flood");
    send_record (victim, record, clock_record_size (record->vcpu_count));
  }
  return G_SOURCE_CONTINUE;
}

/* As fast as it may. */
static void
flood (Victim *victim, GDBusMethodInvocation *invocation)
{
  complete_claim (victim, invocation);
  victim->flood_id = g_timeout_add (FLOOD_PERIOD_MS, on_flood, victim);
}

/* Faster than it may, and as large as may be. */
static void
burst (Victim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = g_malloc0 (CLOCK_RECORD_SIZE_MAX);

  complete_claim (victim, invocation);
  for (guint i = 0; i < 100; i++)
    send_record (victim, record, CLOCK_RECORD_SIZE_MAX);
}

static void
send_huge (Victim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree guint8 *filler = g_malloc0 (8 * 1024 * 1024);

  complete_claim (victim, invocation);
  bus_peer_emit_record (
    victim->skeleton, victim->domain,
    g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, filler, 8 * 1024 * 1024, 1));
}

static void
on_asked_back (GObject *bus, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GVariant)
    reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (bus), result, NULL);

  if (reply != NULL)
    ((HostileSource *) user_data)->is_asked_back = TRUE;
}

/* GDBus would tell its host's machine id to anybody. */
static void
ask_back (Victim *victim, GDBusMethodInvocation *invocation)
{
  complete_claim (victim, invocation);
  g_dbus_connection_call (victim->bus, NULL, "/", "org.freedesktop.DBus.Peer", "GetMachineId", NULL,
                          NULL, G_DBUS_CALL_FLAGS_NONE, 2000, NULL, on_asked_back, victim->source);
}

/* what it says of its time */

static void
tell_time (Victim *victim, GDBusMethodInvocation *invocation)
{
  bus_peer_complete_time (victim->skeleton, invocation, host_clock_boottime_ns ());
}

static void
tell_negative_time (Victim *victim, GDBusMethodInvocation *invocation)
{
  bus_peer_complete_time (victim->skeleton, invocation, -NS_PER_S);
}

/* Backwards by an hour with every answer, and then the same again. */
static void
tell_time_backwards (Victim *victim, GDBusMethodInvocation *invocation)
{
  gint64 back_h = victim->source->answers++ % 100;

  bus_peer_complete_time (victim->skeleton, invocation,
                          host_clock_boottime_ns () + (100 - back_h) * 3600 * NS_PER_S);
}

static void
tell_last_time (Victim *victim, GDBusMethodInvocation *invocation)
{
  bus_peer_complete_time (victim->skeleton, invocation, G_MAXINT64);
}

/* a record that is good but for the time that goes with it */
static void
send_good_record (Victim *victim, GDBusMethodInvocation *invocation)
{
  g_autofree struct clock_record *record = make_record (1000);

  complete_claim (victim, invocation);
  send_record (victim, record, clock_record_size (record->vcpu_count));
}

/* the source */

static void
victim_free (gpointer data)
{
  Victim *victim = data;

  g_clear_handle_id (&victim->flood_id, g_source_remove);
  g_signal_handlers_disconnect_by_data (victim->skeleton, victim);
  g_dbus_interface_skeleton_unexport (G_DBUS_INTERFACE_SKELETON (victim->skeleton));
  (void) g_dbus_connection_close_sync (victim->bus, NULL, NULL);
  g_object_unref (victim->skeleton);
  g_object_unref (victim->bus);
  g_free (victim->domain);
  g_free (victim);
}

static gboolean
handle_claim (BusPeer *skeleton, GDBusMethodInvocation *invocation, const char *domain,
              const char *ticket, const char *migration, gpointer user_data)
{
  Victim *victim = user_data;

  g_assert_cmpstr (ticket, ==, TICKET);
  g_free (victim->domain);
  victim->domain = g_strdup (domain);
  victim->source->attempts++;
  if (victim->source->lie->claim != NULL)
    victim->source->lie->claim (victim, invocation);
  else
    g_object_unref (invocation);
  return TRUE;
}

static gboolean
handle_time (BusPeer *skeleton, GDBusMethodInvocation *invocation, gpointer user_data)
{
  Victim *victim = user_data;

  if (victim->source->lie->time != NULL)
    victim->source->lie->time (victim, invocation);
  else
    g_object_unref (invocation);
  return TRUE;
}

static void
on_shaken (GObject *tls, GAsyncResult *result, gpointer user_data)
{
  HostileSource *source = user_data;
  g_autoptr (GIOStream) owned = G_IO_STREAM (tls);
  g_autoptr (GError) error = NULL;
  Victim *victim;

  if (!g_tls_connection_handshake_finish (G_TLS_CONNECTION (tls), result, NULL))
    return;
  victim = g_new0 (Victim, 1);
  victim->source = source;
  victim->skeleton = bus_peer_skeleton_new ();
  victim->bus = g_dbus_connection_new_sync (
    owned, NULL, G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING, NULL, NULL, &error);
  g_assert_no_error (error);
  g_signal_connect (victim->skeleton, "handle-claim", G_CALLBACK (handle_claim), victim);
  g_signal_connect (victim->skeleton, "handle-time", G_CALLBACK (handle_time), victim);
  g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (victim->skeleton), victim->bus,
                                    CLOCKFERRY_PEER_PATH, &error);
  g_assert_no_error (error);
  g_dbus_connection_start_message_processing (victim->bus);
  g_ptr_array_add (source->victims, victim);
}

static gboolean
on_incoming (GSocketService *service, GSocketConnection *connection, GObject *object,
             gpointer user_data)
{
  HostileSource *source = user_data;
  GIOStream *tls;

  if (source->lie->is_mute) {
    source->attempts++;
    g_ptr_array_add (source->mutes, g_object_ref (connection));
    return TRUE;
  }
  tls = g_tls_server_connection_new (G_IO_STREAM (connection), source->certificate, NULL);
  g_assert_nonnull (tls);
  g_tls_connection_handshake_async (G_TLS_CONNECTION (tls), G_PRIORITY_DEFAULT, NULL, on_shaken,
                                    source);
  return TRUE;
}

static void
hostile_source_start (HostileSource *source, const Lie *lie)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (GError) error = NULL;
  g_autofree char *pin = NULL;

  source->lie = lie;
  source->victims = g_ptr_array_new_with_free_func (victim_free);
  source->mutes = g_ptr_array_new_with_free_func (g_object_unref);
  source->certificate = identity_load (folder, &error);
  g_assert_no_error (error);
  pin = identity_pin (source->certificate, &error);
  g_assert_no_error (error);
  source->service = g_socket_service_new ();
  source->port =
    g_socket_listener_add_any_inet_port (G_SOCKET_LISTENER (source->service), NULL, &error);
  g_assert_no_error (error);
  source->element = g_strdup_printf ("<c:source xmlns:c='" CLOCKFERRY_DOMAIN_NS
                                     "' address='127.0.0.1' port='%u' pin='%s' ticket='%s'/>",
                                     source->port, pin, TICKET);
  g_signal_connect (source->service, "incoming", G_CALLBACK (on_incoming), source);
  g_socket_service_start (source->service);
}

static void
hostile_source_stop (HostileSource *source)
{
  g_signal_handlers_disconnect_by_data (source->service, source);
  g_socket_service_stop (source->service);
  g_socket_listener_close (G_SOCKET_LISTENER (source->service));
  g_clear_object (&source->service);
  g_ptr_array_unref (source->victims);
  g_ptr_array_unref (source->mutes);
  g_object_unref (source->certificate);
  g_free (source->element);
}

/* the fixture */

static void
set_up (Fixture *fixture, gconstpointer data)
{
  DaemonHost *dest = &fixture->pair.dest;

  daemon_pair_set_up (&fixture->pair, data);
  pair_guest_boot (&fixture->honest, &fixture->pair, WEB, "web", 1);
  hostile_source_start (&fixture->source, data);
  for (guint i = 0; i < EVIL_GUESTS; i++) {
    fixture->uuids[i] = g_strdup_printf ("66666666-2222-4333-8444-%012u", i);
    fixture->names[i] = g_strdup_printf ("evil%u", i);
    fixture->evil[i].uuid = fixture->uuids[i];
    fixture->evil[i].name = fixture->names[i];
    fixture->evil[i].dest =
      stand_in_qemu_start (dest->folders, fixture->names[i], (int) (100 + i), fixture->uuids[i]);
    stand_in_libvirt_add_domain (dest->host->libvirt, fixture->uuids[i], fixture->names[i],
                                 (int) (100 + i));
  }
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  pair_guest_end (&fixture->honest);
  for (guint i = 0; i < EVIL_GUESTS; i++) {
    pair_guest_end (&fixture->evil[i]);
    g_free (fixture->uuids[i]);
    g_free (fixture->names[i]);
  }
  daemon_pair_tear_down (&fixture->pair, data);
  hostile_source_stop (&fixture->source);
}

/* How many fix-ups the helper of @guest got; the last one is of @last_ns. */
static guint
count_fixups (PairGuest *guest, guint64 *last_ns)
{
  guint count = 0;

  while (stand_in_qemu_count (guest->dest) > 0) {
    gboolean is_fixup = stand_in_qemu_peek (guest->dest) == HELPER_MESSAGE_FIXUP;
    g_autofree struct helper_fixup *message =
      stand_in_qemu_take (guest->dest, stand_in_qemu_peek (guest->dest));

    if (is_fixup) {
      *last_ns = message->record.guest_src_ns;
      count++;
    }
  }
  return count;
}

static guint
count_at_dest (Fixture *fixture, const char *event, const char *text)
{
  return daemon_process_count (fixture->pair.dest.daemon, event, text);
}

/* tests */

static void
test_lie (Fixture *fixture, gconstpointer data)
{
  const Lie *lie = data;
  g_autofree char *blame = g_strconcat ("STEP=", lie->step, NULL); /* of a NULL: any */
  guint64 last_ns = 0;

  for (guint i = 0; i < EVIL_GUESTS; i++)
    pair_guest_announce (&fixture->evil[i], &fixture->pair, fixture->source.element);
  WAIT_UNTIL (fixture->source.attempts >= EVIL_GUESTS);
  pair_guest_migrate (&fixture->honest, &fixture->pair);
  WAIT_UNTIL (fixture->source.attempts >= lie->attempts);
  if (lie->check != NULL)
    lie->check (fixture);

  for (guint i = 0; i < EVIL_GUESTS; i++) {
    guint fixups = count_fixups (&fixture->evil[i], &last_ns);

    if (lie->is_fixable)
      continue;
    g_assert_cmpuint (fixups, ==, 0);
    stand_in_libvirt_set_state (fixture->pair.dest.host->libvirt, fixture->uuids[i], STATE_RUNNING);
    stand_in_qemu_send_report (fixture->evil[i].dest, HELPER_VERDICT_STOCK,
                               HELPER_REASON_NO_RECORD);
    g_assert_true (stand_in_libvirt_emit (fixture->pair.dest.host->libvirt, fixture->uuids[i],
                                          RESUMED_MIGRATED));
  }
  if (!lie->is_fixable)
    WAIT_UNTIL (count_at_dest (fixture, "migration-stock", blame) == EVIL_GUESTS);
  g_test_message ("%u attempts, peak %" G_GUINT64_FORMAT " KiB", fixture->source.attempts,
                  daemon_process_get_peak_kib (fixture->pair.dest.daemon));
  if (!IS_SANITIZED)
    g_assert_cmpuint (daemon_process_get_peak_kib (fixture->pair.dest.daemon), <, MEMORY_MAX_KIB);
}

static gboolean
on_time_over (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

static void
pass_seconds (guint seconds)
{
  gboolean is_over = FALSE;

  g_timeout_add_seconds (seconds, on_time_over, &is_over);
  WAIT_UNTIL (is_over);
}

/* What it says reaches the journal short, and in one line. */
static void
check_words (Fixture *fixture)
{
  g_autofree char *filler = g_strnfill (300, 'x');

  WAIT_UNTIL (count_at_dest (fixture, "arrival-step-failed", "STEP=peer") >= EVIL_GUESTS);
  g_assert_cmpuint (count_at_dest (fixture, NULL, "?migration-fixed: all is well?xxx"), >=,
                    EVIL_GUESTS);
  g_assert_cmpuint (count_at_dest (fixture, NULL, "\x1b"), ==, 0);
  g_assert_cmpuint (count_at_dest (fixture, NULL, filler), ==, 0);
  g_assert_cmpuint (count_at_dest (fixture, "migration-fixed", "all is well"), ==, 0);
}

/* The journal has some of it, and the helper what its socket takes. */
static void
check_flood (Fixture *fixture)
{
  pass_seconds (5);
  for (guint i = 0; i < EVIL_GUESTS; i++) {
    g_autofree char *domain = g_strconcat ("DOMAIN=", fixture->uuids[i], NULL);
    guint64 last_ns = 0;

    g_assert_cmpuint (count_at_dest (fixture, NULL, domain), <, 60);
    g_assert_cmpuint (count_fixups (&fixture->evil[i], &last_ns), >, 0);
  }
}

/* A helper reads nothing before its guest resumes: each message then fails for want of room. */
static void
check_unread_flood (Fixture *fixture)
{
  for (guint i = 0; i < EVIL_GUESTS; i++)
    stand_in_qemu_stop_reading (fixture->evil[i].dest);
  pass_seconds (6);
  for (guint i = 0; i < EVIL_GUESTS; i++) {
    g_autofree char *domain = g_strconcat ("DOMAIN=", fixture->uuids[i], NULL);

    g_test_message ("%u entries", count_at_dest (fixture, NULL, domain));
    g_assert_cmpuint (count_at_dest (fixture, "arrival-step-failed", domain), >, 0);
    g_assert_cmpuint (count_at_dest (fixture, NULL, domain), <, 150);
  }
}

/* Each attempt ends with its first question. */
static void
check_timed_out (Fixture *fixture)
{
  g_assert_cmpuint (fixture->source.answers, <=, fixture->source.attempts);
}

static void
check_old_record (Fixture *fixture)
{
  for (guint i = 0; i < EVIL_GUESTS; i++)
    pair_guest_expect_fixup (&fixture->evil[i], 2000);
  pass_seconds (2);
  for (guint i = 0; i < EVIL_GUESTS; i++) {
    guint64 last_ns = 2000;

    (void) count_fixups (&fixture->evil[i], &last_ns);
    g_assert_cmpuint (last_ns, ==, 2000);
  }
}

static void
check_machine_id (Fixture *fixture)
{
  pass_seconds (2);
  g_assert_false (fixture->source.is_asked_back);
}

/* It is told, and not once an answer. */
static void
check_restless (Fixture *fixture)
{
  WAIT_UNTIL (fixture->source.answers > EVIL_GUESTS * 20);
  g_assert_cmpuint (count_at_dest (fixture, NULL, "drift apart"), >, 0);
  g_assert_cmpuint (count_at_dest (fixture, NULL, "drift apart"), <=, fixture->source.attempts);
}

static const Lie lies[] = {
  { "silent/without-tls", .is_mute = TRUE, .attempts = 2 * EVIL_GUESTS, .step = "peer" },
  { "silent/to-claims", .attempts = EVIL_GUESTS },
  { "silent/of-its-time", .claim = send_good_record, .attempts = EVIL_GUESTS,
    .step = "clock-offset" },
  { "words", .claim = refuse_with_noise, .attempts = EVIL_GUESTS, .step = "peer",
    .check = check_words },
  { "words/cancelled", .claim = refuse_as_cancelled, .attempts = 2 * EVIL_GUESTS, .step = "peer" },
  { "nonsense", .claim = answer_with_nonsense, .attempts = 2 * EVIL_GUESTS, .step = "peer" },
  { "record/impossible", .claim = send_impossible_record, .time = tell_time,
    .attempts = 10 * EVIL_GUESTS },
  { "record/of-2200", .claim = send_record_of_2200, .time = tell_time, .attempts = EVIL_GUESTS,
    .step = "clock-offset" },
  { "record/of-1970", .claim = send_record_of_1970, .time = tell_time, .attempts = EVIL_GUESTS,
    .step = "clock-offset" },
  { "record/booted-in-the-future", .claim = send_record_of_late_boot, .time = tell_time,
    .attempts = EVIL_GUESTS, .step = "clock-offset" },
  { "record/of-other-domain", .claim = send_record_of_other_domain, .time = tell_time,
    .attempts = 2 * EVIL_GUESTS },
  { "record/old-after-new", .claim = send_old_record_last, .time = tell_time,
    .attempts = EVIL_GUESTS, .is_fixable = TRUE, .check = check_old_record },
  { "time/negative", .claim = send_good_record, .time = tell_negative_time,
    .attempts = 2 * EVIL_GUESTS },
  { "time/at-its-end", .claim = send_good_record, .time = tell_last_time,
    .attempts = 2 * EVIL_GUESTS },
  { "time/backwards", .claim = complete_claim, .time = tell_time_backwards, .attempts = EVIL_GUESTS,
    .step = "record", .check = check_restless },
  { "time/timed-out", .claim = complete_claim, .time = refuse_as_timed_out,
    .attempts = 2 * EVIL_GUESTS, .check = check_timed_out },
  { "flood", .claim = flood, .time = tell_time, .attempts = EVIL_GUESTS, .is_fixable = TRUE,
    .check = check_flood },
  { "flood/unread", .claim = flood, .time = tell_time, .attempts = EVIL_GUESTS, .is_fixable = TRUE,
    .check = check_unread_flood },
  { "burst", .claim = burst, .time = tell_time, .attempts = 3 * EVIL_GUESTS },
  { "huge", .claim = send_huge, .time = tell_time, .attempts = 3 * EVIL_GUESTS },
  { "asks-back", .claim = ask_back, .time = tell_time, .attempts = EVIL_GUESTS, .step = "record",
    .check = check_machine_id },
};

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (lies); i++) {
    g_autofree char *path = g_strconcat ("/hostile-source/", lies[i].path, NULL);

    g_test_add (path, Fixture, &lies[i], set_up, test_lie, tear_down);
  }
  return g_test_run ();
}
