/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity.h"

#include "error.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

#define CERT_NAME "clockferry"

/* A clock that is behind at first start must not make the certificate of the future. */
#define CERT_BACKDATE_S (24 * 60 * 60)

/* 160 bits at most, and positive (RFC 5280 4.1.2.2). */
#define CERT_SERIAL_BYTES 16

#define SHA256_BYTES 32

/* GnuTLS keeps its objects behind typedefs of pointers, so g_autoptr does not fit. */
typedef gnutls_x509_privkey_t Key;
typedef gnutls_x509_crt_t Cert;
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (Key, gnutls_x509_privkey_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (Cert, gnutls_x509_crt_deinit, NULL)

/* internal methods */

/* Turn a GnuTLS result into success or an error; @what is a whole clause. */
static bool
check_gnutls (int result, GError **error, const char *what)
{
  if (result >= 0)
    return true;
  g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_IDENTITY, "%s: %s", what,
               gnutls_strerror (result));
  return false;
}

static gnutls_datum_t
datum_from_string (const char *text)
{
  return (gnutls_datum_t){ .data = (unsigned char *) text, .size = (unsigned int) strlen (text) };
}

/* Take a copy, NUL-terminated, that g_free() frees, and give GnuTLS its own back. */
static char *
string_from_datum (gnutls_datum_t *datum)
{
  char *text = g_strndup ((const char *) datum->data, datum->size);

  /* it may be the private key */
  gnutls_memset (datum->data, 0, datum->size);
  gnutls_free (datum->data);
  return text;
}

static char *
pin_from_digest (const unsigned char digest[SHA256_BYTES])
{
  GString *pin = g_string_sized_new (IDENTITY_PIN_LENGTH);

  for (gsize i = 0; i < SHA256_BYTES; i++)
    g_string_append_printf (pin, "%02x", digest[i]);
  return g_string_free (pin, FALSE);
}

/* GnuTLS calls the SHA-256 of the SubjectPublicKeyInfo a key id. */
static char *
pin_from_cert (Cert cert, GError **error)
{
  unsigned char digest[SHA256_BYTES];
  size_t size = sizeof (digest);

  if (!check_gnutls (gnutls_x509_crt_get_key_id (cert, GNUTLS_KEYID_USE_SHA256, digest, &size),
                     error, "cannot read the public key of a certificate"))
    return NULL;
  return pin_from_digest (digest);
}

static char *
pin_from_key (Key key, GError **error)
{
  unsigned char digest[SHA256_BYTES];
  size_t size = sizeof (digest);

  if (!check_gnutls (gnutls_x509_privkey_get_key_id (key, GNUTLS_KEYID_USE_SHA256, digest, &size),
                     error, "cannot read the public half of a private key"))
    return NULL;
  return pin_from_digest (digest);
}

/* Write so that a crash leaves the old state or the new one, and the mode is never wider. */
static bool
write_file (const char *path, const char *text, int mode, GError **error)
{
  if (g_file_set_contents_full (
        path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, mode, error))
    return true;
  g_prefix_error (error, "cannot keep this host's identity: ");
  return false;
}

/* Read @path; *@text stays NULL without an error if there is no such file. */
static bool
read_file (const char *path, char **text, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (g_file_get_contents (path, text, NULL, &local_error) ||
      g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    return true;
  g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_IDENTITY,
               "cannot read this host's identity: %s", local_error->message);
  return false;
}

/* Returns: (transfer full): a new key as PEM */
static char *
make_key (GError **error)
{
  g_auto (Key) key = NULL;
  gnutls_datum_t pem = { 0 };

  if (!check_gnutls (gnutls_x509_privkey_init (&key), error, "cannot make a private key") ||
      !check_gnutls (gnutls_x509_privkey_generate (
                       key, GNUTLS_PK_ECDSA,
                       (unsigned int) GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0),
                     error, "cannot make a private key") ||
      !check_gnutls (
        gnutls_x509_privkey_export2_pkcs8 (key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem),
        error, "cannot encode the new private key"))
    return NULL;
  return string_from_datum (&pem);
}

/* Returns: (transfer full): a self-signed certificate for @key as PEM */
static char *
make_cert (Key key, GError **error)
{
  g_auto (Cert) cert = NULL;
  unsigned char serial[CERT_SERIAL_BYTES];
  gnutls_datum_t pem = { 0 };
  int result;

  if (!check_gnutls (gnutls_x509_crt_init (&cert), error, "cannot make a certificate") ||
      !check_gnutls (gnutls_rnd (GNUTLS_RND_NONCE, serial, sizeof (serial)), error,
                     "cannot make a serial number"))
    return NULL;
  serial[0] = (serial[0] & 0x3f) | 0x40;

  /* The pin vouches for the key; the certificate itself never has to be renewed. */
  if ((result = gnutls_x509_crt_set_version (cert, 3)) < 0 ||
      (result = gnutls_x509_crt_set_serial (cert, serial, sizeof (serial))) < 0 ||
      (result = gnutls_x509_crt_set_dn_by_oid (cert, GNUTLS_OID_X520_COMMON_NAME, 0, CERT_NAME,
                                               strlen (CERT_NAME))) < 0 ||
      (result = gnutls_x509_crt_set_activation_time (cert, time (NULL) - CERT_BACKDATE_S)) < 0 ||
      (result = gnutls_x509_crt_set_expiration_time (
         cert, (time_t) GNUTLS_X509_NO_WELL_DEFINED_EXPIRATION)) < 0 ||
      (result = gnutls_x509_crt_set_basic_constraints (cert, 0, -1)) < 0 ||
      (result = gnutls_x509_crt_set_key_usage (cert, GNUTLS_KEY_DIGITAL_SIGNATURE)) < 0 ||
      (result = gnutls_x509_crt_set_key (cert, key)) < 0 ||
      (result = gnutls_x509_crt_sign2 (cert, cert, key, GNUTLS_DIG_SHA256, 0)) < 0 ||
      (result = gnutls_x509_crt_export2 (cert, GNUTLS_X509_FMT_PEM, &pem)) < 0) {
    check_gnutls (result, error, "cannot make a certificate");
    return NULL;
  }
  return string_from_datum (&pem);
}

static bool
import_key (const char *pem, const char *path, Key *key, GError **error)
{
  gnutls_datum_t datum = datum_from_string (pem);

  if (check_gnutls (gnutls_x509_privkey_init (key), error, "cannot hold a private key") &&
      check_gnutls (gnutls_x509_privkey_import (*key, &datum, GNUTLS_X509_FMT_PEM), error,
                    "not a private key in PEM"))
    return true;
  g_prefix_error (error, "%s is damaged; remove it to have a new one made: ", path);
  return false;
}

static bool
import_cert (const char *pem, const char *path, Cert *cert, GError **error)
{
  gnutls_datum_t datum = datum_from_string (pem);

  if (check_gnutls (gnutls_x509_crt_init (cert), error, "cannot hold a certificate") &&
      check_gnutls (gnutls_x509_crt_import (*cert, &datum, GNUTLS_X509_FMT_PEM), error,
                    "not a certificate in PEM"))
    return true;
  g_prefix_error (error, "%s is damaged; remove it to have a new one made: ", path);
  return false;
}

static bool
check_pair (Key key, const char *key_path, Cert cert, const char *cert_path, GError **error)
{
  g_autofree char *key_pin = NULL;
  g_autofree char *cert_pin = NULL;

  key_pin = pin_from_key (key, error);
  if (key_pin == NULL) {
    g_prefix_error (error, "%s: ", key_path);
    return false;
  }
  cert_pin = pin_from_cert (cert, error);
  if (cert_pin == NULL) {
    g_prefix_error (error, "%s: ", cert_path);
    return false;
  }
  if (g_str_equal (key_pin, cert_pin))
    return true;
  g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_IDENTITY,
               "%s is not the certificate of the key in %s; remove it to have a new one made",
               cert_path, key_path);
  return false;
}

/* public methods */

GTlsCertificate *
identity_load (const char *state_dir, GError **error)
{
  g_autofree char *key_path = g_build_filename (state_dir, IDENTITY_KEY_FILE, NULL);
  g_autofree char *cert_path = g_build_filename (state_dir, IDENTITY_CERT_FILE, NULL);
  g_autofree char *key_pem = NULL;
  g_autofree char *cert_pem = NULL;
  g_autofree char *both_pem = NULL;
  g_auto (Key) key = NULL;
  g_auto (Cert) cert = NULL;
  GTlsCertificate *certificate;
  bool key_is_new = false;

  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (!read_file (key_path, &key_pem, error) || !read_file (cert_path, &cert_pem, error))
    return NULL;

  if (key_pem == NULL) {
    key_pem = make_key (error);
    if (key_pem == NULL || !write_file (key_path, key_pem, 0600, error))
      return NULL;
    key_is_new = true;
  }
  if (!import_key (key_pem, key_path, &key, error))
    return NULL;

  /* A certificate of a key that is gone is of no use; one that a crash kept back is made now. */
  if (cert_pem == NULL || key_is_new) {
    g_clear_pointer (&cert_pem, g_free);
    cert_pem = make_cert (key, error);
    if (cert_pem == NULL || !write_file (cert_path, cert_pem, 0644, error))
      return NULL;
  }
  if (!import_cert (cert_pem, cert_path, &cert, error) ||
      !check_pair (key, key_path, cert, cert_path, error))
    return NULL;

  both_pem = g_strconcat (cert_pem, "\n", key_pem, NULL);
  certificate = g_tls_certificate_new_from_pem (both_pem, -1, error);
  if (certificate == NULL)
    g_prefix_error (error, "cannot use %s with %s: ", cert_path, key_path);
  gnutls_memset (both_pem, 0, strlen (both_pem));
  gnutls_memset (key_pem, 0, strlen (key_pem));
  return certificate;
}

char *
identity_pin (GTlsCertificate *certificate, GError **error)
{
  g_autoptr (GByteArray) der = NULL;
  g_auto (Cert) cert = NULL;
  gnutls_datum_t datum;

  g_return_val_if_fail (G_IS_TLS_CERTIFICATE (certificate), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  g_object_get (certificate, "certificate", &der, NULL);
  if (der == NULL) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_IDENTITY,
                 "the certificate has no DER form");
    return NULL;
  }
  datum = (gnutls_datum_t){ .data = der->data, .size = der->len };
  if (!check_gnutls (gnutls_x509_crt_init (&cert), error, "cannot hold a certificate") ||
      !check_gnutls (gnutls_x509_crt_import (cert, &datum, GNUTLS_X509_FMT_DER), error,
                     "cannot read a certificate"))
    return NULL;
  return pin_from_cert (cert, error);
}
