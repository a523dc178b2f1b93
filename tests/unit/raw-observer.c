/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "raw-observer.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "wait-until.h"

static gboolean
is_readable (int fd)
{
  struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

  return poll (&poll_fd, 1, 0) == 1;
}

static void
send_message (int fd, const void *message, gsize size)
{
  g_assert_cmpint (send (fd, message, size, MSG_NOSIGNAL), ==, (gssize) size);
}

/* public functions */

int
raw_observer_listen (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  return fd;
}

int
raw_observer_accept (int listen_fd)
{
  int fd;

  WAIT_UNTIL (is_readable (listen_fd));
  fd = accept4 (listen_fd, NULL, NULL, SOCK_CLOEXEC);
  g_assert_cmpint (fd, >=, 0);
  return fd;
}

void
raw_observer_send_ready (int fd)
{
  struct observer_header header;

  observer_header_init (&header, OBSERVER_MESSAGE_READY, sizeof header, 0);
  send_message (fd, &header, sizeof header);
}

void
raw_observer_send_record (int fd, gint32 pid, const struct clock_record *record)
{
  gsize record_size = clock_record_size (record->vcpu_count);
  gsize size = offsetof (struct observer_record, record) + record_size;
  g_autofree struct observer_record *message = g_malloc0 (size);

  observer_header_init (&message->header, OBSERVER_MESSAGE_RECORD, size, pid);
  memcpy (&message->record, record, record_size);
  send_message (fd, message, size);
}

gint32
raw_observer_wait_for_watch (int fd)
{
  struct observer_header header;

  WAIT_UNTIL (is_readable (fd));
  g_assert_cmpint (recv (fd, &header, sizeof header, 0), ==, (gssize) sizeof header);
  g_assert_cmpint (header.type, ==, OBSERVER_MESSAGE_WATCH);
  return header.pid;
}
