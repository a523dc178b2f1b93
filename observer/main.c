/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clockferry-observer - tells clockferryd the clocks of a guest whose QEMU has no helper
 *
 * systemd starts it when the daemon connects to its socket, and it ends when nobody has been there
 * for a while.
 */

#include <glib-unix.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "clock-probe.h"
#include "observer-server.h"

/* Starting again costs a second of a processor. */
#define IDLE_MS 60000

/* Whoever asks again may have mended it. */
#define IDLE_UNABLE_MS 500

#define LINGER_MS 30000

typedef struct {
  GMainLoop *loop;
  ClockProbe *probe; /* NULL where nothing can be observed */
  ObserverServer *server;
} Observer;

static enum observer_reason
on_watch (gint32 pid, gpointer user_data)
{
  Observer *observer = user_data;

  return clock_probe_watch (observer->probe, pid);
}

static void
on_unwatch (gint32 pid, gpointer user_data)
{
  Observer *observer = user_data;

  clock_probe_unwatch (observer->probe, pid);
}

static void
on_idle (gpointer user_data)
{
  Observer *observer = user_data;

  observer_server_stop_listening (observer->server);
  g_main_loop_quit (observer->loop);
}

static const ObserverServerCallbacks server_callbacks = {
  .watch = on_watch,
  .unwatch = on_unwatch,
  .idle = on_idle,
};

static void
on_record (gint32 pid, const struct clock_record *record, gsize size, enum observer_reason reason,
           guint32 detail, gpointer user_data)
{
  Observer *observer = user_data;

  observer_server_tell (observer->server, pid, record, size, reason, detail);
}

static gboolean
on_terminate (gpointer user_data)
{
  Observer *observer = user_data;

  g_main_loop_quit (observer->loop);
  return G_SOURCE_REMOVE;
}

static int
run (int listen_fd)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (GError) error = NULL;
  Observer observer = { .loop = loop };

  observer.probe = clock_probe_new (CLOCK_PROBE_BTF_DIR, LINGER_MS, on_record, &observer, &error);
  if (observer.probe == NULL)
    g_warning ("nothing can be observed: %s", error->message);
  else
    g_message ("ready to observe, at the return of %s", clock_probe_get_place (observer.probe));
  (void) malloc_trim (0); /* the kernel's types are long, and needed no more */
  observer.server = observer_server_new (listen_fd, error != NULL ? error->message : NULL,
                                         error != NULL ? IDLE_UNABLE_MS : IDLE_MS,
                                         &server_callbacks, &observer);
  g_unix_signal_add (SIGTERM, on_terminate, &observer);
  g_unix_signal_add (SIGINT, on_terminate, &observer);
  sd_notify (0, "READY=1");
  g_main_loop_run (loop);
  sd_notify (0, "STOPPING=1");
  observer_server_free (observer.server);
  g_clear_pointer (&observer.probe, clock_probe_free);
  return EXIT_SUCCESS;
}

int
main (int argc, char **argv)
{
  if (argc == 2 && g_str_equal (argv[1], "--version")) {
    printf ("clockferry-observer %s\n", CLOCKFERRY_VERSION);
    return EXIT_SUCCESS;
  }
  if (argc > 1 || sd_listen_fds (1) != 1 ||
      sd_is_socket_unix (SD_LISTEN_FDS_START, SOCK_SEQPACKET, 1, NULL, 0) <= 0) {
    fprintf (stderr, "clockferry-observer: systemd starts it, by clockferry-observer.socket\n");
    return 2;
  }
  return run (SD_LISTEN_FDS_START);
}
