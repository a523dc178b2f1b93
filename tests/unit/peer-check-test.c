/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peer-check-test - the peer channel tried from outside, against libvirt's test driver and a listener
 */

#include "peer-check.h"

#include "ctl-error.h"
#include "identity.h"
#include "names.h"
#include "peer-fixture.h"
#include "temp-folder.h"
#include "test-pki.h"

#include <string.h>

#define NOBODY "0000000000000000000000000000000000000000000000000000000000000000"

typedef struct {
  PeerFixture channel; /* the source: a listener, and what it was asked */
  char *folder;
  GString *domains; /* XML of those that run at the source */
  Settings settings;
  PeerCheckResult result;
  GError *error;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  peer_fixture_set_up (&fixture->channel, data);
  fixture->folder = temp_folder_make ();
  fixture->domains = g_string_new (NULL);
  fixture->settings.port = peer_listener_get_port (fixture->channel.listener);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_error (&fixture->error);
  peer_check_result_clear (&fixture->result);
  g_string_free (fixture->domains, TRUE);
  temp_folder_remove (fixture->folder);
  peer_fixture_tear_down (&fixture->channel, data);
}

static void
add_domain (Fixture *fixture, const char *name, const char *uuid, const char *metadata)
{
  g_string_append_printf (fixture->domains,
                          "<domain type='test'><name>%s</name><uuid>%s</uuid>"
                          "<metadata>%s</metadata>"
                          "<memory>1024</memory><os><type>hvm</type></os></domain>",
                          name, uuid, metadata);
}

/* One that its daemon has taken on. */
static void
add_source (Fixture *fixture, const char *name, const char *uuid, const char *address, guint port,
            const char *pin, const char *ticket)
{
  g_autofree char *element = g_strdup_printf ("<c:source xmlns:c='" CLOCKFERRY_DOMAIN_NS
                                              "' address='%s' port='%u' pin='%s' ticket='%s'/>",
                                              address, port, pin, ticket);

  add_domain (fixture, name, uuid, element);
}

/* The same, by the fixture's listener. */
static void
add_own (Fixture *fixture, const char *name, const char *uuid, const char *ticket)
{
  add_source (fixture, name, uuid, "127.0.0.1", fixture->settings.port, fixture->channel.pin,
              ticket);
}

static gboolean
run (Fixture *fixture)
{
  g_autofree char *xml = g_strdup_printf ("<node>%s</node>", fixture->domains->str);
  g_autofree char *path = temp_folder_write (fixture->folder, "node.xml", xml);
  g_autofree char *uri = g_strdup_printf ("test://%s", path);
  gboolean is_good = peer_check_run (uri, &fixture->settings, &fixture->result, &fixture->error);

  g_assert_true (is_good == (fixture->error == NULL));
  if (!is_good)
    g_test_message ("%s", fixture->error->message);
  return is_good;
}

/* The error names the listener and has @said. */
static void
assert_error (Fixture *fixture, const char *said)
{
  g_assert_error (fixture->error, CTL_ERROR, CTL_ERROR_FAILED);
  g_assert_nonnull (strstr (fixture->error->message, said));
  g_assert_null (strchr (fixture->error->message, '\n'));
}

static void
assert_measured (const PeerCheckResult *result)
{
  g_assert_cmpstr (result->problem, ==, NULL);
  g_assert_cmpuint (result->comparisons, >, 0);
  g_assert_cmpuint (result->round_trip_ns, >, 0);
  g_assert_cmpuint (result->theta_bound_ns, >, 0);
  /* one host: the truth is zero */
  g_assert_cmpuint (ABS (result->theta_ns), <=, result->theta_bound_ns);
  g_assert_cmpuint (result->max_error_us, >, 0);
}

/* with a running domain */

static void
test_measured (Fixture *fixture, gconstpointer data)
{
  add_own (fixture, "web", DOMAIN, TICKET);
  g_assert_true (run (fixture));
  g_assert_cmpstr (fixture->result.domain, ==, "web");
  g_assert_cmpstr (fixture->result.address, ==, "127.0.0.1");
  g_assert_cmpuint (fixture->result.port, ==, fixture->settings.port);
  g_assert_cmpstr (fixture->result.pin, ==, fixture->channel.pin);
  assert_measured (&fixture->result);

  wait_settle ();
  g_assert_cmpuint (fixture->channel.claims, ==, 0);
  g_assert_cmpuint (fixture->channel.refusals->len, ==, 0);
}

/* The daemon there has not got round to one of its domains. */
static void
test_one_of_several (Fixture *fixture, gconstpointer data)
{
  add_domain (fixture, "none", "00000000-0000-4000-8000-000000000001", "");
  add_own (fixture, "old", OTHER_DOMAIN, TICKET);
  add_own (fixture, "good", DOMAIN, TICKET);
  g_assert_true (run (fixture));
  g_assert_cmpstr (fixture->result.domain, ==, "good");
  assert_measured (&fixture->result);
}

static void
test_wrong_ticket (Fixture *fixture, gconstpointer data)
{
  add_own (fixture, "web", DOMAIN, OTHER_TICKET);
  g_assert_false (run (fixture));
  assert_error (fixture, "do not let each other in");
  assert_error (fixture, "journalctl -u clockferryd");
  g_assert_cmpstr (fixture->result.domain, ==, "web");
}

static void
test_wrong_key (Fixture *fixture, gconstpointer data)
{
  add_source (fixture, "web", DOMAIN, "127.0.0.1", fixture->settings.port, NOBODY, TICKET);
  g_assert_false (run (fixture));
  assert_error (fixture, "is not the daemon that the domain's metadata names");
  assert_error (fixture, fixture->channel.pin);
}

static void
test_nobody_listens (Fixture *fixture, gconstpointer data)
{
  add_own (fixture, "web", DOMAIN, TICKET);
  peer_listener_stop (fixture->channel.listener);
  g_assert_false (run (fixture));
  assert_error (fixture, "nothing listens at 127.0.0.1");
}

/* What libvirt said is kept beside it: the name may be wrong in both. */
static void
test_unknown_host (Fixture *fixture, gconstpointer data)
{
  const char *uri = "nonsense://nowhere.invalid/system";

  g_assert_false (peer_check_run (uri, &fixture->settings, &fixture->result, &fixture->error));
  assert_error (fixture, "this host knows no host nowhere.invalid");
  g_assert_nonnull (strstr (fixture->result.problem, uri));
}

static void
test_unknown_name (Fixture *fixture, gconstpointer data)
{
  add_source (fixture, "web", DOMAIN, "nowhere.invalid", 16520, NOBODY, TICKET);
  g_assert_false (run (fixture));
  assert_error (fixture, "calls itself nowhere.invalid");
}

/* Both ends demand a certificate by an authority. */
static void
test_authority (Fixture *fixture, gconstpointer data)
{
  const TestCertSpec root_spec = { "root", .is_authority = TRUE };
  const TestCertSpec source_spec = { "kvm1" };
  const TestCertSpec dest_spec = { "kvm2" };
  g_autoptr (TestCert) root = test_cert_make (&root_spec, NULL);
  g_autoptr (TestCert) source = test_cert_make (&source_spec, root);
  g_autoptr (TestCert) dest = test_cert_make (&dest_spec, root);
  g_autofree char *root_path = temp_folder_write (fixture->folder, "root.pem", root->cert_pem);
  g_autofree char *cert_path = temp_folder_write (fixture->folder, "kvm2.pem", dest->cert_pem);
  g_autofree char *key_path = temp_folder_write (fixture->folder, "kvm2-key.pem", dest->key_pem);
  g_autofree char *pin = identity_pin (source->tls, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (PeerAuthority) authority = peer_authority_new (root_path, NULL, source->tls, &error);
  g_autoptr (PeerListener)
    listener = peer_listener_new (source->tls, authority, peer_fixture_look_up_ticket, NULL);

  g_assert_no_error (error);
  g_assert_true (peer_listener_start (listener, "127.0.0.1", 0, &error));
  add_source (fixture, "web", DOMAIN, "127.0.0.1", peer_listener_get_port (listener), pin, TICKET);
  g_assert_false (run (fixture));
  assert_error (fixture, "CertificateAuthority=");

  g_clear_error (&fixture->error);
  peer_check_result_clear (&fixture->result);
  fixture->settings.certificate_authority = root_path;
  fixture->settings.certificate = cert_path;
  fixture->settings.private_key = key_path;
  g_assert_true (run (fixture));
  assert_measured (&fixture->result);
  peer_listener_stop (listener);
}

/* without one */

static void
test_no_domain (Fixture *fixture, gconstpointer data)
{
  add_domain (fixture, "none", DOMAIN, "");
  g_assert_true (run (fixture));
  g_assert_cmpstr (fixture->result.domain, ==, NULL);
  g_assert_cmpstr (fixture->result.address, ==, "localhost");
  g_assert_cmpuint (fixture->result.port, ==, fixture->settings.port);
  g_assert_cmpstr (fixture->result.pin, ==, fixture->channel.pin);
  g_assert_nonnull (strstr (fixture->result.problem, "no running domain at test://"));
}

static void
test_no_libvirt (Fixture *fixture, gconstpointer data)
{
  const char *uri = "test:///nonexistent/node.xml";

  g_assert_true (peer_check_run (uri, &fixture->settings, &fixture->result, &fixture->error));
  g_assert_no_error (fixture->error);
  g_assert_cmpstr (fixture->result.libvirt_uri, ==, uri);
  g_assert_cmpstr (fixture->result.pin, ==, fixture->channel.pin);
  g_assert_nonnull (strstr (fixture->result.problem, "libvirt at test:///nonexistent/node.xml"));
}

static void
test_nothing_at_all (Fixture *fixture, gconstpointer data)
{
  peer_listener_stop (fixture->channel.listener);
  add_domain (fixture, "none", DOMAIN, "");
  g_assert_false (run (fixture));
  assert_error (fixture, "nothing listens at localhost");
  g_assert_nonnull (fixture->result.problem);
}

/* A port that takes connections, and then says nothing. */
static void
test_mute (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GSocketListener) mute = g_socket_listener_new ();
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new_from_string ("127.0.0.1", 0);
  g_autoptr (GSocketAddress) given = NULL;

  g_assert_true (g_socket_listener_add_address (mute, any, G_SOCKET_TYPE_STREAM,
                                                G_SOCKET_PROTOCOL_TCP, NULL, &given, NULL));
  fixture->settings.port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (given));
  g_assert_false (run (fixture));
  assert_error (fixture, "no answer from localhost");
  g_assert_cmpstr (fixture->result.pin, ==, NULL);
}

/* what to check */

static void
test_hosts (void)
{
  const char *const bad[] = {
    "", "-oProxyCommand=x", "kvm 2", "kvm2/system", "user@kvm2", "kvm2:22"
  };
  const Settings settings = { .port = 1 };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_auto (PeerCheckResult) result = { 0 };
    g_autoptr (GError) error = NULL;

    g_assert_false (peer_check_run (bad[i], &settings, &result, &error));
    g_assert_error (error, CTL_ERROR, CTL_ERROR_INVALID);
    g_assert_nonnull (strstr (error->message, bad[i]));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function)                                                                        \
  g_test_add ("/peer-check/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("measured", test_measured);
  ADD ("one-of-several", test_one_of_several);
  ADD ("wrong-ticket", test_wrong_ticket);
  ADD ("wrong-key", test_wrong_key);
  ADD ("nobody-listens", test_nobody_listens);
  ADD ("unknown-name", test_unknown_name);
  ADD ("authority", test_authority);
  ADD ("no-domain", test_no_domain);
  ADD ("no-libvirt", test_no_libvirt);
  ADD ("nothing-at-all", test_nothing_at_all);
  ADD ("unknown-host", test_unknown_host);
  ADD ("mute", test_mute);
  g_test_add_func ("/peer-check/hosts", test_hosts);
#undef ADD
  return g_test_run ();
}
