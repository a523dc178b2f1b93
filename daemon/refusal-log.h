/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * refusal-log - the clients that were refused, as the journal has them
 *
 * A stranger must not be able to fill the journal, nor to make journald drop what this daemon says of
 * migrations (RateLimitBurst= in journald.conf(5)). So of REFUSAL_LOG_PERIOD_MS the first
 * REFUSAL_LOG_BURST refusals have an entry each, and at its end the rest have one, with how many.
 */

#include <glib.h>

#define REFUSAL_LOG_BURST     10
#define REFUSAL_LOG_PERIOD_MS 30000

typedef struct RefusalLog RefusalLog;

/* With another period than REFUSAL_LOG_PERIOD_MS, for tests; 0 for that. */
RefusalLog *refusal_log_new (guint period_ms);

/* Says what is not said yet. */
void refusal_log_free (RefusalLog *log);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RefusalLog, refusal_log_free)

/* A client was refused for @reason, which names it. */
void refusal_log_take (RefusalLog *log, const char *reason);
