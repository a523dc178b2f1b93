/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <gnutls/x509.h>
#include <stdbool.h>

/*
 * x509 - GnuTLS's keys and certificates, for what GIO's GTlsCertificate does not tell
 *
 * Errors are CLOCKFERRY_ERROR_BAD_IDENTITY and say what was tried, not with which file.
 */

/* GnuTLS keeps its objects behind typedefs of pointers, so g_autoptr does not fit: g_auto. */
typedef gnutls_x509_privkey_t X509Key;
typedef gnutls_x509_crt_t X509Cert;
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (X509Key, gnutls_x509_privkey_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (X509Cert, gnutls_x509_crt_deinit, NULL)

/* Turn a GnuTLS result into success or an error; @what is a whole clause. */
bool x509_check (int result, GError **error, const char *what);

/* @text as GnuTLS takes it; borrowed. */
gnutls_datum_t x509_datum_from_string (const char *text);

/* Take the first key or certificate in @pem, or that of GIO. *@key and *@cert must be NULL, and are
 * for g_auto to free, after a failure too. */
bool x509_import_key (const char *pem, X509Key *key, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool x509_import_cert (const char *pem, X509Cert *cert, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool x509_import_tls (GTlsCertificate *certificate, X509Cert *cert, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/* The pin (identity.h) of a key. Returns: (transfer full): NULL with @error set */
char *x509_key_pin (X509Key key, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *x509_cert_pin (X509Cert cert, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The subject as RFC 4514 writes it, for messages: a stranger chose it, so it is cut short, and a
 * line. Never NULL. Returns: (transfer full) */
char *x509_cert_subject (X509Cert cert);
