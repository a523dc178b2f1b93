/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clock-record - the codec of the helper's messages and of the record, and the arithmetic on records
 *
 * The first byte is a set of flags, the rest a message. One that is accepted is made anew from what
 * was read of it, and comes out the same to the byte.
 */
#include <stddef.h>
#include <string.h>

#include "clock-math.h"
#include "clock-record.h"
#include "fuzz-target.h"
#include "helper-protocol.h"

#define FLAG_TO_DAEMON    (1u << 0)
#define FLAG_OTHER_DOMAIN (1u << 1)
/* Put a good header in front, of the type that the rest of the flags has. */
#define FLAG_WITH_HEADER (1u << 2)
#define TYPE_SHIFT       3

static const uint8_t domain[16] = { 0x6c, 0x2c, 0x1d, 0x3e, 0x7f, 0x5a, 0x4b, 0x7e,
                                    0x9d, 0x0c, 1,    2,    3,    4,    5,    6 };

/* the record */

static void
check_vcpus (const struct clock_record *record)
{
  uint64_t next_id = 0;

  for (uint32_t i = 0; i < record->vcpu_count; i++) {
    const struct clock_record_vcpu *vcpu = &record->vcpus[i];

    g_assert_true (clock_record_find_vcpu (record, vcpu->id) == vcpu);
    /* none has an id between two that follow each other */
    if (vcpu->id > next_id)
      g_assert_null (clock_record_find_vcpu (record, (uint32_t) next_id));
    next_id = (uint64_t) vcpu->id + 1;
  }
  if (next_id <= UINT32_MAX)
    g_assert_null (clock_record_find_vcpu (record, (uint32_t) next_id));
}

/* A hand-over to the same place at the same time moves nothing, whatever the record says. */
static void
check_arithmetic (const struct clock_record *record)
{
  const struct clock_pair pair = {
    .tsc_ticks = record->tsc_src_ticks,
    .guest_ns = record->guest_src_ns,
    .scale = { .ratio = record->tsc_ratio, .frac_bits = record->tsc_frac_bits },
  };
  struct clock_pair later = pair;

  g_assert_cmpuint (clock_offset_delta (&pair, &pair, record->freq_khz), ==, 0);
  g_assert_cmpint (clock_residual (record->guest_src_ns, record->host_src_ns, record->guest_src_ns,
                                   record->host_src_ns, 0),
                   ==, 0);
  later.guest_ns += 1000000;
  g_assert_cmpuint (clock_offset_delta (&pair, &later, record->freq_khz), ==, record->freq_khz);
  g_assert_cmpint (clock_ns_to_ticks (1000000, record->freq_khz), ==, record->freq_khz);
  g_assert_cmpint (clock_ns_to_ticks (-1000000, record->freq_khz), ==, -(int64_t) record->freq_khz);
  g_assert_cmpuint (clock_freq_distance_ppm (record->freq_khz, record->freq_khz), ==, 0);
}

/* Field by field, so that a byte between them would be lost. */
static void
copy_record (struct clock_record *to, const struct clock_record *from)
{
  to->guest_src_ns = from->guest_src_ns;
  to->host_src_ns = from->host_src_ns;
  to->boot_src_ns = from->boot_src_ns;
  to->tsc_src_ticks = from->tsc_src_ticks;
  to->tsc_ratio = from->tsc_ratio;
  to->tsc_frac_bits = from->tsc_frac_bits;
  to->freq_khz = from->freq_khz;
  to->flags = from->flags;
  to->vcpu_count = from->vcpu_count;
  for (uint32_t i = 0; i < from->vcpu_count; i++)
    to->vcpus[i] =
      (struct clock_record_vcpu){ .id = from->vcpus[i].id, .ofs_ticks = from->vcpus[i].ofs_ticks };
}

static void
check_record (const struct clock_record *record, size_t size)
{
  g_assert_cmpint (clock_record_check (record, size), ==, CLOCK_RECORD_OK);
  g_assert_cmpuint (clock_record_size (record->vcpu_count), ==, size);
  g_assert_cmpuint (record->vcpu_count, >=, 1);
  g_assert_cmpuint (record->vcpu_count, <=, CLOCK_RECORD_VCPUS_MAX);
  check_vcpus (record);
  check_arithmetic (record);
}

/* messages */

/* @message, of @size bytes, was accepted; @copy has as many, all zero but for its header. */
static void
copy_body (void *copy, const struct helper_header *message, size_t size)
{
  if (message->type == HELPER_MESSAGE_FIXUP) {
    const struct helper_fixup *fixup = (const void *) message;
    struct helper_fixup *made = copy;

    check_record (&fixup->record, size - offsetof (struct helper_fixup, record));
    g_assert_cmpint (fixup->theta_ns, <=, HELPER_THETA_MAX_NS);
    g_assert_cmpint (fixup->theta_ns, >=, -HELPER_THETA_MAX_NS);
    g_assert_cmpuint (fixup->max_advance_ns, <=, HELPER_ADVANCE_MAX_NS);
    memcpy (&made->theta_ns, &fixup->theta_ns,
            offsetof (struct helper_fixup, record) - offsetof (struct helper_fixup, theta_ns));
    copy_record (&made->record, &fixup->record);
  } else if (message->type == HELPER_MESSAGE_RECORD) {
    const struct helper_record *record = (const void *) message;

    check_record (&record->record, size - offsetof (struct helper_record, record));
    copy_record (&((struct helper_record *) copy)->record, &record->record);
  } else {
    memcpy ((uint8_t *) copy + sizeof *message, (const uint8_t *) message + sizeof *message,
            size - sizeof *message);
  }
}

static void
check_names (const struct helper_header *message)
{
  if (message->type == HELPER_MESSAGE_REPORT) {
    const struct helper_report *report = (const void *) message;

    g_assert_cmpstr (helper_verdict_name (report->verdict), !=, "unknown");
    g_assert_cmpstr (helper_reason_name (report->reason), !=, "unknown");
    g_assert_cmpuint (helper_report_size (report->vcpu_count), ==, message->length);
  } else if (message->type == HELPER_MESSAGE_REFUSED) {
    g_assert_cmpstr (
      helper_refusal_name (((const struct helper_refused *) (const void *) message)->refusal), !=,
      "unknown");
  }
}

static void
check_accepted (const struct helper_header *message, size_t size)
{
  g_autofree void *copy = g_malloc0 (size);

  g_assert_cmpuint (size, <=, HELPER_MESSAGE_SIZE_MAX);
  helper_header_init (copy, message->type, (uint32_t) size, domain);
  copy_body (copy, message, size);
  g_assert_cmpmem (copy, size, message, size);
  check_names (message);
}

static void
check_message (uint8_t flags, const uint8_t *data, size_t size)
{
  size_t head = flags & FLAG_WITH_HEADER ? sizeof (struct helper_header) : 0;
  /* as both ends have it: aligned, and not a byte longer */
  g_autofree uint8_t *message = g_malloc (MAX (head + size, 1));
  const uint8_t others[16] = { 0 };
  enum helper_refusal refusal;
  uint32_t detail = 0;

  if (head > 0)
    helper_header_init ((void *) message, flags >> TYPE_SHIFT, (uint32_t) (head + size), domain);
  memcpy (message + head, data, size);
  refusal = helper_message_check (message, head + size,
                                  flags & FLAG_TO_DAEMON ? HELPER_TO_DAEMON : HELPER_TO_HELPER,
                                  flags & FLAG_OTHER_DOMAIN ? others : domain, &detail);
  g_assert_cmpstr (helper_refusal_name (refusal), !=, "unknown");
  g_assert_true ((refusal == HELPER_REFUSAL_BAD_RECORD) == (detail != CLOCK_RECORD_OK));
  if (refusal == HELPER_REFUSAL_NONE && !(flags & FLAG_OTHER_DOMAIN))
    check_accepted ((const void *) message, head + size);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  fuzz_begin ();
  if (size > 0)
    check_message (data[0], data + 1, size - 1);
  return 0;
}
