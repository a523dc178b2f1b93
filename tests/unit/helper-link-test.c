/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "domain-uuid.h"
#include "error.h"
#include "helper-link.h"
#include "stand-in-qemu.h"
#include "temp-folder.h"
#include "wait-until.h"

#define NAME "web"
#define ID   7
#define UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"

typedef struct {
  StandInFolders *folders;
  StandInQemu *qemu;
  HelperLink *link; /* NULL when freed */

  /* what the callbacks saw */
  guint records;
  guint reports;
  GBytes *record; /* the last one */
  guint32 verdict;
  GError *error;
  gboolean frees_on_record;
} Fixture;

static void
on_record (const struct clock_record *record, gsize size, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->records++;
  g_clear_pointer (&fixture->record, g_bytes_unref);
  fixture->record = g_bytes_new (record, size);
  if (fixture->frees_on_record)
    g_clear_pointer (&fixture->link, helper_link_free);
}

static void
on_report (const struct helper_report *report, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->reports++;
  fixture->verdict = report->verdict;
}

static void
on_closed (const GError *error, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_assert_no_error (fixture->error);
  fixture->error = g_error_copy (error);
  g_clear_pointer (&fixture->link, helper_link_free);
}

static const HelperLinkCallbacks callbacks = {
  .record = on_record,
  .report = on_report,
  .closed = on_closed,
};

static void
connect_link (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;

  fixture->link =
    helper_link_new (&fixture->folders->folders, NAME, ID, UUID, &callbacks, fixture, &error);
  g_assert_no_error (error);
  g_assert_nonnull (fixture->link);
  WAIT_UNTIL (stand_in_qemu_is_connected (fixture->qemu));
}

static void
set_up_alone (Fixture *fixture, gconstpointer data)
{
  fixture->folders = stand_in_folders_new ();
}

static void
set_up_qemu (Fixture *fixture, gconstpointer data)
{
  set_up_alone (fixture, data);
  fixture->qemu = stand_in_qemu_start (fixture->folders, NAME, ID, UUID);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  set_up_qemu (fixture, data);
  connect_link (fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->link, helper_link_free);
  g_clear_pointer (&fixture->qemu, stand_in_qemu_end);
  g_clear_pointer (&fixture->folders, stand_in_folders_free);
  g_clear_pointer (&fixture->record, g_bytes_unref);
  g_clear_error (&fixture->error);
}

/* receiving */

static void
test_record_and_report (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *first = stand_in_qemu_make_record (1000);
  g_autofree struct clock_record *last = stand_in_qemu_make_record (2000);
  gsize size = clock_record_size (last->vcpu_count);

  stand_in_qemu_send_record (fixture->qemu, first);
  stand_in_qemu_send_record (fixture->qemu, last);
  stand_in_qemu_send_report (fixture->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  WAIT_UNTIL (fixture->reports == 1);

  g_assert_cmpuint (fixture->records, ==, 2);
  g_assert_cmpmem (g_bytes_get_data (fixture->record, NULL), g_bytes_get_size (fixture->record),
                   last, size);
  g_assert_cmpuint (fixture->verdict, ==, HELPER_VERDICT_FIXED);
  g_assert_no_error (fixture->error);
}

static void
test_drain (Fixture *fixture, gconstpointer data)
{
  stand_in_qemu_send_report (fixture->qemu, HELPER_VERDICT_STOCK, HELPER_REASON_NO_RECORD);

  /* without a turn of the main loop */
  helper_link_drain (fixture->link);
  g_assert_cmpuint (fixture->reports, ==, 1);
  helper_link_drain (fixture->link);
  g_assert_cmpuint (fixture->reports, ==, 1);
}

static void
test_drain_of_a_dead_link (Fixture *fixture, gconstpointer data)
{
  stand_in_qemu_send_report (fixture->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  stand_in_qemu_hang_up (fixture->qemu);

  /* what QEMU wrote before its end still counts */
  helper_link_drain (fixture->link);
  g_assert_cmpuint (fixture->reports, ==, 1);
  g_assert_error (fixture->error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

/* A QEMU that is killed has not read all that lies in its socket: no less ended than any other. */
static void
test_drain_of_a_killed_link (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (helper_link_send_incoming (fixture->link, 1, &error));
  g_assert_no_error (error);
  stand_in_qemu_send_report (fixture->qemu, HELPER_VERDICT_FIXED, HELPER_REASON_NONE);
  stand_in_qemu_hang_up (fixture->qemu);

  helper_link_drain (fixture->link);
  g_assert_cmpuint (fixture->reports, ==, 1);
  g_assert_error (fixture->error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

/* Nothing is read before QEMU touches the clock; what must not be lost is the withdrawal. */
static void
test_room_for_the_last_word (Fixture *fixture, gconstpointer data)
{
  const struct helper_fixup fixup = { .max_advance_ns = 1 };
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  g_autoptr (GError) error = NULL;
  guint sent = 0;

  while (helper_link_send_fixup (fixture->link, &fixup, record, &error))
    sent++;
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
  g_assert_cmpuint (sent, >, 20);
  g_clear_error (&error);
  g_assert_true (helper_link_send_withdraw (fixture->link, &error));
  g_assert_no_error (error);
}

static void
test_freed_by_callback (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  fixture->frees_on_record = TRUE;
  stand_in_qemu_send_record (fixture->qemu, record);
  stand_in_qemu_send_record (fixture->qemu, record);
  WAIT_UNTIL (!stand_in_qemu_is_connected (fixture->qemu));

  g_assert_cmpuint (fixture->records, ==, 1);
  g_assert_no_error (fixture->error);
}

static void
test_freed_in_drain (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);

  fixture->frees_on_record = TRUE;
  stand_in_qemu_send_record (fixture->qemu, record);
  stand_in_qemu_send_record (fixture->qemu, record);
  helper_link_drain (fixture->link);
  g_assert_cmpuint (fixture->records, ==, 1);
}

static void
test_hung_up (Fixture *fixture, gconstpointer data)
{
  stand_in_qemu_hang_up (fixture->qemu);
  WAIT_UNTIL (fixture->error != NULL);
  g_assert_error (fixture->error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

static void
test_refused_by_helper (Fixture *fixture, gconstpointer data)
{
  struct helper_refused message = { .refusal = HELPER_REFUSAL_BAD_RECORD,
                                    .detail = CLOCK_RECORD_BAD_FREQ };
  guint8 domain[DOMAIN_UUID_BYTES];

  domain_uuid_parse (UUID, domain);
  helper_header_init (&message.header, HELPER_MESSAGE_REFUSED, sizeof message, domain);
  stand_in_qemu_send (fixture->qemu, &message, sizeof message);
  WAIT_UNTIL (fixture->error != NULL);

  g_assert_error (fixture->error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_REFUSED);
  g_assert_cmpstr (fixture->error->message, ==,
                   "the helper refused a message: bad-record (record-bad-freq)");
}

/* messages that are not exactly what they should be */

#define SPOILT_SIZE (HELPER_MESSAGE_SIZE_MAX + 4096)

/* A good record to begin with; its size, changed if need be, is returned. */
typedef gsize (*Spoil) (struct helper_record *message, gsize size);

static gsize
cut_header (struct helper_record *message, gsize size)
{
  return sizeof (struct helper_header) - 1;
}

static gsize
cut_body (struct helper_record *message, gsize size)
{
  return size - 8;
}

static gsize
say_shorter (struct helper_record *message, gsize size)
{
  message->header.length = (guint32) size - sizeof (struct clock_record_vcpu);
  return message->header.length;
}

static gsize
append (struct helper_record *message, gsize size)
{
  return size + 8;
}

static gsize
overflow (struct helper_record *message, gsize size)
{
  message->header.length = SPOILT_SIZE;
  return SPOILT_SIZE;
}

static gsize
change_magic (struct helper_record *message, gsize size)
{
  message->header.magic ^= 1;
  return size;
}

static gsize
change_version (struct helper_record *message, gsize size)
{
  message->header.version = HELPER_VERSION + 1;
  return size;
}

static gsize
change_direction (struct helper_record *message, gsize size)
{
  message->header.type = HELPER_MESSAGE_FIXUP;
  return size;
}

static gsize
change_type (struct helper_record *message, gsize size)
{
  message->header.type = 99;
  return size;
}

static gsize
change_domain (struct helper_record *message, gsize size)
{
  message->header.domain[15] ^= 1;
  return size;
}

static gsize
set_reserved (struct helper_record *message, gsize size)
{
  message->header.reserved = 1;
  return size;
}

static gsize
change_frequency (struct helper_record *message, gsize size)
{
  message->record.freq_khz = 0;
  return size;
}

static gsize
fill_with_garbage (struct helper_record *message, gsize size)
{
  memset (message, 0x5a, size);
  return size;
}

typedef struct {
  const char *name;
  Spoil spoil;
  const char *refusal;
} Spoilt;

static const Spoilt spoilt[] = {
  { "cut-header", cut_header, "too-short" },
  { "cut-body", cut_body, "bad-length" },
  { "too-few-vcpus", say_shorter, "bad-record (record-bad-length)" },
  { "too-long", append, "bad-length" },
  { "longer-than-any", overflow, "bad-length" },
  { "magic", change_magic, "bad-magic" },
  { "version", change_version, "bad-version" },
  { "direction", change_direction, "bad-type" },
  { "type", change_type, "bad-type" },
  { "other-domain", change_domain, "other-domain" },
  { "reserved", set_reserved, "bad-body" },
  { "record", change_frequency, "bad-record (record-bad-freq)" },
  { "garbage", fill_with_garbage, "bad-magic" },
};

static void
test_spoilt (Fixture *fixture, gconstpointer data)
{
  const Spoilt *how = data;
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  g_autofree struct helper_record *message = g_malloc0 (SPOILT_SIZE);
  g_autofree char *expected = g_strconcat ("the daemon refused a message: ", how->refusal, NULL);
  gsize record_size = clock_record_size (record->vcpu_count);
  gsize size = offsetof (struct helper_record, record) + record_size;
  guint8 domain[DOMAIN_UUID_BYTES];

  domain_uuid_parse (UUID, domain);
  helper_header_init (&message->header, HELPER_MESSAGE_RECORD, (guint32) size, domain);
  memcpy (&message->record, record, record_size);
  size = how->spoil (message, size);

  stand_in_qemu_send (fixture->qemu, message, size);
  /* a good one behind it must not be read any more */
  stand_in_qemu_send_record (fixture->qemu, record);
  WAIT_UNTIL (!stand_in_qemu_is_connected (fixture->qemu));

  g_assert_error (fixture->error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_REFUSED);
  g_assert_cmpstr (fixture->error->message, ==, expected);
  g_assert_cmpuint (fixture->records + fixture->reports, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function)                                                                        \
  g_test_add ("/helper-link/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("record-and-report", test_record_and_report);
  ADD ("drain", test_drain);
  ADD ("drain/of-a-dead-link", test_drain_of_a_dead_link);
  ADD ("drain/of-a-killed-link", test_drain_of_a_killed_link);
  ADD ("room-for-the-last-word", test_room_for_the_last_word);
  ADD ("freed-by-callback", test_freed_by_callback);
  ADD ("freed-by-callback/in-drain", test_freed_in_drain);
  ADD ("hung-up", test_hung_up);
  ADD ("refused-by-helper", test_refused_by_helper);
#undef ADD
  for (gsize i = 0; i < G_N_ELEMENTS (spoilt); i++) {
    g_autofree char *path = g_strconcat ("/helper-link/spoilt/", spoilt[i].name, NULL);

    g_test_add (path, Fixture, &spoilt[i], set_up, test_spoilt, tear_down);
  }
  return g_test_run ();
}
