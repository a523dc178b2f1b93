/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-end.h"

static gboolean
on_overdue (gpointer user_data)
{
  GuestEnd *end = user_data;

  end->overdue_id = 0;
  end->overdue (end->user_data);
  return G_SOURCE_REMOVE;
}

/* public functions */

void
guest_end_init (GuestEnd *end, void (*overdue) (gpointer user_data), gpointer user_data)
{
  *end = (GuestEnd){ .input = MIGRATION_INPUT_NONE, .overdue = overdue, .user_data = user_data };
}

gboolean
guest_end_is_held (const GuestEnd *end)
{
  return end->input != MIGRATION_INPUT_NONE;
}

void
guest_end_hold (GuestEnd *end, MigrationInput input)
{
  end->input = input;
  if (end->overdue_id == 0)
    end->overdue_id = g_timeout_add (GUEST_END_PATIENCE_MS, on_overdue, end);
}

MigrationInput
guest_end_release (GuestEnd *end)
{
  MigrationInput input = end->input;

  end->input = MIGRATION_INPUT_NONE;
  g_clear_handle_id (&end->overdue_id, g_source_remove);
  return input;
}

/* Without a record as well: the helper waits for one that is late, and reports in any case. */
gboolean
guest_end_is_to_hold (MigrationPhase phase, gboolean has_link, MigrationInput input)
{
  return (phase == MIGRATION_PHASE_ARMED || phase == MIGRATION_PHASE_INCOMING) && has_link &&
         (input == MIGRATION_INPUT_RESUMED_MIGRATED || input == MIGRATION_INPUT_RESUMED_POSTCOPY);
}

gboolean
guest_end_precedes (MigrationInput input)
{
  return input == MIGRATION_INPUT_PAUSED || input == MIGRATION_INPUT_PAUSED_MIGRATED ||
         input == MIGRATION_INPUT_STOPPED_MIGRATED || input == MIGRATION_INPUT_STOPPED ||
         input == MIGRATION_INPUT_NOT_LISTED || input == MIGRATION_INPUT_STARTED;
}

/* A source that takes its record back now is too late. */
gboolean
guest_end_is_awaited (MigrationPhase phase, MigrationInput input)
{
  return phase == MIGRATION_PHASE_ARMED ||
         (phase == MIGRATION_PHASE_INCOMING && input != MIGRATION_INPUT_OTHER_QEMU);
}
