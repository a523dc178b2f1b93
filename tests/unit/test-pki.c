/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-pki.h"

#include <gnutls/gnutls.h>
#include <string.h>

#define DAY_S (24 * 60 * 60)

#define assert_gnutls(call) g_assert_cmpint (call, >=, 0)

static char *
take_text (gnutls_datum_t *datum)
{
  char *text = g_strndup ((const char *) datum->data, datum->size);

  gnutls_free (datum->data);
  return text;
}

static void
make_key (TestCert *cert)
{
  gnutls_datum_t pem = { 0 };

  assert_gnutls (gnutls_x509_privkey_init (&cert->key));
  assert_gnutls (gnutls_x509_privkey_generate (
    cert->key, GNUTLS_PK_ECDSA, (unsigned int) GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1),
    0));
  assert_gnutls (gnutls_x509_privkey_export2_pkcs8 (cert->key, GNUTLS_X509_FMT_PEM, NULL,
                                                    GNUTLS_PKCS_PLAIN, &pem));
  cert->key_pem = take_text (&pem);
}

static void
set_name (gnutls_x509_crt_t crt, const char *name)
{
  if (name != NULL)
    assert_gnutls (gnutls_x509_crt_set_dn_by_oid (crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                                  (unsigned int) strlen (name)));
}

static void
set_alternative (gnutls_x509_crt_t crt, gnutls_x509_subject_alt_name_t kind, gconstpointer name,
                 gsize length)
{
  assert_gnutls (gnutls_x509_crt_set_subject_alt_name (crt, kind, name, (unsigned int) length,
                                                       GNUTLS_FSAN_APPEND));
}

static void
set_names (gnutls_x509_crt_t crt, const TestCertSpec *spec)
{
  set_name (crt, spec->common_name);
  set_name (crt, spec->second_common_name);
  for (gsize i = 0; i < G_N_ELEMENTS (spec->dns) && spec->dns[i] != NULL; i++)
    set_alternative (crt, GNUTLS_SAN_DNSNAME, spec->dns[i], strlen (spec->dns[i]));
  if (spec->mail != NULL)
    set_alternative (crt, GNUTLS_SAN_RFC822NAME, spec->mail, strlen (spec->mail));
  if (spec->ip != NULL) {
    g_autoptr (GInetAddress) address = g_inet_address_new_from_string (spec->ip);

    set_alternative (crt, GNUTLS_SAN_IPADDRESS, g_inet_address_to_bytes (address),
                     g_inet_address_get_native_size (address));
  }
}

static void
set_use (gnutls_x509_crt_t crt, const TestCertSpec *spec)
{
  /* time() may lag behind the finer clocks */
  gint64 now_s = g_get_real_time () / G_USEC_PER_SEC - 1;
  int until_days = spec->from_days == 0 && spec->until_days == 0 ? 1 : spec->until_days;

  assert_gnutls (
    gnutls_x509_crt_set_activation_time (crt, (time_t) (now_s + spec->from_days * DAY_S)));
  assert_gnutls (gnutls_x509_crt_set_expiration_time (crt, (time_t) (now_s + until_days * DAY_S)));
  assert_gnutls (gnutls_x509_crt_set_basic_constraints (crt, spec->is_authority, -1));
  assert_gnutls (gnutls_x509_crt_set_key_usage (
    crt, spec->is_authority ? GNUTLS_KEY_KEY_CERT_SIGN : GNUTLS_KEY_DIGITAL_SIGNATURE));
  for (gsize i = 0; i < G_N_ELEMENTS (spec->purpose) && spec->purpose[i] != NULL; i++)
    assert_gnutls (gnutls_x509_crt_set_key_purpose_oid (crt, spec->purpose[i], 0));
}

/* Not from the PEM texts, as GIO would leave out an issuer that has no right to be one. */
static void
make_tls (TestCert *cert, const TestCert *issuer)
{
  GTlsCertificate *issuer_tls = issuer != NULL && !issuer->is_root ? issuer->tls : NULL;
  g_autoptr (GError) error = NULL;

  cert->tls = g_initable_new (g_tls_backend_get_certificate_type (g_tls_backend_get_default ()),
                              NULL, &error, "certificate-pem", cert->cert_pem, "private-key-pem",
                              cert->key_pem, "issuer", issuer_tls, NULL);
  g_assert_no_error (error);
}

/* public functions */

TestCert *
test_cert_make (const TestCertSpec *spec, const TestCert *issuer)
{
  static guint32 last_serial;
  TestCert *cert = g_new0 (TestCert, 1);
  guint32 serial;
  gnutls_datum_t pem = { 0 };

  /* not in one: without optimisation GLib's macro takes its argument four times */
  last_serial++;
  serial = GUINT32_TO_BE (last_serial);

  make_key (cert);
  cert->is_root = issuer == NULL;
  assert_gnutls (gnutls_x509_crt_init (&cert->cert));
  assert_gnutls (gnutls_x509_crt_set_version (cert->cert, 3));
  assert_gnutls (gnutls_x509_crt_set_serial (cert->cert, &serial, sizeof (serial)));
  assert_gnutls (gnutls_x509_crt_set_key (cert->cert, cert->key));
  set_names (cert->cert, spec);
  set_use (cert->cert, spec);
  assert_gnutls (gnutls_x509_crt_sign2 (cert->cert, issuer != NULL ? issuer->cert : cert->cert,
                                        issuer != NULL ? issuer->key : cert->key, GNUTLS_DIG_SHA256,
                                        0));
  assert_gnutls (gnutls_x509_crt_export2 (cert->cert, GNUTLS_X509_FMT_PEM, &pem));
  cert->cert_pem = take_text (&pem);
  make_tls (cert, spec->hides_issuer ? NULL : issuer);
  return cert;
}

void
test_cert_free (TestCert *cert)
{
  gnutls_x509_crt_deinit (cert->cert);
  gnutls_x509_privkey_deinit (cert->key);
  g_free (cert->cert_pem);
  g_free (cert->key_pem);
  g_object_unref (cert->tls);
  g_free (cert);
}
