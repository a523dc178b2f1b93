/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migration-input-test - libvirt's events and details, number by number
 */

#include "migration-phase.h"

typedef struct {
  int event;
  int detail;
  MigrationInput input;
} EventMeaning;

static const EventMeaning meanings[] = {
  { 0, 0, MIGRATION_INPUT_NONE },    /* DEFINED */
  { 1, 0, MIGRATION_INPUT_NONE },    /* UNDEFINED */
  { 2, 0, MIGRATION_INPUT_STARTED }, /* BOOTED */
  { 2, 1, MIGRATION_INPUT_STARTED_MIGRATED },
  { 2, 2, MIGRATION_INPUT_STARTED }, /* RESTORED */
  { 2, 3, MIGRATION_INPUT_STARTED }, /* FROM_SNAPSHOT */
  { 2, 4, MIGRATION_INPUT_RESUMED }, /* WAKEUP: the same QEMU */
  { 2, 99, MIGRATION_INPUT_STARTED },
  { 3, 0, MIGRATION_INPUT_PAUSED },
  { 3, 1, MIGRATION_INPUT_PAUSED_MIGRATED },
  { 3, 2, MIGRATION_INPUT_PAUSED },          /* IOERROR */
  { 3, 7, MIGRATION_INPUT_PAUSED_MIGRATED }, /* POSTCOPY */
  { 3, 8, MIGRATION_INPUT_PAUSED },          /* POSTCOPY_FAILED */
  { 3, 99, MIGRATION_INPUT_PAUSED },
  { 4, 0, MIGRATION_INPUT_RESUMED },
  { 4, 1, MIGRATION_INPUT_RESUMED_MIGRATED },
  { 4, 2, MIGRATION_INPUT_RESUMED }, /* FROM_SNAPSHOT */
  { 4, 3, MIGRATION_INPUT_RESUMED_POSTCOPY },
  { 4, 4, MIGRATION_INPUT_RESUMED }, /* POSTCOPY_FAILED */
  { 4, 99, MIGRATION_INPUT_RESUMED },
  { 5, 0, MIGRATION_INPUT_STOPPED },
  { 5, 3, MIGRATION_INPUT_STOPPED_MIGRATED },
  { 5, 5, MIGRATION_INPUT_STOPPED }, /* FAILED */
  { 5, 99, MIGRATION_INPUT_STOPPED },
  { 6, 0, MIGRATION_INPUT_NONE }, /* SHUTDOWN: STOPPED follows */
  { 7, 0, MIGRATION_INPUT_NONE }, /* PMSUSPENDED */
  { 8, 0, MIGRATION_INPUT_NONE }, /* CRASHED: STOPPED follows */
  { 9, 1, MIGRATION_INPUT_NONE },
  { -1, 1, MIGRATION_INPUT_NONE },
  { G_MAXINT, G_MAXINT, MIGRATION_INPUT_NONE },
  { G_MININT, G_MININT, MIGRATION_INPUT_NONE },
  { 4, -1, MIGRATION_INPUT_RESUMED },
};

/* The numbers are libvirt's ABI: written out, so that a wrong constant in the code shows. */
static void
test_event_numbers (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (meanings); i++) {
    g_test_message ("event %d, detail %d", meanings[i].event, meanings[i].detail);
    g_assert_cmpint (migration_input_from_event (meanings[i].event, meanings[i].detail), ==,
                     meanings[i].input);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/migration-input/event-numbers", test_event_numbers);
  return g_test_run ();
}
