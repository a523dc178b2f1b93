/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * clock-probe - clock-watch.bpf.c in the kernel: loads it once, and attaches it while anything is
 * watched
 */

#include <glib.h>

#include "sight-collector.h"

typedef struct ClockProbe ClockProbe;

/* Where the kernel shows its types. */
#define CLOCK_PROBE_BTF_DIR "/sys/kernel/btf"

/*
 * Load it, which may take a second, and attach it once, to see that it can be; afterwards nothing is
 * attached. Takes CAP_BPF and CAP_PERFMON. NULL with any @error, whose text is for a person who can do
 * something about it. @func is called from the main loop.
 *
 * @linger_ms: for how long it stays attached when nothing is watched any more. To attach it and to detach it
 * takes some tenths of a second each, during which nothing else is done here, and of many guests that leave
 * one after the other the next may be paused by then.
 */
ClockProbe *clock_probe_new (const char *btf_dir, guint linger_ms, SightRecordFunc func,
                             gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;

void clock_probe_free (ClockProbe *probe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ClockProbe, clock_probe_free)

/*
 * Watch the process @pid until clock_probe_unwatch(). With the first the program is attached,
 * after the last it is detached. Not OBSERVER_REASON_NONE: it is not watched.
 */
enum observer_reason clock_probe_watch (ClockProbe *probe, gint32 pid);
void clock_probe_unwatch (ClockProbe *probe, gint32 pid);

/* Whether it is attached just now. */
gboolean clock_probe_is_attached (const ClockProbe *probe);

/* "ioctl" or "all-system-calls": at whose return it is attached. */
const char *clock_probe_get_place (const ClockProbe *probe);
