/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity.h"

#include "error.h"
#include "temp-folder.h"
#include "test-pki.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

/* From openssl(1), and its pin likewise: x509 -pubkey | pkey -pubin -outform der | sha256sum. */
static const char known_cert[] =
  "-----BEGIN CERTIFICATE-----\n"
  "MIIBdTCCARugAwIBAgIUaSxPfjRzxCTdI7oVmUZ0PtLVJOMwCgYIKoZIzj0EAwIw\n"
  "EDEOMAwGA1UEAwwFa25vd24wHhcNMjYxMTIyMjI1OTM0WhcNMjYxMTIzMjI1OTM0\n"
  "WjAQMQ4wDAYDVQQDDAVrbm93bjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABANu\n"
  "4zTRgwGouv+PR/Yvs4sWlH5gXmIMHXEM1wwEesKueiIsL0PSfmvslNPajv7oMRY3\n"
  "WMWJVBZ9JvmOhYiBaeKjUzBRMB0GA1UdDgQWBBQlSBEr/X26MeQPaptXp7Rzv2Hi\n"
  "qTAfBgNVHSMEGDAWgBQlSBEr/X26MeQPaptXp7Rzv2HiqTAPBgNVHRMBAf8EBTAD\n"
  "AQH/MAoGCCqGSM49BAMCA0gAMEUCIFXqSfD4XAypm4YoCbIx5vNiTnh90vof0fSA\n"
  "JDcar2IrAiEAn9/lOvUeQBIuZv6wOvEbXosPqe0vVqHKUfIPm/aZTpA=\n"
  "-----END CERTIFICATE-----\n";
static const char known_pin[] = "400f566b5b1f20f0a31ba409c3cbf6348d005ba21475e9ddc40efb7071d7571a";

typedef struct {
  char *dir;
  char *key_path;
  char *cert_path;
} Fixture;

static void
fixture_set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->dir = g_dir_make_tmp ("clockferry-identity-XXXXXX", &error);
  g_assert_no_error (error);
  fixture->key_path = g_build_filename (fixture->dir, IDENTITY_KEY_FILE, NULL);
  fixture->cert_path = g_build_filename (fixture->dir, IDENTITY_CERT_FILE, NULL);
}

static void
fixture_tear_down (Fixture *fixture, gconstpointer data)
{
  (void) g_unlink (fixture->key_path);
  (void) g_unlink (fixture->cert_path);
  /* fails if something else was left behind */
  g_assert_cmpint (g_rmdir (fixture->dir), ==, 0);
  g_free (fixture->key_path);
  g_free (fixture->cert_path);
  g_free (fixture->dir);
}

/* Load the identity, which must work, and tell its pin. */
static char *
fixture_load_pin (Fixture *fixture)
{
  g_autoptr (GTlsCertificate) certificate = NULL;
  g_autoptr (GError) error = NULL;
  char *pin;

  certificate = identity_load (fixture->dir, &error);
  g_assert_no_error (error);
  pin = identity_pin (certificate, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (strlen (pin), ==, IDENTITY_PIN_LENGTH);
  g_assert_cmpuint (strspn (pin, "0123456789abcdef"), ==, IDENTITY_PIN_LENGTH);
  return pin;
}

/* Loading must fail with a message that names @path. */
static void
fixture_assert_damaged (Fixture *fixture, const char *path)
{
  g_autoptr (GTlsCertificate) certificate = NULL;
  g_autoptr (GError) error = NULL;

  certificate = identity_load (fixture->dir, &error);
  g_assert_null (certificate);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_IDENTITY);
  g_assert_nonnull (strstr (error->message, path));
}

static void
file_set (const char *path, const char *text)
{
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
}

static void
file_truncate (const char *path, gsize size)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  text[size] = '\0';
  file_set (path, text);
}

static guint
file_get_mode (const char *path)
{
  struct stat st;

  g_assert_cmpint (stat (path, &st), ==, 0);
  return st.st_mode & 0777;
}

/* tests */

static void
test_first_start (Fixture *fixture, gconstpointer data)
{
  g_autofree char *first = fixture_load_pin (fixture);
  g_autofree char *second = fixture_load_pin (fixture);

  g_assert_cmpstr (first, ==, second);
  g_assert_cmpint (file_get_mode (fixture->key_path), ==, 0600);
}

static void
test_each_host_has_its_own (Fixture *fixture, gconstpointer data)
{
  g_autofree char *first = fixture_load_pin (fixture);
  g_autofree char *second = NULL;

  g_unlink (fixture->key_path);
  g_unlink (fixture->cert_path);
  second = fixture_load_pin (fixture);
  g_assert_cmpstr (first, !=, second);
}

/* The key was written, and then the power failed. */
static void
test_certificate_missing (Fixture *fixture, gconstpointer data)
{
  g_autofree char *first = fixture_load_pin (fixture);
  g_autofree char *second = NULL;

  g_unlink (fixture->cert_path);
  second = fixture_load_pin (fixture);
  g_assert_cmpstr (first, ==, second);
}

static void
test_key_missing (Fixture *fixture, gconstpointer data)
{
  g_autofree char *first = fixture_load_pin (fixture);
  g_autofree char *second = NULL;

  g_unlink (fixture->key_path);
  second = fixture_load_pin (fixture);
  g_assert_cmpstr (first, !=, second);
  g_assert_cmpint (file_get_mode (fixture->key_path), ==, 0600);
}

static void
test_truncated_files (Fixture *fixture, gconstpointer data)
{
  const gsize sizes[] = { 0, 10, 60, 150 };

  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autofree char *pin = fixture_load_pin (fixture);

    file_truncate (fixture->key_path, sizes[i]);
    fixture_assert_damaged (fixture, fixture->key_path);
    g_unlink (fixture->key_path);
    g_free (fixture_load_pin (fixture));

    file_truncate (fixture->cert_path, sizes[i]);
    fixture_assert_damaged (fixture, fixture->cert_path);
    g_unlink (fixture->cert_path);
  }
}

static void
test_certificate_of_another_key (Fixture *fixture, gconstpointer data)
{
  g_autofree char *pin = fixture_load_pin (fixture);

  file_set (fixture->cert_path, known_cert);
  fixture_assert_damaged (fixture, fixture->cert_path);
}

static void
test_unreadable_file (Fixture *fixture, gconstpointer data)
{
  g_assert_cmpint (g_mkdir (fixture->key_path, 0700), ==, 0);
  fixture_assert_damaged (fixture, fixture->key_path);
  g_assert_cmpint (g_rmdir (fixture->key_path), ==, 0);
}

static void
test_missing_directory (void)
{
  g_autoptr (GTlsCertificate) certificate = NULL;
  g_autoptr (GError) error = NULL;

  certificate = identity_load ("/nonexistent/clockferry", &error);
  g_assert_null (certificate);
  g_assert_nonnull (error);
  g_assert_nonnull (strstr (error->message, "/nonexistent/clockferry"));
}

static void
test_known_pin (void)
{
  g_autoptr (GTlsCertificate) certificate = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *pin = NULL;

  certificate = g_tls_certificate_new_from_pem (known_cert, -1, &error);
  g_assert_no_error (error);
  pin = identity_pin (certificate, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (pin, ==, known_pin);
}

/* tests of files that somebody else made */

static void
assert_files_refused (const char *cert_path, const char *key_path, const char *named)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GTlsCertificate) certificate = identity_load_files (cert_path, key_path, &error);

  g_assert_null (certificate);
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, named));
  /* these are not ours to make anew */
  g_assert_null (strstr (error->message, "remove"));
}

static void
test_given_files (void)
{
  const TestCertSpec spec = { "kvm1" };
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (TestCert) cert = test_cert_make (&spec, NULL);
  g_autoptr (TestCert) other = test_cert_make (&spec, NULL);
  g_autofree char *cert_path = temp_folder_write (folder, "cert.pem", cert->cert_pem);
  g_autofree char *key_path = temp_folder_write (folder, "key.pem", cert->key_pem);
  g_autofree char *other_key_path = temp_folder_write (folder, "other-key.pem", other->key_pem);
  g_autofree char *garbled_path = temp_folder_write (folder, "garbled.pem", "-----BEGIN\n");
  g_autofree char *missing_path = g_build_filename (folder, "missing.pem", NULL);
  g_autoptr (GTlsCertificate) loaded = NULL;
  g_autoptr (GError) error = NULL;

  loaded = identity_load_files (cert_path, key_path, &error);
  g_assert_no_error (error);
  g_assert_true (g_tls_certificate_is_same (loaded, cert->tls));

  assert_files_refused (missing_path, key_path, missing_path);
  assert_files_refused (cert_path, missing_path, missing_path);
  assert_files_refused (garbled_path, key_path, garbled_path);
  assert_files_refused (cert_path, garbled_path, garbled_path);
  assert_files_refused (key_path, cert_path, "not a ");
  assert_files_refused (cert_path, other_key_path, cert_path);
  assert_files_refused (cert_path, other_key_path, other_key_path);
  /* unreadable for root too */
  assert_files_refused (folder, key_path, folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define add(name, function)                                                                        \
  g_test_add ("/identity/" name, Fixture, NULL, fixture_set_up, function, fixture_tear_down)
  add ("first-start", test_first_start);
  add ("each-host-has-its-own", test_each_host_has_its_own);
  add ("certificate-missing", test_certificate_missing);
  add ("key-missing", test_key_missing);
  add ("truncated-files", test_truncated_files);
  add ("certificate-of-another-key", test_certificate_of_another_key);
  add ("unreadable-file", test_unreadable_file);
#undef add
  g_test_add_func ("/identity/missing-directory", test_missing_directory);
  g_test_add_func ("/identity/known-pin", test_known_pin);
  g_test_add_func ("/identity/given-files", test_given_files);
  return g_test_run ();
}
