/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-authority.h"

#include "error.h"
#include "temp-folder.h"
#include "test-pki.h"

#include <gnutls/x509.h>
#include <string.h>

#define BOTH_PURPOSES                                                                              \
  {                                                                                                \
    GNUTLS_KP_TLS_WWW_SERVER, GNUTLS_KP_TLS_WWW_CLIENT                                             \
  }

typedef enum {
  BY_US,
  BY_INTERMEDIATE,
  BY_NO_AUTHORITY, /* a certificate of ours that may not issue any */
  BY_NAMESAKE,     /* another authority of our authority's name */
  BY_ITSELF,
} Issuer;

static const TestCertSpec root_spec = { .common_name = "our root", .is_authority = TRUE };
static const TestCertSpec own_spec = { .common_name = "kvm0.example.org" };

typedef struct {
  char *folder;
  TestCert *root;
  TestCert *own;
  char *root_path;
} Fixture;

static void
fixture_set_up (Fixture *fixture, gconstpointer data)
{
  fixture->folder = temp_folder_make ();
  fixture->root = test_cert_make (&root_spec, NULL);
  fixture->own = test_cert_make (&own_spec, fixture->root);
  fixture->root_path = temp_folder_write (fixture->folder, "root.pem", fixture->root->cert_pem);
}

static void
fixture_tear_down (Fixture *fixture, gconstpointer data)
{
  test_cert_free (fixture->own);
  test_cert_free (fixture->root);
  temp_folder_remove (fixture->folder);
  g_free (fixture->root_path);
}

static TestCert *
fixture_make_cert (Fixture *fixture, const TestCertSpec *spec, Issuer by)
{
  const TestCertSpec between_spec = { .common_name = "ours between", .is_authority = TRUE };
  g_autoptr (TestCert) issuer = NULL;

  switch (by) {
  case BY_US:
    return test_cert_make (spec, fixture->root);
  case BY_ITSELF:
    return test_cert_make (spec, NULL);
  case BY_NAMESAKE:
    issuer = test_cert_make (&root_spec, NULL);
    break;
  case BY_NO_AUTHORITY:
    issuer = test_cert_make (&own_spec, fixture->root);
    break;
  case BY_INTERMEDIATE:
    issuer = test_cert_make (&between_spec, fixture->root);
    break;
  }
  return test_cert_make (spec, issuer);
}

/* judging peers */

typedef struct {
  const char *name;
  TestCertSpec spec;
  Issuer by;
  const char *allowed[3]; /* none: everybody */
  const char *refused;    /* in the message; NULL: let in, as client and as server */
} Case;

static const Case cases[] = {
  { "no-purpose", { "a" } },
  { "both-purposes", { "a", .purpose = BOTH_PURPOSES } },
  { "any-purpose", { "a", .purpose = { GNUTLS_KP_ANY } } },
  { "other-purpose", { "a", .purpose = { GNUTLS_KP_OCSP_SIGNING } }, .refused = "purpose" },
  { "intermediate", { "a" }, BY_INTERMEDIATE },
  { "hidden", { "a", .hides_issuer = TRUE }, BY_INTERMEDIATE, .refused = "issuer is unknown" },
  { "no-authority", { "a" }, BY_NO_AUTHORITY, .refused = "issuer is not a CA" },
  { "namesake", { "a" }, BY_NAMESAKE, .refused = "NOT trusted" },
  { "self-signed", { "a" }, BY_ITSELF, .refused = "issuer is unknown" },
  { "expired", { "a", .from_days = -2, .until_days = -1 }, .refused = "expired" },
  { "not-yet-valid", { "a", .from_days = 1, .until_days = 2 }, .refused = "not yet" },
  { "name", { .dns = { "a.org", "b.org" } }, .allowed = { "x.org", "b.org" } },
  { "name-case", { .dns = { "A.org" } }, .allowed = { "a.ORG" } },
  { "other-name", { .dns = { "a.org" } }, .allowed = { "b.org" }, .refused = "of a.org, and" },
  { "longer-name", { .dns = { "a.org.evil" } }, .allowed = { "a.org" }, .refused = "evil" },
  { "glob", { .dns = { "kvm12.a.org" } }, .allowed = { "kvm?.a.org", "kvm*.a.org" } },
  { "glob-dots", { .dns = { "x.kvm.a.org" } }, .allowed = { "*.a.org" } },
  { "glob-fails", { .dns = { "a.org" } }, .allowed = { "*.a.org" }, .refused = "of a.org" },
  { "wildcard-is-no-glob", { .dns = { "*.a.org" } }, .allowed = { "b.a.org" }, .refused = "*.a" },
  { "ipv4", { .ip = "192.0.2.7" }, .allowed = { "192.0.2.7" } },
  { "ipv6", { .ip = "2001:db8::1" }, .allowed = { "2001:DB8:0:0::1" } },
  { "ip-glob", { .ip = "192.0.2.7" }, .allowed = { "192.0.2.*" } },
  { "other-ip", { .ip = "192.0.2.77" }, .allowed = { "192.0.2.7" }, .refused = "192.0.2.77" },
  { "common-name", { "kvm1.a.org" }, .allowed = { "kvm1.a.org" } },
  { "common-name-hidden", { "a.org", .dns = { "b.org" } }, .allowed = { "a.org" }, .refused = "b" },
  { "common-name-mail", { "a.org", .mail = "a@b" }, .allowed = { "a.org" }, .refused = "no host" },
  { "common-names", { "a.org", "b.org" }, .allowed = { "*.org" }, .refused = "no host" },
  { "no-name", { 0 }, .allowed = { "*" }, .refused = "unnamed" },
  { "name-of-another-ca",
    { "a.org" },
    BY_ITSELF,
    .allowed = { "a.org" },
    .refused = "NOT trusted" },
};

static PeerAuthority *
fixture_load (Fixture *fixture, const char *const *allowed)
{
  g_autoptr (GError) error = NULL;
  PeerAuthority *authority =
    peer_authority_new (fixture->root_path, allowed, fixture->own->tls, &error);

  g_assert_no_error (error);
  return authority;
}

static void
assert_refused (PeerAuthority *authority, GTlsCertificate *certificate, PeerRole role,
                const char *subject, const char *why)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (peer_authority_check (authority, certificate, role, &error));
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, subject));
  g_assert_nonnull (strstr (error->message, why));
}

static void
assert_let_in (PeerAuthority *authority, GTlsCertificate *certificate, PeerRole role)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (peer_authority_check (authority, certificate, role, &error));
  g_assert_no_error (error);
}

static void
test_case (Fixture *fixture, gconstpointer data)
{
  const Case *test = data;
  g_autoptr (PeerAuthority)
    authority = fixture_load (fixture, test->allowed[0] != NULL ? test->allowed : NULL);
  g_autoptr (TestCert) cert = fixture_make_cert (fixture, &test->spec, test->by);
  const char *subject = test->spec.common_name != NULL ? test->spec.common_name
                                                       : "an unnamed holder";

  for (PeerRole role = PEER_ROLE_CLIENT; role <= PEER_ROLE_SERVER; role++) {
    if (test->refused != NULL)
      assert_refused (authority, cert->tls, role, subject, test->refused);
    else
      assert_let_in (authority, cert->tls, role);
  }
}

/* libvirt's own certificates mostly say that they are for one of the two. */
static void
test_one_purpose (Fixture *fixture, gconstpointer data)
{
  const TestCertSpec server_spec = { "a", .purpose = { GNUTLS_KP_TLS_WWW_SERVER } };
  const TestCertSpec client_spec = { "b", .purpose = { GNUTLS_KP_TLS_WWW_CLIENT } };
  g_autoptr (PeerAuthority) authority = fixture_load (fixture, NULL);
  g_autoptr (TestCert) server = test_cert_make (&server_spec, fixture->root);
  g_autoptr (TestCert) client = test_cert_make (&client_spec, fixture->root);

  assert_let_in (authority, server->tls, PEER_ROLE_SERVER);
  assert_refused (authority, server->tls, PEER_ROLE_CLIENT, "CN=a", "as a client");
  assert_let_in (authority, client->tls, PEER_ROLE_CLIENT);
  assert_refused (authority, client->tls, PEER_ROLE_SERVER, "CN=b", "as a server");
}

static void
test_no_certificate (Fixture *fixture, gconstpointer data)
{
  g_autoptr (PeerAuthority) authority = fixture_load (fixture, NULL);

  assert_refused (authority, NULL, PEER_ROLE_CLIENT, "it", "no certificate");
}

/* A stranger's words do not get to be lines of our log. */
static void
test_unprintable_subject (Fixture *fixture, gconstpointer data)
{
  g_autofree char *filler = g_strnfill (60, 'x');
  g_autofree char *name = g_strconcat ("a\n\033[2J", filler, NULL);
  const TestCertSpec spec = { name };
  g_autoptr (PeerAuthority) authority = fixture_load (fixture, NULL);
  g_autoptr (TestCert) cert = test_cert_make (&spec, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_false (peer_authority_check (authority, cert->tls, PEER_ROLE_CLIENT, &error));
  g_test_message ("%s", error->message);
  for (const char *c = error->message; *c != '\0'; c++)
    g_assert_false (g_ascii_iscntrl (*c));
}

/* loading */

static void
assert_not_loaded (const char *path, GTlsCertificate *own, GQuark domain, int code,
                   const char *said)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (PeerAuthority) authority = peer_authority_new (path, NULL, own, &error);

  g_assert_null (authority);
  g_assert_error (error, domain, code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, path));
  g_assert_nonnull (strstr (error->message, said));
}

static void
test_bad_authority (Fixture *fixture, gconstpointer data)
{
  g_autofree char *missing = g_build_filename (fixture->folder, "missing.pem", NULL);
  g_autofree char *empty = temp_folder_write (fixture->folder, "empty.pem", "");
  g_autofree char *garbled = NULL;
  g_autofree char *leaf = temp_folder_write (fixture->folder, "leaf.pem", fixture->own->cert_pem);

  fixture->root->cert_pem[100] = '?';
  garbled = temp_folder_write (fixture->folder, "garbled.pem", fixture->root->cert_pem);
  assert_not_loaded (missing, fixture->own->tls, G_FILE_ERROR, G_FILE_ERROR_NOENT, "authority");
  assert_not_loaded (empty, fixture->own->tls, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_IDENTITY,
                     "PEM");
  assert_not_loaded (garbled, fixture->own->tls, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_IDENTITY,
                     "PEM");
  assert_not_loaded (leaf, fixture->own->tls, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_IDENTITY,
                     "kvm0.example.org is not an authority");
}

/* A host that its peers would refuse is told so by itself. */
static void
test_bad_own (Fixture *fixture, gconstpointer data)
{
  const TestCertSpec server_spec = { "s", .purpose = { GNUTLS_KP_TLS_WWW_SERVER } };
  const TestCertSpec client_spec = { "c", .purpose = { GNUTLS_KP_TLS_WWW_CLIENT } };
  const struct {
    const TestCertSpec *spec;
    Issuer by;
    const char *said;
  } bad[] = {
    { &own_spec, BY_ITSELF, "kvm0.example.org is refused" },
    { &own_spec, BY_NAMESAKE, "kvm0.example.org is refused" },
    { &server_spec, BY_US, "CN=s is refused: as a client" },
    { &client_spec, BY_US, "CN=c is refused: as a server" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (TestCert) cert = fixture_make_cert (fixture, bad[i].spec, bad[i].by);

    assert_not_loaded (fixture->root_path, cert->tls, CLOCKFERRY_ERROR,
                       CLOCKFERRY_ERROR_NOT_AUTHORIZED, bad[i].said);
  }
}

static void
test_expired_own (Fixture *fixture, gconstpointer data)
{
  const TestCertSpec spec = { "late", .from_days = -2, .until_days = -1 };
  g_autoptr (TestCert) cert = test_cert_make (&spec, fixture->root);
  g_autoptr (PeerAuthority) authority = NULL;
  g_autoptr (GError) error = NULL;

  g_test_expect_message ("clockferry-peer", G_LOG_LEVEL_WARNING, "*CN=late*expired*");
  authority = peer_authority_new (fixture->root_path, NULL, cert->tls, &error);
  g_test_assert_expected_messages ();
  g_assert_no_error (error);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define add(name, data, function)                                                                  \
  g_test_add ("/peer-authority/" name, Fixture, data, fixture_set_up, function, fixture_tear_down)
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_strconcat ("/peer-authority/peer/", cases[i].name, NULL);

    g_test_add (path, Fixture, &cases[i], fixture_set_up, test_case, fixture_tear_down);
  }
  add ("peer/one-purpose", NULL, test_one_purpose);
  add ("peer/no-certificate", NULL, test_no_certificate);
  add ("peer/unprintable-subject", NULL, test_unprintable_subject);
  add ("bad-authority", NULL, test_bad_authority);
  add ("bad-own", NULL, test_bad_own);
  add ("expired-own", NULL, test_expired_own);
#undef add
  return g_test_run ();
}
