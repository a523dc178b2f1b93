/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-tls.h"

#include "identity.h"
#include "temp-folder.h"

/* Both ends know no authority at all: not of the system either. */

typedef struct {
  char *folder;
  GTlsCertificate *certificate;
  GSocketConnection *socket;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GError) error = NULL;

  fixture->folder = temp_folder_make ();
  fixture->certificate = identity_load (fixture->folder, &error);
  g_assert_no_error (error);
  socket = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &error);
  g_assert_no_error (error);
  fixture->socket = g_socket_connection_factory_create_connection (socket);
}

static void
tear_down (Fixture *fixture, gconstpointer unused)
{
  g_object_unref (fixture->socket);
  g_object_unref (fixture->certificate);
  temp_folder_remove (fixture->folder);
}

static void
expect_no_authority (GTlsConnection *tls, const Fixture *fixture)
{
  g_autoptr (GIOStream) base = NULL;

  g_assert_null (g_tls_connection_get_database (tls));
  g_object_get (tls, "base-io-stream", &base, NULL);
  g_assert_true (base == G_IO_STREAM (fixture->socket));
}

static void
test_client (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GTlsConnection) tls = peer_tls_new_client (fixture->socket, &error);

  g_assert_no_error (error);
  g_assert_true (G_IS_TLS_CLIENT_CONNECTION (tls));
  expect_no_authority (tls, fixture);
}

static void
test_server (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GTlsConnection)
    tls = peer_tls_new_server (fixture->socket, fixture->certificate, &error);

  g_assert_no_error (error);
  g_assert_true (G_IS_TLS_SERVER_CONNECTION (tls));
  g_assert_true (g_tls_connection_get_certificate (tls) == fixture->certificate);
  expect_no_authority (tls, fixture);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/peer-tls/client", Fixture, NULL, set_up, test_client, tear_down);
  g_test_add ("/peer-tls/server", Fixture, NULL, set_up, test_server, tear_down);
  return g_test_run ();
}
