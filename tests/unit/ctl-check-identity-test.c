/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said of the daemon's key and certificate, its own ones and those of an authority.
 */
#include "check-host.h"

#include <glib/gstdio.h>

#include "build-config.h"
#include "ctl-check-expect.h"
#include "ctl-check-fixture.h"
#include "identity.h"
#include "test-pki.h"

#define NEVER_DAYS 3650

/* Nothing is tried as the daemon's user, which may exist here and may not read a test's files. */
static void
load_settings (CheckFixture *fixture)
{
  check_fixture_load_settings (fixture);
  fixture->host->is_root = FALSE;
}

static void
restart (CheckFixture *fixture)
{
  check_fixture_restart (fixture);
  load_settings (fixture);
}

static void
test_own_key (CheckFixture *fixture, gconstpointer data)
{
  g_autofree char *folder = g_strconcat (fixture->root, CLOCKFERRY_STATE_DIR, NULL);
  g_autofree char *key_path = g_build_filename (folder, IDENTITY_KEY_FILE, NULL);
  g_autofree char *cert_path = g_build_filename (folder, IDENTITY_CERT_FILE, NULL);
  g_autofree char *mode_remedy = g_strdup_printf ("chmod 600 %s", key_path);
  g_autofree char *new_remedy =
    g_strdup_printf ("rm -f %s %s && systemctl restart clockferryd", key_path, cert_path);
  g_autoptr (GTlsCertificate) identity = NULL;
  g_autoptr (GError) error = NULL;
  GVariantDict manager;

  load_settings (fixture);
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "key", CHECK_WARNING, "first start", "systemctl start clockferryd");
  /* looking makes nothing */
  g_assert_false (g_file_test (key_path, G_FILE_TEST_EXISTS));

  restart (fixture);
  fixture->host->daemon_runs = TRUE;
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "key", CHECK_FAILURE, "has gone", "systemctl restart clockferryd");

  restart (fixture);
  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  identity = identity_load (folder, &error);
  g_assert_no_error (error);
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "key", CHECK_OK, "made by clockferryd", NULL);
  check_expect_none (fixture->list, "certificate");

  restart (fixture);
  g_variant_dict_init (&manager, NULL);
  g_variant_dict_insert (&manager, "Pin", "s", "00ff");
  fixture->host->manager = g_variant_ref_sink (g_variant_dict_end (&manager));
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "key", CHECK_WARNING, "another key",
                "systemctl restart clockferryd");

  restart (fixture);
  g_assert_cmpint (g_chmod (key_path, 0644), ==, 0);
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "key", CHECK_FAILURE, "others", mode_remedy);
  g_assert_cmpint (g_chmod (key_path, 0600), ==, 0);

  restart (fixture);
  g_file_set_contents (cert_path, "damaged", -1, &error);
  g_assert_no_error (error);
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "key", CHECK_FAILURE, cert_path, new_remedy);
}

/* With certificates of an authority, valid from and until so many days from now. */
static void
fixture_set_authority (CheckFixture *fixture, int from_days, int until_days,
                       int authority_until_days)
{
  const TestCertSpec authority_spec = {
    .common_name = "authority",
    .is_authority = TRUE,
    .from_days = -NEVER_DAYS,
    .until_days = authority_until_days,
  };
  const TestCertSpec spec = {
    .common_name = "host",
    .dns = { "host.example" },
    .from_days = from_days,
    .until_days = until_days,
  };
  g_autoptr (TestCert) authority = test_cert_make (&authority_spec, NULL);
  g_autoptr (TestCert) cert = test_cert_make (&spec, authority);

  g_free (check_fixture_write (fixture, "/pki/ca.pem", authority->cert_pem, 0644));
  g_free (check_fixture_write (fixture, "/pki/cert.pem", cert->cert_pem, 0644));
  g_free (check_fixture_write (fixture, "/pki/key.pem", cert->key_pem, 0640));
  g_free (check_fixture_write (fixture, CLOCKFERRY_CONFIG_FILE,
                               "[clockferry]\n"
                               "CertificateAuthority=/pki/ca.pem\n"
                               "Certificate=/pki/cert.pem\n"
                               "PrivateKey=/pki/key.pem\n",
                               0644));
  load_settings (fixture);
}

static void
test_authority (CheckFixture *fixture, gconstpointer data)
{
  g_autofree char *key_path = g_strconcat (fixture->root, "/pki/key.pem", NULL);
  g_autofree char *remedy = g_strdup_printf ("chmod o=,g-w %s", key_path);

  fixture_set_authority (fixture, -1, 400, NEVER_DAYS);
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "key", CHECK_OK, "key.pem", NULL);
  check_expect (fixture->list, "certificate", CHECK_OK, "valid until", NULL);
  check_expect (fixture->list, "certificate-authority", CHECK_OK, "valid until", NULL);

  restart (fixture);
  g_assert_cmpint (g_chmod (key_path, 0644), ==, 0);
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "key", CHECK_FAILURE, "others", remedy);

  restart (fixture);
  fixture_set_authority (fixture, -1, 20, 20);
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "certificate", CHECK_WARNING, "expires on", NULL);
  check_expect (fixture->list, "certificate-authority", CHECK_WARNING, "expires on", NULL);

  restart (fixture);
  fixture_set_authority (fixture, -30, -1, NEVER_DAYS);
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "certificate", CHECK_FAILURE, "expired on", NULL);

  restart (fixture);
  fixture_set_authority (fixture, 1, 400, NEVER_DAYS);
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "certificate", CHECK_FAILURE, "not valid before", NULL);

  restart (fixture);
  g_assert_cmpint (g_unlink (key_path), ==, 0);
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "key", CHECK_FAILURE, key_path, NULL);
  check_expect_none (fixture->list, "certificate");
}

/* Issued by another one than the file has. */
static void
test_wrong_authority (CheckFixture *fixture, gconstpointer data)
{
  const TestCertSpec spec = { .common_name = "other", .is_authority = TRUE, .until_days = 100 };
  g_autoptr (TestCert) other = test_cert_make (&spec, NULL);

  fixture_set_authority (fixture, -1, 400, NEVER_DAYS);
  g_free (check_fixture_write (fixture, "/pki/ca.pem", other->cert_pem, 0644));
  check_identity (fixture->host, fixture->list);
  check_expect (fixture->list, "certificate", CHECK_FAILURE, NULL, NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/ctl-check-identity/own-key", CheckFixture, NULL, check_fixture_set_up, test_own_key,
              check_fixture_tear_down);
  g_test_add ("/ctl-check-identity/authority", CheckFixture, NULL, check_fixture_set_up,
              test_authority, check_fixture_tear_down);
  g_test_add ("/ctl-check-identity/wrong-authority", CheckFixture, NULL, check_fixture_set_up,
              test_wrong_authority, check_fixture_tear_down);
  return g_test_run ();
}
