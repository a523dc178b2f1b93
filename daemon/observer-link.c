/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "observer-link.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* After it went away: systemd starts it again, but not for ever if it fails at once. */
#define RECONNECT_FIRST_S 1
#define RECONNECT_LAST_S  60

/* Until it is asked again whether it can observe by now, as KVM may have been loaded since. Each time it is
 * started and checks its program anew, and says so in the journal. */
#define UNABLE_FIRST_S 300
#define UNABLE_LAST_S  (24 * 3600)

/* Until a process that could not be watched is tried again, while it is to be. */
#define REWATCH_S 5

struct ObserverLink {
  char *path;
  GPtrArray *seats; /* ObserverSeat, borrowed */
  int fd;           /* -1: not connected */
  guint readable_id;
  guint retry_id;
  guint rewatch_id;
  guint reconnect_s;
  guint unable_s;
  ObserverState state;
  char *problem; /* of OBSERVER_UNABLE */
};

struct ObserverSeat {
  ObserverLink *link;
  const ObserverSeatCallbacks *callbacks;
  gpointer user_data;
  gint32 pid; /* that is to be watched, 0: none */
  gboolean is_watched;
};

static void connect_link (ObserverLink *link);

/* state */

typedef void (*SeatFunc) (ObserverSeat *seat, const char *text);

/* @func may free seats, its own and others. */
static void
call_each_seat (ObserverLink *link, SeatFunc func, const char *text)
{
  g_autoptr (GPtrArray) seats = g_ptr_array_copy (link->seats, NULL, NULL);

  for (guint i = 0; i < seats->len; i++) {
    ObserverSeat *seat = g_ptr_array_index (seats, i);

    if (g_ptr_array_find (link->seats, seat, NULL))
      func (seat, text);
  }
}

static void
tell_change (ObserverSeat *seat, const char *text)
{
  seat->callbacks->changed (seat->user_data);
}

static void
tell_loss (ObserverSeat *seat, const char *text)
{
  seat->is_watched = FALSE;
  if (seat->pid != 0)
    seat->callbacks->lost (text, seat->user_data);
}

static void
set_state (ObserverLink *link, ObserverState state, const char *problem)
{
  gboolean is_news = link->state != state || g_strcmp0 (link->problem, problem) != 0;

  if (!is_news)
    return;
  link->state = state;
  g_free (link->problem);
  link->problem = g_strdup (problem);
  call_each_seat (link, tell_change, NULL);
}

static void
disconnect (ObserverLink *link)
{
  g_clear_handle_id (&link->readable_id, g_source_remove);
  g_clear_handle_id (&link->rewatch_id, g_source_remove);
  if (link->fd >= 0)
    close (link->fd);
  link->fd = -1;
}

static gboolean
on_retry (gpointer user_data)
{
  ObserverLink *link = user_data;

  link->retry_id = 0;
  connect_link (link);
  return G_SOURCE_REMOVE;
}

static void
schedule_retry (ObserverLink *link, guint after_s)
{
  if (link->retry_id == 0 && link->seats->len > 0)
    link->retry_id = g_timeout_add_seconds (after_s, on_retry, link);
}

/* Nothing is watched, for @problem. */
static void
lose (ObserverLink *link, ObserverState state, const char *problem, guint retry_s)
{
  disconnect (link);
  schedule_retry (link, retry_s);
  call_each_seat (link, tell_loss, problem);
  set_state (link, state, state == OBSERVER_UNABLE ? problem : NULL);
}

/* The connection ended, or there never was one. */
static void
fail (ObserverLink *link, const char *problem)
{
  guint retry_s = link->reconnect_s;

  if (link->state == OBSERVER_READY) {
    /* it is being restarted, as a rule; whether it can observe is as before until it says otherwise */
    lose (link, OBSERVER_ASKED, problem, RECONNECT_FIRST_S);
    return;
  }
  link->reconnect_s = MIN (2 * retry_s, RECONNECT_LAST_S);
  lose (link, OBSERVER_UNABLE, problem, retry_s);
}

/* It said that it cannot observe. */
static void
give_up (ObserverLink *link, const char *problem)
{
  guint retry_s = link->unable_s;

  link->unable_s = MIN (2 * retry_s, UNABLE_LAST_S);
  lose (link, OBSERVER_UNABLE, problem, retry_s);
}

/* sending */

static void
send_header (ObserverLink *link, enum observer_message_type type, gint32 pid)
{
  struct observer_header header;
  gssize sent;

  observer_header_init (&header, type, sizeof header, pid);
  do {
    sent = send (link->fd, &header, sizeof header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  /* that it does not read, or is gone, is found out when something is to be read */
  if (sent < 0)
    g_debug ("cannot write to the observer: %s", g_strerror (errno));
}

static gboolean
is_watched (const ObserverLink *link, gint32 pid)
{
  for (guint i = 0; i < link->seats->len; i++) {
    const ObserverSeat *seat = g_ptr_array_index (link->seats, i);

    if (seat->pid == pid)
      return TRUE;
  }
  return FALSE;
}

/* receiving */

static void
watch_all (ObserverLink *link)
{
  for (guint i = 0; i < link->seats->len; i++) {
    const ObserverSeat *seat = g_ptr_array_index (link->seats, i);

    if (seat->pid != 0 && !seat->is_watched)
      send_header (link, OBSERVER_MESSAGE_WATCH, seat->pid);
  }
}

static gboolean
on_rewatch (gpointer user_data)
{
  ObserverLink *link = user_data;

  link->rewatch_id = 0;
  watch_all (link);
  return G_SOURCE_REMOVE;
}

static void
deliver_missed (ObserverSeat *seat, const struct observer_missed *message)
{
  const char *text = observer_reason_text (message->reason);

  if (observer_reason_is_of_watch (message->reason)) {
    if (seat->link->rewatch_id == 0)
      seat->link->rewatch_id = g_timeout_add_seconds (REWATCH_S, on_rewatch, seat->link);
    seat->callbacks->lost (text, seat->user_data);
  } else if (message->reason == OBSERVER_REASON_IMPLAUSIBLE) {
    g_autofree char *detailed =
      g_strdup_printf ("%s: %s", text, clock_record_error_name (message->detail));

    seat->callbacks->missed (detailed, seat->user_data);
  } else {
    seat->callbacks->missed (text, seat->user_data);
  }
}

/* Bring what is said of a process to the guest whose QEMU that is. */
static void
deliver_to_seat (ObserverLink *link, const struct observer_header *header)
{
  for (guint i = 0; i < link->seats->len; i++) {
    ObserverSeat *seat = g_ptr_array_index (link->seats, i);

    if (seat->pid != header->pid)
      continue;
    if (header->type == OBSERVER_MESSAGE_RECORD) {
      const struct observer_record *message = (const struct observer_record *) header;

      seat->callbacks->record (&message->record, clock_record_size (message->record.vcpu_count),
                               seat->user_data);
    } else if (header->type == OBSERVER_MESSAGE_MISSED) {
      deliver_missed (seat, (const struct observer_missed *) header);
    } else {
      seat->is_watched = TRUE;
    }
    return; /* one process is the QEMU of one guest; and the seat may be gone */
  }
}

static void
deliver (ObserverLink *link, const struct observer_header *header)
{
  if (header->type == OBSERVER_MESSAGE_READY) {
    link->reconnect_s = RECONNECT_FIRST_S;
    link->unable_s = UNABLE_FIRST_S;
    watch_all (link);
    set_state (link, OBSERVER_READY, NULL);
  } else if (header->type == OBSERVER_MESSAGE_UNABLE) {
    give_up (link, ((const struct observer_unable *) header)->text);
  } else {
    deliver_to_seat (link, header);
  }
}

/* Read and deliver until there is nothing left. */
static void
read_all (ObserverLink *link)
{
  /* one buffer for all: the daemon has one thread, and a callback never reads */
  static guint64 buffer[OBSERVER_MESSAGE_SIZE_MAX / sizeof (guint64) + 1];

  while (link->fd >= 0) {
    gssize got = recv (link->fd, buffer, sizeof buffer, MSG_DONTWAIT | MSG_TRUNC);

    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (got <= 0)
      fail (link, "the observer ended the connection");
    else if ((gsize) got > sizeof buffer ||
             !observer_message_check (buffer, (gsize) got, OBSERVER_TO_DAEMON))
      fail (link, "the observer sent what is no message of this version");
    else
      deliver (link, (const struct observer_header *) buffer);
  }
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer user_data)
{
  read_all (user_data);
  return G_SOURCE_CONTINUE; /* it was removed where the connection ended */
}

/* connecting */

static char *
describe_connect_error (const ObserverLink *link, int failure)
{
  switch (failure) {
  case ENOENT:
    return g_strdup ("clockferry-observer is not there, or its socket is not in service "
                     "(systemctl enable --now clockferry-observer.socket)");
  case ECONNREFUSED:
    return g_strdup (
      "nobody serves the observer's socket (systemctl restart clockferry-observer.socket)");
  default:
    return g_strdup_printf ("cannot connect to %s: %s", link->path, g_strerror (failure));
  }
}

static void
connect_link (ObserverLink *link)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_autofree char *problem = NULL;

  g_strlcpy (address.sun_path, link->path, sizeof address.sun_path);
  link->fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (link->fd >= 0 && connect (link->fd, (struct sockaddr *) &address, sizeof address) == 0) {
    link->readable_id = g_unix_fd_add (link->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, link);
    return;
  }
  problem = describe_connect_error (link, errno);
  fail (link, problem);
}

/* public functions */

ObserverLink *
observer_link_new (const char *path)
{
  ObserverLink *link = g_new0 (ObserverLink, 1);

  link->path = g_strdup (path != NULL ? path : OBSERVER_SOCKET_PATH);
  link->seats = g_ptr_array_new ();
  link->fd = -1;
  link->reconnect_s = RECONNECT_FIRST_S;
  link->unable_s = UNABLE_FIRST_S;
  return link;
}

void
observer_link_free (ObserverLink *link)
{
  g_return_if_fail (link->seats->len == 0);

  disconnect (link);
  g_clear_handle_id (&link->retry_id, g_source_remove);
  g_ptr_array_unref (link->seats);
  g_free (link->problem);
  g_free (link->path);
  g_free (link);
}

void
observer_link_ask_again (ObserverLink *link)
{
  if (link->state != OBSERVER_UNABLE || link->retry_id == 0)
    return;
  g_clear_handle_id (&link->retry_id, g_source_remove);
  link->reconnect_s = RECONNECT_FIRST_S;
  link->unable_s = UNABLE_FIRST_S;
  schedule_retry (link, 0);
}

ObserverSeat *
observer_seat_new (ObserverLink *link, const ObserverSeatCallbacks *callbacks, gpointer user_data)
{
  ObserverSeat *seat = g_new0 (ObserverSeat, 1);

  seat->link = link;
  seat->callbacks = callbacks;
  seat->user_data = user_data;
  g_ptr_array_add (link->seats, seat);
  if (link->seats->len == 1) {
    link->state = OBSERVER_ASKED;
    link->reconnect_s = RECONNECT_FIRST_S;
    link->unable_s = UNABLE_FIRST_S;
    /* not at once: nobody is called back about a seat that he has not got yet */
    link->retry_id = g_idle_add (on_retry, link);
  }
  return seat;
}

void
observer_seat_free (ObserverSeat *seat)
{
  ObserverLink *link = seat->link;

  observer_seat_watch (seat, 0);
  g_ptr_array_remove (link->seats, seat);
  g_free (seat);
  if (link->seats->len > 0)
    return;
  disconnect (link);
  g_clear_handle_id (&link->retry_id, g_source_remove);
}

ObserverState
observer_seat_get_state (const ObserverSeat *seat)
{
  return seat->link->state;
}

const char *
observer_seat_get_problem (const ObserverSeat *seat)
{
  return seat->link->problem;
}

void
observer_seat_watch (ObserverSeat *seat, gint32 pid)
{
  ObserverLink *link = seat->link;
  gint32 before = seat->pid;

  if (pid == before)
    return;
  seat->pid = pid;
  seat->is_watched = FALSE;
  if (link->state != OBSERVER_READY)
    return; /* watch_all() says it when it is */
  if (before != 0 && !is_watched (link, before))
    send_header (link, OBSERVER_MESSAGE_UNWATCH, before);
  if (pid != 0)
    send_header (link, OBSERVER_MESSAGE_WATCH, pid);
}

gboolean
observer_seat_is_watched (const ObserverSeat *seat)
{
  return seat->is_watched;
}

void
observer_seat_drain (ObserverSeat *seat)
{
  if (seat->link->fd >= 0)
    read_all (seat->link);
}
