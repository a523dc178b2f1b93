/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peer-certificate - what a stranger shows as its certificate in a TLS handshake, in DER
 *
 * Whose it is and what its key is called is asked of it before anybody knows that it is trusted.
 */
#include <string.h>

#include <gio/gio.h>

#include "error.h"
#include "fuzz-target.h"
#include "identity.h"
#include "peer-names.h"
#include "x509.h"

/* "and a line, cut short" (x509.h). */
#define SUBJECT_MAX_CHARS 200

/* As GIO has it in a handshake; NULL if that ends there. */
static GTlsCertificate *
make_certificate (const uint8_t *data, size_t size)
{
  g_autoptr (GByteArray) der = g_byte_array_new ();

  g_byte_array_append (der, data, (guint) size);
  return g_initable_new (g_tls_backend_get_certificate_type (g_tls_backend_get_default ()), NULL,
                         NULL, "certificate", der, NULL);
}

static void
check_line (const char *text)
{
  g_assert_true (g_utf8_validate (text, -1, NULL));
  for (const char *c = text; *c != '\0'; c++)
    g_assert_false (g_ascii_iscntrl (*c));
}

static void
check_subject (X509Cert cert)
{
  g_autofree char *subject = x509_cert_subject (cert);

  g_assert_cmpuint (strlen (subject), >, 0);
  check_line (subject);
  g_assert_cmpint (g_utf8_strlen (subject, -1), <=, SUBJECT_MAX_CHARS);
}

/* Whoever it is, it is let in by "*" if it is of a host, and never as one that no host is called. */
static void
check_names (X509Cert cert)
{
  const char *const any[] = { "*", NULL };
  const char *const nobody[] = { "this.is nobody", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) nobody_error = NULL;

  g_assert_false (peer_names_check (nobody, cert, &nobody_error));
  g_assert_error (nobody_error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
  check_line (nobody_error->message);
  if (peer_names_check (any, cert, &error))
    g_assert_null (strstr (nobody_error->message, "no host"));
  else
    g_assert_nonnull (strstr (nobody_error->message, "it is of no host"));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GTlsCertificate) certificate = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *pin = NULL;
  g_auto (X509Cert) cert = NULL;

  fuzz_begin ();
  certificate = make_certificate (data, size);
  if (certificate == NULL || !x509_import_tls (certificate, &cert, &error))
    return 0;
  pin = identity_pin (certificate, &error);
  g_assert_true ((pin == NULL) == (error != NULL));
  if (pin != NULL)
    g_assert_cmpuint (strspn (pin, "0123456789abcdef"), ==, IDENTITY_PIN_LENGTH);
  check_subject (cert);
  check_names (cert);
  return 0;
}
