/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helper-peer.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "helper-channel.h"
#include "host-time.h"
#include "temp-folder.h"

#define NS_PER_S 1000000000ull

const uint8_t helper_peer_domain[16] = { 0xb3, 0xa1, 0xc7, 0xde, 0, 1, 0x40, 2,
                                         0x80, 3,    1,    2,    3, 4, 5,    6 };

static char *directory;

void
helper_peer_start (void)
{
  directory = temp_folder_make ();
  helper_channel_open (directory, helper_peer_domain, 0);
  helper_channel_listen ();
}

void
helper_peer_stop (void)
{
  helper_channel_close ();
  g_clear_pointer (&directory, temp_folder_remove);
}

const char *
helper_peer_directory (void)
{
  return directory;
}

int
helper_peer_try_connect (void)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int connect_errno;

  g_snprintf (address.sun_path, sizeof address.sun_path, "%s/%s", directory, HELPER_SOCKET_NAME);
  g_assert_cmpint (fd, >=, 0);
  if (connect (fd, (struct sockaddr *) &address, sizeof address) == 0)
    return fd;
  connect_errno = errno;
  close (fd);
  errno = connect_errno;
  return -1;
}

int
helper_peer_connect (void)
{
  int fd = helper_peer_try_connect ();

  g_assert_cmpint (fd, >=, 0);
  return fd;
}

void
helper_peer_send (int fd, const void *message, size_t size)
{
  g_assert_cmpint (send (fd, message, size, MSG_NOSIGNAL), ==, (gssize) size);
}

void *
helper_peer_receive (int fd, gboolean *closed)
{
  g_autofree char *buffer = g_malloc (HELPER_MESSAGE_SIZE_MAX);
  ssize_t got = recv (fd, buffer, HELPER_MESSAGE_SIZE_MAX, MSG_TRUNC);

  *closed = got == 0 || (got < 0 && errno == ECONNRESET);
  if (got <= 0)
    return NULL;
  g_assert_cmpstr (helper_refusal_name (helper_message_check (
                     buffer, (size_t) got, HELPER_TO_DAEMON, helper_peer_domain, NULL)),
                   ==, "none");
  return g_steal_pointer (&buffer);
}

void *
helper_peer_expect (int fd, enum helper_message_type type)
{
  gboolean closed;
  struct helper_header *message = helper_peer_receive (fd, &closed);

  g_assert_nonnull (message);
  g_assert_cmpuint (message->type, ==, type);
  return message;
}

void
helper_peer_expect_silence (int fd)
{
  gboolean closed;

  g_assert_null (helper_peer_receive (fd, &closed));
  g_assert_false (closed);
}

void
helper_peer_announce (int fd, uint64_t deadline_monotonic_ns)
{
  struct helper_incoming incoming = { .deadline_monotonic_ns = deadline_monotonic_ns };

  helper_header_init (&incoming.header, HELPER_MESSAGE_INCOMING, sizeof incoming,
                      helper_peer_domain);
  helper_peer_send (fd, &incoming, sizeof incoming);
}

struct helper_fixup *
helper_peer_fixup (const struct clock_record *record)
{
  size_t record_size = clock_record_size (record->vcpu_count);
  size_t size = offsetof (struct helper_fixup, record) + record_size;
  struct helper_fixup *fixup = g_malloc0 (size);
  uint64_t now_ns = (uint64_t) g_get_monotonic_time () * 1000;

  helper_header_init (&fixup->header, HELPER_MESSAGE_FIXUP, (uint32_t) size, helper_peer_domain);
  fixup->theta_bound_ns = 1000000;
  fixup->real_minus_boot_ns = host_real_minus_boot_ns ();
  fixup->deadline_monotonic_ns = now_ns + 60 * NS_PER_S;
  fixup->max_advance_ns = 300 * NS_PER_S;
  memcpy (&fixup->record, record, record_size);
  return fixup;
}
