/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "clock-record.h"

static const char *const error_names[] = {
  [CLOCK_RECORD_OK] = "record-ok",
  [CLOCK_RECORD_TOO_SHORT] = "record-too-short",
  [CLOCK_RECORD_BAD_LENGTH] = "record-bad-length",
  [CLOCK_RECORD_BAD_VCPUS] = "record-bad-vcpus",
  [CLOCK_RECORD_BAD_FREQ] = "record-bad-freq",
  [CLOCK_RECORD_BAD_SCALE] = "record-bad-scale",
  [CLOCK_RECORD_BAD_TIME] = "record-bad-time",
  [CLOCK_RECORD_BAD_FLAGS] = "record-bad-flags",
};

size_t
clock_record_size (uint32_t vcpu_count)
{
  return sizeof (struct clock_record) + vcpu_count * sizeof (struct clock_record_vcpu);
}

static bool
scale_is_valid (const struct clock_record *record)
{
  /* a ratio of 0 would stop the guest's TSC */
  if ((record->tsc_ratio == 0) != (record->tsc_frac_bits == 0))
    return false;
  return record->tsc_frac_bits <= 63;
}

static bool
times_are_valid (const struct clock_record *record)
{
  if (record->guest_src_ns > INT64_MAX)
    return false;
  if (record->host_src_ns == 0 || record->host_src_ns > INT64_MAX)
    return false;
  if (record->boot_src_ns > INT64_MAX)
    return false;
  return (record->flags & CLOCK_RECORD_MASTER_CLOCK) != 0 || record->tsc_src_ticks == 0;
}

static bool
flags_are_valid (uint32_t flags)
{
  if ((flags & ~CLOCK_RECORD_FLAGS_ALL) != 0)
    return false;
  return (flags & CLOCK_RECORD_MASTER_CLOCK) == 0 || (flags & CLOCK_RECORD_TSC_OPAQUE) == 0;
}

static bool
vcpus_are_valid (const struct clock_record *record)
{
  for (uint32_t i = 0; i < record->vcpu_count; i++) {
    if (record->vcpus[i].reserved != 0)
      return false;
    if (i > 0 && record->vcpus[i].id <= record->vcpus[i - 1].id)
      return false;
  }
  return true;
}

enum clock_record_error
clock_record_check (const void *data, size_t size)
{
  const struct clock_record *record = data;

  if (size < sizeof *record)
    return CLOCK_RECORD_TOO_SHORT;
  if (record->vcpu_count == 0 || record->vcpu_count > CLOCK_RECORD_VCPUS_MAX)
    return CLOCK_RECORD_BAD_VCPUS;
  if (size != clock_record_size (record->vcpu_count))
    return CLOCK_RECORD_BAD_LENGTH;
  if (!flags_are_valid (record->flags))
    return CLOCK_RECORD_BAD_FLAGS;
  if (record->freq_khz < CLOCK_RECORD_FREQ_MIN_KHZ || record->freq_khz > CLOCK_RECORD_FREQ_MAX_KHZ)
    return CLOCK_RECORD_BAD_FREQ;
  if (!scale_is_valid (record))
    return CLOCK_RECORD_BAD_SCALE;
  if (!times_are_valid (record))
    return CLOCK_RECORD_BAD_TIME;
  if (!vcpus_are_valid (record))
    return CLOCK_RECORD_BAD_VCPUS;
  return CLOCK_RECORD_OK;
}

const char *
clock_record_error_name (enum clock_record_error error)
{
  if ((size_t) error >= sizeof error_names / sizeof error_names[0])
    return "record-unknown-error";
  return error_names[error];
}

const char *
clock_record_source_name (const struct clock_record *record)
{
  return (record->flags & CLOCK_RECORD_OBSERVED) != 0 ? "observed" : "helper";
}

const struct clock_record_vcpu *
clock_record_find_vcpu (const struct clock_record *record, uint32_t id)
{
  uint32_t low = 0;
  uint32_t high = record->vcpu_count;

  while (low < high) {
    uint32_t middle = low + (high - low) / 2;

    if (record->vcpus[middle].id == id)
      return &record->vcpus[middle];
    if (record->vcpus[middle].id < id)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}
