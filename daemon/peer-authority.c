/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_DOMAIN "clockferry-peer"

#include "peer-authority.h"

#include "error.h"
#include "peer-names.h"
#include "x509.h"

#include <gnutls/gnutls.h>

/* Certificates that a peer may show, its own included. */
#define CHAIN_MAX 8

struct _PeerAuthority {
  GObject parent_instance;

  gnutls_x509_trust_list_t trust;
  GStrv allowed_peers; /* NULL: all */
  GTlsCertificate *own;
};

/* A certificate and those that came with it to vouch for it, as GnuTLS wants them. */
typedef struct {
  X509Cert certs[CHAIN_MAX];
  guint count;
} Chain;

G_DEFINE_FINAL_TYPE (PeerAuthority, peer_authority, G_TYPE_OBJECT)

/* internal methods */

static void
chain_clear (Chain *chain)
{
  for (guint i = 0; i < chain->count; i++)
    gnutls_x509_crt_deinit (chain->certs[i]);
  chain->count = 0;
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Chain, chain_clear)

static bool
chain_import (Chain *chain, GTlsCertificate *certificate, GError **error)
{
  for (; certificate != NULL; certificate = g_tls_certificate_get_issuer (certificate)) {
    g_auto (X509Cert) cert = NULL;

    if (chain->count == CHAIN_MAX) {
      g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED,
                   "more than %d certificates were shown", CHAIN_MAX);
      return false;
    }
    if (!x509_import_tls (certificate, &cert, error))
      return false;
    chain->certs[chain->count++] = g_steal_pointer (&cert);
  }
  return true;
}

/* Ask GnuTLS, as GIO does not look at what a certificate is for. @flags: GNUTLS_VERIFY_... */
static bool
authority_verify (PeerAuthority *self, Chain *chain, PeerRole role, unsigned int flags,
                  GError **error)
{
  bool is_server = role == PEER_ROLE_SERVER;
  gnutls_typed_vdata_st purpose = {
    .type = GNUTLS_DT_KEY_PURPOSE_OID,
    .data = (unsigned char *) (is_server ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT),
  };
  gnutls_datum_t reasons = { 0 };
  unsigned int status = 0;

  if (!x509_check (gnutls_x509_trust_list_verify_crt2 (
                     self->trust, chain->certs, chain->count, &purpose, 1,
                     flags | GNUTLS_VERIFY_DO_NOT_ALLOW_X509_V1_CA_CRT, &status, NULL),
                   error, "cannot verify it"))
    return false;
  if (status == 0)
    return true;
  if (!x509_check (
        gnutls_certificate_verification_status_print (status, GNUTLS_CRT_X509, &reasons, 0), error,
        "cannot tell what is wrong with it"))
    return false;
  g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED, "as a %s: %s",
               is_server ? "server" : "client", g_strchomp ((char *) reasons.data));
  gnutls_free (reasons.data);
  return false;
}

static void
prefix_subject (GError **error, const char *whose, const Chain *chain)
{
  g_autofree char *subject = chain->count > 0 ? x509_cert_subject (chain->certs[0])
                                              : g_strdup ("an unnamed holder");

  g_prefix_error (error, "%s certificate of %s is refused: ", whose, subject);
}

/* A file that is not that of an authority would otherwise only show when peers are refused. */
static bool
check_authorities (const X509Cert *certs, guint count, GError **error)
{
  for (guint i = 0; i < count; i++) {
    g_autofree char *subject = NULL;

    if (gnutls_x509_crt_get_ca_status (certs[i], NULL) > 0)
      continue;
    subject = x509_cert_subject (certs[i]);
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_IDENTITY,
                 "%s is not an authority: its certificate may not vouch for others", subject);
    return false;
  }
  return true;
}

static bool
authority_load_trust (PeerAuthority *self, const char *path, GError **error)
{
  g_autofree char *pem = NULL;
  gnutls_datum_t datum;
  X509Cert *certs = NULL;
  unsigned int count = 0;
  bool done;

  if (!g_file_get_contents (path, &pem, NULL, error)) {
    g_prefix_error (error, "cannot read the certificate authority: ");
    return false;
  }
  datum = x509_datum_from_string (pem);
  if (!x509_check (gnutls_x509_crt_list_import2 (&certs, &count, &datum, GNUTLS_X509_FMT_PEM, 0),
                   error, "not certificates in PEM")) {
    g_prefix_error (error, "cannot use %s as certificate authority: ", path);
    return false;
  }
  done = check_authorities (certs, count, error) &&
         x509_check (gnutls_x509_trust_list_init (&self->trust, 0), error, "out of memory");
  if (done) {
    (void) gnutls_x509_trust_list_add_cas (self->trust, certs, count, 0); /* they are its now */
  } else {
    g_prefix_error (error, "cannot use %s as certificate authority: ", path);
    for (guint i = 0; i < count; i++)
      gnutls_x509_crt_deinit (certs[i]);
  }
  gnutls_free (certs);
  return done;
}

static bool
authority_check_own (PeerAuthority *self, GError **error)
{
  g_auto (Chain) chain = { 0 };
  g_autoptr (GError) time_error = NULL;

  if (!chain_import (&chain, self->own, error) ||
      !authority_verify (self, &chain, PEER_ROLE_SERVER, GNUTLS_VERIFY_DISABLE_TIME_CHECKS,
                         error) ||
      !authority_verify (self, &chain, PEER_ROLE_CLIENT, GNUTLS_VERIFY_DISABLE_TIME_CHECKS,
                         error)) {
    prefix_subject (error, "this host's own", &chain);
    return false;
  }
  if (!authority_verify (self, &chain, PEER_ROLE_SERVER, 0, &time_error)) {
    prefix_subject (&time_error, "this host's own", &chain);
    g_warning ("peers will not talk to this daemon: %s", time_error->message);
  }
  return true;
}

/* callbacks and signals */

static gboolean
on_accept_certificate (GTlsConnection *tls, GTlsCertificate *certificate,
                       GTlsCertificateFlags complaints, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  /* GIO has no room for a reason here; who asks after the handshake finds it once more */
  return peer_authority_check (user_data, certificate, PEER_ROLE_CLIENT, &error);
}

/* GObject */

static void
peer_authority_finalize (GObject *object)
{
  PeerAuthority *self = PEER_AUTHORITY (object);

  if (self->trust != NULL)
    gnutls_x509_trust_list_deinit (self->trust, 1);
  g_strfreev (self->allowed_peers);
  g_clear_object (&self->own);
  G_OBJECT_CLASS (peer_authority_parent_class)->finalize (object);
}

static void
peer_authority_class_init (PeerAuthorityClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = peer_authority_finalize;
}

static void
peer_authority_init (PeerAuthority *self)
{
}

/* public methods */

PeerAuthority *
peer_authority_new (const char *path, const char *const *allowed_peers, GTlsCertificate *own,
                    GError **error)
{
  g_autoptr (PeerAuthority) self = g_object_new (PEER_TYPE_AUTHORITY, NULL);

  self->own = g_object_ref (own);
  peer_authority_set_allowed_peers (self, allowed_peers);
  if (!authority_load_trust (self, path, error))
    return NULL;
  if (!authority_check_own (self, error)) {
    g_prefix_error (error, "with %s as certificate authority, ", path);
    return NULL;
  }
  return g_steal_pointer (&self);
}

void
peer_authority_set_allowed_peers (PeerAuthority *self, const char *const *allowed_peers)
{
  g_strfreev (self->allowed_peers);
  self->allowed_peers = allowed_peers != NULL ? peer_names_normalise (allowed_peers) : NULL;
}

GTlsCertificate *
peer_authority_get_own (PeerAuthority *self)
{
  return self->own;
}

void
peer_authority_demand (PeerAuthority *self, GTlsConnection *tls)
{
  /* GIO asks about every client's certificate, whatever it thinks of it */
  g_tls_connection_set_database (tls, NULL);
  g_object_set (tls, "authentication-mode", G_TLS_AUTHENTICATION_REQUIRED, NULL);
  g_signal_connect_object (tls, "accept-certificate", G_CALLBACK (on_accept_certificate), self, 0);
}

bool
peer_authority_check (PeerAuthority *self, GTlsCertificate *certificate, PeerRole role,
                      GError **error)
{
  g_auto (Chain) chain = { 0 };

  if (certificate == NULL) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED,
                 "it showed no certificate, and CertificateAuthority= demands one");
    return false;
  }
  if (chain_import (&chain, certificate, error) &&
      authority_verify (self, &chain, role, 0, error) &&
      (self->allowed_peers == NULL ||
       peer_names_check ((const char *const *) self->allowed_peers, chain.certs[0], error)))
    return true;
  prefix_subject (error, "the", &chain);
  return false;
}
