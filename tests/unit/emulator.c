/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "emulator.h"

#include <errno.h>
#include <gio/gio.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host-time.h"
#include "temp-folder.h"

#define UUID     "b3a1c7de-0001-4002-8003-010203040506"
#define NS_PER_S G_GUINT64_CONSTANT (1000000000)

static const guint8 domain[16] = {
  0xb3, 0xa1, 0xc7, 0xde, 0, 1, 0x40, 2, 0x80, 3, 1, 2, 3, 4, 5, 6
};

struct Emulator {
  char *home;
  GSubprocess *process;
  GOutputStream *commands;
  GDataInputStream *answers;
  int fd; /* to the helper, -1 without */
};

static char *
make_preload (const EmulatorTerms *terms)
{
  g_autoptr (GPtrArray) libraries = g_ptr_array_new ();

  if (terms->neighbour == EMULATOR_NEIGHBOUR_BEFORE)
    g_ptr_array_add (libraries, (gpointer) NEIGHBOUR_BUILT);
  if (!terms->without_helper)
    g_ptr_array_add (libraries, (gpointer) HELPER_BUILT);
  if (terms->neighbour == EMULATOR_NEIGHBOUR_BEHIND)
    g_ptr_array_add (libraries, (gpointer) NEIGHBOUR_BUILT);
  g_ptr_array_add (libraries, (gpointer) KVM_BUILT);
  g_ptr_array_add (libraries, NULL);
  return g_strjoinv (":", (char **) libraries->pdata);
}

static char *
read_answer (Emulator *emulator)
{
  g_autoptr (GError) error = NULL;
  char *line = g_data_input_stream_read_line (emulator->answers, NULL, NULL, &error);

  g_assert_no_error (error);
  return line;
}

/* "KEY VALUE errno STATE": the value */
static guint64
check_answer (const char *answer, const char *key, gboolean keeps_errno)
{
  g_auto (GStrv) words = g_strsplit (answer, " ", -1);
  guint count = g_strv_length (words);

  g_assert_cmpuint (count, >=, 3);
  g_assert_cmpstr (words[0], ==, key);
  if (keeps_errno)
    g_assert_cmpstr (words[count - 1], ==, "kept");
  return g_ascii_strtoull (words[1], NULL, 10);
}

/* public functions */

Emulator *
emulator_start (const EmulatorTerms *terms)
{
  Emulator *emulator = g_new0 (Emulator, 1);
  g_autoptr (GSubprocessLauncher) launcher =
    g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  g_autofree char *program = g_test_build_filename (G_TEST_BUILT, "emulator-program", NULL);
  g_autofree char *preload = make_preload (terms);
  g_autofree char *answer = NULL;
  g_autoptr (GError) error = NULL;
  const char *argv[] = {
    program,
    "-uuid",
    UUID,
    "--past",
    terms->past != NULL ? terms->past : "",
    terms->is_sandboxed ? "--sandbox" : NULL,
    NULL,
  };

  emulator->home = temp_folder_make ();
  emulator->fd = -1;
  g_subprocess_launcher_setenv (launcher, "HOME", emulator->home, TRUE);
  g_subprocess_launcher_setenv (launcher, "LD_PRELOAD", preload, TRUE);
  if (terms->neighbour_does != NULL)
    g_subprocess_launcher_setenv (launcher, "IOCTL_NEIGHBOUR", terms->neighbour_does, TRUE);
  emulator->process = g_subprocess_launcher_spawnv (launcher, argv, &error);
  g_assert_no_error (error);
  emulator->commands = g_object_ref (g_subprocess_get_stdin_pipe (emulator->process));
  emulator->answers = g_data_input_stream_new (g_subprocess_get_stdout_pipe (emulator->process));
  answer = read_answer (emulator);
  g_assert_cmpstr (answer, ==, "ready");
  return emulator;
}

void
emulator_end (Emulator *emulator)
{
  if (emulator->fd >= 0)
    close (emulator->fd);
  g_assert_true (g_output_stream_close (emulator->commands, NULL, NULL));
  g_assert_true (g_subprocess_wait (emulator->process, NULL, NULL));
  g_object_unref (emulator->answers);
  g_object_unref (emulator->commands);
  g_object_unref (emulator->process);
  temp_folder_remove (emulator->home);
  g_free (emulator);
}

char *
emulator_ask (Emulator *emulator, const char *command)
{
  g_autofree char *line = g_strconcat (command, "\n", NULL);
  g_autoptr (GError) error = NULL;

  g_output_stream_write_all (emulator->commands, line, strlen (line), NULL, NULL, &error);
  g_assert_no_error (error);
  return read_answer (emulator);
}

int
emulator_wait_for_signal (Emulator *emulator)
{
  g_assert_true (g_subprocess_wait (emulator->process, NULL, NULL));
  g_assert_true (g_subprocess_get_if_signaled (emulator->process));
  return g_subprocess_get_term_sig (emulator->process);
}

guint64
emulator_pause (Emulator *emulator, gboolean keeps_errno)
{
  g_autofree char *answer = emulator_ask (emulator, "pause");

  g_assert_nonnull (answer);
  return check_answer (answer, "clock", keeps_errno);
}

void
emulator_resume (Emulator *emulator, guint64 clock_ns, gboolean keeps_errno)
{
  g_autofree char *command = g_strdup_printf ("resume %" G_GUINT64_FORMAT, clock_ns);
  g_autofree char *answer = emulator_ask (emulator, command);

  g_assert_nonnull (answer);
  check_answer (answer, "resumed", keeps_errno);
}

int
emulator_connect (Emulator *emulator)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  g_assert_cmpint (fd, >=, 0);
  g_snprintf (address.sun_path, sizeof address.sun_path, "%s/%s", emulator->home,
              HELPER_SOCKET_NAME);
  if (connect (fd, (struct sockaddr *) &address, sizeof address) < 0) {
    int connect_errno = errno;

    close (fd);
    return connect_errno;
  }
  emulator->fd = fd;
  return 0;
}

void
emulator_send_fixup (Emulator *emulator, const struct clock_record *record)
{
  gsize record_size = clock_record_size (record->vcpu_count);
  gsize size = offsetof (struct helper_fixup, record) + record_size;
  g_autofree struct helper_fixup *fixup = g_malloc0 (size);

  helper_header_init (&fixup->header, HELPER_MESSAGE_FIXUP, (guint32) size, domain);
  /* one machine, one clock; and the helper may be older than its QEMU by nothing at all */
  fixup->theta_bound_ns = 60 * NS_PER_S;
  fixup->real_minus_boot_ns = host_real_minus_boot_ns ();
  fixup->deadline_monotonic_ns = (guint64) g_get_monotonic_time () * 1000 + 300 * NS_PER_S;
  fixup->max_advance_ns = 300 * NS_PER_S;
  memcpy (&fixup->record, record, record_size);
  g_assert_cmpint (send (emulator->fd, fixup, size, MSG_NOSIGNAL), ==, (gssize) size);
}

gpointer
emulator_take_last (Emulator *emulator)
{
  g_autofree char *buffer = g_malloc (HELPER_MESSAGE_SIZE_MAX);
  gpointer last = NULL;
  gssize got;

  while ((got = recv (emulator->fd, buffer, HELPER_MESSAGE_SIZE_MAX, MSG_TRUNC)) > 0) {
    g_assert_cmpstr (helper_refusal_name (
                       helper_message_check (buffer, (gsize) got, HELPER_TO_DAEMON, domain, NULL)),
                     ==, "none");
    g_free (last);
    last = g_memdup2 (buffer, (gsize) got);
  }
  g_assert_cmpint (got, <, 0); /* still connected */
  return last;
}

gboolean
emulator_is_unread (Emulator *emulator)
{
  int queued = 0;

  g_assert_cmpint (ioctl (emulator->fd, SIOCOUTQ, &queued), ==, 0);
  return queued > 0;
}
