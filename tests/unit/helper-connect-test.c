/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helper-connect-test - finding the helper of a QEMU, knowing it, and what is sent to it
 */

#include <string.h>
#include <unistd.h>

#include "error.h"
#include "helper-link.h"
#include "stand-in-qemu.h"
#include "temp-folder.h"
#include "wait-until.h"

#define NAME "a-name-of-more-than-twenty-characters"
#define ID   7
#define UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"

static void
ignore_record (const struct clock_record *record, gsize size, gpointer user_data)
{
}

static void
ignore_report (const struct helper_report *report, gpointer user_data)
{
}

static void
ignore_closed (const GError *error, gpointer user_data)
{
}

static const HelperLinkCallbacks callbacks = {
  .record = ignore_record,
  .report = ignore_report,
  .closed = ignore_closed,
};

static HelperLink *
connect_to (const StandInFolders *folders, GError **error)
{
  return helper_link_new (&folders->folders, NAME, ID, UUID, &callbacks, NULL, error);
}

static void
test_no_socket (void)
{
  g_autoptr (StandInFolders) folders = stand_in_folders_new ();
  g_autoptr (StandInQemu) other = stand_in_qemu_start (folders, "other", ID + 1, UUID);
  g_autoptr (GError) error = NULL;
  g_autoptr (HelperLink) link = connect_to (folders, &error);

  g_assert_null (link);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NO_HELPER);
}

static void
test_impostor (void)
{
  g_autoptr (StandInFolders) folders = stand_in_folders_new ();
  g_autoptr (StandInQemu) qemu = stand_in_qemu_start (folders, NAME, ID, UUID);
  g_autoptr (GError) error = NULL;
  g_autoptr (HelperLink) link = NULL;

  stand_in_qemu_write_pid (qemu, getppid ());
  link = connect_to (folders, &error);
  g_assert_null (link);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_IMPOSTOR);

  /* and it was told nothing */
  WAIT_UNTIL (!g_main_context_iteration (NULL, FALSE));
  g_assert_cmpuint (stand_in_qemu_count (qemu), ==, 0);
}

static void
test_no_pid_file (void)
{
  g_autoptr (StandInFolders) folders = stand_in_folders_new ();
  g_autoptr (StandInQemu) qemu = stand_in_qemu_start (folders, NAME, ID, UUID);
  g_autofree char *path = g_strconcat (folders->folders.run_dir, "/" NAME ".pid", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (HelperLink) link = NULL;

  g_assert_cmpint (unlink (path), ==, 0);
  link = connect_to (folders, &error);
  g_assert_null (link);
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

static void
test_nobody_listens (void)
{
  g_autoptr (StandInFolders) folders = stand_in_folders_new ();
  g_autofree char *path =
    temp_folder_write (folders->folders.state_dir, "domain-7-a-name/" HELPER_SOCKET_NAME, "");
  g_autoptr (GError) error = NULL;
  g_autoptr (HelperLink) link = connect_to (folders, &error);

  g_assert_null (link);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
  g_assert_nonnull (strstr (error->message, path));
}

/* A host that lost its power keeps the folders of its VMs, and counts from 1 again. */
static void
test_left_behind (void)
{
  g_autoptr (StandInFolders) folders = stand_in_folders_new ();
  g_autofree char *before =
    temp_folder_write (folders->folders.state_dir, "domain-7-b/" HELPER_SOCKET_NAME, "");
  g_autofree char *longer = temp_folder_write (
    folders->folders.state_dir, "domain-7-a-name-of-more-than-2x/" HELPER_SOCKET_NAME, "");
  g_autoptr (StandInQemu) qemu = stand_in_qemu_start (folders, NAME, ID, UUID);
  g_autoptr (GError) error = NULL;
  g_autoptr (HelperLink) link = connect_to (folders, &error);

  g_assert_no_error (error);
  g_assert_nonnull (link);
}

static void
test_path_too_long (void)
{
  g_autoptr (StandInFolders) folders = stand_in_folders_new ();
  g_autofree char *deep = g_strnfill (100, 'd');
  g_autofree char *state_dir = g_build_filename (folders->root, deep, NULL);
  g_autofree char *path = temp_folder_write (state_dir, "domain-7-a-name/" HELPER_SOCKET_NAME, "");
  const QemuFolders too_deep = { .run_dir = folders->folders.run_dir, .state_dir = state_dir };
  g_autoptr (GError) error = NULL;
  g_autoptr (HelperLink)
    link = helper_link_new (&too_deep, NAME, ID, UUID, &callbacks, NULL, &error);

  g_assert_null (link);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG);
}

/* sending: stand_in_qemu_take() holds each message against the protocol */

static void
test_send (void)
{
  g_autoptr (StandInFolders) folders = stand_in_folders_new ();
  g_autoptr (StandInQemu) qemu = stand_in_qemu_start (folders, NAME, ID, UUID);
  g_autofree struct clock_record *record = stand_in_qemu_make_record (4711);
  const struct helper_fixup fixup = { .theta_ns = -5,
                                      .theta_bound_ns = 6,
                                      .max_advance_ns = 7,
                                      .deadline_monotonic_ns = 9,
                                      .mode = HELPER_MODE_OBSERVE };
  g_autofree struct helper_incoming *incoming_sent = NULL;
  g_autofree struct helper_fixup *fixup_sent = NULL;
  g_autofree struct helper_header *withdraw_sent = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (HelperLink) link = connect_to (folders, &error);

  g_assert_no_error (error);
  g_assert_true (helper_link_send_incoming (link, 123, &error));
  g_assert_true (helper_link_send_fixup (link, &fixup, record, &error));
  g_assert_true (helper_link_send_withdraw (link, &error));
  g_assert_no_error (error);
  WAIT_UNTIL (stand_in_qemu_count (qemu) == 3);

  incoming_sent = stand_in_qemu_take (qemu, HELPER_MESSAGE_INCOMING);
  g_assert_cmpuint (incoming_sent->deadline_monotonic_ns, ==, 123);
  fixup_sent = stand_in_qemu_take (qemu, HELPER_MESSAGE_FIXUP);
  g_assert_cmpint (fixup_sent->theta_ns, ==, -5);
  g_assert_cmpuint (fixup_sent->theta_bound_ns, ==, 6);
  g_assert_cmpuint (fixup_sent->max_advance_ns, ==, 7);
  g_assert_cmpuint (fixup_sent->deadline_monotonic_ns, ==, 9);
  g_assert_cmpuint (fixup_sent->mode, ==, HELPER_MODE_OBSERVE);
  g_assert_cmpmem (&fixup_sent->record, clock_record_size (fixup_sent->record.vcpu_count), record,
                   clock_record_size (record->vcpu_count));
  withdraw_sent = stand_in_qemu_take (qemu, HELPER_MESSAGE_WITHDRAW);
}

static void
test_send_to_nobody (void)
{
  g_autoptr (StandInFolders) folders = stand_in_folders_new ();
  g_autoptr (StandInQemu) qemu = stand_in_qemu_start (folders, NAME, ID, UUID);
  g_autoptr (GError) error = NULL;
  g_autoptr (HelperLink) link = connect_to (folders, &error);

  g_assert_no_error (error);
  g_clear_pointer (&qemu, stand_in_qemu_end);
  g_assert_false (helper_link_send_withdraw (link, &error));
  g_assert_cmpuint (error->domain, ==, G_IO_ERROR);
}

/* A helper that is not asked for the clock reads nothing: the socket fills up, and nothing blocks. */
static void
test_send_until_full (void)
{
  g_autoptr (StandInFolders) folders = stand_in_folders_new ();
  g_autoptr (StandInQemu) qemu = stand_in_qemu_start (folders, NAME, ID, UUID);
  g_autoptr (GError) error = NULL;
  g_autoptr (HelperLink) link = connect_to (folders, &error);
  guint sent = 0;

  g_assert_no_error (error);
  while (sent < G_MAXUINT16 && helper_link_send_incoming (link, sent, &error))
    sent++;
  g_test_message ("%u messages", sent);
  g_assert_cmpuint (sent, >, 8);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/helper-connect/no-socket", test_no_socket);
  g_test_add_func ("/helper-connect/impostor", test_impostor);
  g_test_add_func ("/helper-connect/no-pid-file", test_no_pid_file);
  g_test_add_func ("/helper-connect/nobody-listens", test_nobody_listens);
  g_test_add_func ("/helper-connect/left-behind", test_left_behind);
  g_test_add_func ("/helper-connect/path-too-long", test_path_too_long);
  g_test_add_func ("/helper-connect/send", test_send);
  g_test_add_func ("/helper-connect/send-to-nobody", test_send_to_nobody);
  g_test_add_func ("/helper-connect/send-until-full", test_send_until_full);
  return g_test_run ();
}
