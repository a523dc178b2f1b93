/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "migration-words.h"

#include <glib/gi18n.h>

static const struct {
  const char *result;
  OutputStyle style;
  const char *meaning;
} results[] = {
  { "fixed", OUTPUT_GOOD, N_ ("kvmclock and TSC go on as if they had never stopped.") },
  { "kvmclock-only", OUTPUT_WARNING,
    N_ ("kvmclock goes on as if it had never stopped; the TSC is as stock QEMU leaves it.") },
  { "observed", OUTPUT_PLAIN, N_ ("Nothing was changed; this is what would have been done.") },
  { "stock", OUTPUT_WARNING,
    N_ ("The guest's clocks are as stock QEMU leaves them: behind by the blackout.") },
  { "unknown", OUTPUT_WARNING,
    N_ ("What became of the guest's clocks is not known: they are either both right or both as "
        "stock QEMU leaves them, behind by the blackout.") },
  { "abandoned", OUTPUT_PLAIN,
    N_ ("The guest did not come: its migration failed or was cancelled.") },
  { "sent", OUTPUT_GOOD,
    N_ ("The guest left and its record went ahead; the destination's journal has the outcome.") },
  { "unclaimed", OUTPUT_WARNING,
    N_ ("The guest left without its record; its clocks are as stock QEMU leaves them.") },
  { "rolled-back", OUTPUT_PLAIN,
    N_ ("The migration failed after the pause; the guest goes on here.") },
  { "cancelled", OUTPUT_PLAIN, N_ ("No migration came of it.") },
  { "unfinished", OUTPUT_PLAIN,
    N_ ("The migration goes on, or clockferryd was ended in the middle of it.") },
};

static gsize
find_result (const MigrationRecord *record)
{
  const char *result = migration_record_get_result (record);

  for (gsize i = 0; i < G_N_ELEMENTS (results); i++) {
    if (g_str_equal (results[i].result, result))
      return i;
  }
  g_return_val_if_reached (0);
}

/* public functions */

char *
migration_words_way (const MigrationRecord *record)
{
  const char *peer = migration_record_get (record, "PEER");

  if (peer == NULL)
    return g_strdup (record->is_arriving ? _ ("arriving") : _ ("leaving"));
  /* TRANSLATORS: %s is a host */
  return g_strdup_printf (record->is_arriving ? _ ("from %s") : _ ("to %s"), peer);
}

OutputStyle
migration_words_style (const MigrationRecord *record)
{
  return results[find_result (record)].style;
}

const char *
migration_words_result (const MigrationRecord *record)
{
  return _ (results[find_result (record)].meaning);
}
