/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostile-source.h"

#include "identity.h"
#include "names.h"
#include "temp-folder.h"

#define TICKET "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void
victim_free (gpointer data)
{
  HostileVictim *victim = data;

  g_clear_handle_id (&victim->flood_id, g_source_remove);
  g_signal_handlers_disconnect_by_data (victim->skeleton, victim);
  g_dbus_interface_skeleton_unexport (G_DBUS_INTERFACE_SKELETON (victim->skeleton));
  (void) g_dbus_connection_close_sync (victim->bus, NULL, NULL);
  g_object_unref (victim->skeleton);
  g_object_unref (victim->bus);
  g_free (victim->domain);
  g_free (victim);
}

static void
answer (HostileVictim *victim, GDBusMethodInvocation *invocation, HostileAnswer lie)
{
  if (lie != NULL)
    lie (victim, invocation);
  else
    g_object_unref (invocation);
}

static gboolean
handle_claim (BusPeer *skeleton, GDBusMethodInvocation *invocation, const char *domain,
              const char *ticket, const char *migration, gpointer user_data)
{
  HostileVictim *victim = user_data;

  g_assert_cmpstr (ticket, ==, TICKET);
  g_free (victim->domain);
  victim->domain = g_strdup (domain);
  victim->source->attempts++;
  answer (victim, invocation, victim->source->lie.claim);
  return TRUE;
}

static gboolean
handle_time (BusPeer *skeleton, GDBusMethodInvocation *invocation, gpointer user_data)
{
  HostileVictim *victim = user_data;

  answer (victim, invocation, victim->source->lie.time);
  return TRUE;
}

static void
on_shaken (GObject *tls, GAsyncResult *result, gpointer user_data)
{
  HostileSource *source = user_data;
  g_autoptr (GIOStream) owned = G_IO_STREAM (tls);
  g_autoptr (GError) error = NULL;
  HostileVictim *victim;

  if (!g_tls_connection_handshake_finish (G_TLS_CONNECTION (tls), result, NULL))
    return;
  victim = g_new0 (HostileVictim, 1);
  victim->source = source;
  victim->skeleton = bus_peer_skeleton_new ();
  victim->bus = g_dbus_connection_new_sync (
    owned, NULL, G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING, NULL, NULL, &error);
  g_assert_no_error (error);
  g_signal_connect (victim->skeleton, "handle-claim", G_CALLBACK (handle_claim), victim);
  g_signal_connect (victim->skeleton, "handle-time", G_CALLBACK (handle_time), victim);
  g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (victim->skeleton), victim->bus,
                                    CLOCKFERRY_PEER_PATH, &error);
  g_assert_no_error (error);
  g_dbus_connection_start_message_processing (victim->bus);
  g_ptr_array_add (source->victims, victim);
}

static gboolean
on_incoming (GSocketService *service, GSocketConnection *connection, GObject *object,
             gpointer user_data)
{
  HostileSource *source = user_data;
  GIOStream *tls;

  if (source->lie.is_mute) {
    source->attempts++;
    g_ptr_array_add (source->mutes, g_object_ref (connection));
    return TRUE;
  }
  tls = g_tls_server_connection_new (G_IO_STREAM (connection), source->certificate, NULL);
  g_assert_nonnull (tls);
  g_tls_connection_handshake_async (G_TLS_CONNECTION (tls), G_PRIORITY_DEFAULT, NULL, on_shaken,
                                    source);
  return TRUE;
}

/* public functions */

void
hostile_source_start (HostileSource *source, const HostileLie *lie, guint guests)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (GError) error = NULL;
  g_autofree char *pin = NULL;

  source->lie = *lie;
  source->guests = guests;
  source->victims = g_ptr_array_new_with_free_func (victim_free);
  source->mutes = g_ptr_array_new_with_free_func (g_object_unref);
  source->certificate = identity_load (folder, &error);
  g_assert_no_error (error);
  pin = identity_pin (source->certificate, &error);
  g_assert_no_error (error);
  source->service = g_socket_service_new ();
  source->port =
    g_socket_listener_add_any_inet_port (G_SOCKET_LISTENER (source->service), NULL, &error);
  g_assert_no_error (error);
  source->element = g_strdup_printf ("<c:source xmlns:c='" CLOCKFERRY_DOMAIN_NS
                                     "' address='127.0.0.1' port='%u' pin='%s' ticket='%s'/>",
                                     source->port, pin, TICKET);
  g_signal_connect (source->service, "incoming", G_CALLBACK (on_incoming), source);
  g_socket_service_start (source->service);
}

void
hostile_source_stop (HostileSource *source)
{
  g_signal_handlers_disconnect_by_data (source->service, source);
  g_socket_service_stop (source->service);
  g_socket_listener_close (G_SOCKET_LISTENER (source->service));
  g_clear_object (&source->service);
  g_ptr_array_unref (source->victims);
  g_ptr_array_unref (source->mutes);
  g_object_unref (source->certificate);
  g_free (source->element);
}
