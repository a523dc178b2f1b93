/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * quiet-events - a test of what is logged, without the log
 */

/* From now on the entries of event-log go nowhere; everything else is logged as ever. Once. */
void quiet_events_begin (void);
