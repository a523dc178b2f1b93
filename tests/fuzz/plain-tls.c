/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plain-tls.h"

/* GIO's own backend, of which the certificates are. */
#define REAL_BACKEND "gnutls"
#define PLAIN_NAME   "plain"

static GTlsCertificate *shown;

/* connections, of either end */

#define PLAIN_TYPE_CONNECTION (plain_connection_get_type ())
G_DECLARE_FINAL_TYPE (PlainConnection, plain_connection, PLAIN, CONNECTION, GTlsConnection)

struct _PlainConnection {
  GTlsConnection parent_instance;

  GIOStream *base;
  GTlsCertificate *certificate;      /* a server's own */
  GTlsCertificate *peer_certificate; /* NULL before the handshake, and for servers */
};

static gboolean
plain_connection_initable_init (GInitable *initable, GCancellable *cancellable, GError **error)
{
  return TRUE;
}

static void
plain_connection_initable (GInitableIface *iface)
{
  iface->init = plain_connection_initable_init;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (PlainConnection, plain_connection, G_TYPE_TLS_CONNECTION,
                               G_IMPLEMENT_INTERFACE (G_TYPE_INITABLE, plain_connection_initable)
                                 G_IMPLEMENT_INTERFACE (G_TYPE_TLS_CLIENT_CONNECTION, NULL)
                                   G_IMPLEMENT_INTERFACE (G_TYPE_TLS_SERVER_CONNECTION, NULL))

/* Those of the base class and of both interfaces, which wants each of them in here. */
enum {
  PROP_0,
  PROP_BASE_IO_STREAM,
  PROP_CERTIFICATE,
  PROP_PEER_CERTIFICATE,
  PROP_PROTOCOL_VERSION,
  PROP_WITHOUT_EFFECT,
};

static const char *const without_effect[] = {
  "use-system-certdb", "require-close-notify",    "rehandshake-mode",     "database",
  "interaction",       "peer-certificate-errors", "advertised-protocols", "negotiated-protocol",
  "ciphersuite-name",  "validation-flags",        "server-identity",      "use-ssl3",
  "accepted-cas",      "authentication-mode",
};

static gboolean
plain_connection_handshake (GTlsConnection *connection, GCancellable *cancellable, GError **error)
{
  PlainConnection *self = PLAIN_CONNECTION (connection);

  if (self->certificate != NULL)
    return TRUE;
  g_set_object (&self->peer_certificate, shown);
  if (g_tls_connection_emit_accept_certificate (connection, shown, G_TLS_CERTIFICATE_UNKNOWN_CA))
    return TRUE;
  g_set_error (error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE, "unacceptable certificate");
  return FALSE;
}

static void
plain_connection_handshake_async (GTlsConnection *connection, int io_priority,
                                  GCancellable *cancellable, GAsyncReadyCallback callback,
                                  gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (connection, cancellable, callback, user_data);
  GError *error = NULL;

  if (plain_connection_handshake (connection, cancellable, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static gboolean
plain_connection_handshake_finish (GTlsConnection *connection, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static GInputStream *
plain_connection_get_input_stream (GIOStream *stream)
{
  return g_io_stream_get_input_stream (PLAIN_CONNECTION (stream)->base);
}

static GOutputStream *
plain_connection_get_output_stream (GIOStream *stream)
{
  return g_io_stream_get_output_stream (PLAIN_CONNECTION (stream)->base);
}

static gboolean
plain_connection_close (GIOStream *stream, GCancellable *cancellable, GError **error)
{
  return g_io_stream_close (PLAIN_CONNECTION (stream)->base, cancellable, error);
}

static void
plain_connection_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  PlainConnection *self = PLAIN_CONNECTION (object);

  switch (id) {
  case PROP_BASE_IO_STREAM:
    g_value_set_object (value, self->base);
    break;
  case PROP_CERTIFICATE:
    g_value_set_object (value, self->certificate);
    break;
  case PROP_PEER_CERTIFICATE:
    g_value_set_object (value, self->peer_certificate);
    break;
  case PROP_PROTOCOL_VERSION:
    g_value_set_enum (value, G_TLS_PROTOCOL_VERSION_TLS_1_3);
    break;
  default:
    g_param_value_set_default (pspec, value);
  }
}

static void
plain_connection_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  PlainConnection *self = PLAIN_CONNECTION (object);

  if (id == PROP_BASE_IO_STREAM)
    self->base = g_value_dup_object (value);
  else if (id == PROP_CERTIFICATE)
    g_set_object (&self->certificate, g_value_get_object (value));
}

static void
plain_connection_finalize (GObject *object)
{
  PlainConnection *self = PLAIN_CONNECTION (object);

  g_clear_object (&self->base);
  g_clear_object (&self->certificate);
  g_clear_object (&self->peer_certificate);
  G_OBJECT_CLASS (plain_connection_parent_class)->finalize (object);
}

static void
plain_connection_class_init (PlainConnectionClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GIOStreamClass *stream_class = G_IO_STREAM_CLASS (klass);
  GTlsConnectionClass *tls_class = G_TLS_CONNECTION_CLASS (klass);

  object_class->get_property = plain_connection_get_property;
  object_class->set_property = plain_connection_set_property;
  object_class->finalize = plain_connection_finalize;
  stream_class->get_input_stream = plain_connection_get_input_stream;
  stream_class->get_output_stream = plain_connection_get_output_stream;
  stream_class->close_fn = plain_connection_close;
  tls_class->handshake = plain_connection_handshake;
  tls_class->handshake_async = plain_connection_handshake_async;
  tls_class->handshake_finish = plain_connection_handshake_finish;

  g_object_class_override_property (object_class, PROP_BASE_IO_STREAM, "base-io-stream");
  g_object_class_override_property (object_class, PROP_CERTIFICATE, "certificate");
  g_object_class_override_property (object_class, PROP_PEER_CERTIFICATE, "peer-certificate");
  g_object_class_override_property (object_class, PROP_PROTOCOL_VERSION, "protocol-version");
  for (guint i = 0; i < G_N_ELEMENTS (without_effect); i++)
    g_object_class_override_property (object_class, PROP_WITHOUT_EFFECT + i, without_effect[i]);
}

static void
plain_connection_init (PlainConnection *self)
{
}

/* the backend */

#define PLAIN_TYPE_BACKEND (plain_backend_get_type ())
G_DECLARE_FINAL_TYPE (PlainBackend, plain_backend, PLAIN, BACKEND, GObject)

struct _PlainBackend {
  GObject parent_instance;
};

static gboolean
plain_backend_supports_tls (GTlsBackend *backend)
{
  return TRUE;
}

static GType
plain_backend_get_certificate_type (void)
{
  GIOExtensionPoint *point = g_io_extension_point_lookup (G_TLS_BACKEND_EXTENSION_POINT_NAME);
  GIOExtension *real = g_io_extension_point_get_extension_by_name (point, REAL_BACKEND);
  g_autoptr (GTlsBackend) backend = NULL;

  g_assert_nonnull (real);
  backend = g_object_new (g_io_extension_get_type (real), NULL);
  return g_tls_backend_get_certificate_type (backend);
}

static void
plain_backend_interface_init (GTlsBackendInterface *iface)
{
  iface->supports_tls = plain_backend_supports_tls;
  iface->get_certificate_type = plain_backend_get_certificate_type;
  iface->get_client_connection_type = plain_connection_get_type;
  iface->get_server_connection_type = plain_connection_get_type;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (PlainBackend, plain_backend, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_TLS_BACKEND,
                                                      plain_backend_interface_init))

static void
plain_backend_class_init (PlainBackendClass *klass)
{
}

static void
plain_backend_init (PlainBackend *self)
{
}

/* public functions */

void
plain_tls_use (void)
{
  GIOExtensionPoint *point = g_io_extension_point_register (G_TLS_BACKEND_EXTENSION_POINT_NAME);

  g_io_extension_point_set_required_type (point, G_TYPE_TLS_BACKEND);
  g_io_extension_point_implement (G_TLS_BACKEND_EXTENSION_POINT_NAME, PLAIN_TYPE_BACKEND,
                                  PLAIN_NAME, 0);
  g_assert_true (g_setenv ("GIO_USE_TLS", PLAIN_NAME, TRUE));
  g_assert_true (PLAIN_IS_BACKEND (g_tls_backend_get_default ()));
}

void
plain_tls_show (GTlsCertificate *certificate)
{
  g_set_object (&shown, certificate);
}
