/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * observer-link-test - daemon and observer on what they say to each other: both real ends
 */

#include "observer-link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "idle-process.h"
#include "raw-observer.h"
#include "stand-in-observer.h"
#include "stand-in-qemu.h"
#include "temp-folder.h"
#include "wait-until.h"

/* Time for what must not come. */
#define SILENCE_MS 50

typedef struct {
  ObserverSeat *seat; /* NULL when freed */
  guint changes;
  guint records;
  guint losses;
  guint64 guest_src_ns; /* of the last */
  char *obstacle;       /* the last */
  gboolean frees_on_record;
} Sitter;

typedef struct {
  char *folder;
  char *path;
  StandInObserver *observer; /* NULL while there is none */
  ObserverLink *link;
  Sitter sitters[2];
  pid_t processes[2];
} Fixture;

static void
on_changed (gpointer user_data)
{
  ((Sitter *) user_data)->changes++;
}

static void
on_record (const struct clock_record *record, gsize size, gpointer user_data)
{
  Sitter *sitter = user_data;

  g_assert_cmpint (clock_record_check (record, size), ==, CLOCK_RECORD_OK);
  sitter->records++;
  sitter->guest_src_ns = record->guest_src_ns;
  if (sitter->frees_on_record)
    g_clear_pointer (&sitter->seat, observer_seat_free);
}

static void
on_missed (const char *obstacle, gpointer user_data)
{
  Sitter *sitter = user_data;

  g_free (sitter->obstacle);
  sitter->obstacle = g_strdup (obstacle);
}

static void
on_lost (const char *obstacle, gpointer user_data)
{
  Sitter *sitter = user_data;

  sitter->losses++;
  on_missed (obstacle, user_data);
}

static const ObserverSeatCallbacks callbacks = {
  .changed = on_changed,
  .record = on_record,
  .missed = on_missed,
  .lost = on_lost,
};

static void
end_process (pid_t *pid)
{
  if (*pid == 0)
    return;
  idle_process_end (*pid);
  *pid = 0;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->folder = temp_folder_make ();
  fixture->path = g_build_filename (fixture->folder, "observer.sock", NULL);
  fixture->link = observer_link_new (fixture->path);
  for (gsize i = 0; i < G_N_ELEMENTS (fixture->processes); i++)
    fixture->processes[i] = idle_process_start ();
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  for (gsize i = 0; i < G_N_ELEMENTS (fixture->sitters); i++) {
    g_clear_pointer (&fixture->sitters[i].seat, observer_seat_free);
    g_free (fixture->sitters[i].obstacle);
    end_process (&fixture->processes[i]);
  }
  observer_link_free (fixture->link);
  g_clear_pointer (&fixture->observer, stand_in_observer_end);
  g_free (fixture->path);
  temp_folder_remove (fixture->folder);
}

static void
take_seat (Fixture *fixture, guint index)
{
  fixture->sitters[index].seat =
    observer_seat_new (fixture->link, &callbacks, &fixture->sitters[index]);
}

static void
start_observer (Fixture *fixture)
{
  fixture->observer = stand_in_observer_start (fixture->path, NULL);
}

static void
wait_for_state (Fixture *fixture, ObserverState state)
{
  WAIT_UNTIL (observer_seat_get_state (fixture->sitters[0].seat) == state);
}

static void
tell (Fixture *fixture, pid_t pid, guint64 guest_src_ns)
{
  g_autofree struct clock_record *record = stand_in_qemu_make_record (guest_src_ns);

  stand_in_observer_tell (fixture->observer, pid, record);
}

static gboolean
on_silence_over (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

static void
let_pass (void)
{
  gboolean is_over = FALSE;

  g_timeout_add (SILENCE_MS, on_silence_over, &is_over);
  WAIT_UNTIL (is_over);
}

static void
test_record (Fixture *fixture, gconstpointer data)
{
  Sitter *sitter = &fixture->sitters[0];
  pid_t pid = fixture->processes[0];

  start_observer (fixture);
  take_seat (fixture, 0);
  g_assert_cmpint (observer_seat_get_state (sitter->seat), ==, OBSERVER_ASKED);
  wait_for_state (fixture, OBSERVER_READY);
  g_assert_cmpuint (sitter->changes, ==, 1);
  g_assert_cmpuint (stand_in_observer_count (fixture->observer), ==, 0);

  observer_seat_watch (sitter->seat, pid);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, pid));
  tell (fixture, pid, 1000);
  WAIT_UNTIL (sitter->records == 1);
  g_assert_cmpuint (sitter->guest_src_ns, ==, 1000);
  stand_in_observer_miss (fixture->observer, pid, OBSERVER_REASON_MISSING_VCPUS);
  WAIT_UNTIL (sitter->obstacle != NULL);
  g_assert_nonnull (strstr (sitter->obstacle, "vCPUs"));

  observer_seat_watch (sitter->seat, 0);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 0);
  /* and it ends when nobody is there */
  g_assert_false (stand_in_observer_is_idle (fixture->observer));
  g_clear_pointer (&sitter->seat, observer_seat_free);
  WAIT_UNTIL (stand_in_observer_is_idle (fixture->observer));
}

/* Two guests at once: the record of one is never the other's. */
static void
test_two (Fixture *fixture, gconstpointer data)
{
  start_observer (fixture);
  for (guint i = 0; i < 2; i++) {
    take_seat (fixture, i);
    observer_seat_watch (fixture->sitters[i].seat, fixture->processes[i]);
  }
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 2);
  tell (fixture, fixture->processes[1], 2000);
  tell (fixture, fixture->processes[0], 1000);
  WAIT_UNTIL (fixture->sitters[0].records == 1);
  WAIT_UNTIL (fixture->sitters[1].records == 1);
  g_assert_cmpuint (fixture->sitters[0].guest_src_ns, ==, 1000);
  g_assert_cmpuint (fixture->sitters[1].guest_src_ns, ==, 2000);

  /* one goes, the other is watched on */
  g_clear_pointer (&fixture->sitters[0].seat, observer_seat_free);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 1);
  g_assert_true (stand_in_observer_watches (fixture->observer, fixture->processes[1]));
}

static void
test_freed_by_callback (Fixture *fixture, gconstpointer data)
{
  start_observer (fixture);
  take_seat (fixture, 0);
  observer_seat_watch (fixture->sitters[0].seat, fixture->processes[0]);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 1);
  fixture->sitters[0].frees_on_record = TRUE;
  tell (fixture, fixture->processes[0], 1000);
  tell (fixture, fixture->processes[0], 2000);
  WAIT_UNTIL (fixture->sitters[0].records == 1);
  WAIT_UNTIL (stand_in_observer_is_idle (fixture->observer));
  g_assert_cmpuint (fixture->sitters[0].records, ==, 1);
}

/* The kernel gives a pid to another process one day: by then nobody asks for it. */
static void
test_process_ends (Fixture *fixture, gconstpointer data)
{
  start_observer (fixture);
  take_seat (fixture, 0);
  observer_seat_watch (fixture->sitters[0].seat, fixture->processes[0]);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 1);
  end_process (&fixture->processes[0]);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 0);
}

static void
test_no_process (Fixture *fixture, gconstpointer data)
{
  pid_t pid = fixture->processes[0];

  end_process (&fixture->processes[0]);
  start_observer (fixture);
  take_seat (fixture, 0);
  observer_seat_watch (fixture->sitters[0].seat, pid);
  WAIT_UNTIL (fixture->sitters[0].obstacle != NULL);
  g_assert_cmpstr (fixture->sitters[0].obstacle, ==, "there is no such process");
  g_assert_cmpuint (stand_in_observer_count (fixture->observer), ==, 0);
}

static void
test_not_attached (Fixture *fixture, gconstpointer data)
{
  start_observer (fixture);
  stand_in_observer_refuse (fixture->observer, OBSERVER_REASON_NOT_ATTACHED);
  take_seat (fixture, 0);
  observer_seat_watch (fixture->sitters[0].seat, fixture->processes[0]);
  WAIT_UNTIL (fixture->sitters[0].obstacle != NULL);
  g_assert_nonnull (strstr (fixture->sitters[0].obstacle, "attached"));
  g_assert_false (observer_seat_is_watched (fixture->sitters[0].seat));
  /* and is tried again */
  stand_in_observer_refuse (fixture->observer, OBSERVER_REASON_NONE);
  WAIT_UNTIL (observer_seat_is_watched (fixture->sitters[0].seat));
}

static void
test_unable (Fixture *fixture, gconstpointer data)
{
  fixture->observer = stand_in_observer_start (fixture->path, "this kernel has\nno types");
  take_seat (fixture, 0);
  wait_for_state (fixture, OBSERVER_UNABLE);
  g_assert_cmpstr (observer_seat_get_problem (fixture->sitters[0].seat), ==,
                   "this kernel has?no types");
}

static void
test_absent (Fixture *fixture, gconstpointer data)
{
  take_seat (fixture, 0);
  wait_for_state (fixture, OBSERVER_UNABLE);
  g_assert_nonnull (strstr (observer_seat_get_problem (fixture->sitters[0].seat),
                            "systemctl enable --now clockferry-observer.socket"));
  /* once it is there it is found, and told what to watch */
  observer_seat_watch (fixture->sitters[0].seat, fixture->processes[0]);
  start_observer (fixture);
  wait_for_state (fixture, OBSERVER_READY);
  WAIT_UNTIL (stand_in_observer_watches (fixture->observer, fixture->processes[0]));
}

static void
test_restarted (Fixture *fixture, gconstpointer data)
{
  start_observer (fixture);
  take_seat (fixture, 0);
  observer_seat_watch (fixture->sitters[0].seat, fixture->processes[0]);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 1);
  g_clear_pointer (&fixture->observer, stand_in_observer_end);
  /* as it comes back at once, it is able to observe as before, and nobody is told anything else */
  wait_for_state (fixture, OBSERVER_ASKED);
  g_assert_cmpuint (fixture->sitters[0].losses, ==, 1);
  g_assert_cmpstr (fixture->sitters[0].obstacle, ==, "the observer ended the connection");
  g_assert_false (observer_seat_is_watched (fixture->sitters[0].seat));
  start_observer (fixture);
  WAIT_UNTIL (observer_seat_is_watched (fixture->sitters[0].seat));
  tell (fixture, fixture->processes[0], 3000);
  WAIT_UNTIL (fixture->sitters[0].records == 1);
  g_assert_cmpint (observer_seat_get_state (fixture->sitters[0].seat), ==, OBSERVER_READY);
}

/* It does not come back. */
static void
test_ended (Fixture *fixture, gconstpointer data)
{
  start_observer (fixture);
  take_seat (fixture, 0);
  wait_for_state (fixture, OBSERVER_READY);
  g_clear_pointer (&fixture->observer, stand_in_observer_end);
  wait_for_state (fixture, OBSERVER_UNABLE);
  g_assert_nonnull (strstr (observer_seat_get_problem (fixture->sitters[0].seat),
                            "clockferry-observer is not there"));
  /* none was to be watched */
  g_assert_cmpuint (fixture->sitters[0].losses, ==, 0);
}

/* What was wrong is mended, and the daemon told so. */
static void
test_asked_again (Fixture *fixture, gconstpointer data)
{
  fixture->observer = stand_in_observer_start (fixture->path, "this kernel has no types");
  take_seat (fixture, 0);
  wait_for_state (fixture, OBSERVER_UNABLE);
  g_clear_pointer (&fixture->observer, stand_in_observer_end);
  start_observer (fixture);
  observer_link_ask_again (fixture->link);
  wait_for_state (fixture, OBSERVER_READY);
}

/* a stranger at either end */

static void
test_daemon_hears_nonsense (Fixture *fixture, gconstpointer data)
{
  int listen_fd = raw_observer_listen (fixture->path);
  int fd;

  take_seat (fixture, 0);
  fd = raw_observer_accept (listen_fd);
  g_assert_cmpint (send (fd, "nonsense, and rather long", 25, 0), ==, 25);
  wait_for_state (fixture, OBSERVER_UNABLE);
  g_assert_nonnull (strstr (observer_seat_get_problem (fixture->sitters[0].seat), "no message"));
  close (fd);
  close (listen_fd);
}

static int
connect_to (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (connect (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  return fd;
}

static gboolean
was_closed (int fd)
{
  char buffer[256];
  gssize got = recv (fd, buffer, sizeof buffer, MSG_DONTWAIT);

  return got == 0;
}

static void
test_observer_hears_nonsense (Fixture *fixture, gconstpointer data)
{
  struct observer_header header;
  int fd;

  start_observer (fixture);
  take_seat (fixture, 0);
  observer_seat_watch (fixture->sitters[0].seat, fixture->processes[0]);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 1);

  fd = connect_to (fixture->path);
  g_assert_cmpint (send (fd, "nonsense", 8, 0), ==, 8);
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*no message*");
  WAIT_UNTIL (was_closed (fd));
  g_test_assert_expected_messages ();
  close (fd);

  fd = connect_to (fixture->path);
  observer_header_init (&header, OBSERVER_MESSAGE_RECORD, sizeof header, 1);
  g_assert_cmpint (send (fd, &header, sizeof header, 0), ==, sizeof header);
  g_test_expect_message (NULL, G_LOG_LEVEL_WARNING, "*no message*");
  WAIT_UNTIL (was_closed (fd));
  g_test_assert_expected_messages ();
  close (fd);

  /* what it heard of another it does not hold against the daemon */
  tell (fixture, fixture->processes[0], 1000);
  WAIT_UNTIL (fixture->sitters[0].records == 1);
}

/* Whoever does not read is let go, and what he watched with him. */
/* More than fit into a socket. */
#define UNREAD_MESSAGES 5000

static guint
count_unread (int fd)
{
  char buffer[OBSERVER_MESSAGE_SIZE_MAX];
  guint count = 0;

  while (recv (fd, buffer, sizeof buffer, MSG_DONTWAIT) > 0)
    count++;
  g_assert_cmpint (errno, ==, EAGAIN);
  return count;
}

/* It misses what does not fit, and no other does; once it reads it has the next. */
static void
test_observer_is_not_read (Fixture *fixture, gconstpointer data)
{
  struct observer_header header;
  int fd;

  start_observer (fixture);
  fd = connect_to (fixture->path);
  observer_header_init (&header, OBSERVER_MESSAGE_WATCH, sizeof header, fixture->processes[0]);
  g_assert_cmpint (send (fd, &header, sizeof header, 0), ==, sizeof header);
  WAIT_UNTIL (stand_in_observer_count (fixture->observer) == 1);
  for (int i = 0; i < UNREAD_MESSAGES; i++)
    tell (fixture, fixture->processes[0], 1000);
  g_assert_cmpuint (stand_in_observer_count (fixture->observer), ==, 1);
  g_assert_cmpuint (count_unread (fd), <, UNREAD_MESSAGES);

  take_seat (fixture, 0);
  observer_seat_watch (fixture->sitters[0].seat, fixture->processes[0]);
  WAIT_UNTIL (observer_seat_is_watched (fixture->sitters[0].seat));
  for (int i = 0; i < UNREAD_MESSAGES; i++)
    tell (fixture, fixture->processes[0], 1000);
  WAIT_UNTIL (fixture->sitters[0].records > 0);
  (void) count_unread (fd);
  tell (fixture, fixture->processes[0], 2000);
  g_assert_cmpuint (count_unread (fd), ==, 1);
  WAIT_UNTIL (fixture->sitters[0].guest_src_ns == 2000);
  close (fd);
}

static void
test_nobody_asked (Fixture *fixture, gconstpointer data)
{
  start_observer (fixture);
  take_seat (fixture, 0);
  wait_for_state (fixture, OBSERVER_READY);
  tell (fixture, fixture->processes[0], 1000);
  let_pass ();
  g_assert_cmpuint (fixture->sitters[0].records, ==, 0);
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *path;
    void (*test) (Fixture *fixture, gconstpointer data);
  } tests[] = {
    { "/observer-link/record", test_record },
    { "/observer-link/two", test_two },
    { "/observer-link/freed-by-callback", test_freed_by_callback },
    { "/observer-link/process-ends", test_process_ends },
    { "/observer-link/no-process", test_no_process },
    { "/observer-link/not-attached", test_not_attached },
    { "/observer-link/unable", test_unable },
    { "/observer-link/absent", test_absent },
    { "/observer-link/restarted", test_restarted },
    { "/observer-link/ended", test_ended },
    { "/observer-link/asked-again", test_asked_again },
    { "/observer-link/daemon-hears-nonsense", test_daemon_hears_nonsense },
    { "/observer-link/observer-hears-nonsense", test_observer_hears_nonsense },
    { "/observer-link/observer-is-not-read", test_observer_is_not_read },
    { "/observer-link/nobody-asked", test_nobody_asked },
  };

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
  return g_test_run ();
}
