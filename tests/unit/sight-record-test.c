/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sight-record-test - what comes out of the ring buffer, and the record that it amounts to
 */

#include "sight-record.h"

#include <linux/kvm.h>

#include "clock-math.h"
#include "sight-collector.h"

#define PID      4711
#define HOST_KHZ 2600000

#define MASTER (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

#define ONE_VMX (G_GUINT64_CONSTANT (1) << 48)
#define ONE_SVM (G_GUINT64_CONSTANT (1) << 32)

#define VCPUS_MAX 3

typedef struct {
  struct clock_sight_head head;
  struct clock_sight_vcpu vcpus[VCPUS_MAX];
  enum observer_reason reason;
  guint32 detail;
  struct clock_record *record;
} Sight;

static Sight
make_sight (guint32 vcpu_count)
{
  Sight sight = {
    .head = {
      .kind = CLOCK_SIGHT_HEAD,
      .pid = PID,
      .number = 1,
      .guest_ns = 1000,
      .host_ns = 1800000000000000000,
      .tsc_ticks = 123456,
      .boot_ns = 5000000000,
      .tai_ns = 1800000000000000000 + 37000000000 + 300,
      .kvm_flags = MASTER,
      .host_khz = HOST_KHZ,
      .vcpu_count = vcpu_count,
    },
  };

  for (guint32 i = 0; i < vcpu_count; i++)
    sight.vcpus[i] = (struct clock_sight_vcpu){
      .kind = CLOCK_SIGHT_VCPU,
      .id = i,
      .number = 1,
      .ofs_ticks = -(guint64) 1000 * (i + 1),
      .ratio = ONE_VMX,
      .freq_khz = HOST_KHZ,
    };
  return sight;
}

static void
fill (Sight *sight)
{
  sight->record = g_malloc0 (clock_record_size (VCPUS_MAX));
  sight->reason =
    sight_record_fill (&sight->head, sight->vcpus, 77, 37, sight->record, &sight->detail);
}

static void
expect (Sight *sight, guint32 flags, guint64 ratio, guint32 frac_bits)
{
  fill (sight);
  g_assert_cmpint (sight->reason, ==, OBSERVER_REASON_NONE);
  g_assert_cmphex (sight->record->flags, ==, CLOCK_RECORD_OBSERVED | flags);
  g_assert_cmphex (sight->record->tsc_ratio, ==, ratio);
  g_assert_cmpuint (sight->record->tsc_frac_bits, ==, frac_bits);
  g_assert_cmpuint (sight->record->tsc_src_ticks, ==,
                    (flags & CLOCK_RECORD_MASTER_CLOCK) != 0 ? 123456 : 0);
  g_free (sight->record);
}

static void
expect_none (Sight *sight, enum observer_reason reason)
{
  fill (sight);
  g_assert_cmpint (sight->reason, ==, reason);
  g_free (sight->record);
}

static void
test_plain (void)
{
  Sight sight = make_sight (2);

  fill (&sight);
  g_assert_cmpint (sight.reason, ==, OBSERVER_REASON_NONE);
  g_assert_cmpuint (sight.record->guest_src_ns, ==, 1000);
  g_assert_cmpuint (sight.record->host_src_ns, ==, 1800000000000000000);
  /* 300 ns after KVM looked, CLOCK_BOOTTIME was 5 s */
  g_assert_cmpuint (sight.record->boot_src_ns, ==, 5000000000 - 300);
  g_assert_cmpuint (sight.record->tsc_src_ticks, ==, 123456);
  g_assert_cmpuint (sight.record->freq_khz, ==, HOST_KHZ);
  g_assert_cmpuint (sight.record->flags, ==, CLOCK_RECORD_OBSERVED | CLOCK_RECORD_MASTER_CLOCK);
  g_assert_cmpuint (sight.record->vcpu_count, ==, 2);
  g_assert_cmpuint (sight.record->vcpus[1].ofs_ticks, ==, -(guint64) 2000);
  g_free (sight.record);
}

/* A kernel before 6.1 does not tell CLOCK_TAI: then it is our own reading. */
static void
test_no_tai (void)
{
  Sight sight = make_sight (1);

  sight.head.tai_ns = 0;
  fill (&sight);
  g_assert_cmpuint (sight.record->boot_src_ns, ==, sight.record->host_src_ns - 77);
  g_free (sight.record);
}

static void
test_order (void)
{
  Sight sight = make_sight (3);

  sight.vcpus[0].id = 7;
  sight.vcpus[1].id = 0;
  sight.vcpus[2].id = 3;
  fill (&sight);
  g_assert_cmpuint (sight.record->vcpus[0].id, ==, 0);
  g_assert_cmpuint (sight.record->vcpus[0].ofs_ticks, ==, -(guint64) 2000);
  g_assert_cmpuint (sight.record->vcpus[1].id, ==, 3);
  g_assert_cmpuint (sight.record->vcpus[2].id, ==, 7);
  g_free (sight.record);
}

static void
test_scale (void)
{
  static const struct {
    guint32 frac_bits;
    guint64 one;
    guint64
      ratio; /* 2^frac_bits * 2000003 / 2600000, rounded down: set_tsc_khz() in arch/x86/kvm/x86.c */
  } kinds[] = {
    { 48, ONE_VMX, G_GUINT64_CONSTANT (216519537633170) },
    { 32, ONE_SVM, G_GUINT64_CONSTANT (3303825952) },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++) {
    Sight sight = make_sight (2);

    sight.vcpus[0].ratio = sight.vcpus[1].ratio = kinds[i].one;
    expect (&sight, CLOCK_RECORD_MASTER_CLOCK, 0, 0);
    for (guint k = 0; k < 2; k++) {
      sight.vcpus[k].ratio = kinds[i].ratio;
      sight.vcpus[k].freq_khz = 2000003;
    }
    expect (&sight, CLOCK_RECORD_MASTER_CLOCK, kinds[i].ratio, kinds[i].frac_bits);
    /* a ratio that these frequencies do not make: how it scales is not known */
    sight.vcpus[0].ratio = sight.vcpus[1].ratio = kinds[i].ratio + 1;
    expect (&sight, CLOCK_RECORD_TSC_OPAQUE, 0, 0);
    sight.head.host_khz = 0;
    expect (&sight, CLOCK_RECORD_TSC_OPAQUE, 0, 0);
  }
}

static void
test_catchup (void)
{
  Sight sight = make_sight (1);

  sight.vcpus[0].ratio = 1; /* no scaling on this host */
  sight.vcpus[0].freq_khz = HOST_KHZ + HOST_KHZ / 1000000 * 250;
  expect (&sight, CLOCK_RECORD_MASTER_CLOCK, 0, 0);
  sight.vcpus[0].freq_khz = HOST_KHZ - HOST_KHZ / 1000;
  expect (&sight, CLOCK_RECORD_MASTER_CLOCK | CLOCK_RECORD_TSC_CATCHUP, 0, 0);
  sight.vcpus[0].freq_khz = HOST_KHZ;
  sight.vcpus[0].flags = CLOCK_SIGHT_VCPU_CATCHUP;
  expect (&sight, CLOCK_RECORD_MASTER_CLOCK | CLOCK_RECORD_TSC_CATCHUP, 0, 0);
}

static void
test_mixed (void)
{
  Sight sight = make_sight (2);

  sight.vcpus[1].freq_khz = HOST_KHZ / 2;
  expect (&sight, CLOCK_RECORD_TSC_OPAQUE, 0, 0);
  sight = make_sight (2);
  sight.vcpus[1].ratio = ONE_VMX / 2;
  expect (&sight, CLOCK_RECORD_TSC_OPAQUE, 0, 0);
  sight = make_sight (2);
  sight.vcpus[1].flags = CLOCK_SIGHT_VCPU_PROTECTED;
  expect (&sight, CLOCK_RECORD_TSC_OPAQUE, 0, 0);
}

static void
test_no_master_clock (void)
{
  Sight sight = make_sight (2);

  /* KVM fills in the first only */
  sight.head.kvm_flags = 0;
  sight.head.host_ns = 0;
  sight.head.tsc_ticks = 0;
  fill (&sight);
  g_assert_cmpint (sight.reason, ==, OBSERVER_REASON_NONE);
  g_assert_cmpuint (sight.record->flags, ==, CLOCK_RECORD_OBSERVED);
  g_assert_cmpuint (sight.record->boot_src_ns, ==, 5000000000);
  g_assert_cmpuint (sight.record->host_src_ns, ==, 1800000000000000300);
  g_free (sight.record);

  /* a kernel before 5.16 */
  sight.head.kvm_flags = KVM_CLOCK_TSC_STABLE;
  expect (&sight, CLOCK_RECORD_TSC_OPAQUE, 0, 0);
}

static void
test_refused (void)
{
  Sight sight = make_sight (2);

  sight.head.flags = CLOCK_SIGHT_UNREADABLE;
  expect_none (&sight, OBSERVER_REASON_UNREADABLE);
  sight.head.flags = CLOCK_SIGHT_TOO_MANY;
  expect_none (&sight, OBSERVER_REASON_MISSING_VCPUS);
  sight = make_sight (0);
  expect_none (&sight, OBSERVER_REASON_NO_VCPUS);
  sight = make_sight (2);
  sight.vcpus[1].flags = CLOCK_SIGHT_VCPU_MISSING;
  expect_none (&sight, OBSERVER_REASON_MISSING_VCPUS);

  sight = make_sight (2);
  sight.vcpus[1].id = 0;
  expect_none (&sight, OBSERVER_REASON_IMPLAUSIBLE);
  g_assert_cmpint (sight.detail, ==, CLOCK_RECORD_BAD_VCPUS);
  sight = make_sight (1);
  sight.vcpus[0].freq_khz = 0;
  expect_none (&sight, OBSERVER_REASON_IMPLAUSIBLE);
  g_assert_cmpint (sight.detail, ==, CLOCK_RECORD_BAD_FREQ);
  sight = make_sight (1);
  sight.head.guest_ns = G_MAXUINT64;
  expect_none (&sight, OBSERVER_REASON_IMPLAUSIBLE);
  g_assert_cmpint (sight.detail, ==, CLOCK_RECORD_BAD_TIME);
}

/* collecting */

typedef struct {
  guint count;
  guint records;
  gint32 pid; /* of the last */
  enum observer_reason reason;
  guint64 guest_src_ns;
} Told;

static void
on_told (gint32 pid, const struct clock_record *record, gsize size, enum observer_reason reason,
         guint32 detail, gpointer user_data)
{
  Told *told = user_data;

  told->count++;
  told->pid = pid;
  told->reason = reason;
  if (record == NULL)
    return;
  told->records++;
  told->guest_src_ns = record->guest_src_ns;
  g_assert_cmpint (clock_record_check (record, size), ==, CLOCK_RECORD_OK);
}

/* What is collected is seen by the real clock. */
static Sight
make_real_sight (guint32 vcpu_count)
{
  Sight sight = make_sight (vcpu_count);

  sight.head.tai_ns = 0;
  sight.head.host_ns = (guint64) g_get_real_time () * 1000;
  return sight;
}

static void
set_number (Sight *sight, guint64 number)
{
  sight->head.number = number;
  for (guint i = 0; i < VCPUS_MAX; i++)
    sight->vcpus[i].number = number;
}

static void
take_head (SightCollector *collector, const Sight *sight)
{
  sight_collector_take (collector, &sight->head, sizeof sight->head);
}

static void
take_vcpu (SightCollector *collector, const Sight *sight, guint index)
{
  sight_collector_take (collector, &sight->vcpus[index], sizeof sight->vcpus[index]);
}

/* Two guests pause at once, on two processors. */
static void
test_interleaved (void)
{
  Told told = { 0 };
  g_autoptr (SightCollector) collector = sight_collector_new (on_told, &told);
  Sight first = make_real_sight (2);
  Sight second = make_real_sight (2);

  set_number (&second, 2);
  second.head.pid = PID + 1;
  second.head.guest_ns = 2000;
  take_head (collector, &first);
  take_head (collector, &second);
  take_vcpu (collector, &second, 0);
  take_vcpu (collector, &first, 0);
  g_assert_cmpuint (told.count, ==, 0);
  take_vcpu (collector, &second, 1);
  g_assert_cmpuint (told.records, ==, 1);
  g_assert_cmpint (told.pid, ==, PID + 1);
  g_assert_cmpuint (told.guest_src_ns, ==, 2000);
  take_vcpu (collector, &first, 1);
  g_assert_cmpuint (told.records, ==, 2);
  g_assert_cmpint (told.pid, ==, PID);
  g_assert_cmpuint (told.guest_src_ns, ==, 1000);
}

/* The ring buffer was full: what is missing of one sight does not come from the next. */
static void
test_incomplete (void)
{
  Told told = { 0 };
  g_autoptr (SightCollector) collector = sight_collector_new (on_told, &told);
  Sight first = make_real_sight (2);
  Sight second = make_real_sight (2);

  set_number (&second, 2);
  take_head (collector, &first);
  take_vcpu (collector, &first, 0);
  take_head (collector, &second);
  g_assert_cmpuint (told.count, ==, 1);
  g_assert_cmpint (told.reason, ==, OBSERVER_REASON_MISSING_VCPUS);
  take_vcpu (collector, &first, 1); /* of nothing any more */
  take_vcpu (collector, &second, 0);
  g_assert_cmpuint (told.count, ==, 1);
  take_vcpu (collector, &second, 1);
  g_assert_cmpuint (told.records, ==, 1);
}

static void
test_dropped (void)
{
  Told told = { 0 };
  g_autoptr (SightCollector) collector = sight_collector_new (on_told, &told);
  Sight sight = make_real_sight (2);

  take_head (collector, &sight);
  take_vcpu (collector, &sight, 0);
  sight_collector_drop (collector, PID);
  take_vcpu (collector, &sight, 1);
  g_assert_cmpuint (told.count, ==, 0);
}

static void
test_no_vcpus (void)
{
  Told told = { 0 };
  g_autoptr (SightCollector) collector = sight_collector_new (on_told, &told);
  Sight sight = make_real_sight (0);

  take_head (collector, &sight);
  g_assert_cmpuint (told.count, ==, 1);
  g_assert_cmpint (told.reason, ==, OBSERVER_REASON_NO_VCPUS);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sight-record/plain", test_plain);
  g_test_add_func ("/sight-record/no-tai", test_no_tai);
  g_test_add_func ("/sight-record/order", test_order);
  g_test_add_func ("/sight-record/scale", test_scale);
  g_test_add_func ("/sight-record/catchup", test_catchup);
  g_test_add_func ("/sight-record/mixed", test_mixed);
  g_test_add_func ("/sight-record/no-master-clock", test_no_master_clock);
  g_test_add_func ("/sight-record/refused", test_refused);
  g_test_add_func ("/sight-collector/interleaved", test_interleaved);
  g_test_add_func ("/sight-collector/incomplete", test_incomplete);
  g_test_add_func ("/sight-collector/dropped", test_dropped);
  g_test_add_func ("/sight-collector/no-vcpus", test_no_vcpus);
  return g_test_run ();
}
