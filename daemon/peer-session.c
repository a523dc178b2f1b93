/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_DOMAIN "clockferry-peer"

#include "peer-session.h"

#include "error.h"
#include "peer-client.h"
#include "peer-dial.h"
#include "peer-sampler.h"

typedef enum {
  SESSION_NEW,
  SESSION_DIALING,
  SESSION_CLAIMING, /* or showing the ticket for a check */
  SESSION_OPEN,
  SESSION_CLOSED,
} SessionState;

struct _PeerSession {
  GObject parent_instance;

  /* whom to ask for what */
  char *address;
  uint16_t port;
  char *pin;
  char *domain;
  char *ticket;
  char *migration;
  PeerAuthority *authority; /* NULL: the pin is all */
  bool is_check;            /* no claim: nothing but the time is wanted */

  /* opening */
  SessionState state;
  guint open_ms;
  GTask *open_task;    /* until the claim is answered */
  gulong cancelled_id; /* of the cancellable of open_task */
  guint deadline_id;

  /* transport */
  PeerDial *dial;            /* NULL before it and after the end */
  PeerClient *client;        /* NULL until dialed, and after the end */
  GCancellable *cancellable; /* of the dial */

  /* comparing clocks */
  PeerSampler *sampler; /* NULL before the claim; stopped when closed */
  HostClockState remote_clock;
  int64_t remote_real_minus_boot_ns; /* for a check */
  int64_t remote_clock_at_ns;        /* CLOCK_BOOTTIME here when it was told */
};

enum {
  PROP_0,
  PROP_OPEN_MS,
};

enum {
  SIGNAL_RECORD,
  SIGNAL_WITHDRAWN,
  SIGNAL_COMPARED,
  SIGNAL_CLOSED,
  SIGNAL_COUNT,
};

static guint signals[SIGNAL_COUNT];

G_DEFINE_FINAL_TYPE (PeerSession, peer_session, G_TYPE_OBJECT)

/* internal methods */

/* Let go of the connection; what is still under way finds the state and drops its results. */
static void
session_disconnect (PeerSession *self)
{
  self->state = SESSION_CLOSED;
  g_clear_handle_id (&self->deadline_id, g_source_remove);
  if (self->sampler != NULL)
    peer_sampler_stop (self->sampler);
  g_cancellable_cancel (self->cancellable);
  g_clear_pointer (&self->client, peer_client_free);
  g_clear_object (&self->dial);
}

/* Take the task of opening, if there is one, so that nobody completes it twice. */
static GTask *
session_steal_open_task (PeerSession *self)
{
  GTask *task = g_steal_pointer (&self->open_task);

  /* not g_cancellable_disconnect(): it waits for the handler, which this may be called from */
  if (task != NULL && self->cancelled_id != 0)
    g_signal_handler_disconnect (g_task_get_cancellable (task), self->cancelled_id);
  self->cancelled_id = 0;
  return task;
}

/* What a failure now keeps the session from; completes "cannot ...". */
static const char *
session_get_aim (PeerSession *self)
{
  switch (self->state) {
  case SESSION_NEW:
    return "begin with";
  case SESSION_DIALING:
    return peer_dial_get_aim (self->dial);
  case SESSION_CLAIMING:
    return self->is_check ? "show the ticket of the domain to" : "claim the domain from";
  case SESSION_OPEN:
    return "stay connected to";
  case SESSION_CLOSED:
    break;
  }
  return "go back to";
}

/* Close because of @error, which is taken, and tell whoever waits. */
static void
session_fail (PeerSession *self, GError *error)
{
  g_autoptr (GTask) task = session_steal_open_task (self);
  g_autoptr (GError) owned = error;

  g_prefix_error (&owned, "cannot %s %s, port %u: ", session_get_aim (self), self->address,
                  self->port);
  session_disconnect (self);
  if (task != NULL)
    g_task_return_error (task, g_steal_pointer (&owned));
  else
    g_signal_emit (self, signals[SIGNAL_CLOSED], 0, owned);
}

/* callbacks and signals */

static void
on_sampler_compared (gpointer user_data)
{
  g_signal_emit (user_data, signals[SIGNAL_COMPARED], 0);
}

static void
on_sampler_failed (GError *error, gpointer user_data)
{
  session_fail (user_data, error);
}

static gboolean
on_deadline (gpointer user_data)
{
  PeerSession *self = user_data;

  self->deadline_id = 0;
  session_fail (self, g_error_new (CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_TIMED_OUT,
                                   "no answer within %u ms", self->open_ms));
  return G_SOURCE_REMOVE;
}

static void
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  session_fail (user_data, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled"));
}

/* client callbacks */

/* The source said yes. */
static void
on_welcomed (const HostClockState *clock, int64_t real_minus_boot_ns, gpointer user_data)
{
  PeerSession *self = user_data;
  g_autofree char *peer = g_strdup_printf ("%s %s %u", self->pin, self->address, self->port);
  g_autoptr (GTask) task = NULL;

  self->state = SESSION_OPEN;
  g_clear_handle_id (&self->deadline_id, g_source_remove);
  self->remote_clock = *clock;
  self->remote_clock_at_ns = host_clock_boottime_ns ();
  self->remote_real_minus_boot_ns = real_minus_boot_ns;
  self->sampler = peer_sampler_new (peer_client_get_bus (self->client), peer, on_sampler_compared,
                                    on_sampler_failed, self);
  task = session_steal_open_task (self);
  g_task_return_boolean (task, TRUE);
}

static void
on_record (GBytes *record, gpointer user_data)
{
  g_signal_emit (user_data, signals[SIGNAL_RECORD], 0, record);
}

static void
on_withdrawn (const char *reason, gpointer user_data)
{
  g_signal_emit (user_data, signals[SIGNAL_WITHDRAWN], 0, reason);
}

static void
on_client_failed (GError *error, gpointer user_data)
{
  session_fail (user_data, error);
}

static const PeerClientCallbacks client_callbacks = {
  .welcomed = on_welcomed,
  .record = on_record,
  .withdrawn = on_withdrawn,
  .failed = on_client_failed,
};

/* the steps to a claim */

static void
on_dialed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (PeerSession) self = user_data;
  g_autoptr (GDBusConnection) bus = NULL;
  const PeerRequest request = {
    .domain = self->domain,
    .ticket = self->ticket,
    .migration = self->is_check ? NULL : self->migration,
  };
  GError *error = NULL;

  bus = peer_dial_finish (PEER_DIAL (source), result, &error);
  if (self->state == SESSION_CLOSED) {
    g_clear_error (&error);
    if (bus != NULL)
      g_dbus_connection_close (bus, NULL, NULL, NULL);
    return;
  }
  if (bus == NULL) {
    session_fail (self, error);
    return;
  }

  self->state = SESSION_CLAIMING;
  self->client = peer_client_new (bus, &request, &client_callbacks, self, &error);
  if (self->client == NULL) {
    g_dbus_connection_close (bus, NULL, NULL, NULL);
    session_fail (self, error);
  }
}

/* GObject */

static void
peer_session_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  PeerSession *self = PEER_SESSION (object);

  switch (id) {
  case PROP_OPEN_MS:
    self->open_ms = g_value_get_uint (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
peer_session_dispose (GObject *object)
{
  session_disconnect (PEER_SESSION (object));
  G_OBJECT_CLASS (peer_session_parent_class)->dispose (object);
}

static void
peer_session_finalize (GObject *object)
{
  PeerSession *self = PEER_SESSION (object);

  g_clear_object (&self->cancellable);
  g_clear_object (&self->authority);
  g_clear_pointer (&self->sampler, peer_sampler_free);
  g_free (self->address);
  g_free (self->pin);
  g_free (self->domain);
  g_free (self->ticket);
  g_free (self->migration);
  G_OBJECT_CLASS (peer_session_parent_class)->finalize (object);
}

static void
peer_session_class_init (PeerSessionClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->set_property = peer_session_set_property;
  object_class->dispose = peer_session_dispose;
  object_class->finalize = peer_session_finalize;

  g_object_class_install_property (
    object_class, PROP_OPEN_MS,
    g_param_spec_uint ("open-ms", NULL, NULL, 1, G_MAXINT, PEER_SESSION_OPEN_MS,
                       G_PARAM_WRITABLE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS));

  signals[SIGNAL_RECORD] = g_signal_new ("record", PEER_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL,
                                         NULL, NULL, G_TYPE_NONE, 1, G_TYPE_BYTES);
  signals[SIGNAL_WITHDRAWN] = g_signal_new ("withdrawn", PEER_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0,
                                            NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
  signals[SIGNAL_COMPARED] = g_signal_new ("compared", PEER_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0,
                                           NULL, NULL, NULL, G_TYPE_NONE, 0);
  signals[SIGNAL_CLOSED] = g_signal_new ("closed", PEER_TYPE_SESSION, G_SIGNAL_RUN_LAST, 0, NULL,
                                         NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);

  /* so that GDBus turns the source's refusals into our codes */
  (void) clockferry_error_quark ();
}

static void
peer_session_init (PeerSession *self)
{
  self->cancellable = g_cancellable_new ();
}

/* public methods */

PeerSession *
peer_session_new (const PeerAnnouncement *announcement, PeerAuthority *authority)
{
  PeerSession *self = g_object_new (PEER_TYPE_SESSION, NULL);

  self->address = g_strdup (announcement->address);
  self->port = announcement->port;
  self->pin = g_strdup (announcement->pin);
  self->domain = g_strdup (announcement->domain);
  self->ticket = g_strdup (announcement->ticket);
  self->migration = g_strdup (announcement->migration);
  g_set_object (&self->authority, authority);
  return self;
}

PeerSession *
peer_session_new_for_check (const PeerAnnouncement *announcement, PeerAuthority *authority)
{
  PeerSession *self = peer_session_new (announcement, authority);

  self->is_check = true;
  return self;
}

void
peer_session_open_async (PeerSession *self, GCancellable *cancellable, GAsyncReadyCallback callback,
                         gpointer user_data)
{
  g_return_if_fail (self->state == SESSION_NEW);

  self->state = SESSION_DIALING;
  self->dial = peer_dial_new (self->address, self->port, self->pin, self->authority);
  self->open_task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (self->open_task, peer_session_open_async);
  g_task_set_check_cancellable (self->open_task, FALSE);
  self->deadline_id = g_timeout_add (self->open_ms, on_deadline, self);
  if (g_cancellable_is_cancelled (cancellable)) {
    on_cancelled (cancellable, self);
    return;
  }
  if (cancellable != NULL)
    self->cancelled_id =
      g_signal_connect (cancellable, "cancelled", G_CALLBACK (on_cancelled), self);

  peer_dial_async (self->dial, self->cancellable, on_dialed, g_object_ref (self));
}

bool
peer_session_open_finish (PeerSession *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), false);

  return g_task_propagate_boolean (G_TASK (result), error);
}

bool
peer_session_get_estimate (PeerSession *self, int64_t remote_real_minus_boot_ns,
                           ClockEstimate *estimate)
{
  return self->sampler != NULL &&
         peer_sampler_get_estimate (self->sampler, remote_real_minus_boot_ns, estimate);
}

uint64_t
peer_session_get_round_trip_ns (PeerSession *self)
{
  return self->sampler != NULL ? peer_sampler_get_round_trip_ns (self->sampler) : 0;
}

void
peer_session_get_remote_clock (PeerSession *self, HostClockState *state)
{
  int64_t age_ns = host_clock_boottime_ns () - self->remote_clock_at_ns;

  *state = self->remote_clock;
  state->max_error_us += (uint64_t) (clock_offset_drift_ns (age_ns) / 1000 + 1);
}

bool
peer_session_get_present_estimate (PeerSession *self, ClockEstimate *estimate)
{
  return self->is_check &&
         peer_session_get_estimate (self, self->remote_real_minus_boot_ns, estimate);
}

void
peer_session_abandon (PeerSession *self)
{
  if (self->state == SESSION_OPEN && !self->is_check)
    peer_client_abandon (self->client);
  peer_session_close (self);
}

void
peer_session_close (PeerSession *self)
{
  g_autoptr (GTask) task = session_steal_open_task (self);

  session_disconnect (self);
  if (task != NULL)
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "closed while it opened");
}
