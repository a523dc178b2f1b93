/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-protocol-test - a message is exactly what its header says, or it is refused by name
 */

#include <glib.h>
#include <stddef.h>
#include <string.h>

#include "helper-protocol.h"

static const uint8_t domain[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

static struct helper_fixup *
fixup_new (void)
{
  size_t size = offsetof (struct helper_fixup, record) + clock_record_size (2);
  struct helper_fixup *fixup = g_malloc0 (size);

  helper_header_init (&fixup->header, HELPER_MESSAGE_FIXUP, (uint32_t) size, domain);
  fixup->max_advance_ns = 1;
  fixup->record = (struct clock_record){
    .guest_src_ns = 1, .host_src_ns = 1, .freq_khz = 2400000, .vcpu_count = 2
  };
  fixup->record.vcpus[1].id = 1;
  return fixup;
}

/* On a copy that ends where the message does, so that ASan sees a read past it. */
static void
expect_size (const void *message, size_t size, enum helper_direction direction, const char *name)
{
  g_autofree void *copy = g_memdup2 (message, size);

  g_assert_cmpstr (helper_refusal_name (helper_message_check (copy, size, direction, domain, NULL)),
                   ==, name);
}

static void
expect (const void *message, const char *name)
{
  const struct helper_header *header = message;

  expect_size (message, header->length, HELPER_TO_HELPER, name);
}

static void
test_ok (void)
{
  g_autofree struct helper_fixup *fixup = fixup_new ();
  struct helper_incoming incoming = { 0 };
  struct helper_header withdraw;

  helper_header_init (&incoming.header, HELPER_MESSAGE_INCOMING, sizeof incoming, domain);
  helper_header_init (&withdraw, HELPER_MESSAGE_WITHDRAW, sizeof withdraw, domain);
  expect (fixup, "none");
  expect (&incoming, "none");
  expect (&withdraw, "none");
}

static void
test_every_cut (void)
{
  g_autofree struct helper_fixup *fixup = fixup_new ();

  for (size_t size = 0; size < fixup->header.length; size++)
    expect_size (fixup, size, HELPER_TO_HELPER,
                 size < sizeof fixup->header ? "too-short" : "bad-length");
  /* and with a header that owns up to it */
  for (uint32_t size = sizeof fixup->header, full = fixup->header.length; size < full; size++) {
    g_autofree struct helper_fixup *cut = g_memdup2 (fixup, full);

    cut->header.length = size;
    expect (cut, size < offsetof (struct helper_fixup, record) ? "bad-length" : "bad-record");
  }
}

static void
test_header (void)
{
  g_autofree struct helper_fixup *fixup = fixup_new ();
  struct helper_header good = fixup->header;

  fixup->header.magic++;
  expect (fixup, "bad-magic");
  fixup->header = good;
  fixup->header.version++;
  expect (fixup, "bad-version");
  fixup->header = good;
  fixup->header.type = 0;
  expect (fixup, "bad-type");
  fixup->header.type = 4;
  expect (fixup, "bad-type");
  fixup->header = good;
  fixup->header.reserved = 1;
  expect (fixup, "bad-body");
  fixup->header = good;
  fixup->header.domain[15]++;
  expect (fixup, "other-domain");
}

static void
test_direction (void)
{
  g_autofree struct helper_fixup *fixup = fixup_new ();
  struct helper_refused refused = { .refusal = HELPER_REFUSAL_BAD_MAGIC };

  helper_header_init (&refused.header, HELPER_MESSAGE_REFUSED, sizeof refused, domain);
  expect_size (fixup, fixup->header.length, HELPER_TO_DAEMON, "bad-type");
  expect_size (&refused, sizeof refused, HELPER_TO_HELPER, "bad-type");
  expect_size (&refused, sizeof refused, HELPER_TO_DAEMON, "none");
}

static void
test_body (void)
{
  g_autofree struct helper_fixup *fixup = fixup_new ();
  struct helper_fixup good = *fixup;

#define EXPECT_BAD(member, value)                                                                  \
  G_STMT_START                                                                                     \
  {                                                                                                \
    fixup->member = (value);                                                                       \
    expect (fixup, "bad-body");                                                                    \
    fixup->member = good.member;                                                                   \
  }                                                                                                \
  G_STMT_END
  EXPECT_BAD (mode, 2);
  EXPECT_BAD (flags, 4);
  EXPECT_BAD (theta_ns, HELPER_THETA_MAX_NS + 1);
  EXPECT_BAD (theta_ns, -HELPER_THETA_MAX_NS - 1);
  EXPECT_BAD (theta_ns, INT64_MIN);
  EXPECT_BAD (theta_bound_ns, UINT64_MAX);
  EXPECT_BAD (max_advance_ns, HELPER_ADVANCE_MAX_NS + 1);
#undef EXPECT_BAD
  expect (fixup, "none");
}

static void
test_record_detail (void)
{
  g_autofree struct helper_fixup *fixup = fixup_new ();
  uint32_t detail = 0;

  fixup->record.freq_khz = 0;
  g_assert_cmpint (
    helper_message_check (fixup, fixup->header.length, HELPER_TO_HELPER, domain, &detail), ==,
    HELPER_REFUSAL_BAD_RECORD);
  g_assert_cmpuint (detail, ==, CLOCK_RECORD_BAD_FREQ);
}

static void
test_report (void)
{
  size_t size = helper_report_size (2);
  g_autofree struct helper_report *report = g_malloc0 (size);

  helper_header_init (&report->header, HELPER_MESSAGE_REPORT, (uint32_t) size, domain);
  report->vcpu_count = 2;
  expect_size (report, size, HELPER_TO_DAEMON, "none");
  report->vcpu_count = 3;
  expect_size (report, size, HELPER_TO_DAEMON, "bad-length");
  report->vcpu_count = UINT32_MAX;
  expect_size (report, size, HELPER_TO_DAEMON, "bad-length");
  report->vcpu_count = 2;
  report->verdict = HELPER_VERDICT_OBSERVED + 1;
  expect_size (report, size, HELPER_TO_DAEMON, "bad-body");
  report->verdict = 0;
  report->reason = HELPER_REASON_COUNT;
  expect_size (report, size, HELPER_TO_DAEMON, "bad-body");
  report->reason = 0;
  report->flags = 1u << 4;
  expect_size (report, size, HELPER_TO_DAEMON, "bad-body");
}

/* Random bytes with a good header in front: only names, never a read past the end. */
static void
test_garbage (void)
{
  for (int i = 0; i < 20000; i++) {
    size_t size = (size_t) g_test_rand_int_range (0, 400);
    g_autofree uint8_t *bytes = g_malloc (MAX (size, sizeof (struct helper_header)));
    enum helper_direction direction = g_test_rand_bit () ? HELPER_TO_HELPER : HELPER_TO_DAEMON;
    g_autofree uint8_t *exact = NULL;

    for (size_t at = 0; at < size; at++)
      bytes[at] = (uint8_t) g_test_rand_int ();
    helper_header_init ((struct helper_header *) (void *) bytes,
                        (enum helper_message_type) g_test_rand_int_range (0, 20), (uint32_t) size,
                        domain);
    exact = g_memdup2 (bytes, size);
    g_assert_cmpstr (
      helper_refusal_name (helper_message_check (exact, size, direction, domain, NULL)), !=,
      "unknown");
  }
}

static void
test_names (void)
{
  for (uint32_t reason = 0; reason < HELPER_REASON_COUNT; reason++)
    g_assert_cmpstr (helper_reason_name (reason), !=, "unknown");
  g_assert_cmpstr (helper_reason_name (HELPER_REASON_NO_PVCLOCK), ==, "no-pvclock");
  g_assert_cmpstr (helper_reason_name (HELPER_REASON_COUNT), ==, "unknown");
  g_assert_cmpstr (helper_refusal_name (HELPER_REFUSAL_COUNT), ==, "unknown");
  g_assert_cmpstr (helper_verdict_name (HELPER_VERDICT_FIXED), ==, "fixed");
  g_assert_cmpstr (helper_verdict_name (HELPER_VERDICT_OBSERVED + 1), ==, "unknown");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/helper-protocol/ok", test_ok);
  g_test_add_func ("/helper-protocol/every-cut", test_every_cut);
  g_test_add_func ("/helper-protocol/header", test_header);
  g_test_add_func ("/helper-protocol/direction", test_direction);
  g_test_add_func ("/helper-protocol/body", test_body);
  g_test_add_func ("/helper-protocol/record-detail", test_record_detail);
  g_test_add_func ("/helper-protocol/report", test_report);
  g_test_add_func ("/helper-protocol/garbage", test_garbage);
  g_test_add_func ("/helper-protocol/names", test_names);

  return g_test_run ();
}
