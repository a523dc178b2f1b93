/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity.h"

#include "error.h"
#include "x509.h"

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

/* What a message tells to do about files that this daemon made, or that somebody gave it. */
#define OWN_FILE_TROUBLE   "is damaged; remove it to have a new one made"
#define GIVEN_FILE_TROUBLE "cannot be used"

/* internal methods */

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
  g_auto (X509Key) key = NULL;
  gnutls_datum_t pem = { 0 };

  if (!x509_check (gnutls_x509_privkey_init (&key), error, "cannot make a private key") ||
      !x509_check (gnutls_x509_privkey_generate (
                     key, GNUTLS_PK_ECDSA,
                     (unsigned int) GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0),
                   error, "cannot make a private key") ||
      !x509_check (
        gnutls_x509_privkey_export2_pkcs8 (key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem),
        error, "cannot encode the new private key"))
    return NULL;
  return string_from_datum (&pem);
}

/* Returns: (transfer full): a self-signed certificate for @key as PEM */
static char *
make_cert (X509Key key, GError **error)
{
  g_auto (X509Cert) cert = NULL;
  unsigned char serial[CERT_SERIAL_BYTES];
  gnutls_datum_t pem = { 0 };
  int result;

  if (!x509_check (gnutls_x509_crt_init (&cert), error, "cannot make a certificate") ||
      !x509_check (gnutls_rnd (GNUTLS_RND_NONCE, serial, sizeof (serial)), error,
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
    x509_check (result, error, "cannot make a certificate");
    return NULL;
  }
  return string_from_datum (&pem);
}

/* The key and the certificate in two PEM texts, which must be of each other. */
static GTlsCertificate *
join_pair (const char *key_pem, const char *key_path, const char *cert_pem, const char *cert_path,
           const char *trouble, GError **error)
{
  g_auto (X509Key) key = NULL;
  g_auto (X509Cert) cert = NULL;
  g_autofree char *key_pin = NULL;
  g_autofree char *cert_pin = NULL;
  g_autofree char *both_pem = NULL;
  GTlsCertificate *certificate;

  if (!x509_import_key (key_pem, &key, error) || (key_pin = x509_key_pin (key, error)) == NULL) {
    g_prefix_error (error, "%s %s: ", key_path, trouble);
    return NULL;
  }
  if (!x509_import_cert (cert_pem, &cert, error) ||
      (cert_pin = x509_cert_pin (cert, error)) == NULL) {
    g_prefix_error (error, "%s %s: ", cert_path, trouble);
    return NULL;
  }
  if (!g_str_equal (key_pin, cert_pin)) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_IDENTITY,
                 "%s %s: it is not the certificate of the key in %s", cert_path, trouble, key_path);
    return NULL;
  }

  both_pem = g_strconcat (cert_pem, "\n", key_pem, NULL);
  certificate = g_tls_certificate_new_from_pem (both_pem, -1, error);
  if (certificate == NULL)
    g_prefix_error (error, "cannot use %s with %s: ", cert_path, key_path);
  gnutls_memset (both_pem, 0, strlen (both_pem));
  return certificate;
}

/* public methods */

GTlsCertificate *
identity_load (const char *state_dir, GError **error)
{
  g_autofree char *key_path = g_build_filename (state_dir, IDENTITY_KEY_FILE, NULL);
  g_autofree char *cert_path = g_build_filename (state_dir, IDENTITY_CERT_FILE, NULL);
  g_autofree char *key_pem = NULL;
  g_autofree char *cert_pem = NULL;
  g_auto (X509Key) key = NULL;
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

  /* A certificate of a key that is gone is of no use; one that a crash kept back is made now. */
  if (cert_pem == NULL || key_is_new) {
    g_clear_pointer (&cert_pem, g_free);
    if (!x509_import_key (key_pem, &key, error)) {
      g_prefix_error (error, "%s " OWN_FILE_TROUBLE ": ", key_path);
      return NULL;
    }
    cert_pem = make_cert (key, error);
    if (cert_pem == NULL || !write_file (cert_path, cert_pem, 0644, error))
      return NULL;
  }
  certificate = join_pair (key_pem, key_path, cert_pem, cert_path, OWN_FILE_TROUBLE, error);
  gnutls_memset (key_pem, 0, strlen (key_pem));
  return certificate;
}

GTlsCertificate *
identity_load_files (const char *cert_path, const char *key_path, GError **error)
{
  g_autofree char *key_pem = NULL;
  g_autofree char *cert_pem = NULL;
  GTlsCertificate *certificate;

  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (!g_file_get_contents (cert_path, &cert_pem, NULL, error) ||
      !g_file_get_contents (key_path, &key_pem, NULL, error)) {
    g_prefix_error (error, "cannot read this host's identity: ");
    return NULL;
  }
  certificate = join_pair (key_pem, key_path, cert_pem, cert_path, GIVEN_FILE_TROUBLE, error);
  gnutls_memset (key_pem, 0, strlen (key_pem));
  return certificate;
}

char *
identity_pin (GTlsCertificate *certificate, GError **error)
{
  g_auto (X509Cert) cert = NULL;

  g_return_val_if_fail (G_IS_TLS_CERTIFICATE (certificate), NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  return x509_import_tls (certificate, &cert, error) ? x509_cert_pin (cert, error) : NULL;
}
