/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * event-tape - records the events that daemon code in this process logs
 */

#include <glib.h>

/* Record from now on, in place of writing a log. Once per process. */
void event_tape_start (void);

/* Forget what was recorded. */
void event_tape_clear (void);

/* How many events were logged in all. */
guint event_tape_length (void);

/* How often @event was logged. */
guint event_tape_count (const char *event);

/* @field of the last @event, which must have been logged; NULL if it has no such field. Borrowed. */
const char *event_tape_get (const char *event, const char *field);

/* Whether @text is part of any field of any event. */
gboolean event_tape_mentions (const char *text);
