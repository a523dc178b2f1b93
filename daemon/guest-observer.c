/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-observer.h"

#include "libvirt-calls.h"
#include "observer-link.h"

/* After libvirt began a job: the destination's QEMU must be there by then, or its daemon have claimed it. */
#define EXPECT_S 120

struct GuestObserver {
  const HostContext *host;
  char *uuid;
  const GuestObserverCallbacks *callbacks;
  gpointer user_data;
  ObserverSeat *seat; /* NULL unless started, and so the next two */
  char *name;         /* of the guest */
  GFileMonitor *status;
  GCancellable *question; /* while libvirt is asked for a job */
  gboolean asks_again;    /* for one that began meanwhile */
  gboolean is_claimed;
  guint expect_id; /* while it is expected to leave */
  gint32 pid;      /* that is to be watched, 0: none */
};

static void
on_changed (gpointer user_data)
{
  GuestObserver *observer = user_data;

  observer->callbacks->changed (observer->user_data);
}

static void
on_record (const struct clock_record *record, gsize size, gpointer user_data)
{
  GuestObserver *observer = user_data;

  /* its STOPPED may be on its way, and the guest have been started again */
  if (qemu_process_read_pid (&observer->host->folders, observer->name, NULL) != observer->pid)
    observer->callbacks->missed ("its QEMU is another process by now", observer->user_data);
  else
    observer->callbacks->record (record, size, observer->user_data);
}

static void
on_missed (const char *obstacle, gpointer user_data)
{
  GuestObserver *observer = user_data;

  observer->callbacks->missed (obstacle, observer->user_data);
}

static void
on_lost (const char *obstacle, gpointer user_data)
{
  GuestObserver *observer = user_data;

  observer->callbacks->lost (obstacle, observer->user_data);
}

static const ObserverSeatCallbacks seat_callbacks = {
  .changed = on_changed,
  .record = on_record,
  .missed = on_missed,
  .lost = on_lost,
};

/* watching */

static void
watch (GuestObserver *observer)
{
  g_autoptr (GError) error = NULL;
  gboolean is_known;
  const char *problem = guest_observer_get_problem (observer, &is_known);
  pid_t pid = qemu_process_read_pid (&observer->host->folders, observer->name, &error);

  observer->callbacks->began (observer->user_data);
  if (pid < 0) {
    observer->callbacks->lost (error->message, observer->user_data);
    return;
  }
  observer->pid = pid;
  observer_seat_watch (observer->seat, pid);
  if (problem != NULL)
    observer->callbacks->lost (problem, observer->user_data);
}

static void
unwatch (GuestObserver *observer)
{
  observer->pid = 0;
  observer_seat_watch (observer->seat, 0);
}

static void
update (GuestObserver *observer)
{
  gboolean is_wanted = observer->is_claimed || observer->expect_id != 0;

  if (is_wanted && observer->pid == 0)
    watch (observer);
  else if (!is_wanted && observer->pid != 0)
    unwatch (observer);
}

static gboolean
on_not_leaving (gpointer user_data)
{
  GuestObserver *observer = user_data;

  observer->expect_id = 0;
  update (observer);
  return G_SOURCE_REMOVE;
}

static void
expect (GuestObserver *observer)
{
  g_clear_handle_id (&observer->expect_id, g_source_remove);
  observer->expect_id = g_timeout_add_seconds (EXPECT_S, on_not_leaving, observer);
  update (observer);
}

static void ask_for_job (GuestObserver *observer);

static void
on_job (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GuestObserver *observer = user_data;
  g_autoptr (GError) error = NULL;
  gboolean has_job = libvirt_has_job_finish (G_DBUS_CONNECTION (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the observer may be gone */
  g_clear_object (&observer->question);
  /* to watch it for nothing does no harm */
  if (error != NULL)
    g_debug ("whether %s is about to leave is not known: %s", observer->name, error->message);
  if (has_job || error != NULL)
    expect (observer);
  if (observer->asks_again)
    ask_for_job (observer);
}

static void
ask_for_job (GuestObserver *observer)
{
  observer->asks_again = observer->question != NULL;
  if (observer->asks_again)
    return;
  observer->question = g_cancellable_new ();
  libvirt_get_job_async (observer->host->bus, observer->host->driver_path, observer->uuid,
                         observer->question, on_job, observer);
}

static void
on_status_changed (GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event,
                   gpointer user_data)
{
  GuestObserver *observer = user_data;

  if (event != G_FILE_MONITOR_EVENT_DELETED)
    ask_for_job (observer);
}

static void
follow_status (GuestObserver *observer)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = qemu_process_make_status_path (&observer->host->folders, observer->name);
  g_autoptr (GFile) file = g_file_new_for_path (path);

  observer->status = g_file_monitor_file (file, G_FILE_MONITOR_NONE, NULL, &error);
  if (observer->status != NULL)
    g_signal_connect (observer->status, "changed", G_CALLBACK (on_status_changed), observer);
  else
    g_warning ("the first migration of %s would be stock if it is not live: %s", observer->name,
               error->message);
}

/* public functions */

GuestObserver *
guest_observer_new (const HostContext *host, const char *uuid,
                    const GuestObserverCallbacks *callbacks, gpointer user_data)
{
  GuestObserver *observer = g_new0 (GuestObserver, 1);

  observer->host = host;
  observer->uuid = g_strdup (uuid);
  observer->callbacks = callbacks;
  observer->user_data = user_data;
  return observer;
}

void
guest_observer_free (GuestObserver *observer)
{
  guest_observer_stop (observer);
  g_free (observer->uuid);
  g_free (observer);
}

gboolean
guest_observer_start (GuestObserver *observer, const char *name)
{
  if (observer->seat != NULL)
    return TRUE;
  if (observer->host->observer == NULL)
    return FALSE;
  observer->name = g_strdup (name);
  observer->seat = observer_seat_new (observer->host->observer, &seat_callbacks, observer);
  follow_status (observer);
  /* one may have begun before */
  ask_for_job (observer);
  return TRUE;
}

void
guest_observer_stop (GuestObserver *observer)
{
  if (observer->seat == NULL)
    return;
  unwatch (observer);
  observer->is_claimed = FALSE;
  observer->asks_again = FALSE;
  g_clear_handle_id (&observer->expect_id, g_source_remove);
  if (observer->status != NULL)
    g_signal_handlers_disconnect_by_data (observer->status, observer);
  g_clear_object (&observer->status);
  g_cancellable_cancel (observer->question);
  g_clear_object (&observer->question);
  g_clear_pointer (&observer->name, g_free);
  g_clear_pointer (&observer->seat, observer_seat_free);
}

gboolean
guest_observer_is_started (const GuestObserver *observer)
{
  return observer->seat != NULL;
}

const char *
guest_observer_get_problem (const GuestObserver *observer, gboolean *is_known)
{
  ObserverState state = observer_seat_get_state (observer->seat);

  *is_known = state != OBSERVER_ASKED;
  return state == OBSERVER_UNABLE ? observer_seat_get_problem (observer->seat) : NULL;
}

gboolean
guest_observer_set_claimed (GuestObserver *observer, gboolean is_claimed)
{
  if (observer->seat == NULL || is_claimed == observer->is_claimed)
    return FALSE;
  observer->is_claimed = is_claimed;
  if (!is_claimed)
    g_clear_handle_id (&observer->expect_id, g_source_remove); /* what was expected is over */
  update (observer);
  return is_claimed;
}

const char *
guest_observer_get_obstacle (const GuestObserver *observer)
{
  if (observer->seat == NULL || observer->pid == 0 || observer_seat_is_watched (observer->seat))
    return NULL;
  return "it did not begin to watch in time";
}

void
guest_observer_drain (GuestObserver *observer)
{
  if (observer->seat != NULL)
    observer_seat_drain (observer->seat);
}
