/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sight-collector.h"

#include <time.h>

#include "sight-record.h"

#define NS_PER_S G_GINT64_CONSTANT (1000000000)

struct SightCollector {
  GHashTable *sights; /* number -> Sight, of those that are not complete */
  SightRecordFunc func;
  gpointer user_data;
};

typedef struct {
  struct clock_sight_head head;
  GArray *vcpus;
} Sight;

static Sight *
sight_new (const struct clock_sight_head *head)
{
  Sight *sight = g_new0 (Sight, 1);

  sight->head = *head;
  sight->vcpus = g_array_new (FALSE, FALSE, sizeof (struct clock_sight_vcpu));
  return sight;
}

static void
sight_free (gpointer data)
{
  Sight *sight = data;

  g_array_unref (sight->vcpus);
  g_free (sight);
}

static gint64
read_clock_ns (clockid_t clock)
{
  struct timespec ts = { 0 };

  (void) clock_gettime (clock, &ts); /* cannot fail: these clocks exist on every Linux */
  return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static gint64
read_tai_minus_real_s (void)
{
  gint64 distance_ns = read_clock_ns (CLOCK_TAI) - read_clock_ns (CLOCK_REALTIME);

  return (distance_ns + NS_PER_S / 2) / NS_PER_S;
}

static void
conclude (SightCollector *collector, const Sight *sight)
{
  gsize size = clock_record_size (sight->head.vcpu_count);
  g_autofree struct clock_record *record = g_malloc0 (size);
  gint32 pid = (gint32) sight->head.pid;
  guint32 detail = 0;
  enum observer_reason reason;

  if (sight->vcpus->len < sight->head.vcpu_count)
    reason = OBSERVER_REASON_MISSING_VCPUS;
  else
    reason = sight_record_fill (&sight->head, (struct clock_sight_vcpu *) sight->vcpus->data,
                                read_clock_ns (CLOCK_REALTIME) - read_clock_ns (CLOCK_BOOTTIME),
                                read_tai_minus_real_s (), record, &detail);
  if (reason == OBSERVER_REASON_NONE)
    collector->func (pid, record, size, reason, 0, collector->user_data);
  else
    collector->func (pid, NULL, 0, reason, detail, collector->user_data);
}

/* One process asks for the clock once at a time: what is incomplete will stay so. */
static void
conclude_older (SightCollector *collector, guint32 pid)
{
  GHashTableIter sights;
  gpointer value;

  g_hash_table_iter_init (&sights, collector->sights);
  while (g_hash_table_iter_next (&sights, NULL, &value)) {
    Sight *sight = value;

    if (sight->head.pid != pid)
      continue;
    g_hash_table_iter_steal (&sights);
    conclude (collector, sight);
    sight_free (sight);
  }
}

static void
conclude_if_complete (SightCollector *collector, Sight *sight)
{
  if (sight->vcpus->len < sight->head.vcpu_count)
    return;
  g_hash_table_steal (collector->sights, &sight->head.number);
  conclude (collector, sight);
  sight_free (sight);
}

/* public functions */

SightCollector *
sight_collector_new (SightRecordFunc func, gpointer user_data)
{
  SightCollector *collector = g_new0 (SightCollector, 1);

  collector->sights = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, sight_free);
  collector->func = func;
  collector->user_data = user_data;
  return collector;
}

void
sight_collector_free (SightCollector *collector)
{
  g_hash_table_unref (collector->sights);
  g_free (collector);
}

void
sight_collector_take (SightCollector *collector, gconstpointer data, gsize size)
{
  const struct clock_sight_head *head = data;
  const struct clock_sight_vcpu *vcpu = data;
  Sight *sight;

  if (size == sizeof *head && head->kind == CLOCK_SIGHT_HEAD) {
    conclude_older (collector, head->pid);
    sight = sight_new (head);
    g_hash_table_replace (collector->sights, &sight->head.number, sight);
    conclude_if_complete (collector, sight);
    return;
  }
  g_return_if_fail (size == sizeof *vcpu && vcpu->kind == CLOCK_SIGHT_VCPU);
  sight = g_hash_table_lookup (collector->sights, &vcpu->number);
  if (sight == NULL)
    return; /* its head found no room in the ring buffer, or is dropped */
  g_array_append_val (sight->vcpus, *vcpu);
  conclude_if_complete (collector, sight);
}

void
sight_collector_drop (SightCollector *collector, gint32 pid)
{
  GHashTableIter sights;
  gpointer value;

  g_hash_table_iter_init (&sights, collector->sights);
  while (g_hash_table_iter_next (&sights, NULL, &value)) {
    const Sight *sight = value;

    if ((gint32) sight->head.pid == pid)
      g_hash_table_iter_remove (&sights);
  }
}
