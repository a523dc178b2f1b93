/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stand-in-qemu.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "domain-uuid.h"
#include "host-clock.h"
#include "temp-folder.h"

#define RECORD_VCPUS 2
#define FILES_MAX    10

struct StandInQemu {
  const StandInFolders *folders;
  char *name;
  char *socket_path;
  guint8 domain[DOMAIN_UUID_BYTES];

  int listen_fd;
  guint listen_watch_id;
  int fd; /* -1 without a daemon */
  guint watch_id;
  GQueue received; /* of GBytes */
};

/* the socket */

static gboolean
on_readable (int fd, GIOCondition condition, gpointer user_data)
{
  StandInQemu *qemu = user_data;
  g_autofree char *buffer = g_malloc (HELPER_MESSAGE_SIZE_MAX);
  gssize got = recv (fd, buffer, HELPER_MESSAGE_SIZE_MAX, MSG_DONTWAIT);

  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  if (got <= 0) {
    qemu->watch_id = 0;
    stand_in_qemu_hang_up (qemu);
    return G_SOURCE_REMOVE;
  }
  g_queue_push_tail (&qemu->received, g_bytes_new (buffer, (gsize) got));
  return G_SOURCE_CONTINUE;
}

/* As the helper does: the newest daemon is the one that counts. */
static gboolean
on_connection (int fd, GIOCondition condition, gpointer user_data)
{
  StandInQemu *qemu = user_data;
  int accepted = accept4 (fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  g_assert_cmpint (accepted, >=, 0);
  stand_in_qemu_hang_up (qemu);
  qemu->fd = accepted;
  qemu->watch_id = g_unix_fd_add (accepted, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, qemu);
  return G_SOURCE_CONTINUE;
}

static int
bind_to (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpuint (strlen (path), <, sizeof address.sun_path);
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  return fd;
}

static char *
make_run_path (const StandInQemu *qemu, const char *suffix)
{
  g_autofree char *file = g_strconcat (qemu->name, suffix, NULL);

  return g_build_filename (qemu->folders->folders.run_dir, file, NULL);
}

/* public functions */

StandInFolders *
stand_in_folders_new (void)
{
  StandInFolders *folders = g_new0 (StandInFolders, 1);

  folders->root = temp_folder_make ();
  folders->folders.run_dir = g_build_filename (folders->root, "run", NULL);
  folders->folders.state_dir = g_build_filename (folders->root, "lib", NULL);
  folders->folders.observer_socket = g_build_filename (folders->root, "observer.sock", NULL);
  g_assert_cmpint (g_mkdir (folders->folders.run_dir, 0700), ==, 0);
  g_assert_cmpint (g_mkdir (folders->folders.state_dir, 0700), ==, 0);
  return folders;
}

void
stand_in_folders_free (StandInFolders *folders)
{
  g_free ((char *) folders->folders.run_dir);
  g_free ((char *) folders->folders.state_dir);
  g_free ((char *) folders->folders.observer_socket);
  temp_folder_remove (folders->root);
  g_free (folders);
}

StandInQemu *
stand_in_qemu_start (const StandInFolders *folders, const char *name, int id, const char *uuid)
{
  StandInQemu *qemu = g_new0 (StandInQemu, 1);
  /* libvirt cuts the name after 20 characters */
  g_autofree char *vm_name = g_strdup_printf ("domain-%d-%.20s", id, name);
  g_autofree char *vm_dir = g_build_filename (folders->folders.state_dir, vm_name, NULL);

  qemu->folders = folders;
  qemu->name = g_strdup (name);
  qemu->fd = -1;
  domain_uuid_parse (uuid, qemu->domain);
  g_assert_cmpint (g_mkdir (vm_dir, 0700), ==, 0);
  qemu->socket_path = g_build_filename (vm_dir, HELPER_SOCKET_NAME, NULL);
  qemu->listen_fd = bind_to (qemu->socket_path);
  g_assert_cmpint (listen (qemu->listen_fd, 4), ==, 0);
  qemu->listen_watch_id = g_unix_fd_add (qemu->listen_fd, G_IO_IN, on_connection, qemu);
  stand_in_qemu_write_pid (qemu, getpid ());
  return qemu;
}

void
stand_in_qemu_end (StandInQemu *qemu)
{
  g_autofree char *pid_path = make_run_path (qemu, ".pid");
  g_autofree char *status_path = make_run_path (qemu, ".xml");
  g_autofree char *vm_dir = g_path_get_dirname (qemu->socket_path);

  stand_in_qemu_hang_up (qemu);
  g_clear_handle_id (&qemu->listen_watch_id, g_source_remove);
  close (qemu->listen_fd);
  (void) g_unlink (qemu->socket_path);
  (void) g_unlink (status_path);
  (void) g_rmdir (vm_dir);
  (void) g_unlink (pid_path);
  g_queue_clear_full (&qemu->received, (GDestroyNotify) g_bytes_unref);
  g_free (qemu->socket_path);
  g_free (qemu->name);
  g_free (qemu);
}

void
stand_in_qemu_write_pid (StandInQemu *qemu, pid_t pid)
{
  g_autofree char *path = make_run_path (qemu, ".pid");
  g_autofree char *text = g_strdup_printf ("%d", (int) pid);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

void
stand_in_qemu_write_status (StandInQemu *qemu)
{
  g_autofree char *path = make_run_path (qemu, ".xml");
  g_autofree char *newer = g_strconcat (path, ".new", NULL);

  g_assert_true (
    g_file_set_contents_full (newer, "<domstatus/>", -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  g_assert_cmpint (g_rename (newer, path), ==, 0);
}

void
stand_in_qemu_remove_helper (StandInQemu *qemu)
{
  stand_in_qemu_hang_up (qemu);
  g_clear_handle_id (&qemu->listen_watch_id, g_source_remove);
  g_assert_cmpint (g_unlink (qemu->socket_path), ==, 0);
}

gboolean
stand_in_qemu_is_connected (const StandInQemu *qemu)
{
  return qemu->fd >= 0;
}

void
stand_in_qemu_hang_up (StandInQemu *qemu)
{
  g_clear_handle_id (&qemu->watch_id, g_source_remove);
  if (qemu->fd >= 0)
    close (qemu->fd);
  qemu->fd = -1;
}

void
stand_in_qemu_stop_reading (StandInQemu *qemu)
{
  g_clear_handle_id (&qemu->watch_id, g_source_remove);
}

void
stand_in_qemu_stop_listening (StandInQemu *qemu)
{
  g_clear_handle_id (&qemu->listen_watch_id, g_source_remove);
  close (qemu->listen_fd);
  g_assert_cmpint (g_unlink (qemu->socket_path), ==, 0);
  qemu->listen_fd = bind_to (qemu->socket_path);
}

void
stand_in_qemu_send (StandInQemu *qemu, gconstpointer data, gsize size)
{
  g_assert_cmpint (send (qemu->fd, data, size, MSG_NOSIGNAL), ==, (gssize) size);
}

void
stand_in_qemu_send_with_files (StandInQemu *qemu, gconstpointer data, gsize size, guint files)
{
  struct iovec content = { .iov_base = (gpointer) data, .iov_len = size };
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE (FILES_MAX * sizeof (int))];
  } control = { 0 };
  struct msghdr message = {
    .msg_iov = &content,
    .msg_iovlen = 1,
    .msg_control = &control,
    .msg_controllen = CMSG_SPACE (files * sizeof (int)),
  };

  /* all of them are file 0 */
  g_assert_cmpuint (files, <=, FILES_MAX);
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN (files * sizeof (int));
  g_assert_cmpint (sendmsg (qemu->fd, &message, MSG_NOSIGNAL), ==, (gssize) size);
}

typedef struct {
  int fd; /* a copy */
  gconstpointer data;
  gsize size;
  guint count;
} Flood;

static gpointer
flood (gpointer data)
{
  g_autofree Flood *self = data;
  struct pollfd writable = { .fd = self->fd, .events = POLLOUT };
  guint sent = 0;

  while (sent < self->count) {
    if (send (self->fd, self->data, self->size, MSG_NOSIGNAL) >= 0)
      sent++;
    else if (errno != EAGAIN)
      break;
    else
      (void) poll (&writable, 1, -1);
  }
  close (self->fd);
  return GUINT_TO_POINTER (sent);
}

GThread *
stand_in_qemu_flood (StandInQemu *qemu, gconstpointer data, gsize size, guint count)
{
  Flood *self = g_new0 (Flood, 1);

  *self = (Flood){ .fd = dup (qemu->fd), .data = data, .size = size, .count = count };
  g_assert_cmpint (self->fd, >=, 0);
  return g_thread_new ("flood", flood, self);
}

struct clock_record *
stand_in_qemu_make_record (guint64 guest_src_ns)
{
  struct clock_record *record = g_malloc0 (clock_record_size (RECORD_VCPUS));

  record->guest_src_ns = guest_src_ns;
  record->host_src_ns = (guint64) g_get_real_time () * 1000;
  record->boot_src_ns = (guint64) host_clock_boottime_ns ();
  record->tsc_src_ticks = 5 * guest_src_ns / 2;
  record->freq_khz = 2500000;
  record->flags = CLOCK_RECORD_MASTER_CLOCK;
  record->vcpu_count = RECORD_VCPUS;
  for (guint32 i = 0; i < RECORD_VCPUS; i++)
    record->vcpus[i] =
      (struct clock_record_vcpu){ .id = 2 * i,
                                  .ofs_ticks = (guint64) G_GINT64_CONSTANT (-1234567) };
  g_assert_cmpstr (
    clock_record_error_name (clock_record_check (record, clock_record_size (RECORD_VCPUS))), ==,
    "record-ok");
  return record;
}

struct helper_record *
stand_in_qemu_make_record_message (const StandInQemu *qemu, const struct clock_record *record)
{
  gsize record_size = clock_record_size (record->vcpu_count);
  gsize size = offsetof (struct helper_record, record) + record_size;
  struct helper_record *message = g_malloc0 (size);

  memcpy (&message->record, record, record_size);
  helper_header_init (&message->header, HELPER_MESSAGE_RECORD, (guint32) size, qemu->domain);
  return message;
}

void
stand_in_qemu_send_record (StandInQemu *qemu, const struct clock_record *record)
{
  g_autofree struct helper_record *message = stand_in_qemu_make_record_message (qemu, record);

  stand_in_qemu_send (qemu, message, message->header.length);
}

void
stand_in_qemu_send_report (StandInQemu *qemu, enum helper_verdict verdict,
                           enum helper_reason reason)
{
  gsize size = helper_report_size (RECORD_VCPUS);
  g_autofree struct helper_report *message = g_malloc0 (size);

  message->verdict = verdict;
  message->reason = reason;
  message->advance_ns = 178 * G_GINT64_CONSTANT (1000000);
  message->residual_ns = -42;
  message->vcpu_count = RECORD_VCPUS;
  for (guint32 i = 0; i < RECORD_VCPUS; i++)
    message->vcpus[i] = (struct helper_report_vcpu){ .id = 2 * i, .ofs_dest_ticks = 77 };
  helper_header_init (&message->header, HELPER_MESSAGE_REPORT, (guint32) size, qemu->domain);
  stand_in_qemu_send (qemu, message, size);
}

guint
stand_in_qemu_count (const StandInQemu *qemu)
{
  return qemu->received.length;
}

guint16
stand_in_qemu_peek (const StandInQemu *qemu)
{
  const struct helper_header *header;

  g_assert_cmpuint (qemu->received.length, >, 0);
  header = g_bytes_get_data (qemu->received.head->data, NULL);
  return header->type;
}

gpointer
stand_in_qemu_take (StandInQemu *qemu, enum helper_message_type type)
{
  g_autoptr (GBytes) bytes = g_queue_pop_head (&qemu->received);
  gsize size = 0;
  const struct helper_header *header;

  g_assert_nonnull (bytes);
  header = g_bytes_get_data (bytes, &size);
  g_assert_cmpstr (
    helper_refusal_name (helper_message_check (header, size, HELPER_TO_HELPER, qemu->domain, NULL)),
    ==, "none");
  g_assert_cmpuint (header->type, ==, type);
  return g_memdup2 (header, size);
}
