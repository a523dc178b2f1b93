/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * observer-program-test - the real clockferry-observer, started as systemd does, with a real VM and the
 * daemon's end of its socket
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "observer-link.h"
#include "temp-folder.h"
#include "wait-until.h"

#define VCPUS 2

/* As many attempts to see a pause, this far apart, as attaching may take a moment. */
#define ATTEMPTS   100
#define ATTEMPT_MS 50

#define LISTEN_FD 3 /* SD_LISTEN_FDS_START */

typedef struct {
  char *folder;
  char *path;
  pid_t program; /* 0: ended */
  pid_t qemu;    /* stands in for one */
  int qemu_fd;   /* a byte to it: ask for the clock, which it answers with */
  ObserverLink *link;
  ObserverSeat *seat;
  struct clock_record *record; /* the last one */
  char *obstacle;
} Fixture;

static void
on_changed (gpointer user_data)
{
}

static void
on_record (const struct clock_record *record, gsize size, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_free (fixture->record);
  fixture->record = g_memdup2 (record, size);
}

static void
on_missed (const char *obstacle, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_free (fixture->obstacle);
  fixture->obstacle = g_strdup (obstacle);
}

static const ObserverSeatCallbacks callbacks = {
  .changed = on_changed,
  .record = on_record,
  .missed = on_missed,
  .lost = on_missed,
};

/* processes */

static int
listen_at (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  g_assert_cmpint (fd, >=, 0);
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, 4), ==, 0);
  return fd;
}

/* sd_listen_fds(3) */
static void
become_program (int listen_fd)
{
  g_autofree char *pid = g_strdup_printf ("%d", (int) getpid ());

  (void) prctl (PR_SET_PDEATHSIG, SIGKILL);
  if (listen_fd == LISTEN_FD)
    (void) fcntl (listen_fd, F_SETFD, 0);
  else
    (void) dup2 (listen_fd, LISTEN_FD);
  g_setenv ("LISTEN_FDS", "1", TRUE);
  g_setenv ("LISTEN_PID", pid, TRUE);
  execl (g_getenv ("OBSERVER"), "clockferry-observer", NULL);
  _exit (127);
}

/* As where the unit does not give it what it takes. */
static void
drop_capabilities (void)
{
  static const int dropped[] = { CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN };

  for (gsize i = 0; i < G_N_ELEMENTS (dropped); i++)
    (void) prctl (PR_CAPBSET_DROP, dropped[i]);
}

static void
start_program (Fixture *fixture, gboolean is_able)
{
  int listen_fd = listen_at (fixture->path);

  fixture->program = fork ();
  g_assert_cmpint (fixture->program, >=, 0);
  if (fixture->program == 0 && !is_able)
    drop_capabilities ();
  if (fixture->program == 0)
    become_program (listen_fd);
  close (listen_fd);
}

static void
become_qemu (int fd)
{
  struct kvm_clock_data clock = { .clock = 1000000000 };
  int kvm_fd = open ("/dev/kvm", O_RDWR | O_CLOEXEC);
  int vm_fd = ioctl (kvm_fd, KVM_CREATE_VM, 0);
  char byte;

  (void) prctl (PR_SET_PDEATHSIG, SIGKILL);
  for (unsigned long i = 0; i < VCPUS; i++) {
    if (ioctl (vm_fd, KVM_CREATE_VCPU, i) < 0)
      _exit (1);
  }
  if (ioctl (vm_fd, KVM_SET_CLOCK, &clock) < 0)
    _exit (1);
  while (read (fd, &byte, 1) == 1) {
    if (ioctl (vm_fd, KVM_GET_CLOCK, &clock) < 0 ||
        write (fd, &clock, sizeof clock) != (ssize_t) sizeof clock)
      _exit (1);
  }
  _exit (0);
}

static void
start_qemu (Fixture *fixture)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), ==, 0);
  fixture->qemu = fork ();
  g_assert_cmpint (fixture->qemu, >=, 0);
  if (fixture->qemu == 0) {
    close (fds[0]);
    become_qemu (fds[1]);
  }
  close (fds[1]);
  fixture->qemu_fd = fds[0];
}

/* QEMU pauses. */
static struct kvm_clock_data
ask_for_clock (const Fixture *fixture)
{
  struct kvm_clock_data clock;

  g_assert_cmpint (write (fixture->qemu_fd, "", 1), ==, 1);
  g_assert_cmpint (read (fixture->qemu_fd, &clock, sizeof clock), ==, sizeof clock);
  return clock;
}

static int
end_process (pid_t *pid, int signal_number)
{
  int status = 0;

  if (*pid == 0)
    return 0;
  g_assert_cmpint (kill (*pid, signal_number), ==, 0);
  g_assert_cmpint (waitpid (*pid, &status, 0), ==, *pid);
  *pid = 0;
  return status;
}

static void
set_up_program (Fixture *fixture, gboolean is_able)
{
  fixture->folder = temp_folder_make ();
  fixture->path = g_build_filename (fixture->folder, "observer.sock", NULL);
  fixture->link = observer_link_new (fixture->path);
  start_program (fixture, is_able);
  fixture->seat = observer_seat_new (fixture->link, &callbacks, fixture);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  set_up_program (fixture, TRUE);
}

static void
set_up_unable (Fixture *fixture, gconstpointer data)
{
  set_up_program (fixture, FALSE);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->seat, observer_seat_free);
  observer_link_free (fixture->link);
  end_process (&fixture->qemu, SIGKILL);
  if (fixture->qemu_fd > 0)
    close (fixture->qemu_fd);
  g_assert_cmpint (end_process (&fixture->program, SIGTERM), ==, 0);
  g_free (fixture->record);
  g_free (fixture->obstacle);
  g_free (fixture->path);
  temp_folder_remove (fixture->folder);
}

/* tests */

static gboolean
on_attempt_over (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

static gboolean
has_record_of (const Fixture *fixture, const struct kvm_clock_data *clock)
{
  return fixture->record != NULL && fixture->record->guest_src_ns == clock->clock;
}

/* The record of a pause from now on; the first may be before it is watched. */
static struct kvm_clock_data
pause_until_seen (Fixture *fixture)
{
  for (int i = 0; i < ATTEMPTS; i++) {
    struct kvm_clock_data clock = ask_for_clock (fixture);
    gboolean is_over = FALSE;
    guint timer = g_timeout_add (ATTEMPT_MS, on_attempt_over, &is_over);

    WAIT_UNTIL (is_over || has_record_of (fixture, &clock));
    if (!is_over)
      g_source_remove (timer);
    if (has_record_of (fixture, &clock))
      return clock;
  }
  g_error ("no pause was seen");
}

static void
test_record (Fixture *fixture, gconstpointer data)
{
  struct kvm_clock_data clock;

  WAIT_UNTIL (observer_seat_get_state (fixture->seat) != OBSERVER_ASKED);
  if (observer_seat_get_state (fixture->seat) == OBSERVER_UNABLE) {
    g_test_skip (observer_seat_get_problem (fixture->seat));
    return;
  }
  start_qemu (fixture);
  observer_seat_watch (fixture->seat, fixture->qemu);
  clock = pause_until_seen (fixture);
  g_assert_cmpuint (fixture->record->host_src_ns, ==, clock.realtime);
  g_assert_cmpuint (fixture->record->tsc_src_ticks, ==, clock.host_tsc);
  g_assert_cmpuint (fixture->record->vcpu_count, ==, VCPUS);

  /* and again, each time its own */
  clock = pause_until_seen (fixture);
  g_assert_cmpuint (fixture->record->tsc_src_ticks, ==, clock.host_tsc);
}

static void
say (int fd, enum observer_message_type type, gint32 pid)
{
  struct observer_header header;

  observer_header_init (&header, type, sizeof header, pid);
  g_assert_cmpint (send (fd, &header, sizeof header, 0), ==, sizeof header);
}

static enum observer_message_type
hear (int fd)
{
  guint64 buffer[OBSERVER_MESSAGE_SIZE_MAX / sizeof (guint64) + 1];
  gssize got = recv (fd, buffer, sizeof buffer, 0);

  g_assert_cmpint (got, >=, (gssize) sizeof (struct observer_header));
  return (enum observer_message_type) ((const struct observer_header *) buffer)->type;
}

/* Nobody wants to know any more. */
static void
test_unwatched (Fixture *fixture, gconstpointer data)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  char byte;

  g_strlcpy (address.sun_path, fixture->path, sizeof address.sun_path);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  if (hear (fd) == OBSERVER_MESSAGE_UNABLE) {
    close (fd);
    g_test_skip ("it can not observe here");
    return;
  }
  start_qemu (fixture);
  say (fd, OBSERVER_MESSAGE_WATCH, fixture->qemu);
  g_assert_cmpint (hear (fd), ==, OBSERVER_MESSAGE_WATCHING);
  ask_for_clock (fixture);
  g_assert_cmpint (hear (fd), ==, OBSERVER_MESSAGE_RECORD);

  say (fd, OBSERVER_MESSAGE_UNWATCH, fixture->qemu);
  say (fd, OBSERVER_MESSAGE_WATCH, getpid ());
  g_assert_cmpint (hear (fd), ==, OBSERVER_MESSAGE_WATCHING);
  ask_for_clock (fixture);
  g_usleep (ATTEMPT_MS * 1000);
  g_assert_cmpint (recv (fd, &byte, sizeof byte, MSG_DONTWAIT), <, 0);
  g_assert_cmpint (errno, ==, EAGAIN);
  close (fd);
}

static void
test_no_process (Fixture *fixture, gconstpointer data)
{
  pid_t gone;

  WAIT_UNTIL (observer_seat_get_state (fixture->seat) != OBSERVER_ASKED);
  if (observer_seat_get_state (fixture->seat) == OBSERVER_UNABLE) {
    g_test_skip (observer_seat_get_problem (fixture->seat));
    return;
  }
  start_qemu (fixture);
  gone = fixture->qemu;
  end_process (&fixture->qemu, SIGKILL);
  observer_seat_watch (fixture->seat, gone);
  WAIT_UNTIL (fixture->obstacle != NULL);
  g_assert_cmpstr (fixture->obstacle, ==, "there is no such process");
}

static void
on_ended (GPid pid, int status, gpointer user_data)
{
  Fixture *fixture = user_data;

  g_assert_cmpint (status, ==, 0);
  fixture->program = 0;
}

/* It says why, and does not stay to say the same to whoever asks when that was mended. */
static void
test_unable (Fixture *fixture, gconstpointer data)
{
  g_child_watch_add (fixture->program, on_ended, fixture);
  WAIT_UNTIL (observer_seat_get_state (fixture->seat) == OBSERVER_UNABLE);
  g_assert_nonnull (
    strstr (observer_seat_get_problem (fixture->seat), "lacks the capability CAP_BPF"));
  WAIT_UNTIL (fixture->program == 0);
}

static void
test_command_line (void)
{
  g_autofree char *output = NULL;
  g_autofree char *complaint = NULL;
  const char *version[] = { g_getenv ("OBSERVER"), "--version", NULL };
  const char *alone[] = { g_getenv ("OBSERVER"), NULL };
  int status;

  g_assert_true (
    g_spawn_sync (NULL, (char **) version, NULL, 0, NULL, NULL, &output, NULL, &status, NULL));
  g_assert_cmpint (status, ==, 0);
  g_assert_true (g_str_has_prefix (output, "clockferry-observer "));
  g_assert_true (
    g_spawn_sync (NULL, (char **) alone, NULL, 0, NULL, NULL, NULL, &complaint, &status, NULL));
  g_assert_cmpint (WEXITSTATUS (status), ==, 2);
  g_assert_nonnull (strstr (complaint, "clockferry-observer.socket"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/observer-program/record", Fixture, NULL, set_up, test_record, tear_down);
  g_test_add ("/observer-program/unwatched", Fixture, NULL, set_up, test_unwatched, tear_down);
  g_test_add ("/observer-program/no-process", Fixture, NULL, set_up, test_no_process, tear_down);
  g_test_add ("/observer-program/unable", Fixture, NULL, set_up_unable, test_unable, tear_down);
  g_test_add_func ("/observer-program/command-line", test_command_line);
  return g_test_run ();
}
