/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt-calls-test - in which order libvirt is asked, when there is more to ask than may be at once
 *
 * Libvirt is the other end of a socket here, which notes what it is asked and answers when it is told.
 */

#include "libvirt-calls.h"

#include "wait-until.h"

#include <sys/socket.h>

#define DRIVER "/org/libvirt/QEMU"
#define UUID   "00000000-0000-4000-8000-%012u"

typedef struct {
  GDBusConnection *daemon;
  GDBusConnection *libvirt;
  GAsyncQueue *asked; /* GDBusMessage, in order */
  guint answers;
} Fixture;

/* Runs in GDBus's worker. */
static GDBusMessage *
note_call (GDBusConnection *connection, GDBusMessage *message, gboolean incoming,
           gpointer user_data)
{
  if (!incoming)
    return message;
  g_async_queue_push (user_data, message);
  g_main_context_wakeup (NULL);
  return NULL;
}

static GDBusConnection *
connect_end (int fd)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, &error);
  g_autoptr (GSocketConnection) stream = NULL;
  GDBusConnection *connection;

  g_assert_no_error (error);
  stream = g_socket_connection_factory_create_connection (socket);
  connection = g_dbus_connection_new_sync (G_IO_STREAM (stream), NULL,
                                           G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING, NULL,
                                           NULL, &error);
  g_assert_no_error (error);
  return connection;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  int ends[2];

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  fixture->asked = g_async_queue_new_full (g_object_unref);
  fixture->daemon = connect_end (ends[0]);
  fixture->libvirt = connect_end (ends[1]);
  g_dbus_connection_add_filter (fixture->libvirt, note_call, g_async_queue_ref (fixture->asked),
                                (GDestroyNotify) g_async_queue_unref);
  g_dbus_connection_start_message_processing (fixture->daemon);
  g_dbus_connection_start_message_processing (fixture->libvirt);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_assert_true (g_dbus_connection_close_sync (fixture->daemon, NULL, NULL));
  g_object_unref (fixture->daemon);
  g_object_unref (fixture->libvirt);
  g_async_queue_unref (fixture->asked);
}

static void
on_xml (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *xml = libvirt_get_xml_finish (G_DBUS_CONNECTION (source), result, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (xml, ==, "<domain/>");
  ((Fixture *) user_data)->answers++;
}

static void
ask (Fixture *fixture, guint number, LibvirtUrgency urgency)
{
  g_autofree char *uuid = g_strdup_printf (UUID, number);

  libvirt_get_xml_async (fixture->daemon, DRIVER, uuid, urgency, NULL, on_xml, fixture);
}

/* Whom libvirt is asked about next; answered at once. */
static void
expect_asked (Fixture *fixture, guint number)
{
  g_autofree char *uuid = g_strdup_printf (UUID, number);
  g_autofree char *path = g_strdup_printf (DRIVER "/domain/_%s", g_strdelimit (uuid, "-", '_'));
  g_autoptr (GDBusMessage) call = NULL;
  g_autoptr (GDBusMessage) reply = NULL;
  g_autoptr (GError) error = NULL;

  WAIT_UNTIL (g_async_queue_length (fixture->asked) > 0);
  call = g_async_queue_pop (fixture->asked);
  g_assert_cmpstr (g_dbus_message_get_path (call), ==, path);
  reply = g_dbus_message_new_method_reply (call);
  g_dbus_message_set_body (reply, g_variant_new ("(s)", "<domain/>"));
  g_assert_true (g_dbus_connection_send_message (fixture->libvirt, reply,
                                                 G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, &error));
  g_assert_no_error (error);
}

static void
test_order (Fixture *fixture, gconstpointer data)
{
  const guint patient = LIBVIRT_CALLS_MAX + 3;
  const guint urgent[] = { 1000, 1001 };

  for (guint i = 0; i < patient; i++)
    ask (fixture, i, LIBVIRT_CALL_PATIENT);
  for (guint i = 0; i < G_N_ELEMENTS (urgent); i++)
    ask (fixture, urgent[i], LIBVIRT_CALL_URGENT);

  /* no more are asked at a time */
  WAIT_UNTIL (g_async_queue_length (fixture->asked) == LIBVIRT_CALLS_MAX);
  for (guint i = 0; i < LIBVIRT_CALLS_MAX; i++)
    expect_asked (fixture, i);
  for (guint i = 0; i < G_N_ELEMENTS (urgent); i++)
    expect_asked (fixture, urgent[i]);
  for (guint i = LIBVIRT_CALLS_MAX; i < patient; i++)
    expect_asked (fixture, i);
  WAIT_UNTIL (fixture->answers == patient + G_N_ELEMENTS (urgent));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/libvirt-calls/order", Fixture, NULL, set_up, test_order, tear_down);
  return g_test_run ();
}
