/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * idle-process - a process that does nothing, for its pid
 */

#include <glib.h>
#include <sys/types.h>

/* It dies with the test. */
pid_t idle_process_start (void);

void idle_process_end (pid_t pid);
