/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

/*
 * identity - the key by which another daemon knows this one
 *
 * A pin is the SHA-256 of a certificate's SubjectPublicKeyInfo, 64 lower-case hexadecimal digits:
 * it names the key alone, so that a renewed certificate keeps it.
 */

#define IDENTITY_KEY_FILE  "key.pem"
#define IDENTITY_CERT_FILE "cert.pem"

#define IDENTITY_PIN_LENGTH 64

/*
 * Load the private key (EC P-256) and its self-signed certificate from @state_dir; whatever is
 * missing is made first. A file that is there but unreadable, truncated or of another key is
 * CLOCKFERRY_ERROR_BAD_IDENTITY and stays untouched; the message names it.
 *
 * Returns: (transfer full): the certificate, with the key in it, or NULL with @error set
 */
GTlsCertificate *identity_load (const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Load a certificate and its private key that were made elsewhere, from PEM files; certificates that
 * follow in @cert_path are shown to peers with it. The message of any error names the file.
 *
 * Returns: (transfer full): the certificate, with the key in it, or NULL with a GFileError or
 * CLOCKFERRY_ERROR_BAD_IDENTITY
 */
GTlsCertificate *identity_load_files (const char *cert_path, const char *key_path, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/*
 * The pin of anybody's certificate.
 *
 * Returns: (transfer full): the pin, or NULL with @error set if GnuTLS cannot read the certificate
 */
char *identity_pin (GTlsCertificate *certificate, GError **error) G_GNUC_WARN_UNUSED_RESULT;
