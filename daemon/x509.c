/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "x509.h"

#include "error.h"
#include "identity.h"

#include <gnutls/gnutls.h>
#include <string.h>

#define SHA256_BYTES 32

#define SUBJECT_MAX_CHARS 200

/* internal methods */

static char *
pin_from_digest (const unsigned char digest[SHA256_BYTES])
{
  GString *pin = g_string_sized_new (IDENTITY_PIN_LENGTH);

  for (gsize i = 0; i < SHA256_BYTES; i++)
    g_string_append_printf (pin, "%02x", digest[i]);
  return g_string_free (pin, FALSE);
}

/* public functions */

bool
x509_check (int result, GError **error, const char *what)
{
  if (result >= 0)
    return true;
  g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_IDENTITY, "%s: %s", what,
               gnutls_strerror (result));
  return false;
}

gnutls_datum_t
x509_datum_from_string (const char *text)
{
  return (gnutls_datum_t){ .data = (unsigned char *) text, .size = (unsigned int) strlen (text) };
}

bool
x509_import_key (const char *pem, X509Key *key, GError **error)
{
  gnutls_datum_t datum = x509_datum_from_string (pem);

  return x509_check (gnutls_x509_privkey_init (key), error, "cannot hold a private key") &&
         x509_check (gnutls_x509_privkey_import (*key, &datum, GNUTLS_X509_FMT_PEM), error,
                     "not a private key in PEM");
}

bool
x509_import_cert (const char *pem, X509Cert *cert, GError **error)
{
  gnutls_datum_t datum = x509_datum_from_string (pem);

  return x509_check (gnutls_x509_crt_init (cert), error, "cannot hold a certificate") &&
         x509_check (gnutls_x509_crt_import (*cert, &datum, GNUTLS_X509_FMT_PEM), error,
                     "not a certificate in PEM");
}

bool
x509_import_tls (GTlsCertificate *certificate, X509Cert *cert, GError **error)
{
  g_autoptr (GByteArray) der = NULL;
  gnutls_datum_t datum;

  g_object_get (certificate, "certificate", &der, NULL);
  if (der == NULL) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_IDENTITY,
                 "the certificate has no DER form");
    return false;
  }
  datum = (gnutls_datum_t){ .data = der->data, .size = der->len };
  return x509_check (gnutls_x509_crt_init (cert), error, "cannot hold a certificate") &&
         x509_check (gnutls_x509_crt_import (*cert, &datum, GNUTLS_X509_FMT_DER), error,
                     "cannot read a certificate");
}

/* GnuTLS calls the SHA-256 of the SubjectPublicKeyInfo a key id. */
char *
x509_cert_pin (X509Cert cert, GError **error)
{
  unsigned char digest[SHA256_BYTES];
  size_t size = sizeof (digest);

  if (!x509_check (gnutls_x509_crt_get_key_id (cert, GNUTLS_KEYID_USE_SHA256, digest, &size), error,
                   "cannot read the public key of a certificate"))
    return NULL;
  return pin_from_digest (digest);
}

char *
x509_key_pin (X509Key key, GError **error)
{
  unsigned char digest[SHA256_BYTES];
  size_t size = sizeof (digest);

  if (!x509_check (gnutls_x509_privkey_get_key_id (key, GNUTLS_KEYID_USE_SHA256, digest, &size),
                   error, "cannot read the public half of a private key"))
    return NULL;
  return pin_from_digest (digest);
}

char *
x509_cert_subject (X509Cert cert)
{
  g_autofree char *valid = NULL;
  g_autofree char *cut = NULL;
  gnutls_datum_t dn = { 0 };

  if (gnutls_x509_crt_get_dn3 (cert, &dn, 0) < 0 || dn.size == 0) {
    gnutls_free (dn.data);
    return g_strdup ("an unnamed holder");
  }
  valid = g_utf8_make_valid ((const char *) dn.data, dn.size);
  gnutls_free (dn.data);
  cut = g_utf8_substring (valid, 0, MIN (g_utf8_strlen (valid, -1), SUBJECT_MAX_CHARS));
  for (char *c = cut; *c != '\0'; c++) {
    if (g_ascii_iscntrl (*c))
      *c = '?';
  }
  return g_steal_pointer (&cut);
}
