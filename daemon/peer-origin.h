/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * peer-origin - what counts as one place that connections come from
 *
 * An IPv4 address is one; where the kernel has it as one of IPv6 (::ffff:192.0.2.1), GIO says what it is. Of
 * IPv6 the network of 64 bits is: whoever has one address of it can as a rule have all of them.
 */

#include <gio/gio.h>

/* "192.0.2.1", or "2001:db8::/64". Owned by the caller. */
char *peer_origin_describe (GInetAddress *address) G_GNUC_WARN_UNUSED_RESULT;
