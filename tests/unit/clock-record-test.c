/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * clock-record-test - each way a record can be wrong is refused by its name
 */

#include <glib.h>
#include <string.h>

#include "clock-record.h"

#define VCPUS 3

struct fixture {
  struct clock_record *record;
  size_t size;
};

static void
set_up (struct fixture *fixture, gconstpointer unused)
{
  fixture->size = clock_record_size (VCPUS);
  fixture->record = g_malloc0 (fixture->size);
  *fixture->record = (struct clock_record){
    .guest_src_ns = 324672440,
    .host_src_ns = 1795387969369241577,
    .tsc_src_ticks = 5232426573582,
    .freq_khz = 2596140,
    .flags = CLOCK_RECORD_MASTER_CLOCK,
    .vcpu_count = VCPUS,
  };
  for (uint32_t i = 0; i < VCPUS; i++)
    fixture->record->vcpus[i] = (struct clock_record_vcpu){ .id = 4 * i, .ofs_ticks = 100 + i };
}

static void
tear_down (struct fixture *fixture, gconstpointer unused)
{
  g_free (fixture->record);
}

/* On a copy that ends where the record does, so that ASan sees a read past it. */
static void
expect (const struct fixture *fixture, size_t size, const char *name)
{
  g_autofree void *copy = g_memdup2 (fixture->record, size);

  g_assert_cmpstr (clock_record_error_name (clock_record_check (copy, size)), ==, name);
}

static void
test_ok (struct fixture *fixture, gconstpointer unused)
{
  expect (fixture, fixture->size, "record-ok");
  fixture->record->tsc_ratio = 1ull << 47;
  fixture->record->tsc_frac_bits = 48;
  expect (fixture, fixture->size, "record-ok");
}

static void
test_too_short (struct fixture *fixture, gconstpointer unused)
{
  expect (fixture, 0, "record-too-short");
  expect (fixture, sizeof *fixture->record - 1, "record-too-short");
}

static void
test_bad_length (struct fixture *fixture, gconstpointer unused)
{
  for (size_t size = sizeof *fixture->record; size < fixture->size; size++)
    expect (fixture, size, "record-bad-length");
  fixture->record->vcpu_count = VCPUS - 1;
  expect (fixture, fixture->size, "record-bad-length");
  fixture->record->vcpu_count = CLOCK_RECORD_VCPUS_MAX;
  expect (fixture, fixture->size, "record-bad-length");
}

static void
test_bad_vcpus (struct fixture *fixture, gconstpointer unused)
{
  fixture->record->vcpu_count = 0;
  expect (fixture, sizeof *fixture->record, "record-bad-vcpus");
  fixture->record->vcpu_count = CLOCK_RECORD_VCPUS_MAX + 1;
  expect (fixture, fixture->size, "record-bad-vcpus");
  fixture->record->vcpu_count = UINT32_MAX;
  expect (fixture, fixture->size, "record-bad-vcpus");

  fixture->record->vcpu_count = VCPUS;
  fixture->record->vcpus[2].reserved = 1;
  expect (fixture, fixture->size, "record-bad-vcpus");
}

static void
test_vcpus_not_ascending (struct fixture *fixture, gconstpointer unused)
{
  fixture->record->vcpus[1].id = 0;
  expect (fixture, fixture->size, "record-bad-vcpus");
  fixture->record->vcpus[1].id = 9;
  expect (fixture, fixture->size, "record-bad-vcpus");
}

static void
test_bad_freq (struct fixture *fixture, gconstpointer unused)
{
  const uint32_t bad_khz[] = { 0, CLOCK_RECORD_FREQ_MIN_KHZ - 1, CLOCK_RECORD_FREQ_MAX_KHZ + 1 };

  for (size_t i = 0; i < G_N_ELEMENTS (bad_khz); i++) {
    fixture->record->freq_khz = bad_khz[i];
    expect (fixture, fixture->size, "record-bad-freq");
  }
  fixture->record->freq_khz = CLOCK_RECORD_FREQ_MAX_KHZ;
  expect (fixture, fixture->size, "record-ok");
}

static void
test_bad_scale (struct fixture *fixture, gconstpointer unused)
{
  fixture->record->tsc_ratio = 1;
  expect (fixture, fixture->size, "record-bad-scale");
  fixture->record->tsc_frac_bits = 64;
  expect (fixture, fixture->size, "record-bad-scale");
  fixture->record->tsc_ratio = 0;
  fixture->record->tsc_frac_bits = 48;
  expect (fixture, fixture->size, "record-bad-scale");
}

static void
test_bad_time (struct fixture *fixture, gconstpointer unused)
{
  fixture->record->host_src_ns = 0;
  expect (fixture, fixture->size, "record-bad-time");
  fixture->record->host_src_ns = (uint64_t) INT64_MAX + 1;
  expect (fixture, fixture->size, "record-bad-time");
  fixture->record->host_src_ns = INT64_MAX;
  fixture->record->guest_src_ns = (uint64_t) INT64_MAX + 1;
  expect (fixture, fixture->size, "record-bad-time");
  fixture->record->guest_src_ns = INT64_MAX;
  fixture->record->boot_src_ns = (uint64_t) INT64_MAX + 1;
  expect (fixture, fixture->size, "record-bad-time");
}

static void
test_tsc_without_master_clock (struct fixture *fixture, gconstpointer unused)
{
  fixture->record->flags = 0;
  expect (fixture, fixture->size, "record-bad-time");
  fixture->record->tsc_src_ticks = 0;
  expect (fixture, fixture->size, "record-ok");
}

static void
test_bad_flags (struct fixture *fixture, gconstpointer unused)
{
  fixture->record->flags |= 1u << 31;
  expect (fixture, fixture->size, "record-bad-flags");
  fixture->record->flags = CLOCK_RECORD_MASTER_CLOCK | CLOCK_RECORD_TSC_OPAQUE;
  expect (fixture, fixture->size, "record-bad-flags");
}

static void
test_find_vcpu (struct fixture *fixture, gconstpointer unused)
{
  for (uint32_t id = 0; id < 14; id++) {
    const struct clock_record_vcpu *vcpu = clock_record_find_vcpu (fixture->record, id);

    if (id % 4 == 0 && id / 4 < VCPUS)
      g_assert_true (vcpu == &fixture->record->vcpus[id / 4]);
    else
      g_assert_null (vcpu);
  }
}

static void
test_error_names (void)
{
  g_assert_cmpstr (clock_record_error_name ((enum clock_record_error) 99), ==,
                   "record-unknown-error");
}

static void
add (const char *path, void (*test) (struct fixture *, gconstpointer))
{
  g_test_add (path, struct fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  add ("/clock-record/ok", test_ok);
  add ("/clock-record/too-short", test_too_short);
  add ("/clock-record/bad-length", test_bad_length);
  add ("/clock-record/bad-vcpus", test_bad_vcpus);
  add ("/clock-record/bad-vcpus/not-ascending", test_vcpus_not_ascending);
  add ("/clock-record/bad-freq", test_bad_freq);
  add ("/clock-record/bad-scale", test_bad_scale);
  add ("/clock-record/bad-time", test_bad_time);
  add ("/clock-record/bad-time/tsc-without-master-clock", test_tsc_without_master_clock);
  add ("/clock-record/bad-flags", test_bad_flags);
  add ("/clock-record/find-vcpu", test_find_vcpu);
  g_test_add_func ("/clock-record/error-names", test_error_names);

  return g_test_run ();
}
