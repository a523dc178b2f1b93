/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "arrival-source.h"

#include "dial-turn.h"
#include "error.h"
#include "host-clock.h"

#define RECONNECT_S 1

struct ArrivalSource {
  SourceElement *element;
  PeerAuthority *authority; /* borrowed, or NULL */
  char *uuid;
  char *migration;
  const ArrivalSourceCallbacks *callbacks;
  gpointer user_data;

  DialTurn *turn;       /* while it waits to open the session, or opens it */
  PeerSession *session; /* NULL between attempts */
  guint reconnect_id;
};

static void open_session (ArrivalSource *source);

/* the session */

static void
on_session_record (PeerSession *session, GBytes *record, gpointer user_data)
{
  ArrivalSource *source = user_data;

  source->callbacks->record (record, source->user_data);
}

static void
on_session_withdrawn (PeerSession *session, const char *reason, gpointer user_data)
{
  ArrivalSource *source = user_data;

  source->callbacks->withdrawn (reason, source->user_data);
}

static void
on_session_compared (PeerSession *session, gpointer user_data)
{
  ArrivalSource *source = user_data;

  source->callbacks->compared (source->user_data);
}

static gboolean
on_reconnect (gpointer user_data)
{
  ArrivalSource *source = user_data;

  source->reconnect_id = 0;
  open_session (source);
  return G_SOURCE_REMOVE;
}

static void
close_session (ArrivalSource *source)
{
  g_clear_pointer (&source->turn, dial_turn_end);
  if (source->session == NULL)
    return;
  g_signal_handlers_disconnect_by_data (source->session, source);
  peer_session_close (source->session);
  g_clear_object (&source->session);
}

/* Whether there is no use in another attempt. */
static gboolean
is_final (const GError *error)
{
  return g_error_matches (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED) ||
         g_error_matches (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_WRONG_KEY);
}

static void
lose_session (ArrivalSource *source, const GError *error)
{
  close_session (source);
  if (!is_final (error))
    source->reconnect_id = g_timeout_add_seconds (RECONNECT_S, on_reconnect, source);
  source->callbacks->lost (error, source->user_data);
}

static void
on_session_closed (PeerSession *session, const GError *error, gpointer user_data)
{
  lose_session (user_data, error);
}

static void
on_session_open (GObject *object, GAsyncResult *result, gpointer user_data)
{
  PeerSession *session = PEER_SESSION (object);
  g_autoptr (GError) error = NULL;
  ArrivalSource *source = user_data;

  if (peer_session_open_finish (session, result, &error)) {
    g_clear_pointer (&source->turn, dial_turn_end);
    source->callbacks->claimed (source->user_data);
  } else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    /* not closed by us, when the source may be gone */
    lose_session (source, error);
  }
}

static void
on_turn (gpointer user_data)
{
  ArrivalSource *source = user_data;
  const PeerAnnouncement announcement = {
    .address = source->element->address,
    .port = source->element->port,
    .pin = source->element->pin,
    .domain = source->uuid,
    .ticket = source->element->ticket,
    .migration = source->migration,
  };

  source->session = peer_session_new (&announcement, source->authority);
  g_signal_connect (source->session, "record", G_CALLBACK (on_session_record), source);
  g_signal_connect (source->session, "withdrawn", G_CALLBACK (on_session_withdrawn), source);
  g_signal_connect (source->session, "compared", G_CALLBACK (on_session_compared), source);
  g_signal_connect (source->session, "closed", G_CALLBACK (on_session_closed), source);
  peer_session_open_async (source->session, NULL, on_session_open, source);
}

static void
open_session (ArrivalSource *source)
{
  g_autofree char *peer =
    g_strdup_printf ("%s %u", source->element->address, (guint) source->element->port);

  source->turn = dial_turn_new (peer, on_turn, source);
}

/* public functions */

ArrivalSource *
arrival_source_new (const SourceElement *element, PeerAuthority *authority, const char *uuid,
                    const char *migration, const ArrivalSourceCallbacks *callbacks,
                    gpointer user_data)
{
  ArrivalSource *source = g_new0 (ArrivalSource, 1);

  source->element = source_element_copy (element);
  source->authority = authority;
  source->uuid = g_strdup (uuid);
  source->migration = g_strdup (migration);
  source->callbacks = callbacks;
  source->user_data = user_data;
  open_session (source);
  return source;
}

void
arrival_source_free (ArrivalSource *source)
{
  close_session (source);
  g_clear_handle_id (&source->reconnect_id, g_source_remove);
  source_element_free (source->element);
  g_free (source->migration);
  g_free (source->uuid);
  g_free (source);
}

void
arrival_source_abandon (ArrivalSource *source)
{
  if (source->session != NULL)
    peer_session_abandon (source->session);
}

const SourceElement *
arrival_source_get_element (const ArrivalSource *source)
{
  return source->element;
}

gboolean
arrival_source_choose_theta (const ArrivalSource *source, HostClockMode mode,
                             const struct clock_record *record, ClockChoice *choice, GError **error)
{
  g_autoptr (GError) state_error = NULL;
  HostClockState local = { 0 };
  HostClockState remote = { 0 };
  ClockEstimate estimate = { 0 };
  gboolean is_measured;

  if (source->session == NULL) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_FAILED,
                 "the hosts' clocks cannot be compared: there is no connection to %s",
                 source->element->address);
    return FALSE;
  }
  is_measured = peer_session_get_estimate (
    source->session, (gint64) record->host_src_ns - (gint64) record->boot_src_ns, &estimate);
  if (!host_clock_read_state (&local, &state_error))
    g_debug ("taking this host's clock for not synchronised: %s", state_error->message);
  peer_session_get_remote_clock (source->session, &remote);
  return clock_offset_choose (mode, is_measured ? &estimate : NULL, &local, &remote, choice, error);
}
