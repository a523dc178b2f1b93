/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * test-pki - authorities and certificates of a test's own
 */

#include <gio/gio.h>
#include <gnutls/x509.h>

typedef struct {
  gnutls_x509_privkey_t key;
  gnutls_x509_crt_t cert;
  char *cert_pem;
  char *key_pem;
  GTlsCertificate *tls; /* with key and issuers, but for the root */
  gboolean is_root;
} TestCert;

/* What is left zero is left out. */
typedef struct {
  const char *common_name;
  const char *second_common_name;
  const char *dns[3];
  const char *ip;
  const char *mail;
  const char *purpose[3]; /* GNUTLS_KP_... */
  gboolean is_authority;
  gboolean hides_issuer; /* tls comes without */
  int from_days;         /* now and one day from now, if both are 0 */
  int until_days;
} TestCertSpec;

/* Make a certificate by @issuer; NULL: it signs itself. */
TestCert *test_cert_make (const TestCertSpec *spec, const TestCert *issuer);
void test_cert_free (TestCert *cert);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestCert, test_cert_free)
