/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * status-screen - what clockferryctl status shows a person
 */

#include "host-status.h"
#include "output.h"

void status_screen_print (const CtlContext *context, const HostStatus *status);
