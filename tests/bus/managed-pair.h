/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * managed-pair - two managed hosts, a domain that is to go from one to the other, and its way
 */

#include "helper-protocol.h"
#include "managed-host.h"

typedef struct {
  ManagedHost *source; /* WEB runs here, and is ready to go */
  ManagedHost *dest;
} ManagedPair;

/* A fixture. The event tape must run. The destination credits 123 s at most. */
void managed_pair_set_up (ManagedPair *pair, gconstpointer data);
void managed_pair_tear_down (ManagedPair *pair, gconstpointer data);

/* WEB is on its way, and the destination's helper was told so. */
void managed_pair_prepare (ManagedPair *pair);

/* The next message of @type at the destination's helper. Fix-ups in between are repetitions, with a
 * theta better known. Free with g_free(). */
gpointer managed_pair_expect (ManagedPair *pair, enum helper_message_type type);

/* The next fix-up that is made of @record, to the bit. Free with g_free(). */
struct helper_fixup *managed_pair_expect_fixup (ManagedPair *pair,
                                                const struct clock_record *record);

/* A record that comes all the way through. */
void managed_pair_pass_record (ManagedPair *pair, guint64 guest_src_ns);

/* A record that comes to a destination's helper which does not read, now or later. */
void managed_pair_pass_unread_record (ManagedPair *pair, guint64 guest_src_ns);

void managed_pair_expect_withdraw (ManagedPair *pair);

/* The final report is that nobody knows, and this is in its reason; there is no other. */
void managed_pair_expect_unknown (const char *reason);
