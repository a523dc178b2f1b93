/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-tls.h"

GTlsConnection *
peer_tls_new_client (GSocketConnection *socket, GError **error)
{
  GType type = g_tls_backend_get_client_connection_type (g_tls_backend_get_default ());

  return g_initable_new (type, NULL, error, "base-io-stream", socket, "database", NULL, NULL);
}

GTlsConnection *
peer_tls_new_server (GSocketConnection *socket, GTlsCertificate *certificate, GError **error)
{
  GType type = g_tls_backend_get_server_connection_type (g_tls_backend_get_default ());

  return g_initable_new (type, NULL, error, "base-io-stream", socket, "certificate", certificate,
                         "database", NULL, NULL);
}
