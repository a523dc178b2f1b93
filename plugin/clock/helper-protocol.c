/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helper-protocol.h"

#include <stddef.h>
#include <string.h>

static const char *const refusal_names[] = {
  [HELPER_REFUSAL_NONE] = "none",
  [HELPER_REFUSAL_TOO_SHORT] = "too-short",
  [HELPER_REFUSAL_BAD_MAGIC] = "bad-magic",
  [HELPER_REFUSAL_BAD_VERSION] = "bad-version",
  [HELPER_REFUSAL_BAD_TYPE] = "bad-type",
  [HELPER_REFUSAL_BAD_LENGTH] = "bad-length",
  [HELPER_REFUSAL_OTHER_DOMAIN] = "other-domain",
  [HELPER_REFUSAL_BAD_BODY] = "bad-body",
  [HELPER_REFUSAL_BAD_RECORD] = "bad-record",
};
_Static_assert(sizeof refusal_names / sizeof refusal_names[0] == HELPER_REFUSAL_COUNT,
               "a name each");

static const char *const reason_names[] = {
  [HELPER_REASON_NONE] = "none",
  [HELPER_REASON_NO_RECORD] = "no-record",
  [HELPER_REASON_CLOCK_MISMATCH] = "clock-mismatch",
  [HELPER_REASON_DEADLINE_PASSED] = "deadline-passed",
  [HELPER_REASON_PATCHED_QEMU] = "patched-qemu",
  [HELPER_REASON_KERNEL_TOO_OLD] = "kernel-too-old",
  [HELPER_REASON_NEGATIVE_ELAPSED] = "negative-elapsed",
  [HELPER_REASON_MAX_ADVANCE] = "max-advance",
  [HELPER_REASON_LONGER_THAN_KNOWN] = "longer-than-known",
  [HELPER_REASON_FREQUENCY] = "frequency",
  [HELPER_REASON_TSC_CATCHUP] = "tsc-catchup",
  [HELPER_REASON_NO_PVCLOCK] = "no-pvclock",
  [HELPER_REASON_NO_MASTER_CLOCK] = "no-master-clock",
  [HELPER_REASON_OFFSET_DROPPED] = "offset-dropped",
  [HELPER_REASON_NO_VCPUS] = "no-vcpus",
  [HELPER_REASON_IOCTL_FAILED] = "ioctl-failed",
  [HELPER_REASON_CHECK_FAILED] = "check-failed",
  [HELPER_REASON_OBSERVE_ONLY] = "observe-only",
  [HELPER_REASON_TSC_OPAQUE] = "tsc-opaque",
  [HELPER_REASON_UNSEEN_VCPUS] = "unseen-vcpus",
  [HELPER_REASON_TSC_MISMATCH] = "tsc-mismatch",
};
_Static_assert(sizeof reason_names / sizeof reason_names[0] == HELPER_REASON_COUNT, "a name each");

static const char *const verdict_names[] = {
  [HELPER_VERDICT_STOCK] = "stock",
  [HELPER_VERDICT_FIXED] = "fixed",
  [HELPER_VERDICT_KVMCLOCK_ONLY] = "kvmclock-only",
  [HELPER_VERDICT_OBSERVED] = "observed",
};

#define VERDICT_COUNT (sizeof verdict_names / sizeof verdict_names[0])

const char *
helper_refusal_name (uint32_t refusal)
{
  return refusal < HELPER_REFUSAL_COUNT ? refusal_names[refusal] : "unknown";
}

const char *
helper_reason_name (uint32_t reason)
{
  return reason < HELPER_REASON_COUNT ? reason_names[reason] : "unknown";
}

const char *
helper_verdict_name (uint32_t verdict)
{
  return verdict < VERDICT_COUNT ? verdict_names[verdict] : "unknown";
}

void
helper_header_init (struct helper_header *header, enum helper_message_type type, uint32_t length,
                    const uint8_t domain[16])
{
  memset (header, 0, sizeof *header);
  header->magic = HELPER_MAGIC;
  header->version = HELPER_VERSION;
  header->type = (uint16_t) type;
  header->length = length;
  memcpy (header->domain, domain, sizeof header->domain);
}

static bool
type_goes (uint16_t type, enum helper_direction direction)
{
  if (direction == HELPER_TO_HELPER)
    return type >= HELPER_MESSAGE_INCOMING && type <= HELPER_MESSAGE_WITHDRAW;
  return type >= HELPER_MESSAGE_RECORD && type <= HELPER_MESSAGE_REFUSED;
}

static enum helper_refusal
record_check (const void *message, size_t size, size_t record_at, uint32_t *detail)
{
  enum clock_record_error error;

  if (size < record_at)
    return HELPER_REFUSAL_BAD_LENGTH;
  error = clock_record_check ((const char *) message + record_at, size - record_at);
  if (error == CLOCK_RECORD_OK)
    return HELPER_REFUSAL_NONE;
  if (detail != NULL)
    *detail = error;
  return HELPER_REFUSAL_BAD_RECORD;
}

static enum helper_refusal
fixup_check (const struct helper_fixup *fixup, size_t size, uint32_t *detail)
{
  if (size < offsetof (struct helper_fixup, record))
    return HELPER_REFUSAL_BAD_LENGTH;
  if (fixup->mode > HELPER_MODE_OBSERVE || (fixup->flags & ~HELPER_FIXUP_FLAGS_ALL) != 0)
    return HELPER_REFUSAL_BAD_BODY;
  if (fixup->theta_ns > HELPER_THETA_MAX_NS || fixup->theta_ns < -HELPER_THETA_MAX_NS ||
      fixup->theta_bound_ns > HELPER_THETA_MAX_NS)
    return HELPER_REFUSAL_BAD_BODY;
  if (fixup->max_advance_ns > HELPER_ADVANCE_MAX_NS)
    return HELPER_REFUSAL_BAD_BODY;
  return record_check (fixup, size, offsetof (struct helper_fixup, record), detail);
}

static enum helper_refusal
report_check (const struct helper_report *report, size_t size)
{
  if (size < sizeof *report || report->vcpu_count > CLOCK_RECORD_VCPUS_MAX ||
      size != helper_report_size (report->vcpu_count))
    return HELPER_REFUSAL_BAD_LENGTH;
  if (report->verdict >= VERDICT_COUNT || report->reason >= HELPER_REASON_COUNT ||
      (report->flags & ~HELPER_REPORT_FLAGS_ALL) != 0)
    return HELPER_REFUSAL_BAD_BODY;
  return HELPER_REFUSAL_NONE;
}

static enum helper_refusal
refused_check (const struct helper_refused *refused, size_t size)
{
  if (size != sizeof *refused)
    return HELPER_REFUSAL_BAD_LENGTH;
  if (refused->refusal == HELPER_REFUSAL_NONE || refused->refusal >= HELPER_REFUSAL_COUNT)
    return HELPER_REFUSAL_BAD_BODY;
  return HELPER_REFUSAL_NONE;
}

static enum helper_refusal
body_check (const struct helper_header *header, size_t size, uint32_t *detail)
{
  switch ((enum helper_message_type) header->type) {
  case HELPER_MESSAGE_INCOMING:
    return size == sizeof (struct helper_incoming) ? HELPER_REFUSAL_NONE
                                                   : HELPER_REFUSAL_BAD_LENGTH;
  case HELPER_MESSAGE_FIXUP:
    return fixup_check ((const struct helper_fixup *) header, size, detail);
  case HELPER_MESSAGE_WITHDRAW:
    return size == sizeof *header ? HELPER_REFUSAL_NONE : HELPER_REFUSAL_BAD_LENGTH;
  case HELPER_MESSAGE_RECORD:
    return record_check (header, size, offsetof (struct helper_record, record), detail);
  case HELPER_MESSAGE_REPORT:
    return report_check ((const struct helper_report *) header, size);
  case HELPER_MESSAGE_REFUSED:
    return refused_check ((const struct helper_refused *) header, size);
  default:
    return HELPER_REFUSAL_BAD_TYPE;
  }
}

enum helper_refusal
helper_message_check (const void *data, size_t size, enum helper_direction direction,
                      const uint8_t domain[16], uint32_t *detail)
{
  const struct helper_header *header = data;

  if (size < sizeof *header)
    return HELPER_REFUSAL_TOO_SHORT;
  if (header->magic != HELPER_MAGIC)
    return HELPER_REFUSAL_BAD_MAGIC;
  if (header->version != HELPER_VERSION)
    return HELPER_REFUSAL_BAD_VERSION;
  if (!type_goes (header->type, direction))
    return HELPER_REFUSAL_BAD_TYPE;
  if (header->length != size)
    return HELPER_REFUSAL_BAD_LENGTH;
  if (header->reserved != 0)
    return HELPER_REFUSAL_BAD_BODY;
  if (memcmp (header->domain, domain, sizeof header->domain) != 0)
    return HELPER_REFUSAL_OTHER_DOMAIN;
  return body_check (header, size, detail);
}

size_t
helper_report_size (uint32_t vcpu_count)
{
  return sizeof (struct helper_report) + vcpu_count * sizeof (struct helper_report_vcpu);
}
