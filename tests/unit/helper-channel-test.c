/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-channel-test - the helper's socket against daemons of every kind
 */

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper-channel.h"
#include "helper-peer.h"
#include "host-calls.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull
#define CLOCK_NS  4711000

struct fixture {
  int daemon;
  struct helper_fixup *fixup;
};

static struct helper_fixup *
fixup_new (uint64_t guest_src_ns)
{
  g_autofree struct clock_record *record = g_malloc0 (clock_record_size (1));

  *record = (struct clock_record){
    .guest_src_ns = guest_src_ns, .host_src_ns = 1, .freq_khz = 2400000, .vcpu_count = 1
  };
  return helper_peer_fixup (record);
}

static void
set_up (struct fixture *fixture, gconstpointer unused)
{
  helper_peer_start ();
  fixture->daemon = helper_peer_connect ();
  fixture->fixup = fixup_new (CLOCK_NS);
}

static void
tear_down (struct fixture *fixture, gconstpointer unused)
{
  close (fixture->daemon);
  g_free (fixture->fixup);
  helper_peer_stop ();
}

static uint64_t
monotonic_ns (void)
{
  return host_calls.clock_ns (CLOCK_MONOTONIC);
}

static void
expect_closed (int fd)
{
  gboolean closed;

  g_assert_null (helper_peer_receive (fd, &closed));
  g_assert_true (closed);
}

/*
 * @size bytes at @message are refused as @name and the connection ends; what was known before still
 * is, and a new connection works.
 */
static void
expect_refused (struct fixture *fixture, const void *message, size_t size, const char *name)
{
  g_autofree struct helper_refused *refused = NULL;
  g_autofree struct helper_fixup *known = fixup_new (1);

  helper_peer_send (fixture->daemon, known, known->header.length);
  helper_peer_send (fixture->daemon, message, size);
  helper_channel_service ();
  refused = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REFUSED);
  g_assert_cmpstr (helper_refusal_name (refused->refusal), ==, name);
  expect_closed (fixture->daemon);
  g_assert_nonnull (helper_channel_fixup ());
  g_assert_cmpuint (helper_channel_fixup ()->record.guest_src_ns, ==, 1);

  close (fixture->daemon);
  fixture->daemon = helper_peer_connect ();
  helper_channel_service ();
  helper_peer_expect_silence (fixture->daemon);
}

static void
test_socket (struct fixture *fixture, gconstpointer unused)
{
  g_autofree char *path = g_build_filename (helper_peer_directory (), HELPER_SOCKET_NAME, NULL);
  struct stat status;

  g_assert_cmpint (stat (path, &status), ==, 0);
  g_assert_true (S_ISSOCK (status.st_mode));
  g_assert_cmpuint (status.st_mode & 0777, ==, 0660);
}

/* QEMU was killed and left its socket behind. */
static void
test_stale_socket (struct fixture *fixture, gconstpointer unused)
{
  g_autofree char *directory = g_strdup (helper_peer_directory ());

  helper_channel_close ();
  helper_channel_open (directory, helper_peer_domain, 0);
  helper_channel_listen ();
  close (fixture->daemon);
  fixture->daemon = helper_peer_connect ();
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  helper_channel_service ();
  g_assert_nonnull (helper_channel_fixup ());
}

/* A program that was given QEMU's environment and arguments, and makes no VM. */
static void
test_second_process (struct fixture *fixture, gconstpointer unused)
{
  pid_t child = fork ();
  int status = 0;

  g_assert_cmpint (child, >=, 0);
  if (child == 0) {
    g_autofree char *directory = g_strdup (helper_peer_directory ());

    helper_channel_close ();
    helper_channel_open (directory, helper_peer_domain, 0);
    _exit (0);
  }
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_cmpint (status, ==, 0);

  close (fixture->daemon);
  fixture->daemon = helper_peer_connect ();
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  helper_channel_service ();
  g_assert_nonnull (helper_channel_fixup ());
}

/* No such directory, or one too long for an address: no channel, and no harm. */
static void
test_no_socket (void)
{
  g_autofree char *long_path = g_strnfill (200, '/');

  helper_channel_open ("/nonexistent/clockferry", helper_peer_domain, 0);
  helper_channel_open (long_path, helper_peer_domain, 0);
  helper_channel_listen ();
  helper_channel_service ();
  g_assert_false (helper_channel_is_expecting ());
  g_assert_cmpuint (helper_channel_await_fixup (CLOCK_NS), ==, 0);
  helper_channel_close ();
}

static void
test_messages (struct fixture *fixture, gconstpointer unused)
{
  struct helper_header withdraw;

  helper_channel_service ();
  g_assert_false (helper_channel_is_expecting ());
  helper_peer_announce (fixture->daemon, monotonic_ns () + NS_PER_S);
  helper_channel_service ();
  g_assert_true (helper_channel_is_expecting ());
  g_assert_null (helper_channel_fixup ());
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  helper_channel_service ();
  g_assert_cmpmem (helper_channel_fixup (), fixture->fixup->header.length, fixture->fixup,
                   fixture->fixup->header.length);

  helper_header_init (&withdraw, HELPER_MESSAGE_WITHDRAW, sizeof withdraw, helper_peer_domain);
  helper_peer_send (fixture->daemon, &withdraw, sizeof withdraw);
  helper_channel_service ();
  g_assert_false (helper_channel_is_expecting ());
  helper_peer_expect_silence (fixture->daemon);
}

/* A later fix-up replaces an earlier one. */
static void
test_replaced (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_fixup *later = fixup_new (CLOCK_NS + 1);

  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  helper_peer_send (fixture->daemon, later, later->header.length);
  helper_channel_service ();
  g_assert_cmpuint (helper_channel_fixup ()->record.guest_src_ns, ==, CLOCK_NS + 1);
}

/* While a guest is on its way, for minutes maybe, QEMU reads nothing: the last word counts. */
static void
test_last_word_of_many (struct fixture *fixture, gconstpointer unused)
{
  struct helper_header withdraw;

  for (int i = 0; i < 200; i++)
    helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  helper_header_init (&withdraw, HELPER_MESSAGE_WITHDRAW, sizeof withdraw, helper_peer_domain);
  helper_peer_send (fixture->daemon, &withdraw, sizeof withdraw);
  helper_channel_service ();
  g_assert_false (helper_channel_is_expecting ());
}

static void
test_cut_short (struct fixture *fixture, gconstpointer unused)
{
  expect_refused (fixture, fixture->fixup, 1, "too-short");
  expect_refused (fixture, fixture->fixup, sizeof fixture->fixup->header - 1, "too-short");
  expect_refused (fixture, fixture->fixup, fixture->fixup->header.length - 1, "bad-length");
}

static void
test_too_long (struct fixture *fixture, gconstpointer unused)
{
  g_autofree char *longer = g_malloc0 (HELPER_MESSAGE_SIZE_MAX + 1000);

  memcpy (longer, fixture->fixup, fixture->fixup->header.length);
  expect_refused (fixture, longer, fixture->fixup->header.length + 1, "bad-length");
  expect_refused (fixture, longer, HELPER_MESSAGE_SIZE_MAX + 1000, "bad-length");
}

static void
test_wrong_header (struct fixture *fixture, gconstpointer unused)
{
  size_t size = fixture->fixup->header.length;
  struct helper_header *header = &fixture->fixup->header;

  header->version = 2;
  expect_refused (fixture, fixture->fixup, size, "bad-version");
  header->version = HELPER_VERSION;
  header->domain[0] ^= 1;
  expect_refused (fixture, fixture->fixup, size, "other-domain");
  header->domain[0] ^= 1;
  header->type = HELPER_MESSAGE_RECORD;
  expect_refused (fixture, fixture->fixup, size, "bad-type");
  header->type = HELPER_MESSAGE_FIXUP;
  fixture->fixup->mode = 7;
  expect_refused (fixture, fixture->fixup, size, "bad-body");
}

static void
test_bad_record (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_refused *refused = NULL;

  fixture->fixup->record.freq_khz = 0;
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  helper_channel_service ();
  refused = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REFUSED);
  g_assert_cmpuint (refused->refusal, ==, HELPER_REFUSAL_BAD_RECORD);
  g_assert_cmpuint (refused->detail, ==, CLOCK_RECORD_BAD_FREQ);
  g_assert_false (helper_channel_is_expecting ());
}

static void
test_garbage (struct fixture *fixture, gconstpointer unused)
{
  char garbage[500];

  memset (garbage, 'x', sizeof garbage);
  expect_refused (fixture, garbage, sizeof garbage, "bad-magic");
}

/* What came after a refused message is not looked at. */
static void
test_nothing_after_refusal (struct fixture *fixture, gconstpointer unused)
{
  helper_peer_send (fixture->daemon, "x", 1);
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  helper_channel_service ();
  g_assert_null (helper_channel_fixup ());
}

/* A daemon that says its piece and is gone before the helper looks has been heard. */
static void
test_daemon_gone (struct fixture *fixture, gconstpointer unused)
{
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  close (fixture->daemon);
  helper_channel_service ();
  g_assert_nonnull (helper_channel_fixup ());
  fixture->daemon = helper_peer_connect ();
}

static void
record_fill (uint64_t guest_src_ns)
{
  struct clock_record *record = helper_channel_record ();

  *record = (struct clock_record){
    .guest_src_ns = guest_src_ns, .host_src_ns = 1, .freq_khz = 2400000, .vcpu_count = 1
  };
  record->vcpus[0] = (struct clock_record_vcpu){ 0 };
  helper_channel_send_record ();
}

static void
expect_record (int fd, uint64_t guest_src_ns)
{
  g_autofree struct helper_record *message = helper_peer_expect (fd, HELPER_MESSAGE_RECORD);

  g_assert_cmpuint (message->record.guest_src_ns, ==, guest_src_ns);
}

/* The latest record, once for each connection. */
static void
test_reconnect (struct fixture *fixture, gconstpointer unused)
{
  record_fill (1);
  record_fill (2);
  helper_channel_service ();
  expect_record (fixture->daemon, 2);
  helper_channel_service ();
  helper_peer_expect_silence (fixture->daemon);
  record_fill (3);
  expect_record (fixture->daemon, 3);

  close (fixture->daemon);
  fixture->daemon = helper_peer_connect ();
  helper_channel_service ();
  expect_record (fixture->daemon, 3);
}

/* The old connection of a restarted daemon gives way to the new one. */
static void
test_newest_counts (struct fixture *fixture, gconstpointer unused)
{
  int newer;

  helper_channel_service ();
  newer = helper_peer_connect ();
  helper_channel_service ();
  expect_closed (fixture->daemon);
  record_fill (5);
  expect_record (newer, 5);
  close (newer);
}

/* A daemon that does not read: no blocking, and the latest record once it does. */
static void
test_daemon_does_not_read (struct fixture *fixture, gconstpointer unused)
{
  gboolean closed;
  struct helper_record *message;
  uint64_t last_ns = 0, start_ns = monotonic_ns ();

  helper_channel_service ();
  for (uint64_t i = 1; i <= 5000; i++)
    record_fill (i);
  g_assert_cmpuint (monotonic_ns () - start_ns, <, 5 * NS_PER_S);
  while ((message = helper_peer_receive (fixture->daemon, &closed)) != NULL) {
    last_ns = message->record.guest_src_ns;
    g_free (message);
  }
  g_assert_false (closed);
  g_assert_cmpuint (last_ns, <, 5000);
  helper_channel_service ();
  expect_record (fixture->daemon, 5000);
}

/* Connect as @uid, which root may, and others if they are it. */
static int
connect_as (uid_t uid)
{
  uid_t own_uid = geteuid ();
  g_autofree char *path = g_build_filename (helper_peer_directory (), HELPER_SOCKET_NAME, NULL);
  int fd;

  g_assert_cmpint (chmod (helper_peer_directory (), 0755), ==, 0);
  g_assert_cmpint (chmod (path, 0666), ==, 0);
  g_assert_cmpint (seteuid (uid), ==, 0);
  fd = helper_peer_connect ();
  g_assert_cmpint (seteuid (own_uid), ==, 0);
  return fd;
}

/* Other QEMUs run as our user, the daemon does not. */
static void
test_peer_of_our_uid (struct fixture *fixture, gconstpointer unused)
{
  g_autofree char *directory = g_strdup (helper_peer_directory ());
  uid_t qemu_uid = geteuid () != 0 ? geteuid () : 64055;
  int other_qemu;

  helper_channel_close ();
  helper_channel_open (directory, helper_peer_domain, qemu_uid);
  helper_channel_listen ();
  other_qemu = connect_as (qemu_uid);
  helper_peer_send (other_qemu, fixture->fixup, fixture->fixup->header.length);
  helper_channel_service ();
  g_assert_null (helper_channel_fixup ());
  expect_closed (other_qemu);
  close (other_qemu);

  if (geteuid () != 0)
    return;
  close (fixture->daemon);
  fixture->daemon = helper_peer_connect ();
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  helper_channel_service ();
  g_assert_nonnull (helper_channel_fixup ());
}

/* HELPER_WAIT_MAX_MS for everything, however often QEMU asks. */
static void
test_wait_is_bounded (struct fixture *fixture, gconstpointer unused)
{
  uint64_t start_ns = monotonic_ns (), first_ns, took_ns;

  helper_peer_announce (fixture->daemon, start_ns + 60 * NS_PER_S);
  helper_channel_service ();
  first_ns = helper_channel_await_fixup (CLOCK_NS);
  took_ns = monotonic_ns () - start_ns;
  g_assert_cmpuint (first_ns, >=, HELPER_WAIT_MAX_MS * NS_PER_MS);
  /* the scheduler may take its time, but nobody waits twice as long on purpose */
  g_assert_cmpuint (took_ns, <, 10 * HELPER_WAIT_MAX_MS * NS_PER_MS);
  g_assert_cmpuint (helper_channel_await_fixup (CLOCK_NS), ==, 0);
  helper_channel_settle ();
  helper_peer_announce (fixture->daemon, monotonic_ns () + 60 * NS_PER_S);
  helper_channel_service ();
  g_assert_cmpuint (helper_channel_await_fixup (CLOCK_NS), ==, 0);
}

/* Nobody waits for what nobody has announced, nor past its deadline. */
static void
test_wait_needs_announcement (struct fixture *fixture, gconstpointer unused)
{
  g_assert_cmpuint (helper_channel_await_fixup (CLOCK_NS), ==, 0);
  helper_peer_announce (fixture->daemon, monotonic_ns () - 1);
  helper_channel_service ();
  g_assert_cmpuint (helper_channel_await_fixup (CLOCK_NS), ==, 0);
  helper_peer_announce (fixture->daemon, monotonic_ns () + 10 * NS_PER_MS);
  helper_channel_service ();
  g_assert_cmpuint (helper_channel_await_fixup (CLOCK_NS), <, 45 * NS_PER_MS);
}

static gpointer
send_late (gpointer data)
{
  struct fixture *fixture = data;

  g_usleep (10000);
  helper_peer_send (fixture->daemon, fixture->fixup, fixture->fixup->header.length);
  return NULL;
}

/* The wait ends with the fix-up that matches, not with another. */
static void
test_wait_ends (struct fixture *fixture, gconstpointer unused)
{
  g_autofree struct helper_fixup *other = fixup_new (1);
  GThread *sender;
  uint64_t waited_ns;

  helper_peer_announce (fixture->daemon, monotonic_ns () + 60 * NS_PER_S);
  helper_peer_send (fixture->daemon, other, other->header.length);
  helper_channel_service ();
  sender = g_thread_new ("send-late", send_late, fixture);
  waited_ns = helper_channel_await_fixup (CLOCK_NS);
  g_thread_join (sender);
  g_assert_nonnull (helper_channel_fixup ());
  g_assert_cmpuint (helper_channel_fixup ()->record.guest_src_ns, ==, CLOCK_NS);
  g_assert_cmpuint (waited_ns, >, 0);
  g_assert_cmpuint (helper_channel_await_fixup (CLOCK_NS), ==, 0);
}

/* The largest VM there is: 4096 vCPUs, through one packet each way. */
static void
test_largest (struct fixture *fixture, gconstpointer unused)
{
  size_t size = clock_record_size (CLOCK_RECORD_VCPUS_MAX);
  g_autofree struct clock_record *record = g_malloc0 (size);
  g_autofree struct helper_fixup *fixup = NULL;
  g_autofree struct helper_record *sent = NULL;
  g_autofree struct helper_report *reported = NULL;
  struct helper_report *report;

  memcpy (record, &fixture->fixup->record, sizeof *record);
  record->vcpu_count = CLOCK_RECORD_VCPUS_MAX;
  for (uint32_t i = 0; i < record->vcpu_count; i++)
    record->vcpus[i] = (struct clock_record_vcpu){ .id = i, .ofs_ticks = i };
  fixup = helper_peer_fixup (record);
  helper_peer_send (fixture->daemon, fixup, fixup->header.length);
  helper_channel_service ();
  g_assert_cmpmem (&helper_channel_fixup ()->record, size, record, size);

  memcpy (helper_channel_record (), record, size);
  helper_channel_send_record ();
  sent = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_RECORD);
  g_assert_cmpmem (&sent->record, size, record, size);

  report = helper_channel_report ();
  report->vcpu_count = CLOCK_RECORD_VCPUS_MAX;
  helper_channel_send_report ();
  reported = helper_peer_expect (fixture->daemon, HELPER_MESSAGE_REPORT);
  g_assert_cmpuint (reported->header.length, ==, HELPER_MESSAGE_SIZE_MAX);
}

static void
add (const char *path, void (*test) (struct fixture *, gconstpointer))
{
  g_test_add (path, struct fixture, NULL, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  add ("/helper-channel/socket", test_socket);
  add ("/helper-channel/socket/stale", test_stale_socket);
  add ("/helper-channel/socket/second-process", test_second_process);
  g_test_add_func ("/helper-channel/socket/none", test_no_socket);
  add ("/helper-channel/messages", test_messages);
  add ("/helper-channel/messages/replaced", test_replaced);
  add ("/helper-channel/messages/last-word-of-many", test_last_word_of_many);
  add ("/helper-channel/messages/largest", test_largest);
  add ("/helper-channel/refused/cut-short", test_cut_short);
  add ("/helper-channel/refused/too-long", test_too_long);
  add ("/helper-channel/refused/wrong-header", test_wrong_header);
  add ("/helper-channel/refused/bad-record", test_bad_record);
  add ("/helper-channel/refused/garbage", test_garbage);
  add ("/helper-channel/refused/nothing-after", test_nothing_after_refusal);
  add ("/helper-channel/refused/peer-of-our-uid", test_peer_of_our_uid);
  add ("/helper-channel/daemon/gone", test_daemon_gone);
  add ("/helper-channel/daemon/reconnect", test_reconnect);
  add ("/helper-channel/daemon/newest-counts", test_newest_counts);
  add ("/helper-channel/daemon/does-not-read", test_daemon_does_not_read);
  add ("/helper-channel/wait/bounded", test_wait_is_bounded);
  add ("/helper-channel/wait/needs-announcement", test_wait_needs_announcement);
  add ("/helper-channel/wait/ends", test_wait_ends);

  return g_test_run ();
}
