/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helper-channel.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host-calls.h"

#define SOCKET_MODE 0660
/*
 * One daemon connects, but nobody accepts while QEMU leaves the clock alone: each restart of the
 * daemon in that time waits here, the live one last. Whoever floods us is served so much an event.
 */
#define ACCEPTS_PER_SERVICE 64
/*
 * QEMU leaves the clock alone while it receives a guest, for minutes maybe, and all that the daemon
 * says meanwhile waits here: the last word counts, and it may be WITHDRAW. A message costs the kernel
 * 768 bytes and more of the daemon's send buffer, 212992 by default, so that many can not be there.
 */
#define MESSAGES_PER_SERVICE 512

/*
 * A daemon rarely has more to say than this. For what comes beyond there is a limit in time, this
 * thread's own: `cont` must not be held up, whoever talks to us.
 */
#define MESSAGES_UNTIMED 32
#define SERVICE_MAX_MS   3

#define NS_PER_MS 1000000ull

/* Buffers of the longest message of each kind: static, as nothing is allocated inside QEMU. */
union message_buffer {
  struct helper_header header;
  struct helper_incoming incoming;
  struct helper_fixup fixup;
  struct helper_record record;
  struct helper_report report;
  uint8_t bytes[HELPER_MESSAGE_SIZE_MAX];
};

static struct {
  int bound_fd;  /* -1 without */
  int listen_fd; /* the same once it listens, -1 before */
  int fd;        /* the connection, -1 without */
  struct sockaddr_un address;
  uint32_t refused_uid;
  uint8_t domain[16];

  bool is_incoming;
  uint64_t incoming_deadline_ns; /* CLOCK_MONOTONIC */
  bool has_fixup;
  bool has_record;
  bool record_unsent;
  uint64_t waited_ns; /* in all, so far */

  union message_buffer received;
  union message_buffer fixup;
  union message_buffer record;
  union message_buffer report;
} channel = { .bound_fd = -1, .listen_fd = -1, .fd = -1 };

/* What one look at the socket has done so far. */
struct service {
  unsigned int messages;
  uint64_t end_ns; /* CLOCK_THREAD_CPUTIME_ID; 0 for as long as they are few */
};

/* Every system call here may fail, and none of them may show in QEMU's errno. */
static void
connection_close (void)
{
  if (channel.fd >= 0)
    close (channel.fd);
  channel.fd = -1;
}

/* False if the daemon does not read at the moment; other errors end the connection. */
static bool
message_send (const void *message, size_t size)
{
  ssize_t sent;

  if (channel.fd < 0)
    return false;
  do
    sent = send (channel.fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0)
    return true;
  if (errno != EAGAIN && errno != ENOBUFS)
    connection_close ();
  return false;
}

static void
record_send (void)
{
  const struct helper_record *message = &channel.record.record;

  if (channel.has_record && channel.record_unsent && message_send (message, message->header.length))
    channel.record_unsent = false;
}

static void
connection_refuse (enum helper_refusal refusal, uint32_t detail)
{
  struct helper_refused refused = { .refusal = refusal, .detail = detail };

  helper_header_init (&refused.header, HELPER_MESSAGE_REFUSED, sizeof refused, channel.domain);
  message_send (&refused, sizeof refused);
  connection_close ();
}

/* A checked message. */
static void
message_take (const union message_buffer *message)
{
  switch ((enum helper_message_type) message->header.type) {
  case HELPER_MESSAGE_INCOMING:
    channel.is_incoming = true;
    channel.incoming_deadline_ns = message->incoming.deadline_monotonic_ns;
    break;
  case HELPER_MESSAGE_FIXUP:
    memcpy (&channel.fixup, message, message->header.length);
    channel.has_fixup = true;
    break;
  case HELPER_MESSAGE_WITHDRAW:
    helper_channel_settle ();
    break;
  case HELPER_MESSAGE_RECORD:
  case HELPER_MESSAGE_REPORT:
  case HELPER_MESSAGE_REFUSED:
  default:
    break;
  }
}

static bool
service_is_over (struct service *service)
{
  uint64_t now_ns;

  if (service->messages < MESSAGES_UNTIMED)
    return false;
  now_ns = host_calls.clock_ns (CLOCK_THREAD_CPUTIME_ID);
  if (service->end_ns == 0)
    service->end_ns = now_ns + SERVICE_MAX_MS * NS_PER_MS;
  return service->messages >= MESSAGES_PER_SERVICE || now_ns >= service->end_ns;
}

/*
 * Somebody sends more than a daemon has to say. What is unread may be WITHDRAW, so nothing of it
 * counts.
 */
static void
connection_give_up (void)
{
  helper_channel_settle ();
  connection_close ();
}

static void
connection_read (struct service *service)
{
  while (channel.fd >= 0) {
    enum helper_refusal refusal;
    uint32_t detail = 0;
    /* MSG_TRUNC: the length of the message, even if longer than the buffer */
    ssize_t got =
      recv (channel.fd, &channel.received, sizeof channel.received, MSG_DONTWAIT | MSG_TRUNC);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (got <= 0) {
      connection_close ();
      return;
    }
    if (service_is_over (service)) {
      connection_give_up ();
      return;
    }
    service->messages++;
    if ((size_t) got > sizeof channel.received)
      refusal = HELPER_REFUSAL_BAD_LENGTH;
    else
      refusal = helper_message_check (&channel.received, (size_t) got, HELPER_TO_HELPER,
                                      channel.domain, &detail);
    if (refusal == HELPER_REFUSAL_NONE)
      message_take (&channel.received);
    else
      connection_refuse (refusal, detail);
  }
}

/*
 * Other QEMUs run as the same user as this one, and a guest that has taken over its QEMU could
 * reach our socket; the daemon never runs as that user.
 */
static bool
peer_is_welcome (int fd)
{
  struct ucred peer;
  socklen_t length = sizeof peer;

  if (getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
    return false;
  return channel.refused_uid == 0 || peer.uid != channel.refused_uid;
}

/*
 * The daemon hangs up without a word where it meets another QEMU than it looked for: a link in that
 * one's directory may have led it here. Its connection to this QEMU stays.
 */
static bool
peer_has_left (int fd)
{
  char byte;

  return recv (fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* The newest connection is the one that counts: a daemon connects again after a restart. */
static void
connection_accept (struct service *service)
{
  for (int i = 0; i < ACCEPTS_PER_SERVICE && !service_is_over (service); i++) {
    int fd = accept4 (channel.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
      return;
    if (!peer_is_welcome (fd) || peer_has_left (fd)) {
      close (fd);
      continue;
    }
    connection_close ();
    channel.fd = fd;
    channel.record_unsent = channel.has_record;
    connection_read (service);
  }
}

/* Fails where there is a file of that name. */
static void
socket_bind (void)
{
  const char *path = channel.address.sun_path;
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

  if (fd < 0)
    return;
  /*
   * bind() makes the file with the mode of the socket less the umask (unix_bind() in
   * net/unix/af_unix.c), so it is never wider open than this; chmod() then gives back to the group
   * what the umask took.
   */
  if (fchmod (fd, SOCKET_MODE) < 0 ||
      bind (fd, (const struct sockaddr *) &channel.address, sizeof channel.address) < 0 ||
      chmod (path, SOCKET_MODE) < 0) {
    close (fd);
    return;
  }
  channel.bound_fd = fd;
}

void
helper_channel_open (const char *directory, const uint8_t domain[16], uint32_t refused_uid)
{
  if (channel.bound_fd >= 0 ||
      strlen (directory) + 1 + sizeof HELPER_SOCKET_NAME > sizeof channel.address.sun_path)
    return;
  channel.address.sun_family = AF_UNIX;
  stpcpy (stpcpy (channel.address.sun_path, directory), "/" HELPER_SOCKET_NAME);
  channel.refused_uid = refused_uid;
  memcpy (channel.domain, domain, sizeof channel.domain);
  socket_bind ();
}

void
helper_channel_listen (void)
{
  if (channel.bound_fd < 0 && channel.address.sun_family == AF_UNIX) {
    unlink (channel.address.sun_path);
    socket_bind ();
  }
  /* one more than that can wait (unix_recvq_full()), and all are to be accepted at once */
  if (channel.bound_fd >= 0 && channel.listen_fd < 0 &&
      listen (channel.bound_fd, ACCEPTS_PER_SERVICE - 1) == 0)
    channel.listen_fd = channel.bound_fd;
}

void
helper_channel_close (void)
{
  connection_close ();
  if (channel.bound_fd >= 0)
    close (channel.bound_fd);
  memset (&channel, 0, sizeof channel);
  channel.bound_fd = -1;
  channel.listen_fd = -1;
  channel.fd = -1;
}

void
helper_channel_service (void)
{
  struct service service = { 0 };

  if (channel.listen_fd < 0)
    return;
  connection_read (&service);
  connection_accept (&service);
  record_send ();
}

struct clock_record *
helper_channel_record (void)
{
  return &channel.record.record.record;
}

void
helper_channel_send_record (void)
{
  struct helper_record *message = &channel.record.record;
  size_t size =
    offsetof (struct helper_record, record) + clock_record_size (message->record.vcpu_count);

  helper_header_init (&message->header, HELPER_MESSAGE_RECORD, (uint32_t) size, channel.domain);
  channel.has_record = true;
  channel.record_unsent = true;
  record_send ();
}

struct helper_report *
helper_channel_report (void)
{
  memset (&channel.report, 0, sizeof channel.report.report);
  return &channel.report.report;
}

void
helper_channel_send_report (void)
{
  struct helper_report *report = &channel.report.report;
  size_t size = helper_report_size (report->vcpu_count);

  helper_header_init (&report->header, HELPER_MESSAGE_REPORT, (uint32_t) size, channel.domain);
  message_send (report, size);
}

bool
helper_channel_is_expecting (void)
{
  return channel.is_incoming || channel.has_fixup;
}

const struct helper_fixup *
helper_channel_fixup (void)
{
  return channel.has_fixup ? &channel.fixup.fixup : NULL;
}

/* How much longer may be waited at @now_ns for a fix-up of @clock_ns? */
static uint64_t
wait_left_ns (uint64_t clock_ns, uint64_t now_ns)
{
  const struct helper_fixup *fixup = helper_channel_fixup ();
  uint64_t left_ns = HELPER_WAIT_MAX_MS * NS_PER_MS;

  if (!channel.is_incoming || now_ns >= channel.incoming_deadline_ns)
    return 0;
  if (fixup != NULL && fixup->record.guest_src_ns == clock_ns)
    return 0;
  if (channel.waited_ns >= left_ns)
    return 0;
  left_ns -= channel.waited_ns;
  if (left_ns > channel.incoming_deadline_ns - now_ns)
    left_ns = channel.incoming_deadline_ns - now_ns;
  return left_ns;
}

uint64_t
helper_channel_await_fixup (uint64_t clock_ns)
{
  uint64_t start_ns, now_ns, left_ns;
  uint64_t waited_before_ns = channel.waited_ns;

  if (channel.listen_fd < 0)
    return 0;
  start_ns = now_ns = host_calls.clock_ns (CLOCK_MONOTONIC);
  while ((left_ns = wait_left_ns (clock_ns, now_ns)) > 0) {
    struct pollfd fds[] = {
      { .fd = channel.listen_fd, .events = POLLIN },
      { .fd = channel.fd, .events = POLLIN }, /* -1 is skipped */
    };
    struct timespec timeout = { .tv_nsec = (long) left_ns };

    /* an error other than a signal would come again at once, and keep us spinning */
    if (ppoll (fds, 2, &timeout, NULL) < 0 && errno != EINTR)
      break;
    helper_channel_service ();
    now_ns = host_calls.clock_ns (CLOCK_MONOTONIC);
    channel.waited_ns = waited_before_ns + (now_ns - start_ns);
  }
  return channel.waited_ns - waited_before_ns;
}

void
helper_channel_settle (void)
{
  channel.is_incoming = false;
  channel.has_fixup = false;
}
