/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-hostile-test - a QEMU that its guest has taken over, at the daemon's end of the channel
 *
 * What is wrong with single messages is in helper-link-test. Here it is too many of them, and sockets
 * that are not what they seem.
 */

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domain-uuid.h"
#include "error.h"
#include "helper-link.h"
#include "stand-in-qemu.h"
#include "temp-folder.h"
#include "wait-until.h"

#define NAME  "web"
#define ID    7
#define UUID  "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
#define OTHER "mail"

#define MANY 100000
/* What a link takes at once, and some for the time that the test takes: far less than MANY. */
#define TAKEN_MAX 3000
/* A guest that is paused and resumed in a loop, for half a minute. */
#define NOT_MANY 500

typedef struct {
  StandInFolders *folders;
  StandInQemu *qemu;
  HelperLink *link; /* NULL when freed */
  guint messages;
  GError *error;
} Fixture;

static void
on_record (const struct clock_record *record, gsize size, gpointer user_data)
{
  ((Fixture *) user_data)->messages++;
}

static void
on_report (const struct helper_report *report, gpointer user_data)
{
  ((Fixture *) user_data)->messages++;
}

static void
on_closed (const GError *error, gpointer user_data)
{
  Fixture *fixture = user_data;

  fixture->error = g_error_copy (error);
  g_clear_pointer (&fixture->link, helper_link_free);
}

static const HelperLinkCallbacks callbacks = {
  .record = on_record,
  .report = on_report,
  .closed = on_closed,
};

static HelperLink *
make_link (Fixture *fixture, GError **error)
{
  return helper_link_new (&fixture->folders->folders, NAME, ID, UUID, &callbacks, fixture, error);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->folders = stand_in_folders_new ();
  fixture->qemu = stand_in_qemu_start (fixture->folders, NAME, ID, UUID);
  fixture->link = make_link (fixture, &error);
  g_assert_no_error (error);
  WAIT_UNTIL (stand_in_qemu_is_connected (fixture->qemu));
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->link, helper_link_free);
  g_clear_pointer (&fixture->qemu, stand_in_qemu_end);
  stand_in_folders_free (fixture->folders);
  g_clear_error (&fixture->error);
}

/* floods */

static void
expect_cut_off (Fixture *fixture, gconstpointer message, gsize size)
{
  GThread *thread = stand_in_qemu_flood (fixture->qemu, message, size, MANY);
  guint sent;

  WAIT_UNTIL (fixture->error != NULL);
  stand_in_qemu_hang_up (fixture->qemu);
  sent = GPOINTER_TO_UINT (g_thread_join (thread));
  g_test_message ("%u sent, %u taken", sent, fixture->messages);
  g_assert_error (fixture->error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_REFUSED);
  g_assert_nonnull (strstr (fixture->error->message, "floods"));
  g_assert_cmpuint (fixture->messages, >=, NOT_MANY);
  g_assert_cmpuint (fixture->messages, <, TAKEN_MAX);
  g_assert_cmpuint (sent, <, MANY);
}

static void
test_records (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  g_autofree struct helper_record *message =
    stand_in_qemu_make_record_message (fixture->qemu, record);

  expect_cut_off (fixture, message, message->header.length);
}

static void
test_reports (Fixture *fixture, gconstpointer data)
{
  struct helper_report message = { .verdict = HELPER_VERDICT_FIXED };
  guint8 domain[DOMAIN_UUID_BYTES];

  domain_uuid_parse (UUID, domain);
  helper_header_init (&message.header, HELPER_MESSAGE_REPORT, sizeof message, domain);
  expect_cut_off (fixture, &message, sizeof message);
}

/* Long ones count for more. */
static void
test_longest (Fixture *fixture, gconstpointer data)
{
  gsize size = helper_report_size (CLOCK_RECORD_VCPUS_MAX);
  g_autofree struct helper_report *message = g_malloc0 (size);
  guint8 domain[DOMAIN_UUID_BYTES];
  GThread *thread;

  domain_uuid_parse (UUID, domain);
  message->vcpu_count = CLOCK_RECORD_VCPUS_MAX;
  helper_header_init (&message->header, HELPER_MESSAGE_REPORT, (guint32) size, domain);
  thread = stand_in_qemu_flood (fixture->qemu, message, size, MANY);
  WAIT_UNTIL (fixture->error != NULL);
  stand_in_qemu_hang_up (fixture->qemu);
  g_assert_cmpuint (GPOINTER_TO_UINT (g_thread_join (thread)), <, MANY);
  g_assert_error (fixture->error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_REFUSED);
  g_assert_cmpuint (fixture->messages, <, 200);
}

/* The loop that reads does not go on for as long as there is something to read. */
static void
test_drain (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  g_autofree struct helper_record *message =
    stand_in_qemu_make_record_message (fixture->qemu, record);
  GThread *thread = stand_in_qemu_flood (fixture->qemu, message, message->header.length, G_MAXUINT);

  while (fixture->link != NULL)
    helper_link_drain (fixture->link);
  stand_in_qemu_hang_up (fixture->qemu);
  g_thread_join (thread);
  g_assert_cmpuint (fixture->messages, <, TAKEN_MAX);
}

/* Nobody is cut off for what a busy guest may do. */
static void
test_busy (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  g_autofree struct helper_record *message =
    stand_in_qemu_make_record_message (fixture->qemu, record);
  GThread *thread = stand_in_qemu_flood (fixture->qemu, message, message->header.length, NOT_MANY);

  WAIT_UNTIL (fixture->messages == NOT_MANY);
  g_thread_join (thread);
  g_assert_no_error (fixture->error);
  g_assert_nonnull (fixture->link);
}

/* Files sent along are not kept. */
static void
test_passed_files (Fixture *fixture, gconstpointer data)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (1000);
  g_autofree struct helper_record *message =
    stand_in_qemu_make_record_message (fixture->qemu, record);
  int before = dup (0);
  int after;

  close (before);
  for (guint i = 0; i < 20; i++)
    stand_in_qemu_send_with_files (fixture->qemu, message, message->header.length, 10);
  WAIT_UNTIL (fixture->messages == 20);
  after = dup (0);
  close (after);
  g_assert_cmpint (after, ==, before);
}

/* sockets */

/* A process that listens as the QEMU of another domain, with its own socket and pid file. */
static pid_t
start_other_qemu (const StandInFolders *folders, char **socket_path)
{
  StandInQemu *other = stand_in_qemu_start (folders, OTHER, ID + 1, UUID);
  g_autofree char *folder =
    g_strdup_printf ("%s/domain-%d-" OTHER, folders->folders.state_dir, ID + 1);
  pid_t pid;

  *socket_path = g_build_filename (folder, HELPER_SOCKET_NAME, NULL);
  /* SO_PEERCRED tells who called listen(2) */
  stand_in_qemu_end (other);
  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  pid = fork ();
  g_assert_cmpint (pid, >=, 0);
  if (pid == 0) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket (AF_UNIX, SOCK_SEQPACKET, 0);

    g_strlcpy (address.sun_path, *socket_path, sizeof address.sun_path);
    if (bind (fd, (struct sockaddr *) &address, sizeof address) == 0 && listen (fd, 4) == 0)
      for (;;)
        pause ();
    _exit (1);
  }
  return pid;
}

typedef int (*MakeLink) (const char *target, const char *path);

/* What lies where the daemon looks for the socket of one domain is that of another. */
static void
test_led_astray (Fixture *fixture, gconstpointer data)
{
  MakeLink make_link_file = (MakeLink) (gsize) data;
  g_autofree char *path = g_strdup_printf ("%s/domain-%d-" NAME "/" HELPER_SOCKET_NAME,
                                           fixture->folders->folders.state_dir, ID);
  g_autofree char *other_path = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (HelperLink) link = NULL;
  pid_t other = start_other_qemu (fixture->folders, &other_path);

  g_clear_pointer (&fixture->link, helper_link_free);
  g_assert_cmpint (g_unlink (path), ==, 0);
  while (!g_file_test (other_path, G_FILE_TEST_EXISTS))
    g_usleep (1000);
  g_assert_cmpint (make_link_file (other_path, path), ==, 0);
  do {
    g_clear_error (&error);
    link = make_link (fixture, &error);
    g_assert_null (link);
  } while (
    g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED)); /* not listening yet */
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_IMPOSTOR);

  kill (other, SIGKILL);
  g_assert_cmpint (waitpid (other, NULL, 0), ==, other);
}

/* A QEMU that accepts nobody: the place is taken by connections of the daemon's own. */
static void
test_no_place (Fixture *fixture, gconstpointer data)
{
  GPtrArray *links = g_ptr_array_new_with_free_func ((GDestroyNotify) helper_link_free);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 100; i++) {
    HelperLink *link = make_link (fixture, &error);

    if (link == NULL)
      break;
    g_ptr_array_add (links, link);
  }
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
  g_ptr_array_unref (links);
}

/* It accepts, hangs up, and does so again. */
static void
test_come_and_go (Fixture *fixture, gconstpointer data)
{
  for (guint i = 0; i < 100; i++) {
    g_autoptr (GError) error = NULL;

    stand_in_qemu_hang_up (fixture->qemu);
    WAIT_UNTIL (fixture->error != NULL);
    g_assert_error (fixture->error, G_IO_ERROR, G_IO_ERROR_CLOSED);
    g_clear_error (&fixture->error);
    fixture->link = make_link (fixture, &error);
    g_assert_no_error (error);
    WAIT_UNTIL (stand_in_qemu_is_connected (fixture->qemu));
  }
  g_assert_cmpuint (fixture->messages, ==, 0);
}

/* A helper that was loaded and has not seen QEMU make a VM: bound, and nobody listens. */
static void
test_idle (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_strdup_printf ("%s/domain-%d-" NAME "/" HELPER_SOCKET_NAME,
                                           fixture->folders->folders.state_dir, ID);
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&fixture->link, helper_link_free);
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  fixture->link = make_link (fixture, &error);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
  g_assert_nonnull (strstr (error->message, "libc's ioctl()"));
  close (fd);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, data, function)                                                                  \
  g_test_add ("/helper-hostile/" path, Fixture, data, set_up, function, tear_down)
  ADD ("flood/records", NULL, test_records);
  ADD ("flood/reports", NULL, test_reports);
  ADD ("flood/longest", NULL, test_longest);
  ADD ("flood/drain", NULL, test_drain);
  ADD ("busy", NULL, test_busy);
  ADD ("passed-files", NULL, test_passed_files);
  ADD ("led-astray/symlink", (gconstpointer) (gsize) symlink, test_led_astray);
  ADD ("led-astray/hard-link", (gconstpointer) (gsize) link, test_led_astray);
  ADD ("no-place", NULL, test_no_place);
  ADD ("come-and-go", NULL, test_come_and_go);
  ADD ("idle", NULL, test_idle);
#undef ADD
  return g_test_run ();
}
