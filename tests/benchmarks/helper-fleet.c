/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper-fleet.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "domain-uuid.h"
#include "host-clock.h"

#define RECORD_VCPUS 4
#define EVENTS_MAX   64

/* Of epoll's user data: the member's index, and which of its fds. */
#define TAG_STOP      G_MAXUINT64
#define TAG_LISTENING (G_GUINT64_CONSTANT (1) << 32)

typedef struct {
  guint8 domain[DOMAIN_UUID_BYTES];
  int listen_fd; /* -1 before the start */
  int fd;        /* -1 without a daemon; atomic */

  /* under the fleet's lock */
  guint64 awaited_ns; /* guest_src_ns of the record that is under way, 0 for none */
  gint64 sent_ns;     /* CLOCK_MONOTONIC */
  gint64 received_ns;
} Member;

struct HelperFleet {
  GMutex lock;
  GThread *thread;
  int epoll_fd;
  int stop_fd;
  guint count;
  int connected; /* atomic */
  int delivered; /* atomic */
  Member *members;
};

/* the fleet's thread */

static void
watch (HelperFleet *fleet, int fd, guint64 tag)
{
  struct epoll_event event = { .events = EPOLLIN, .data.u64 = tag };

  g_assert_no_errno (epoll_ctl (fleet->epoll_fd, EPOLL_CTL_ADD, fd, &event));
}

static void
hang_up (HelperFleet *fleet, Member *member)
{
  int fd = g_atomic_int_exchange (&member->fd, -1);

  if (fd < 0)
    return;
  g_atomic_int_add (&fleet->connected, -1);
  close (fd);
}

/* As the helper does: the newest daemon is the one that counts. */
static void
accept_daemon (HelperFleet *fleet, guint index)
{
  Member *member = &fleet->members[index];
  int fd = accept4 (member->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  g_assert_no_errno (fd);
  hang_up (fleet, member);
  watch (fleet, fd, index);
  g_atomic_int_set (&member->fd, fd);
  g_atomic_int_inc (&fleet->connected);
}

static void
take_fixup (HelperFleet *fleet, Member *member, const struct helper_fixup *fixup, gint64 now_ns)
{
  g_mutex_lock (&fleet->lock);
  if (member->awaited_ns != 0 && fixup->record.guest_src_ns == member->awaited_ns) {
    member->awaited_ns = 0;
    member->received_ns = now_ns;
    g_atomic_int_inc (&fleet->delivered);
  }
  g_mutex_unlock (&fleet->lock);
}

static void
read_message (HelperFleet *fleet, Member *member)
{
  static guint64 buffer[HELPER_MESSAGE_SIZE_MAX / sizeof (guint64) + 1];
  const struct helper_header *header = (const struct helper_header *) buffer;
  gssize got = recv (g_atomic_int_get (&member->fd), buffer, sizeof buffer, MSG_DONTWAIT);
  gint64 now_ns = host_clock_monotonic_ns ();

  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (got <= 0) {
    hang_up (fleet, member);
    return;
  }
  if (helper_message_check (buffer, (gsize) got, HELPER_TO_HELPER, member->domain, NULL) !=
      HELPER_REFUSAL_NONE)
    g_error ("the daemon sent a message that the helper would refuse");
  if (header->type == HELPER_MESSAGE_FIXUP)
    take_fixup (fleet, member, (const struct helper_fixup *) buffer, now_ns);
}

static gpointer
serve (gpointer user_data)
{
  HelperFleet *fleet = user_data;

  for (;;) {
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait (fleet->epoll_fd, events, EVENTS_MAX, -1);

    for (int i = 0; i < count; i++) {
      guint64 tag = events[i].data.u64;

      if (tag == TAG_STOP)
        return NULL;
      if ((tag & TAG_LISTENING) != 0)
        accept_daemon (fleet, (guint) tag);
      else
        read_message (fleet, &fleet->members[tag]);
    }
  }
}

/* starting */

static int
listen_at (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  g_assert_no_errno (fd);
  g_assert_cmpuint (strlen (path), <, sizeof address.sun_path);
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_no_errno (bind (fd, (struct sockaddr *) &address, sizeof address));
  g_assert_no_errno (listen (fd, 4));
  return fd;
}

static void
fill_record (struct clock_record *record, guint64 guest_src_ns)
{
  record->guest_src_ns = guest_src_ns;
  record->host_src_ns = (guint64) g_get_real_time () * 1000;
  record->boot_src_ns = (guint64) host_clock_boottime_ns ();
  record->tsc_src_ticks = 5 * guest_src_ns / 2;
  record->freq_khz = 2500000;
  record->flags = CLOCK_RECORD_MASTER_CLOCK;
  record->vcpu_count = RECORD_VCPUS;
  for (guint32 i = 0; i < RECORD_VCPUS; i++)
    record->vcpus[i] = (struct clock_record_vcpu){ .id = i, .ofs_ticks = 12345 };
}

/* public functions */

HelperFleet *
helper_fleet_new (guint count)
{
  HelperFleet *fleet = g_new0 (HelperFleet, 1);

  g_mutex_init (&fleet->lock);
  fleet->count = count;
  fleet->members = g_new0 (Member, count);
  for (guint i = 0; i < count; i++)
    fleet->members[i].listen_fd = fleet->members[i].fd = -1;
  fleet->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  fleet->stop_fd = eventfd (0, EFD_CLOEXEC);
  g_assert_no_errno (fleet->epoll_fd);
  g_assert_no_errno (fleet->stop_fd);
  watch (fleet, fleet->stop_fd, TAG_STOP);
  fleet->thread = g_thread_new ("helper-fleet", serve, fleet);
  return fleet;
}

void
helper_fleet_free (HelperFleet *fleet)
{
  g_assert_no_errno (eventfd_write (fleet->stop_fd, 1));
  g_thread_join (fleet->thread);
  for (guint i = 0; i < fleet->count; i++) {
    hang_up (fleet, &fleet->members[i]);
    if (fleet->members[i].listen_fd >= 0)
      close (fleet->members[i].listen_fd);
  }
  close (fleet->epoll_fd);
  close (fleet->stop_fd);
  g_mutex_clear (&fleet->lock);
  g_free (fleet->members);
  g_free (fleet);
}

void
helper_fleet_start (HelperFleet *fleet, guint index, const char *run_dir, const char *state_dir,
                    const char *name, int id, const char *uuid)
{
  Member *member = &fleet->members[index];
  g_autofree char *pid_path = g_strdup_printf ("%s/%s.pid", run_dir, name);
  g_autofree char *vm_dir = g_strdup_printf ("%s/domain-%d-%s", state_dir, id, name);
  g_autofree char *socket_path = g_build_filename (vm_dir, HELPER_SOCKET_NAME, NULL);
  g_autofree char *pid = g_strdup_printf ("%d", (int) getpid ());

  g_assert_true (g_file_set_contents (pid_path, pid, -1, NULL));
  g_assert_no_errno (g_mkdir (vm_dir, 0755));
  domain_uuid_parse (uuid, member->domain);
  member->listen_fd = listen_at (socket_path);
  watch (fleet, member->listen_fd, TAG_LISTENING | index);
}

guint
helper_fleet_count_connected (HelperFleet *fleet)
{
  return (guint) g_atomic_int_get (&fleet->connected);
}

void
helper_fleet_send_record (HelperFleet *fleet, guint index, guint destination, guint64 guest_src_ns)
{
  gsize record_size = clock_record_size (RECORD_VCPUS);
  gsize size = offsetof (struct helper_record, record) + record_size;
  g_autofree struct helper_record *message = g_malloc0 (size);
  Member *awaiting = &fleet->members[destination];

  helper_header_init (&message->header, HELPER_MESSAGE_RECORD, (guint32) size,
                      fleet->members[index].domain);
  fill_record (&message->record, guest_src_ns);
  g_mutex_lock (&fleet->lock);
  awaiting->awaited_ns = guest_src_ns;
  awaiting->sent_ns = host_clock_monotonic_ns ();
  g_mutex_unlock (&fleet->lock);
  g_assert_cmpint (send (g_atomic_int_get (&fleet->members[index].fd), message, size, MSG_NOSIGNAL),
                   ==, (gssize) size);
}

guint
helper_fleet_count_delivered (HelperFleet *fleet)
{
  return (guint) g_atomic_int_get (&fleet->delivered);
}

double
helper_fleet_get_delay_ms (HelperFleet *fleet, guint destination)
{
  Member *member = &fleet->members[destination];
  gint64 delay_ns;

  g_mutex_lock (&fleet->lock);
  g_assert_cmpuint (member->awaited_ns, ==, 0);
  delay_ns = member->received_ns - member->sent_ns;
  g_mutex_unlock (&fleet->lock);
  return (double) delay_ns / 1e6;
}
