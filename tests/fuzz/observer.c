/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * observer - the messages between daemon and observer, and what comes out of the ring buffer
 *
 * Steps: a message to either end, as it is or behind a good header; a part of a sight. A message that
 * is accepted has the length that its type has, and whatever comes of sights is a record that another
 * would accept, of a process that there was a head of.
 */
#include <string.h>

#include "fuzz-target.h"
#include "observer-protocol.h"
#include "sight-collector.h"
#include "sight-record.h"

enum step_kind {
  STEP_MESSAGE,   /* a byte that says to whom, and the message */
  STEP_WITH_TYPE, /* the same after the byte of its type: the header is good */
  STEP_HEAD,      /* struct clock_sight_head, cut off or filled up with 0, but for kind */
  STEP_VCPU,      /* struct clock_sight_vcpu, likewise */
  STEP_DROP,      /* a pid */
  STEP_COUNT,
};

/* KVM never says more, and clock-watch.bpf.c neither. */
#define VCPUS_MAX CLOCK_SIGHT_VCPUS_MAX

/* messages */

static void
check_accepted (const struct observer_header *message, size_t size,
                enum observer_direction direction)
{
  g_assert_cmpuint (size, <=, OBSERVER_MESSAGE_SIZE_MAX);
  g_assert_cmpuint (message->length, ==, size);
  switch (message->type) {
  case OBSERVER_MESSAGE_RECORD:
    g_assert_cmpint (direction, ==, OBSERVER_TO_DAEMON);
    g_assert_cmpint (clock_record_check (&((const struct observer_record *) message)->record,
                                         size - offsetof (struct observer_record, record)),
                     ==, CLOCK_RECORD_OK);
    break;
  case OBSERVER_MESSAGE_UNABLE:
    g_assert_true (g_utf8_validate (((const struct observer_unable *) message)->text, -1, NULL));
    break;
  case OBSERVER_MESSAGE_MISSED:
    g_assert_cmpuint (((const struct observer_missed *) message)->reason, <, OBSERVER_REASON_COUNT);
    break;
  default:
    g_assert_cmpuint (size, ==, sizeof *message);
  }
}

static void
check_message (FuzzStep *step, gboolean has_header)
{
  enum observer_direction direction = fuzz_take_u8 (step) & 1;
  enum observer_message_type type = has_header ? fuzz_take_u8 (step) : 0;
  size_t head = has_header ? sizeof (struct observer_header) : 0;
  size_t size = head + step->size;
  g_autofree guint8 *message = g_malloc (MAX (size, 1));

  if (has_header)
    observer_header_init ((struct observer_header *) (void *) message, type, size,
                          type == OBSERVER_MESSAGE_READY || type == OBSERVER_MESSAGE_UNABLE ? 0
                                                                                            : 7);
  if (step->size > 0)
    memcpy (message + head, step->data, step->size);
  if (observer_message_check (message, size, direction))
    check_accepted ((const void *) message, size, direction);
}

/* sights */

static void
on_told (gint32 pid, const struct clock_record *record, gsize size, enum observer_reason reason,
         guint32 detail, gpointer user_data)
{
  GHashTable *pids = user_data;

  g_assert_true (g_hash_table_contains (pids, GINT_TO_POINTER (pid)));
  g_assert_true ((record != NULL) == (reason == OBSERVER_REASON_NONE));
  g_assert_true ((detail != 0) == (reason == OBSERVER_REASON_IMPLAUSIBLE));
  if (record != NULL)
    g_assert_cmpint (clock_record_check (record, size), ==, CLOCK_RECORD_OK);
}

static void
take_head (SightCollector *collector, GHashTable *pids, const FuzzStep *step)
{
  struct clock_sight_head head = { 0 };

  if (step->size > 0)
    memcpy (&head, step->data, MIN (step->size, sizeof head));
  head.kind = CLOCK_SIGHT_HEAD;
  head.vcpu_count = MIN (head.vcpu_count, VCPUS_MAX);
  g_hash_table_add (pids, GINT_TO_POINTER ((gint) head.pid));
  sight_collector_take (collector, &head, sizeof head);
}

static void
take_vcpu (SightCollector *collector, const FuzzStep *step)
{
  struct clock_sight_vcpu vcpu = { 0 };

  if (step->size > 0)
    memcpy (&vcpu, step->data, MIN (step->size, sizeof vcpu));
  vcpu.kind = CLOCK_SIGHT_VCPU;
  sight_collector_take (collector, &vcpu, sizeof vcpu);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GHashTable) pids = g_hash_table_new (NULL, NULL);
  g_autoptr (SightCollector) collector = sight_collector_new (on_told, pids);
  FuzzInput input = { data, size };
  FuzzStep step;

  fuzz_begin ();
  while (fuzz_next_step (&input, &step)) {
    switch (step.kind % STEP_COUNT) {
    case STEP_MESSAGE:
      check_message (&step, FALSE);
      break;
    case STEP_WITH_TYPE:
      check_message (&step, TRUE);
      break;
    case STEP_HEAD:
      take_head (collector, pids, &step);
      break;
    case STEP_VCPU:
      take_vcpu (collector, &step);
      break;
    default:
      sight_collector_drop (collector, (gint32) fuzz_take_u64 (&step));
      break;
    }
  }
  return 0;
}
