/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * wait-until - let the main loop run until something is true, and fail when it does not become so
 */

#include <glib.h>

/* Long enough for two loaded cores and sanitizers; a test that passes never waits for it. */
#define WAIT_UNTIL_DEADLINE_S 30

typedef struct {
  guint timer_id;
  gboolean is_over;
} WaitDeadline;

void wait_begin (WaitDeadline *deadline);
void wait_step (WaitDeadline *deadline, const char *condition, const char *file, int line);
void wait_end (WaitDeadline *deadline);

/* Whatever makes @condition true must happen in the main loop's callbacks. */
#define WAIT_UNTIL(condition)                                                                      \
  do {                                                                                             \
    WaitDeadline wait_deadline = { 0 };                                                            \
                                                                                                   \
    wait_begin (&wait_deadline);                                                                   \
    while (!(condition))                                                                           \
      wait_step (&wait_deadline, #condition, __FILE__, __LINE__);                                  \
    wait_end (&wait_deadline);                                                                     \
  } while (0)
