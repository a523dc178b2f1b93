/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * log-writer - journald where there is one, readable lines where there is not
 */

/*
 * Send GLib's log to journald with all fields if stderr leads there, as under systemd. Otherwise
 * each entry is one line on stderr: event name, message, and the CLOCKFERRY_ fields as NAME=value.
 * Call once, before anything is logged.
 */
void log_writer_install (void);
