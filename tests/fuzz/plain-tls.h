/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * plain-tls - GIO's TLS without the cryptography: handshakes are done at once, bytes go through as
 * they are
 *
 * So what is under test is reached in the way it always is, by bytes on a socket, and a fuzzer can
 * write them. Certificates are real ones. Connections speak TLS 1.3, by their own word; a client sees
 * the certificate that was set here, and a server no certificate.
 */

#include <gio/gio.h>

/* Take the place of GIO's backend, once, before anything asks for it. */
void plain_tls_use (void);

/* What servers show to clients from now on; kept. */
void plain_tls_show (GTlsCertificate *certificate);
