/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * tls-echo - one plain TLS connection over loopback, whose other end sends back what it gets
 *
 * The yardstick for what goes from one daemon to another: two threads that do nothing else.
 */

#include <gio/gio.h>

typedef struct TlsEcho TlsEcho;

/* Both ends, connected; the server shows @certificate. */
TlsEcho *tls_echo_new (GTlsCertificate *certificate);
void tls_echo_free (TlsEcho *echo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlsEcho, tls_echo_free)

/*
 * Send @count messages of TLS_ECHO_BYTES without waiting, and add to @delays_ms, of double, how long
 * after the first was sent each came back. Blocks.
 */
void tls_echo_run (TlsEcho *echo, guint count, GArray *delays_ms);

/* About what a record of a few vCPUs takes on the peer channel. */
#define TLS_ECHO_BYTES 320
