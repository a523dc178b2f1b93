/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "error.h"
#include "identity.h"
#include "names.h"
#include "peer-listener.h"
#include "peer-session.h"
#include "temp-folder.h"
#include "test-pki.h"
#include "wait-until.h"

#include <gnutls/x509.h>
#include <string.h>

/*
 * Both ends of the peer channel with CertificateAuthority= and AllowedPeers=, over real TLS. Where an
 * end must show what a daemon of ours would refuse to start with, it is one without an authority, or
 * plain GIO.
 */

#define DOMAIN    "6c2c1d3e-7f5a-4b7e-9d0c-0123456789ab"
#define TICKET    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define MIGRATION "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39"

typedef struct {
  char *folder;
  char *root_path;
  TestCert *root;
  GTlsCertificate *source;
  GTlsCertificate *dest;

  PeerListener *listener;
  guint claims;
  GPtrArray *refusals; /* of GError */

  gboolean is_opened;
  GError *open_error;
} Fixture;

static GTlsCertificate *
make_cert (const TestCertSpec *spec, const TestCert *issuer)
{
  g_autoptr (TestCert) cert = test_cert_make (spec, issuer);

  return g_object_ref (cert->tls);
}

static void
fixture_set_up (Fixture *fixture, gconstpointer data)
{
  const TestCertSpec root_spec = { "our root", .is_authority = TRUE };
  const TestCertSpec source_spec = { "kvm1", .dns = { "kvm1.a.org" } };
  const TestCertSpec dest_spec = { "kvm2", .dns = { "kvm2.a.org" } };

  fixture->folder = temp_folder_make ();
  fixture->root = test_cert_make (&root_spec, NULL);
  fixture->root_path = temp_folder_write (fixture->folder, "root.pem", fixture->root->cert_pem);
  fixture->source = make_cert (&source_spec, fixture->root);
  fixture->dest = make_cert (&dest_spec, fixture->root);
  fixture->refusals = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
}

static void
fixture_tear_down (Fixture *fixture, gconstpointer data)
{
  peer_listener_stop (fixture->listener);
  g_object_unref (fixture->listener);
  g_ptr_array_unref (fixture->refusals);
  g_clear_error (&fixture->open_error);
  g_object_unref (fixture->source);
  g_object_unref (fixture->dest);
  test_cert_free (fixture->root);
  temp_folder_remove (fixture->folder);
  g_free (fixture->root_path);
}

/* An authority that lets in @allowed, or everybody for NULL. */
static PeerAuthority *
fixture_trust (Fixture *fixture, GTlsCertificate *own, const char *allowed)
{
  const char *const patterns[] = { allowed, NULL };
  g_autoptr (GError) error = NULL;
  PeerAuthority *authority =
    peer_authority_new (fixture->root_path, allowed != NULL ? patterns : NULL, own, &error);

  g_assert_no_error (error);
  return authority;
}

/* the source */

static const char *
look_up_ticket (const char *domain, bool *is_early, gpointer user_data)
{
  return TICKET;
}

static void
on_claimed (PeerListener *listener, const char *domain, const char *migration, const char *address,
            gpointer user_data)
{
  ((Fixture *) user_data)->claims++;
}

static void
on_refused (PeerListener *listener, const GError *error, gpointer user_data)
{
  g_test_message ("source: %s", error->message);
  g_ptr_array_add (((Fixture *) user_data)->refusals, g_error_copy (error));
}

static void
fixture_listen (Fixture *fixture, GTlsCertificate *certificate, PeerAuthority *authority)
{
  g_autoptr (GError) error = NULL;

  fixture->listener = peer_listener_new (certificate, authority, look_up_ticket, NULL);
  g_signal_connect (fixture->listener, "claimed", G_CALLBACK (on_claimed), fixture);
  g_signal_connect (fixture->listener, "refused", G_CALLBACK (on_refused), fixture);
  g_assert_true (peer_listener_start (fixture->listener, "127.0.0.1", 0, &error));
}

static void
fixture_assert_refused (Fixture *fixture, const char *said)
{
  const GError *refusal;

  WAIT_UNTIL (fixture->refusals->len > 0);
  refusal = fixture->refusals->pdata[0];
  g_assert_nonnull (strstr (refusal->message, "127.0.0.1"));
  g_assert_nonnull (strstr (refusal->message, said));
  g_assert_cmpuint (fixture->claims, ==, 0);
}

/* the destination */

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->is_opened =
    peer_session_open_finish (PEER_SESSION (source), result, &fixture->open_error);
  if (!fixture->is_opened)
    g_test_message ("destination: %s", fixture->open_error->message);
}

/* Claim from a source whose announced pin is that of @pinned. */
static void
fixture_claim (Fixture *fixture, GTlsCertificate *pinned, PeerAuthority *authority)
{
  g_autofree char *pin = identity_pin (pinned, NULL);
  const PeerAnnouncement announcement = {
    .address = "127.0.0.1",
    .port = peer_listener_get_port (fixture->listener),
    .pin = pin,
    .domain = DOMAIN,
    .ticket = TICKET,
    .migration = MIGRATION,
  };
  g_autoptr (PeerSession) session = peer_session_new (&announcement, authority);

  fixture->is_opened = FALSE;
  peer_session_open_async (session, NULL, on_opened, fixture);
  WAIT_UNTIL (fixture->is_opened || fixture->open_error != NULL);
  peer_session_close (session);
}

static void
fixture_assert_not_sent (Fixture *fixture, int code, const char *said)
{
  g_assert_error (fixture->open_error, CLOCKFERRY_ERROR, code);
  /* not "cannot claim": it did not come that far */
  g_assert_nonnull (strstr (fixture->open_error->message, "cannot verify 127.0.0.1"));
  g_assert_nonnull (strstr (fixture->open_error->message, said));
  g_assert_cmpuint (fixture->claims, ==, 0);
}

/* tests of both ends */

static void
test_same_authority (Fixture *fixture, gconstpointer data)
{
  g_autoptr (PeerAuthority) source = fixture_trust (fixture, fixture->source, "kvm2.a.org");
  g_autoptr (PeerAuthority) dest = fixture_trust (fixture, fixture->dest, "kvm*.a.org");

  fixture_listen (fixture, fixture->source, source);
  /* twice, as GIO could resume the TLS session the second time */
  for (guint i = 1; i <= 2; i++) {
    fixture_claim (fixture, fixture->source, dest);
    g_assert_no_error (fixture->open_error);
    WAIT_UNTIL (fixture->claims == i);
  }
  g_assert_cmpuint (fixture->refusals->len, ==, 0);
}

static void
test_intermediate (Fixture *fixture, gconstpointer data)
{
  const TestCertSpec between_spec = { "between", .is_authority = TRUE };
  const TestCertSpec host_spec = { "kvm3" };
  g_autoptr (TestCert) between = test_cert_make (&between_spec, fixture->root);
  g_autoptr (GTlsCertificate) host = make_cert (&host_spec, between);
  g_autoptr (PeerAuthority) trust = fixture_trust (fixture, host, NULL);

  fixture_listen (fixture, host, trust);
  fixture_claim (fixture, host, trust);
  g_assert_no_error (fixture->open_error);
  g_assert_cmpuint (fixture->claims, ==, 1);
}

/* AllowedPeers= was changed: who was let in is not any more, at both ends. */
static void
test_other_peers (Fixture *fixture, gconstpointer data)
{
  const char *const others[] = { "kvm3.a.org", NULL };
  g_autoptr (PeerAuthority) source = fixture_trust (fixture, fixture->source, "KVM2.a.org");
  g_autoptr (PeerAuthority) dest = fixture_trust (fixture, fixture->dest, NULL);

  fixture_listen (fixture, fixture->source, source);
  peer_authority_set_allowed_peers (dest, others);
  fixture_claim (fixture, fixture->source, dest);
  fixture_assert_not_sent (fixture, CLOCKFERRY_ERROR_NOT_AUTHORIZED, "CN=kvm1 is refused");
  WAIT_UNTIL (fixture->refusals->len > 0);

  g_clear_error (&fixture->open_error);
  g_ptr_array_set_size (fixture->refusals, 0);
  peer_authority_set_allowed_peers (dest, NULL);
  peer_authority_set_allowed_peers (source, others);
  fixture_claim (fixture, fixture->source, dest);
  g_assert_nonnull (fixture->open_error);
  fixture_assert_refused (fixture, "CN=kvm2 is refused");
}

/* tests of the destination's judgement; the source knows of no authority */

typedef struct {
  const char *name;
  TestCertSpec spec;
  gboolean is_foreign;
  const char *allowed; /* NULL: everybody */
  const char *said;
} Stranger;

static const Stranger bad_sources[] = {
  { "foreign", { "evil" }, .is_foreign = TRUE, .said = "CN=evil is refused: as a server" },
  { "expired", { "old", .from_days = -2, .until_days = -1 }, .said = "expired" },
  { "purpose", { "c", .purpose = { GNUTLS_KP_TLS_WWW_CLIENT } }, .said = "purpose" },
  { "name", { "d", .dns = { "d.a.org" } }, .allowed = "kvm*.a.org", .said = "CN=d is refused" },
};

static GTlsCertificate *
fixture_make_stranger (Fixture *fixture, const Stranger *stranger)
{
  return make_cert (&stranger->spec, stranger->is_foreign ? NULL : fixture->root);
}

static void
test_bad_source (Fixture *fixture, gconstpointer data)
{
  const Stranger *stranger = data;
  g_autoptr (GTlsCertificate) certificate = fixture_make_stranger (fixture, stranger);
  g_autoptr (PeerAuthority) dest = fixture_trust (fixture, fixture->dest, stranger->allowed);

  fixture_listen (fixture, certificate, NULL);
  fixture_claim (fixture, certificate, dest);
  fixture_assert_not_sent (fixture, CLOCKFERRY_ERROR_NOT_AUTHORIZED, stranger->said);
}

static void
test_wrong_pin (Fixture *fixture, gconstpointer data)
{
  g_autoptr (PeerAuthority) source = fixture_trust (fixture, fixture->source, NULL);
  g_autoptr (PeerAuthority) dest = fixture_trust (fixture, fixture->dest, NULL);
  g_autofree char *pin = identity_pin (fixture->source, NULL);

  fixture_listen (fixture, fixture->source, source);
  fixture_claim (fixture, fixture->dest, dest);
  fixture_assert_not_sent (fixture, CLOCKFERRY_ERROR_WRONG_KEY, pin);
}

/* tests of the source's judgement */

static void
test_no_certificate (Fixture *fixture, gconstpointer data)
{
  g_autoptr (PeerAuthority) source = fixture_trust (fixture, fixture->source, NULL);

  fixture_listen (fixture, fixture->source, source);
  fixture_claim (fixture, fixture->source, NULL);
  g_assert_nonnull (fixture->open_error);
  fixture_assert_refused (fixture, "certificate");
  g_assert_error ((GError *) fixture->refusals->pdata[0], G_TLS_ERROR,
                  G_TLS_ERROR_CERTIFICATE_REQUIRED);
}

static const Stranger bad_clients[] = {
  { "foreign", { "evil" }, .is_foreign = TRUE, .said = "CN=evil is refused: as a client" },
  { "expired", { "old", .from_days = -2, .until_days = -1 }, .said = "expired" },
  { "purpose", { "s", .purpose = { GNUTLS_KP_TLS_WWW_SERVER } }, .said = "purpose" },
  { "name", { "d", .dns = { "d.a.org" } }, .allowed = "kvm*.a.org", .said = "CN=d is refused" },
};

static gboolean
accept_anything (GTlsConnection *tls, GTlsCertificate *certificate, GTlsCertificateFlags errors,
                 gpointer user_data)
{
  return TRUE;
}

static void
on_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

/* Connect as the one who has @certificate, up to what TLS 1.3 takes for the end of the handshake. */
static GIOStream *
fixture_connect_stranger (Fixture *fixture, GTlsCertificate *certificate)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  GIOStream *tls;

  g_socket_client_set_enable_proxy (client, FALSE);
  connection = g_socket_client_connect_to_host (
    client, "127.0.0.1", peer_listener_get_port (fixture->listener), NULL, NULL);
  g_assert_nonnull (connection);
  tls = g_tls_client_connection_new (G_IO_STREAM (connection), NULL, NULL);
  g_assert_nonnull (tls);
  g_tls_connection_set_certificate (G_TLS_CONNECTION (tls), certificate);
  g_signal_connect (tls, "accept-certificate", G_CALLBACK (accept_anything), NULL);
  g_tls_connection_handshake_async (G_TLS_CONNECTION (tls), G_PRIORITY_DEFAULT, NULL, on_result,
                                    &result);
  WAIT_UNTIL (result != NULL);
  (void) g_tls_connection_handshake_finish (G_TLS_CONNECTION (tls), result, NULL);
  return tls;
}

/* Claim the domain with the right ticket. Returns: whether that was answered */
static gboolean
stranger_claim (GIOStream *stream)
{
  g_autoptr (GDBusConnection)
    bus = g_dbus_connection_new_sync (stream, NULL, G_DBUS_CONNECTION_FLAGS_NONE, NULL, NULL, NULL);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GVariant) reply = NULL;

  g_assert_nonnull (bus);
  g_dbus_connection_call (bus, NULL, CLOCKFERRY_PEER_PATH, "org.clockferry1.Peer", "Claim",
                          g_variant_new ("(sss)", DOMAIN, TICKET, MIGRATION), NULL,
                          G_DBUS_CALL_FLAGS_NONE, -1, NULL, on_result, &result);
  WAIT_UNTIL (result != NULL);
  reply = g_dbus_connection_call_finish (bus, result, NULL);
  return reply != NULL;
}

static void
test_bad_client (Fixture *fixture, gconstpointer data)
{
  const Stranger *stranger = data;
  g_autoptr (GTlsCertificate) certificate = fixture_make_stranger (fixture, stranger);
  g_autoptr (PeerAuthority) source = fixture_trust (fixture, fixture->source, stranger->allowed);
  g_autoptr (GIOStream) stream = NULL;

  fixture_listen (fixture, fixture->source, source);
  stream = fixture_connect_stranger (fixture, certificate);
  g_assert_false (stranger_claim (stream));
  fixture_assert_refused (fixture, stranger->said);
}

/* The control of the tests above: that stranger does get an answer with a good certificate. */
static void
test_good_stranger (Fixture *fixture, gconstpointer data)
{
  g_autoptr (PeerAuthority) source = fixture_trust (fixture, fixture->source, "kvm2.a.org");
  g_autoptr (GIOStream) stream = NULL;

  fixture_listen (fixture, fixture->source, source);
  stream = fixture_connect_stranger (fixture, fixture->dest);
  g_assert_true (stranger_claim (stream));
  g_assert_cmpuint (fixture->claims, ==, 1);
}

static void
add_strangers (const char *folder, const Stranger *strangers, gsize count,
               void (*test) (Fixture *, gconstpointer))
{
  for (gsize i = 0; i < count; i++) {
    g_autofree char *path = g_strdup_printf ("/peer-trust/%s/%s", folder, strangers[i].name);

    g_test_add (path, Fixture, &strangers[i], fixture_set_up, test, fixture_tear_down);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define add(name, function)                                                                        \
  g_test_add ("/peer-trust/" name, Fixture, NULL, fixture_set_up, function, fixture_tear_down)
  add ("same-authority", test_same_authority);
  add ("intermediate", test_intermediate);
  add ("other-peers", test_other_peers);
  add ("wrong-pin", test_wrong_pin);
  add_strangers ("bad-source", bad_sources, G_N_ELEMENTS (bad_sources), test_bad_source);
  add ("no-certificate", test_no_certificate);
  add_strangers ("bad-client", bad_clients, G_N_ELEMENTS (bad_clients), test_bad_client);
  add ("good-stranger", test_good_stranger);
#undef add
  return g_test_run ();
}
