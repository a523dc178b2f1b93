/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * check-kvm - what comes of a probe of KVM; check-host.h has the part itself
 */

#include "check-host.h"
#include "check-kvm-probe.h"

/* Whether Linux @release, as uname(2) has it, is 5.16 or newer: KVM tells TSC and CLOCK_REALTIME
 * together since then. */
gboolean check_kvm_release_is_new (const char *release);

/* Add what @probe means to @list. @host is asked why a device is missing. */
void check_kvm_judge (const CheckHost *host, const char *release, const KvmProbe *probe,
                      CheckList *list);
