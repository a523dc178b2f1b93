/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "identity.h"
#include "names.h"
#include "peer-bus.h"

#define READ_BYTES 65536
/* Nothing that is waited for takes as long, on however busy a machine. */
#define PATIENCE_MS 20000

static gboolean
on_patience_over (gpointer user_data)
{
  g_error ("waited %d ms in vain for the end of a connection", PATIENCE_MS);
  return G_SOURCE_REMOVE;
}

/* the wire */

void
wire_begin (Wire *wire, int fd)
{
  wire->fd = fd;
  wire->received = g_byte_array_new ();
}

void
wire_end (Wire *wire, gboolean aborts)
{
  const struct linger at_once = { .l_onoff = 1 };

  if (aborts)
    (void) setsockopt (wire->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close (wire->fd);
  wire->fd = -1;
  g_clear_pointer (&wire->received, g_byte_array_unref);
}

void
wire_send_bytes (Wire *wire, const void *data, gsize size)
{
  (void) send (wire->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void
wire_send (Wire *wire, GDBusMessage *message, guint32 serial)
{
  g_autofree guint8 *blob = NULL;
  gsize size;

  g_dbus_message_set_serial (message, serial);
  blob = g_dbus_message_to_blob (message, &size, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
  g_object_unref (message);
  /* GDBus does not make what it would not read, as with a name that is none */
  if (blob != NULL)
    wire_send_bytes (wire, blob, size);
}

void
wire_shut (Wire *wire)
{
  (void) shutdown (wire->fd, SHUT_WR);
}

/* The length of the first message that came; 0 if it is not whole. */
static gsize
count_message (const Wire *wire)
{
  g_autoptr (GError) error = NULL;
  gssize needed;

  if (wire->received->len < 16)
    return 0;
  needed = g_dbus_message_bytes_needed (wire->received->data, wire->received->len, &error);
  g_assert_no_error (error);
  return (gsize) needed <= wire->received->len ? (gsize) needed : 0;
}

GDBusMessage *
wire_receive (Wire *wire, gboolean *is_over)
{
  static guint8 buffer[READ_BYTES];
  g_autoptr (GError) error = NULL;
  GDBusMessage *message;
  gssize got;
  gsize size;

  while ((got = recv (wire->fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
    g_byte_array_append (wire->received, buffer, (guint) got);
  *is_over = got == 0 || (errno != EAGAIN && errno != EINTR);
  size = count_message (wire);
  if (size == 0)
    return NULL;
  message =
    g_dbus_message_new_from_blob (wire->received->data, size, G_DBUS_CAPABILITY_FLAGS_NONE, &error);
  g_assert_no_error (error);
  g_byte_array_remove_range (wire->received, 0, (guint) size);
  return message;
}

/* messages */

static GDBusMessage *
set_body (GDBusMessage *message, GVariant *body)
{
  if (body != NULL)
    g_dbus_message_set_body (message, body);
  return message;
}

GDBusMessage *
wire_call (const char *member, GVariant *body)
{
  return set_body (g_dbus_message_new_method_call (NULL, CLOCKFERRY_PEER_PATH,
                                                   bus_peer_interface_info ()->name, member),
                   body);
}

GDBusMessage *
wire_signal (const char *member, GVariant *body)
{
  return set_body (
    g_dbus_message_new_signal (CLOCKFERRY_PEER_PATH, bus_peer_interface_info ()->name, member),
    body);
}

GDBusMessage *
wire_reply (GDBusMessage *call, GVariant *body)
{
  return set_body (g_dbus_message_new_method_reply (call), body);
}

GDBusMessage *
wire_error (GDBusMessage *call, const char *name, const char *text)
{
  return g_dbus_message_new_method_error_literal (call, name, text);
}

/* steps */

char *
wire_take_line (FuzzStep *step)
{
  const uint8_t *newline = step->size > 0 ? memchr (step->data, '\n', step->size) : NULL;
  gsize length = newline != NULL ? (gsize) (newline - step->data) : step->size;
  g_autofree char *line = g_strndup ((const char *) step->data, length);

  step->data += length + (newline != NULL);
  step->size -= length + (newline != NULL);
  return g_utf8_make_valid (line, -1);
}

GVariant *
wire_take_body (FuzzStep *step)
{
  g_autofree char *given = g_strndup ((const char *) step->data, step->size);
  g_autofree char *text = g_utf8_make_valid (given, -1);
  g_autoptr (GVariant) body = g_variant_parse (NULL, text, NULL, NULL, NULL);

  /* maybes are not of D-Bus */
  if (body == NULL || !g_variant_is_of_type (body, G_VARIANT_TYPE_TUPLE) ||
      strchr (g_variant_get_type_string (body), 'm') != NULL)
    return NULL;
  return g_steal_pointer (&body);
}

/* surroundings */

void
wire_wait_for_last_unref (gpointer object)
{
  guint patience_id = g_timeout_add (PATIENCE_MS, on_patience_over, NULL);
  gpointer weak = object;

  g_object_add_weak_pointer (object, &weak);
  g_object_unref (object);
  while (weak != NULL)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (patience_id);
}

GTlsCertificate *
wire_certificate (void)
{
  static GTlsCertificate *certificate;
  g_autoptr (GError) error = NULL;

  if (certificate == NULL)
    certificate = identity_load (fuzz_folder (), &error);
  g_assert_no_error (error);
  return certificate;
}
