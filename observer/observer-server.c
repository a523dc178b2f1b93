/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "observer-server.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One daemon, and another while it is restarted; the socket lets in nobody else. */
#define CLIENTS_MAX 8

struct ObserverServer {
  int listen_fd;
  guint listen_id;
  char *problem;
  const ObserverServerCallbacks *callbacks;
  gpointer user_data;
  GPtrArray *clients;  /* Client */
  GHashTable *watches; /* pid -> Watch */
  guint idle_ms;
  guint idle_id;
};

typedef struct {
  ObserverServer *server;
  int fd;
  guint watch_id;
} Client;

/* One process that is watched. */
typedef struct {
  ObserverServer *server;
  gint32 pid;
  int pidfd; /* the kernel gives the number to another once this one has ended */
  guint ended_id;
  GPtrArray *clients; /* Client, borrowed */
} Watch;

/* time */

static gboolean
on_idle (gpointer user_data)
{
  ObserverServer *server = user_data;

  server->idle_id = 0;
  server->callbacks->idle (server->user_data);
  return G_SOURCE_REMOVE;
}

static void
update_idle (ObserverServer *server)
{
  if (server->clients->len > 0)
    g_clear_handle_id (&server->idle_id, g_source_remove);
  else if (server->idle_id == 0)
    server->idle_id = g_timeout_add (server->idle_ms, on_idle, server);
}

/* sending */

/* FALSE: it is to be let go. One that does not read for now misses what is sent meanwhile, and no more:
 * what it has had watched is watched on. */
static gboolean
send_message (Client *client, const void *data, gsize size)
{
  gssize sent;

  do {
    sent = send (client->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0)
    return TRUE;
  if (errno == EAGAIN || errno == ENOBUFS) {
    g_info ("the daemon does not read, and misses a message");
    return TRUE;
  }
  /* whoever hangs up is told of by another way */
  if (errno != EPIPE && errno != ECONNRESET)
    g_warning ("cannot write to the daemon: %s", g_strerror (errno));
  return FALSE;
}

static gboolean
send_header (Client *client, enum observer_message_type type, gint32 pid)
{
  struct observer_header header;

  observer_header_init (&header, type, sizeof header, pid);
  return send_message (client, &header, sizeof header);
}

static gboolean
send_missed (Client *client, gint32 pid, enum observer_reason reason, guint32 detail)
{
  struct observer_missed message = { .reason = reason, .detail = detail };

  observer_header_init (&message.header, OBSERVER_MESSAGE_MISSED, sizeof message, pid);
  return send_message (client, &message, sizeof message);
}

static void
send_unable (Client *client, const char *problem)
{
  struct observer_unable message = { 0 };

  observer_header_init (&message.header, OBSERVER_MESSAGE_UNABLE, sizeof message, 0);
  g_strlcpy (message.text, problem, sizeof message.text);
  for (char *at = message.text; *at != '\0'; at++) {
    if (!g_ascii_isprint (*at))
      *at = '?';
  }
  (void) send_message (client, &message, sizeof message);
}

/* watches */

static void
watch_free (gpointer data)
{
  Watch *watch = data;

  watch->server->callbacks->unwatch (watch->pid, watch->server->user_data);
  g_clear_handle_id (&watch->ended_id, g_source_remove);
  close (watch->pidfd);
  g_ptr_array_unref (watch->clients);
  g_free (watch);
}

static gboolean
on_process_ended (int fd, GIOCondition condition, gpointer user_data)
{
  Watch *watch = user_data;

  g_hash_table_remove (watch->server->watches, GINT_TO_POINTER (watch->pid));
  return G_SOURCE_REMOVE;
}

static enum observer_reason
add_watch (ObserverServer *server, gint32 pid)
{
  int pidfd = (int) syscall (SYS_pidfd_open, pid, 0);
  enum observer_reason reason;
  Watch *watch;

  if (pidfd < 0)
    return errno == EMFILE ? OBSERVER_REASON_TOO_MANY : OBSERVER_REASON_NO_PROCESS;
  reason = server->callbacks->watch (pid, server->user_data);
  if (reason != OBSERVER_REASON_NONE) {
    close (pidfd);
    return reason;
  }
  watch = g_new0 (Watch, 1);
  watch->server = server;
  watch->pid = pid;
  watch->pidfd = pidfd;
  watch->ended_id = g_unix_fd_add (pidfd, G_IO_IN, on_process_ended, watch);
  watch->clients = g_ptr_array_new ();
  g_hash_table_insert (server->watches, GINT_TO_POINTER (pid), watch);
  return OBSERVER_REASON_NONE;
}

static gboolean
serve_watch (Client *client, gint32 pid)
{
  ObserverServer *server = client->server;
  Watch *watch = g_hash_table_lookup (server->watches, GINT_TO_POINTER (pid));

  if (watch == NULL) {
    enum observer_reason reason = add_watch (server, pid);

    if (reason != OBSERVER_REASON_NONE)
      return send_missed (client, pid, reason, 0);
    watch = g_hash_table_lookup (server->watches, GINT_TO_POINTER (pid));
  }
  if (!g_ptr_array_find (watch->clients, client, NULL))
    g_ptr_array_add (watch->clients, client);
  return send_header (client, OBSERVER_MESSAGE_WATCHING, pid);
}

static gboolean
unwatch_for (gpointer key, gpointer value, gpointer client)
{
  Watch *watch = value;

  g_ptr_array_remove (watch->clients, client);
  return watch->clients->len == 0;
}

static void
serve_unwatch (Client *client, gint32 pid)
{
  Watch *watch = g_hash_table_lookup (client->server->watches, GINT_TO_POINTER (pid));

  if (watch != NULL && unwatch_for (NULL, watch, client))
    g_hash_table_remove (client->server->watches, GINT_TO_POINTER (pid));
}

/* clients */

static void
client_free (gpointer data)
{
  Client *client = data;

  g_hash_table_foreach_remove (client->server->watches, unwatch_for, client);
  g_clear_handle_id (&client->watch_id, g_source_remove);
  close (client->fd);
  g_free (client);
}

static void
drop_client (Client *client)
{
  ObserverServer *server = client->server;

  g_ptr_array_remove (server->clients, client);
  update_idle (server);
}

/* FALSE: it is to be let go. */
static gboolean
serve (Client *client)
{
  guint64 buffer[sizeof (struct observer_header) / sizeof (guint64) + 1];
  const struct observer_header *header = (const struct observer_header *) buffer;
  gssize got = recv (client->fd, buffer, sizeof buffer, MSG_DONTWAIT | MSG_TRUNC);

  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return TRUE;
  if (got <= 0)
    return FALSE;
  if ((gsize) got > sizeof buffer ||
      !observer_message_check (buffer, (gsize) got, OBSERVER_TO_OBSERVER)) {
    g_warning ("the daemon sent what is no message");
    return FALSE;
  }
  if (header->type == OBSERVER_MESSAGE_WATCH)
    return serve_watch (client, header->pid);
  serve_unwatch (client, header->pid);
  return TRUE;
}

static gboolean
on_client_readable (int fd, GIOCondition condition, gpointer user_data)
{
  Client *client = user_data;

  if (serve (client))
    return G_SOURCE_CONTINUE;
  client->watch_id = 0;
  drop_client (client);
  return G_SOURCE_REMOVE;
}

static void
add_client (ObserverServer *server, int fd)
{
  Client *client = g_new0 (Client, 1);

  client->server = server;
  client->fd = fd;
  g_ptr_array_add (server->clients, client);
  if (server->problem != NULL)
    send_unable (client, server->problem);
  if (server->problem != NULL || !send_header (client, OBSERVER_MESSAGE_READY, 0))
    drop_client (client);
  else
    client->watch_id =
      g_unix_fd_add (fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_client_readable, client);
  update_idle (server);
}

static gboolean
on_connection (int listen_fd, GIOCondition condition, gpointer user_data)
{
  ObserverServer *server = user_data;
  int fd = accept4 (listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  if (fd >= 0 && server->clients->len < CLIENTS_MAX) {
    add_client (server, fd);
  } else if (fd >= 0) {
    g_warning ("turned a client away: there are %d already", CLIENTS_MAX);
    close (fd);
  } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
    g_warning ("cannot accept a connection: %s", g_strerror (errno));
  }
  return G_SOURCE_CONTINUE;
}

/* public functions */

ObserverServer *
observer_server_new (int listen_fd, const char *problem, guint idle_ms,
                     const ObserverServerCallbacks *callbacks, gpointer user_data)
{
  ObserverServer *server = g_new0 (ObserverServer, 1);

  server->listen_fd = listen_fd;
  server->problem = g_strdup (problem);
  server->idle_ms = idle_ms;
  server->callbacks = callbacks;
  server->user_data = user_data;
  server->clients = g_ptr_array_new_with_free_func (client_free);
  server->watches = g_hash_table_new_full (NULL, NULL, NULL, watch_free);
  server->listen_id = g_unix_fd_add (listen_fd, G_IO_IN, on_connection, server);
  update_idle (server);
  return server;
}

void
observer_server_free (ObserverServer *server)
{
  g_clear_handle_id (&server->idle_id, g_source_remove);
  g_clear_handle_id (&server->listen_id, g_source_remove);
  g_ptr_array_unref (server->clients);
  g_hash_table_unref (server->watches);
  close (server->listen_fd);
  g_free (server->problem);
  g_free (server);
}

void
observer_server_stop_listening (ObserverServer *server)
{
  g_clear_handle_id (&server->listen_id, g_source_remove);
}

void
observer_server_tell (ObserverServer *server, gint32 pid, const struct clock_record *record,
                      gsize size, enum observer_reason reason, guint32 detail)
{
  Watch *watch = g_hash_table_lookup (server->watches, GINT_TO_POINTER (pid));
  gsize message_size = offsetof (struct observer_record, record) + size;
  g_autofree struct observer_record *message = NULL;
  g_autoptr (GPtrArray) deaf = g_ptr_array_new ();

  if (watch == NULL)
    return; /* it came on its way here */
  if (record != NULL) {
    message = g_malloc (message_size);
    observer_header_init (&message->header, OBSERVER_MESSAGE_RECORD, message_size, pid);
    memcpy (&message->record, record, size);
  }
  for (guint i = 0; i < watch->clients->len; i++) {
    Client *client = g_ptr_array_index (watch->clients, i);
    gboolean is_sent = message != NULL ? send_message (client, message, message_size)
                                       : send_missed (client, pid, reason, detail);

    if (!is_sent)
      g_ptr_array_add (deaf, client);
  }
  for (guint i = 0; i < deaf->len; i++)
    drop_client (g_ptr_array_index (deaf, i));
}
