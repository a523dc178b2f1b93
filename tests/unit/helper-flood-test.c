/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-flood-test - somebody who may connect to the helper, and means harm
 *
 * QEMU's ioctl must come back with what KVM said, without having taken 50 ms for the helper's part.
 * What is measured is the thread's own time: the machine may be busy with other things.
 */

#include <errno.h>
#include <glib.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock-events.h"
#include "hand-over.h"
#include "helper-channel.h"
#include "helper-peer.h"
#include "host-calls.h"

#define HELD_UP_MAX_NS (50 * NS_PER_MS)
/* so many are over what a look takes, however fast it is */
#define CUT_OFF_MESSAGES 512
#define CONNECTIONS      200
#define MANY_BYTES       (64 * 1024 * 1024)
#define ENDLESS_PAUSES   50
#define FAR_DEADLINE_NS  (3600 * NS_PER_S)

static uint64_t longest_ns; /* of all ioctls so far */

static uint64_t
thread_ns (void)
{
  return host_calls.clock_ns (CLOCK_THREAD_CPUTIME_ID);
}

static void
check_time (uint64_t start_ns)
{
  uint64_t took_ns = thread_ns () - start_ns;

  longest_ns = MAX (longest_ns, took_ns);
  g_assert_cmpuint (took_ns, <, HELD_UP_MAX_NS);
}

/* QEMU asks for the clock. */
static void
pause_in_time (void)
{
  struct kvm_clock_data clock = { 0 };
  uint64_t start_ns = thread_ns ();

  g_assert_cmpint (clock_events_ioctl (kvm_model_vm_fd (SRC), KVM_GET_CLOCK, &clock), ==, 0);
  check_time (start_ns);
  g_assert_cmpuint (clock.clock, >, 0);
}

static void
resume_in_time (struct hand_over *fixture)
{
  uint64_t start_ns = thread_ns ();

  g_assert_cmpint (hand_over_resume (fixture), ==, 0);
  check_time (start_ns);
}

/* A daemon that comes after all that is served as ever. */
static void
expect_served (void)
{
  int daemon = helper_peer_try_connect ();
  g_autofree struct helper_record *message = NULL;

  /* a flood may leave every place taken by who is gone, until QEMU next touches the clock */
  if (daemon < 0) {
    g_assert_cmpint (errno, ==, EAGAIN);
    helper_channel_service ();
    daemon = helper_peer_connect ();
  }
  /* whoever waits before it is looked at first, and what they leave unsaid takes no time */
  for (guint i = 0; i < CONNECTIONS; i++)
    helper_channel_service ();
  pause_in_time ();
  for (;;) {
    gboolean closed;
    struct helper_record *next = helper_peer_receive (daemon, &closed);

    g_assert_false (closed);
    if (next == NULL)
      break;
    g_free (message);
    message = next;
  }
  g_assert_nonnull (message);
  g_assert_cmpuint (message->header.type, ==, HELPER_MESSAGE_RECORD);
  close (daemon);
}

/* The longest message that the helper takes. */
static struct helper_fixup *
make_longest_fixup (void)
{
  g_autofree struct clock_record *record = g_malloc0 (CLOCK_RECORD_SIZE_MAX);

  *record = (struct clock_record){
    .guest_src_ns = 1, .host_src_ns = 1, .freq_khz = 2400000, .vcpu_count = CLOCK_RECORD_VCPUS_MAX
  };
  for (uint32_t i = 0; i < record->vcpu_count; i++)
    record->vcpus[i] = (struct clock_record_vcpu){ .id = i };
  return helper_peer_fixup (record);
}

/* Send @message @count times, or until the socket takes no more. Returns how many it were. */
static guint
fill (int fd, const void *message, size_t size, guint count)
{
  guint sent = 0;

  while (sent < count && send (fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t) size)
    sent++;
  return sent;
}

/* Root can have a buffer as large as it likes. */
static void
enlarge_buffer (int fd)
{
  int size = MANY_BYTES;

  if (setsockopt (fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
    g_assert_cmpint (setsockopt (fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), ==, 0);
}

/* Cut off in the middle, and with that nothing of it counts. */
static void
test_longest_messages (struct hand_over *fixture, gconstpointer unused)
{
  g_autofree struct helper_fixup *fixup = make_longest_fixup ();
  guint sent;
  gboolean closed;

  enlarge_buffer (fixture->daemon);
  sent = fill (fixture->daemon, fixup, fixup->header.length, G_MAXUINT);
  g_test_message ("%u messages", sent);
  pause_in_time ();
  if (sent > CUT_OFF_MESSAGES) {
    g_assert_null (helper_peer_receive (fixture->daemon, &closed));
    g_assert_true (closed);
    g_assert_false (helper_channel_is_expecting ());
  }
  expect_served ();
}

/* All the places that there are, each full of messages that are right. */
static void
test_all_connections (struct hand_over *fixture, gconstpointer unused)
{
  struct helper_incoming incoming = { .deadline_monotonic_ns = G_MAXUINT64 };
  int fds[CONNECTIONS];
  guint count = 0;

  helper_header_init (&incoming.header, HELPER_MESSAGE_INCOMING, sizeof incoming,
                      helper_peer_domain);
  while (count < CONNECTIONS) {
    int fd = helper_peer_try_connect ();

    if (fd < 0)
      break;
    enlarge_buffer (fd);
    fill (fd, &incoming, sizeof incoming, 2000);
    fds[count++] = fd;
  }
  g_assert_cmpint (errno, ==, EAGAIN);
  g_test_message ("%u connections", count);
  for (guint i = 0; i < count; i++)
    pause_in_time ();
  while (count > 0)
    close (fds[--count]);
  expect_served ();
}

typedef struct {
  const void *message;
  size_t size;
  gboolean hangs_up; /* after each */
  atomic_bool is_over;
} Flood;

/* As fast as it can, and again when it is cut off. */
static gpointer
flood (gpointer data)
{
  Flood *self = data;
  int fd = -1;

  while (!atomic_load (&self->is_over)) {
    if (fd < 0)
      fd = helper_peer_try_connect ();
    if (fd < 0 || (send (fd, self->message, self->size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
                   errno == EAGAIN)) {
      g_usleep (10);
      continue;
    }
    if (self->hangs_up || errno == EPIPE) {
      close (fd);
      fd = -1;
      errno = 0;
    }
  }
  if (fd >= 0)
    close (fd);
  return NULL;
}

/* QEMU pauses and resumes while @self goes on; nobody but the flood speaks of a migration. */
static void
live_through (struct hand_over *fixture, Flood *self)
{
  GThread *thread;
  struct kvm_model_host before;

  close (fixture->daemon);
  thread = g_thread_new ("flood", flood, self);
  for (guint i = 0; i < ENDLESS_PAUSES; i++)
    pause_in_time ();
  /* what the source's clock was does not matter to whoever is there */
  fixture->record = g_malloc0 (clock_record_size (1));
  fixture->record->guest_src_ns = 86400 * NS_PER_S;
  kvm_model_move (DEST);
  before = kvm_model_hosts[DEST];
  resume_in_time (fixture);
  hand_over_expect_as_stock (fixture, &before);
  atomic_store (&self->is_over, true);
  g_thread_join (thread);
  kvm_model_move (SRC);
  expect_served ();
  fixture->daemon = helper_peer_connect ();
}

static void
test_garbage (struct hand_over *fixture, gconstpointer unused)
{
  Flood garbage = { .message = "This is not a message.", .size = 22 };

  live_through (fixture, &garbage);
}

static void
test_come_and_go (struct hand_over *fixture, gconstpointer unused)
{
  Flood garbage = { .message = "x", .size = 1, .hangs_up = TRUE };

  live_through (fixture, &garbage);
}

static void
test_announcements (struct hand_over *fixture, gconstpointer unused)
{
  struct helper_incoming incoming = { .deadline_monotonic_ns = FAR_DEADLINE_NS };
  Flood announcements = { .message = &incoming, .size = sizeof incoming };

  incoming.deadline_monotonic_ns += host_calls.clock_ns (CLOCK_MONOTONIC);
  helper_header_init (&incoming.header, HELPER_MESSAGE_INCOMING, sizeof incoming,
                      helper_peer_domain);
  live_through (fixture, &announcements);
}

/* A fix-up that never comes: the wait is bounded, and for all resumes of this QEMU together. */
static void
test_announced_in_vain (struct hand_over *fixture, gconstpointer unused)
{
  uint64_t waited_ns = 0;

  hand_over_pause (fixture);
  kvm_model_move (DEST);
  for (guint i = 0; i < 5; i++) {
    g_autofree struct helper_report *report = NULL;

    helper_peer_announce (fixture->daemon, host_calls.clock_ns (CLOCK_MONOTONIC) + FAR_DEADLINE_NS);
    resume_in_time (fixture);
    report = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
    hand_over_expect_verdict (report, HELPER_VERDICT_STOCK, HELPER_REASON_NO_RECORD);
    if (i > 0)
      g_assert_cmpuint (report->waited_ns, ==, 0);
    waited_ns += report->waited_ns;
  }
  g_assert_cmpuint (waited_ns, >=, HELPER_WAIT_MAX_MS * NS_PER_MS);
}

/* Its own report cannot be sent; what it was asked to do is done. */
static void
test_never_reads (struct hand_over *fixture, gconstpointer unused)
{
  struct kvm_model_host before;

  hand_over_blackout (fixture, NS_PER_S);
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  kvm_model_move (SRC);
  for (guint i = 0; i < 1000; i++)
    pause_in_time ();
  kvm_model_move (DEST);
  before = kvm_model_hosts[DEST];
  resume_in_time (fixture);
  g_assert_cmpuint (kvm_model_hosts[DEST].set_offset_count, >, before.set_offset_count);
  hand_over_expect_continuous (0, NS_PER_MS);
}

/* Its daemon stays connected, though somebody was led here who had nothing to say. */
static void
test_wrong_door (struct hand_over *fixture, gconstpointer unused)
{
  hand_over_pause (fixture);
  close (helper_peer_connect ());
  hand_over_pause (fixture);
}

static guint
count_fds (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint count = 0;

  while (g_dir_read_name (dir) != NULL)
    count++;
  return count;
}

/* Files are sent along with a message: QEMU must not come to hold them. */
static void
test_passed_files (struct hand_over *fixture, gconstpointer unused)
{
  struct helper_incoming incoming = { 0 };
  struct iovec content = { .iov_base = &incoming, .iov_len = sizeof incoming };
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE (10 * sizeof (int))];
  } control = { 0 };
  struct msghdr message = {
    .msg_iov = &content, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
  };
  guint before;

  helper_header_init (&incoming.header, HELPER_MESSAGE_INCOMING, sizeof incoming,
                      helper_peer_domain);
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN (10 * sizeof (int));
  hand_over_pause (fixture);
  before = count_fds ();
  for (guint i = 0; i < 20; i++)
    g_assert_cmpint (sendmsg (fixture->daemon, &message, MSG_NOSIGNAL), ==, sizeof incoming);
  hand_over_pause (fixture);
  g_assert_true (helper_channel_is_expecting ());
  g_assert_cmpuint (count_fds (), ==, before);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);

  hand_over_add ("/helper-flood/longest-messages", test_longest_messages);
  hand_over_add ("/helper-flood/all-connections", test_all_connections);
  hand_over_add ("/helper-flood/garbage", test_garbage);
  hand_over_add ("/helper-flood/come-and-go", test_come_and_go);
  hand_over_add ("/helper-flood/announcements", test_announcements);
  hand_over_add ("/helper-flood/announced-in-vain", test_announced_in_vain);
  hand_over_add ("/helper-flood/never-reads", test_never_reads);
  hand_over_add ("/helper-flood/wrong-door", test_wrong_door);
  hand_over_add ("/helper-flood/passed-files", test_passed_files);
  status = g_test_run ();
  g_print ("# QEMU was held up for %.3f ms at most\n", (double) longest_ns / 1e6);
  return status;
}
