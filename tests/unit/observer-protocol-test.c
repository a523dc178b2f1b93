/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * observer-protocol-test - what daemon and observer accept of each other
 */

#include "observer-protocol.h"

#include <glib.h>
#include <string.h>

static gboolean
is_accepted (const void *message, gsize size, enum observer_direction direction)
{
  return observer_message_check (message, size, direction);
}

static struct observer_header
make_header (enum observer_message_type type, gint32 pid)
{
  struct observer_header header;

  observer_header_init (&header, type, sizeof header, pid);
  return header;
}

static void
test_header (void)
{
  struct observer_header good = make_header (OBSERVER_MESSAGE_WATCH, 1);
  struct observer_header bad;

  g_assert_true (is_accepted (&good, sizeof good, OBSERVER_TO_OBSERVER));
  g_assert_false (is_accepted (&good, sizeof good - 1, OBSERVER_TO_OBSERVER));
  g_assert_false (is_accepted (&good, 0, OBSERVER_TO_OBSERVER));
  /* only one end says so */
  g_assert_false (is_accepted (&good, sizeof good, OBSERVER_TO_DAEMON));

  bad = good;
  bad.magic++;
  g_assert_false (is_accepted (&bad, sizeof bad, OBSERVER_TO_OBSERVER));
  bad = good;
  bad.version++;
  g_assert_false (is_accepted (&bad, sizeof bad, OBSERVER_TO_OBSERVER));
  bad = good;
  bad.length++;
  g_assert_false (is_accepted (&bad, sizeof bad, OBSERVER_TO_OBSERVER));
  bad = good;
  bad.reserved = 1;
  g_assert_false (is_accepted (&bad, sizeof bad, OBSERVER_TO_OBSERVER));
  bad = good;
  bad.reserved2 = 1;
  g_assert_false (is_accepted (&bad, sizeof bad, OBSERVER_TO_OBSERVER));
  bad = good;
  bad.pid = 0;
  g_assert_false (is_accepted (&bad, sizeof bad, OBSERVER_TO_OBSERVER));
  bad.pid = -1;
  g_assert_false (is_accepted (&bad, sizeof bad, OBSERVER_TO_OBSERVER));
  bad = good;
  bad.type = 99;
  g_assert_false (is_accepted (&bad, sizeof bad, OBSERVER_TO_OBSERVER));
  g_assert_false (is_accepted (&bad, sizeof bad, OBSERVER_TO_DAEMON));
}

static void
test_ready (void)
{
  struct observer_header good = make_header (OBSERVER_MESSAGE_READY, 0);
  struct observer_header watching = make_header (OBSERVER_MESSAGE_WATCHING, 7);

  g_assert_true (is_accepted (&good, sizeof good, OBSERVER_TO_DAEMON));
  g_assert_true (is_accepted (&watching, sizeof watching, OBSERVER_TO_DAEMON));
  g_assert_false (is_accepted (&good, sizeof good, OBSERVER_TO_OBSERVER));
  good.pid = 1;
  g_assert_false (is_accepted (&good, sizeof good, OBSERVER_TO_DAEMON));
}

static void
test_unable (void)
{
  struct observer_unable message = { .text = "this kernel has no BTF" };

  observer_header_init (&message.header, OBSERVER_MESSAGE_UNABLE, sizeof message, 0);
  g_assert_true (is_accepted (&message, sizeof message, OBSERVER_TO_DAEMON));
  /* it goes to the journal */
  message.text[3] = '\n';
  g_assert_false (is_accepted (&message, sizeof message, OBSERVER_TO_DAEMON));
  message.text[3] = (char) 0xe9;
  g_assert_false (is_accepted (&message, sizeof message, OBSERVER_TO_DAEMON));
  memset (message.text, 'x', sizeof message.text);
  g_assert_false (is_accepted (&message, sizeof message, OBSERVER_TO_DAEMON));
}

static void
test_missed (void)
{
  struct observer_missed message = { .reason = OBSERVER_REASON_UNREADABLE };

  observer_header_init (&message.header, OBSERVER_MESSAGE_MISSED, sizeof message, 7);
  g_assert_true (is_accepted (&message, sizeof message, OBSERVER_TO_DAEMON));
  message.reason = OBSERVER_REASON_NONE;
  g_assert_false (is_accepted (&message, sizeof message, OBSERVER_TO_DAEMON));
  message.reason = OBSERVER_REASON_COUNT;
  g_assert_false (is_accepted (&message, sizeof message, OBSERVER_TO_DAEMON));
}

static void
test_record (void)
{
  gsize size = sizeof (struct observer_record) + 2 * sizeof (struct clock_record_vcpu);
  g_autofree struct observer_record *message = g_malloc0 (size);

  observer_header_init (&message->header, OBSERVER_MESSAGE_RECORD, size, 7);
  message->record = (struct clock_record){
    .guest_src_ns = 1,
    .host_src_ns = 2,
    .boot_src_ns = 1,
    .freq_khz = 2600000,
    .vcpu_count = 2,
  };
  message->record.vcpus[1].id = 1;
  g_assert_true (is_accepted (message, size, OBSERVER_TO_DAEMON));

  /* one of absurd size, in a message that is not */
  message->record.vcpu_count = G_MAXUINT32;
  g_assert_false (is_accepted (message, size, OBSERVER_TO_DAEMON));
  message->record.vcpu_count = 1;
  g_assert_false (is_accepted (message, size, OBSERVER_TO_DAEMON));
  message->record.vcpu_count = 2;
  message->record.vcpus[1].id = 0;
  g_assert_false (is_accepted (message, size, OBSERVER_TO_DAEMON));
  message->record.vcpus[1].id = 1;
  g_assert_true (is_accepted (message, size, OBSERVER_TO_DAEMON));
  /* too short for any */
  message->header.length = sizeof message->header;
  g_assert_false (is_accepted (message, sizeof message->header, OBSERVER_TO_DAEMON));
}

static void
test_words (void)
{
  for (guint32 reason = 0; reason < OBSERVER_REASON_COUNT; reason++) {
    g_assert_nonnull (observer_reason_text (reason));
    for (guint32 other = 0; other < reason; other++)
      g_assert_cmpstr (observer_reason_text (reason), !=, observer_reason_text (other));
  }
  g_assert_nonnull (observer_reason_text (G_MAXUINT32));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/observer-protocol/header", test_header);
  g_test_add_func ("/observer-protocol/ready", test_ready);
  g_test_add_func ("/observer-protocol/unable", test_unable);
  g_test_add_func ("/observer-protocol/missed", test_missed);
  g_test_add_func ("/observer-protocol/record", test_record);
  g_test_add_func ("/observer-protocol/words", test_words);
  return g_test_run ();
}
