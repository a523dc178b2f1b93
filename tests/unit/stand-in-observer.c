/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stand-in-observer.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "observer-server.h"

#define IDLE_MS 20

struct StandInObserver {
  char *path;
  ObserverServer *server;
  GHashTable *watched; /* pids */
  enum observer_reason refusal;
  gboolean is_idle;
};

static enum observer_reason
on_watch (gint32 pid, gpointer user_data)
{
  StandInObserver *observer = user_data;

  if (observer->refusal != OBSERVER_REASON_NONE)
    return observer->refusal;
  g_assert_true (g_hash_table_add (observer->watched, GINT_TO_POINTER (pid)));
  return OBSERVER_REASON_NONE;
}

static void
on_unwatch (gint32 pid, gpointer user_data)
{
  StandInObserver *observer = user_data;

  g_assert_true (g_hash_table_remove (observer->watched, GINT_TO_POINTER (pid)));
}

static void
on_idle (gpointer user_data)
{
  StandInObserver *observer = user_data;

  g_assert_false (observer->is_idle);
  observer->is_idle = TRUE;
}

static const ObserverServerCallbacks callbacks = {
  .watch = on_watch,
  .unwatch = on_unwatch,
  .idle = on_idle,
};

static int
listen_at (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpuint (strlen (path), <, sizeof address.sun_path);
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, 4), ==, 0);
  return fd;
}

/* public functions */

StandInObserver *
stand_in_observer_start (const char *path, const char *problem)
{
  StandInObserver *observer = g_new0 (StandInObserver, 1);

  observer->path = g_strdup (path);
  observer->watched = g_hash_table_new (NULL, NULL);
  observer->server = observer_server_new (listen_at (path), problem, IDLE_MS, &callbacks, observer);
  return observer;
}

void
stand_in_observer_end (StandInObserver *observer)
{
  observer_server_free (observer->server);
  g_assert_cmpuint (g_hash_table_size (observer->watched), ==, 0);
  g_hash_table_unref (observer->watched);
  (void) g_unlink (observer->path);
  g_free (observer->path);
  g_free (observer);
}

void
stand_in_observer_refuse (StandInObserver *observer, enum observer_reason reason)
{
  observer->refusal = reason;
}

guint
stand_in_observer_count (const StandInObserver *observer)
{
  return g_hash_table_size (observer->watched);
}

gboolean
stand_in_observer_watches (const StandInObserver *observer, gint32 pid)
{
  return g_hash_table_contains (observer->watched, GINT_TO_POINTER (pid));
}

gboolean
stand_in_observer_is_idle (const StandInObserver *observer)
{
  return observer->is_idle;
}

void
stand_in_observer_tell (StandInObserver *observer, gint32 pid, const struct clock_record *record)
{
  observer_server_tell (observer->server, pid, record, clock_record_size (record->vcpu_count),
                        OBSERVER_REASON_NONE, 0);
}

void
stand_in_observer_miss (StandInObserver *observer, gint32 pid, enum observer_reason reason)
{
  observer_server_tell (observer->server, pid, NULL, 0, reason, 0);
}
