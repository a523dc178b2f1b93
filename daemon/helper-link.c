/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper-link.h"

#include <errno.h>
#include <glib-unix.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "domain-uuid.h"
#include "error.h"

/*
 * A helper says a thing or two at a pause and one at a resume, and some guest may be paused and resumed
 * in a loop. Nothing ever comes near this: a message counts by its size, and one of the usual size by
 * the first of these, so it is 1024 of those at once, and 16 a second from then on.
 */
#define MESSAGE_BYTES_MIN     G_GINT64_CONSTANT (4096)
#define ALLOWANCE_BYTES       (1024 * MESSAGE_BYTES_MIN)
#define ALLOWANCE_BYTES_PER_S (16 * MESSAGE_BYTES_MIN)

struct HelperLink {
  int fd;
  guint watch_id;
  guint8 domain[DOMAIN_UUID_BYTES];
  const HelperLinkCallbacks *callbacks;
  gpointer user_data;
  gboolean *freed; /* set while callbacks run, so that the loop notices that one freed the link */
  gint64 allowed_bytes; /* that may be received now ... */
  gint64 allowed_at_us; /* ... as of then, g_get_monotonic_time() */
  gboolean has_sent_fixup;
  gboolean was_read_since; /* the first fix-up was sent */
  int queued_bytes;        /* count_unread() after what was sent last */
};

/* receiving */

static GError *
make_refusal (const char *who, guint32 refusal, guint32 detail)
{
  if (refusal == HELPER_REFUSAL_BAD_RECORD)
    return g_error_new (CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_REFUSED, "%s refused a message: %s (%s)",
                        who, helper_refusal_name (refusal), clock_record_error_name (detail));
  return g_error_new (CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_REFUSED, "%s refused a message: %s", who,
                      helper_refusal_name (refusal));
}

static GError *
read_error (gssize got)
{
  if (got == 0)
    return g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CLOSED, "the helper closed the connection");
  return g_error_new (G_IO_ERROR, g_io_error_from_errno (errno), "cannot read from the helper: %s",
                      g_strerror (errno));
}

/* A QEMU that a guest has taken over must not keep the daemon from the others. */
static gboolean
allow (HelperLink *link, gsize size, GError **error)
{
  gint64 now_us = g_get_monotonic_time ();
  /* after that all is allowed again, and the product would overflow one day */
  gint64 passed_us =
    MIN (now_us - link->allowed_at_us, ALLOWANCE_BYTES / ALLOWANCE_BYTES_PER_S * G_USEC_PER_SEC);

  link->allowed_bytes += passed_us * ALLOWANCE_BYTES_PER_S / G_USEC_PER_SEC;
  link->allowed_bytes = MIN (link->allowed_bytes, ALLOWANCE_BYTES);
  link->allowed_at_us = now_us;
  link->allowed_bytes -= MAX ((gint64) size, MESSAGE_BYTES_MIN);
  if (link->allowed_bytes >= 0)
    return TRUE;
  g_set_error_literal (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_REFUSED,
                       "the helper floods the daemon with messages");
  return FALSE;
}

static void
deliver (HelperLink *link, const void *data, gsize size, GError **error)
{
  const struct helper_header *header = data;
  guint32 detail = 0;
  enum helper_refusal refusal =
    helper_message_check (data, size, HELPER_TO_DAEMON, link->domain, &detail);

  if (refusal != HELPER_REFUSAL_NONE) {
    g_propagate_error (error, make_refusal ("the daemon", refusal, detail));
    return;
  }
  if (header->type == HELPER_MESSAGE_RECORD) {
    const struct helper_record *message = data;

    link->callbacks->record (&message->record, clock_record_size (message->record.vcpu_count),
                             link->user_data);
  } else if (header->type == HELPER_MESSAGE_REPORT) {
    link->callbacks->report (data, link->user_data);
  } else {
    const struct helper_refused *message = data;

    g_propagate_error (error, make_refusal ("the helper", message->refusal, message->detail));
  }
}

/* Read and deliver until the socket is empty. FALSE: the link is dead, or freed by a callback. */
static gboolean
read_all (HelperLink *link)
{
  /* one buffer for all links: the daemon has one thread, and a callback never reads */
  static guint64 buffer[HELPER_MESSAGE_SIZE_MAX / sizeof (guint64) + 1];
  gboolean freed = FALSE;

  link->freed = &freed;
  for (;;) {
    g_autoptr (GError) error = NULL;
    gssize got = recv (link->fd, buffer, sizeof buffer, MSG_DONTWAIT | MSG_TRUNC);

    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      break;
    if (got < 0 && errno == EINTR)
      continue;
    /* said once, when the helper ended with messages of ours unread; what it had sent comes next */
    if (got < 0 && errno == ECONNRESET)
      continue;
    if (got <= 0)
      error = read_error (got);
    else if ((gsize) got > sizeof buffer)
      error = make_refusal ("the daemon", HELPER_REFUSAL_BAD_LENGTH, 0);
    else if (allow (link, (gsize) got, &error))
      deliver (link, buffer, (gsize) got, &error);

    if (freed)
      return FALSE;
    if (error != NULL) {
      link->freed = NULL;
      g_clear_handle_id (&link->watch_id, g_source_remove);
      link->callbacks->closed (error, link->user_data);
      return FALSE;
    }
  }
  link->freed = NULL;
  return TRUE;
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer user_data)
{
  HelperLink *link = user_data;

  /* on failure the source was removed by whoever ended the link */
  return read_all (link) ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* connecting */

static int
connect_socket (const char *path, GError **error)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd;

  if (strlen (path) >= sizeof address.sun_path) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG,
                 "cannot connect to %s: the path is too long for a socket", path);
    return -1;
  }
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || connect (fd, (struct sockaddr *) &address, sizeof address) < 0) {
    int saved_errno = errno;

    /* the helper binds its socket when it is loaded, and listens when it sees QEMU make its VM */
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved_errno), "cannot connect to %s: %s",
                 path,
                 saved_errno == ECONNREFUSED
                   ? "the helper is loaded and idle, as its QEMU made no VM by libc's ioctl(), or "
                     "has ended"
                   : g_strerror (saved_errno));
    if (fd >= 0)
      close (fd);
    return -1;
  }
  return fd;
}

/* All QEMUs share a uid, so the uid proves nothing: the pid must be the one libvirt started. */
static gboolean
check_peer (int fd, const QemuFolders *folders, const char *name, GError **error)
{
  pid_t expected = qemu_process_read_pid (folders, name, error);
  struct ucred peer = { 0 };
  socklen_t length = sizeof peer;

  if (expected < 0)
    return FALSE;
  if (getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) {
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno),
                 "cannot tell who listens: SO_PEERCRED: %s", g_strerror (errno));
    return FALSE;
  }
  if (peer.pid != expected) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_IMPOSTOR,
                 "process %d listens in place of QEMU, which is process %d by libvirt's pid file",
                 (int) peer.pid, (int) expected);
    return FALSE;
  }
  return TRUE;
}

/* sending */

/* Bytes of the send buffer that hold what the helper has not read; -1 with errno. */
static int
count_unread (HelperLink *link)
{
  int queued = 0;

  return ioctl (link->fd, SIOCOUTQ, &queued) < 0 ? -1 : queued;
}

/* Whoever reads, reads what was sent first, and then the buffer holds less than it did. */
static void
note_reading (HelperLink *link)
{
  if (link->has_sent_fixup && count_unread (link) < link->queued_bytes)
    link->was_read_since = TRUE;
}

static gboolean
send_message (HelperLink *link, const void *data, gsize size, GError **error)
{
  gssize sent;

  note_reading (link);
  do {
    sent = send (link->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);

  if (sent < 0) {
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "cannot write to the helper: %s",
                 g_strerror (errno));
    return FALSE;
  }
  /* read while it was being sent: less than it by itself makes out */
  if (count_unread (link) < link->queued_bytes + (int) size)
    link->was_read_since = TRUE;
  link->queued_bytes = count_unread (link);
  return TRUE;
}

/*
 * The helper reads when QEMU touches the clock, and not before. Half of the buffer is kept free of
 * fix-ups, which may be long, so that there always is room for the last word.
 */
static gboolean
has_room (HelperLink *link, GError **error)
{
  int queued = count_unread (link);
  int size = 0;
  socklen_t length = sizeof size;

  if (queued < 0 || getsockopt (link->fd, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0) {
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno),
                 "cannot tell how much the helper has not read yet: %s", g_strerror (errno));
    return FALSE;
  }
  if (queued <= size / 2)
    return TRUE;
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK,
                       "the helper has not read yet what it was told before");
  return FALSE;
}

/* public functions */

HelperLink *
helper_link_new (const QemuFolders *folders, const char *name, int id, const char *uuid,
                 const HelperLinkCallbacks *callbacks, gpointer user_data, GError **error)
{
  g_autofree char *path = qemu_process_find_socket (folders, name, id, error);
  HelperLink *link;
  int fd;

  if (path == NULL)
    return NULL;
  fd = connect_socket (path, error);
  if (fd < 0)
    return NULL;
  if (!check_peer (fd, folders, name, error)) {
    close (fd);
    return NULL;
  }

  link = g_new0 (HelperLink, 1);
  link->fd = fd;
  link->allowed_bytes = ALLOWANCE_BYTES;
  link->allowed_at_us = g_get_monotonic_time ();
  link->callbacks = callbacks;
  link->user_data = user_data;
  domain_uuid_parse (uuid, link->domain);
  link->watch_id = g_unix_fd_add (fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, link);
  return link;
}

void
helper_link_free (HelperLink *link)
{
  if (link->freed != NULL)
    *link->freed = TRUE;
  g_clear_handle_id (&link->watch_id, g_source_remove);
  close (link->fd);
  g_free (link);
}

gboolean
helper_link_send_incoming (HelperLink *link, guint64 deadline_monotonic_ns, GError **error)
{
  struct helper_incoming message = { .deadline_monotonic_ns = deadline_monotonic_ns };

  helper_header_init (&message.header, HELPER_MESSAGE_INCOMING, sizeof message, link->domain);
  return send_message (link, &message, sizeof message, error);
}

gboolean
helper_link_send_withdraw (HelperLink *link, GError **error)
{
  struct helper_header message = { 0 };

  helper_header_init (&message, HELPER_MESSAGE_WITHDRAW, sizeof message, link->domain);
  return send_message (link, &message, sizeof message, error);
}

gboolean
helper_link_send_fixup (HelperLink *link, const struct helper_fixup *fixup,
                        const struct clock_record *record, GError **error)
{
  gsize head_size = offsetof (struct helper_fixup, record);
  gsize record_size = clock_record_size (record->vcpu_count);
  gsize size = head_size + record_size;
  g_autofree guint8 *data = g_malloc (size);

  memcpy (data, fixup, head_size);
  memcpy (data + head_size, record, record_size);
  helper_header_init ((struct helper_header *) data, HELPER_MESSAGE_FIXUP, (guint32) size,
                      link->domain);
  if (!has_room (link, error))
    return FALSE;
  if (!link->has_sent_fixup) {
    link->queued_bytes = count_unread (link);
    link->was_read_since = FALSE;
    link->has_sent_fixup = TRUE;
  }
  return send_message (link, data, size, error);
}

void
helper_link_drain (HelperLink *link)
{
  read_all (link);
}

gboolean
helper_link_has_unread_fixup (HelperLink *link)
{
  note_reading (link);
  return link->has_sent_fixup && !link->was_read_since;
}
