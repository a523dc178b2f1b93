/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_DOMAIN "clockferry-peer"

#include "peer-sampler.h"

#include "error.h"
#include "names.h"
#include "peer-bus.h"
#include "peer-clock.h"

/*
 * Enough round trips at first to meet one without a delay (peer_clock_is_known()), then so often that
 * the drift allowance in between stays below what a network adds anyway. Each of many samplers of one
 * peer pauses for longer, and all together ask as often as one would; but none for so long that what it
 * has to tell of the clock grows old.
 */
#define SAMPLES_LATER        4
#define SAMPLES_PAUSE_MS     250
#define SAMPLES_PAUSE_MAX_MS 4000
#define SAMPLE_TIMEOUT_MS    5000

/* Counted, as a call under way keeps it: g_rc_box_acquire(). */
struct PeerSampler {
  /* the connection, NULL once stopped */
  GDBusConnection *bus;
  GCancellable *cancellable;
  PeerSamplerCompared compared;
  PeerSamplerFailed failed;
  gpointer user_data;

  /* the series */
  bool is_begun; /* it has a sample of its own */
  guint wanted;  /* samples still to take before the next pause, once the clock is known */
  guint pause_id;
  int64_t sent_ns;

  /* what is known */
  PeerClock *clock;
  int64_t round_trip_ns; /* the shortest */
};

/* callbacks and signals */
static void on_sample (GObject *source, GAsyncResult *result, gpointer user_data);
static gboolean on_pause_over (gpointer user_data);

/* internal methods */

static void
sampler_clear (gpointer data)
{
  PeerSampler *self = data;

  g_object_unref (self->cancellable);
  peer_clock_release (self->clock);
}

static void
sampler_release (PeerSampler *self)
{
  g_rc_box_release_full (self, sampler_clear);
}

static void
sampler_ask (PeerSampler *self)
{
  self->sent_ns = host_clock_boottime_ns ();
  g_dbus_connection_call (self->bus, NULL, CLOCKFERRY_PEER_PATH, bus_peer_interface_info ()->name,
                          "Time", NULL, G_VARIANT_TYPE ("(x)"), G_DBUS_CALL_FLAGS_NONE,
                          SAMPLE_TIMEOUT_MS, self->cancellable, on_sample, g_rc_box_acquire (self));
}

static void
sampler_pause (PeerSampler *self)
{
  guint pause_ms = SAMPLES_PAUSE_MS * peer_clock_get_users (self->clock);

  self->wanted = pause_ms <= SAMPLES_PAUSE_MAX_MS ? SAMPLES_LATER : 1;
  self->pause_id = g_timeout_add (MIN (pause_ms, SAMPLES_PAUSE_MAX_MS), on_pause_over, self);
}

static void
sampler_go_on (PeerSampler *self)
{
  if (self->wanted > 0)
    self->wanted--;
  if (!self->is_begun || self->wanted > 0 || !peer_clock_is_known (self->clock))
    sampler_ask (self);
  else
    sampler_pause (self);
}

/* Takes @error. */
static void
sampler_fail (PeerSampler *self, GError *error)
{
  peer_sampler_stop (self);
  self->failed (error, self->user_data);
}

/* callbacks and signals */

static gboolean
on_pause_over (gpointer user_data)
{
  PeerSampler *self = user_data;

  self->pause_id = 0;
  sampler_ask (self);
  return G_SOURCE_REMOVE;
}

static void
take_sample (PeerSampler *self, ClockSample *sample, GVariant *reply)
{
  gint64 remote_ns;
  int64_t round_trip_ns = sample->received_ns - sample->sent_ns;

  g_variant_get (reply, "(x)", &remote_ns);
  sample->remote_ns = remote_ns;
  if (!clock_sample_is_plausible (sample)) {
    sampler_fail (self, g_error_new (CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_BAD_MESSAGE,
                                     "it says that it was booted %" G_GINT64_FORMAT " ns ago",
                                     remote_ns));
    return;
  }
  self->is_begun = true;
  /* once: a hostile peer would say it with every answer */
  if (!peer_clock_add (self->clock, sample))
    g_message ("the clocks of the two hosts drift apart faster than clocks do; comparing anew");
  if (self->round_trip_ns == 0 || round_trip_ns < self->round_trip_ns)
    self->round_trip_ns = round_trip_ns;
  self->compared (self->user_data);
  if (self->bus != NULL)
    sampler_go_on (self);
}

static void
on_sample (GObject *source, GAsyncResult *result, gpointer user_data)
{
  ClockSample sample = { .received_ns = host_clock_boottime_ns () };
  PeerSampler *self = user_data;
  g_autoptr (GVariant) reply = NULL;
  GError *error = NULL;

  reply = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  sample.sent_ns = self->sent_ns;
  if (self->bus == NULL) {
    g_clear_error (&error);
  } else if (reply != NULL) {
    take_sample (self, &sample, reply);
  } else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) &&
             !g_dbus_error_is_remote_error (error)) {
    /* not critical, continue: a busy source may be just about to send what counts, the record */
    g_clear_error (&error);
    sampler_go_on (self);
  } else {
    clockferry_error_tame_remote (error);
    g_prefix_error (&error, "it does not tell its time: ");
    sampler_fail (self, error);
  }
  sampler_release (self);
}

/* public methods */

PeerSampler *
peer_sampler_new (GDBusConnection *bus, const char *peer, PeerSamplerCompared compared,
                  PeerSamplerFailed failed, gpointer user_data)
{
  PeerSampler *self = g_rc_box_new0 (PeerSampler);

  self->bus = g_object_ref (bus);
  self->cancellable = g_cancellable_new ();
  self->compared = compared;
  self->failed = failed;
  self->user_data = user_data;
  self->clock = peer_clock_acquire (peer);
  sampler_ask (self);
  return self;
}

void
peer_sampler_stop (PeerSampler *self)
{
  g_clear_handle_id (&self->pause_id, g_source_remove);
  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->bus);
}

void
peer_sampler_free (PeerSampler *self)
{
  peer_sampler_stop (self);
  sampler_release (self);
}

bool
peer_sampler_get_estimate (const PeerSampler *self, int64_t remote_real_minus_boot_ns,
                           ClockEstimate *estimate)
{
  HostClockReading now;

  host_clock_read (&now);
  return clock_offset_get (peer_clock_get_offset (self->clock), &now, remote_real_minus_boot_ns,
                           estimate);
}

uint64_t
peer_sampler_get_round_trip_ns (const PeerSampler *self)
{
  return (uint64_t) self->round_trip_ns;
}
