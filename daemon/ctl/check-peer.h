/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * check-peer - what comes of trying the peer channel to another host
 */

#include "host-check.h"
#include "peer-check.h"

/* Add what @result means to @list. It is of a check of the host @peer that peer_check_run() calls
 * done. */
void check_peer_judge (const char *peer, const PeerCheckResult *result, CheckList *list);
