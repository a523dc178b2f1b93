/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * reason-words - what the one-word reasons of a report mean, and what can be done about them
 */

#include <glib.h>

typedef struct {
  const char *meaning; /* translated, as the next */
  const char *advice;  /* NULL where nothing is to be done */
} ReasonWords;

/*
 * Of @reason, CLOCKFERRY_REASON of a final report: a word of helper_reason_name() or
 * "arrived-paused". FALSE where it is a sentence already.
 */
gboolean reason_words_find (const char *reason, ReasonWords *words);

/* What to do where it is not known what became of the guest's clocks. Translated. */
const char *reason_words_advise_unknown (void);

/* What to do where the migration ended at @step ("peer" for instance) with a reason that is a
 * sentence; NULL where nothing is known. Translated. */
const char *reason_words_advise_step (const char *step);
