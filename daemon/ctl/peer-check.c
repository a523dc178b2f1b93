/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-check.h"

#include <glib/gi18n.h>
#include <string.h>

#include "ctl-error.h"
#include "domain-info.h"
#include "error.h"
#include "identity.h"
#include "peer-check-libvirt.h"
#include "peer-dial.h"
#include "peer-session.h"

#define DIAL_MS         5000
#define MEASURE_MS      1000
#define MEASURE_ROUNDS  5 /* without any comparison, so often */
#define COMPARISONS_MAX 50

typedef struct {
  gboolean is_done;
  guint timer_id;
  GError *error; /* NULL: it went well, as far as it went */
} Wait;

static void
wait_for_end (const Wait *wait)
{
  while (!wait->is_done)
    g_main_context_iteration (NULL, TRUE);
}

/* what went wrong on the way to the daemon */

static gboolean
is_unreachable (const GError *error)
{
  return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_HOST_UNREACHABLE) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NETWORK_UNREACHABLE) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
         g_error_matches (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_TIMED_OUT);
}

static gboolean
is_refusal (const GError *error)
{
  return g_error_matches (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
}

static void
explain_unknown_name (GError **error, const PeerCheckResult *result, const char *why)
{
  if (result->domain != NULL)
    g_set_error (
      error, CTL_ERROR, CTL_ERROR_FAILED,
      _ ("the daemon there calls itself %s, a name that this host does not know; make it "
         "known here, or set Address= there (%s)"),
      result->address, why);
  else
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("this host knows no host %s; give another name or an address (%s)"),
                 result->address, why);
}

/* A translated sentence with the next step, for an error whose text the daemon's code made. */
static void
explain (GError **error, const PeerCheckResult *result, const GError *cause)
{
  const char *address = result->address;
  guint port = result->port;
  const char *why = cause->message;

  if (cause->domain == G_RESOLVER_ERROR)
    explain_unknown_name (error, result, why);
  else if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("nothing listens at %s, port %u; is clockferryd running there, and does its "
                    "firewall let TCP port %u in? (%s)"),
                 address, port, port, why);
  else if (is_unreachable (cause))
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("no answer from %s, port %u; does the firewall there let TCP port %u in? (%s)"),
                 address, port, port, why);
  else if (g_error_matches (cause, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_WRONG_KEY))
    g_set_error (
      error, CTL_ERROR, CTL_ERROR_FAILED,
      _ ("%s, port %u, is not the daemon that the domain's metadata names; which host has "
         "that address? (%s)"),
      address, port, why);
  else if (is_refusal (cause))
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("this host and the daemon at %s, port %u, do not let each other in; see "
                    "journalctl -u clockferryd there (%s)"),
                 address, port, why);
  /* that of two ways to say it which comes first is chance: the next one is the other */
  else if (g_error_matches (cause, G_TLS_ERROR, G_TLS_ERROR_CERTIFICATE_REQUIRED))
    g_set_error (
      error, CTL_ERROR, CTL_ERROR_FAILED,
      _ ("the daemon at %s, port %u, has CertificateAuthority= and demands a certificate; "
         "set CertificateAuthority=, Certificate= and PrivateKey= on this host as well "
         "(%s)"),
      address, port, why);
  else if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CLOSED))
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("the daemon at %s, port %u, hung up; has one of the two hosts "
                    "CertificateAuthority=, and the other not? See journalctl -u clockferryd there "
                    "(%s)"),
                 address, port, why);
  else
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("no way to talk to %s, port %u; see journalctl -u clockferryd there (%s)"),
                 address, port, why);
}

/* the daemon there, by a domain's ticket */

static gboolean on_measured (gpointer user_data);

typedef struct {
  Wait wait;
  PeerSession *session;
  PeerCheckResult *result;
  guint rounds;
} Measurement;

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Measurement *measurement = user_data;

  if (peer_session_open_finish (measurement->session, result, &measurement->wait.error))
    measurement->wait.timer_id = g_timeout_add (MEASURE_MS, on_measured, measurement);
  else
    measurement->wait.is_done = TRUE;
}

static void
on_compared (PeerSession *session, gpointer user_data)
{
  Measurement *measurement = user_data;

  measurement->result->comparisons++;
  if (measurement->result->comparisons == COMPARISONS_MAX)
    measurement->wait.is_done = TRUE;
}

static void
on_closed (PeerSession *session, const GError *error, gpointer user_data)
{
  Measurement *measurement = user_data;

  measurement->wait.is_done = TRUE;
  /* its time for a check is over: what was found out stands */
  if (measurement->result->comparisons == 0)
    measurement->wait.error = g_error_copy (error);
}

static gboolean
on_measured (gpointer user_data)
{
  Measurement *measurement = user_data;

  measurement->rounds++;
  if (measurement->result->comparisons > 0 || measurement->rounds == MEASURE_ROUNDS)
    measurement->wait.is_done = TRUE;
  return G_SOURCE_CONTINUE;
}

static gboolean
take_estimate (Measurement *measurement, GError **error)
{
  PeerCheckResult *result = measurement->result;
  ClockEstimate estimate;
  HostClockState remote;

  if (!peer_session_get_present_estimate (measurement->session, &estimate)) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_TIMED_OUT, "it does not tell its time");
    return FALSE;
  }
  peer_session_get_remote_clock (measurement->session, &remote);
  result->round_trip_ns = peer_session_get_round_trip_ns (measurement->session);
  result->theta_ns = estimate.theta_ns;
  result->theta_bound_ns = estimate.bound_ns;
  result->is_synchronised = remote.synchronised;
  result->max_error_us = remote.max_error_us;
  return TRUE;
}

/* Compare clocks with the daemon that @domain names; an error is one of the daemon's code. */
static gboolean
measure (const DomainInfo *domain, PeerAuthority *authority, PeerCheckResult *result,
         GError **error)
{
  const PeerAnnouncement announcement = {
    .address = domain->source->address,
    .port = domain->source->port,
    .pin = domain->source->pin,
    .domain = domain->uuid,
    .ticket = domain->source->ticket,
  };
  g_autoptr (PeerSession) session = peer_session_new_for_check (&announcement, authority);
  Measurement measurement = { .session = session, .result = result };
  gboolean is_measured;

  g_signal_connect (session, "compared", G_CALLBACK (on_compared), &measurement);
  g_signal_connect (session, "closed", G_CALLBACK (on_closed), &measurement);
  peer_session_open_async (session, NULL, on_opened, &measurement);
  wait_for_end (&measurement.wait);
  g_clear_handle_id (&measurement.wait.timer_id, g_source_remove);
  g_signal_handlers_disconnect_by_data (session, &measurement);

  is_measured = measurement.wait.error == NULL && take_estimate (&measurement, error);
  peer_session_close (session);
  if (measurement.wait.error != NULL)
    g_propagate_error (error, measurement.wait.error);
  return is_measured;
}

static void
name_domain (PeerCheckResult *result, const DomainInfo *domain)
{
  g_free (result->domain);
  g_free (result->address);
  g_free (result->pin);
  result->domain = g_strdup (domain->name);
  result->address = g_strdup (domain->source->address);
  result->pin = g_strdup (domain->source->pin);
  result->port = domain->source->port;
}

/* Try one after the other, there is one, as long as the daemon only does not accept the ticket. */
static gboolean
measure_any (const GPtrArray *candidates, PeerAuthority *authority, PeerCheckResult *result,
             GError **error)
{
  g_autoptr (GError) cause = NULL;
  guint tried = 0;

  do {
    const DomainInfo *domain = g_ptr_array_index (candidates, tried++);

    g_clear_error (&cause);
    name_domain (result, domain);
    if (measure (domain, authority, result, &cause))
      return TRUE;
  } while (tried < candidates->len && is_refusal (cause));
  explain (error, result, cause);
  return FALSE;
}

/* the daemon there, without a ticket */

typedef struct {
  Wait wait;
  GCancellable *cancellable;
  gboolean is_late;
} Dialing;

static gboolean
on_dial_too_slow (gpointer user_data)
{
  Dialing *dialing = user_data;

  dialing->is_late = TRUE;
  g_cancellable_cancel (dialing->cancellable);
  return G_SOURCE_CONTINUE;
}

static void
on_dialed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Dialing *dialing = user_data;
  g_autoptr (GDBusConnection)
    bus = peer_dial_finish (PEER_DIAL (source), result, &dialing->wait.error);

  if (bus != NULL)
    g_dbus_connection_close (bus, NULL, NULL, NULL);
  dialing->wait.is_done = TRUE;
}

/* See whether something speaks TLS where the daemon should be, and which key it has. */
static gboolean
try_dial (PeerAuthority *authority, PeerCheckResult *result, GError **error)
{
  g_autoptr (PeerDial) dial = peer_dial_new (result->address, result->port, NULL, authority);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Dialing dialing = { .cancellable = cancellable };
  g_autoptr (GError) cause = NULL;

  dialing.wait.timer_id = g_timeout_add (DIAL_MS, on_dial_too_slow, &dialing);
  peer_dial_async (dial, cancellable, on_dialed, &dialing);
  wait_for_end (&dialing.wait);
  g_source_remove (dialing.wait.timer_id);

  result->pin = g_strdup (peer_dial_get_shown_pin (dial));
  cause = dialing.wait.error;
  if (cause == NULL)
    return TRUE;
  if (dialing.is_late) {
    g_clear_error (&cause);
    cause = g_error_new (CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_TIMED_OUT, "cannot %s it within %d ms",
                         peer_dial_get_aim (dial), DIAL_MS);
  }
  explain (error, result, cause);
  return FALSE;
}

/* what to check */

static gboolean
take_host (const char *host, PeerCheckResult *result, GError **error)
{
  g_autofree char *uri_host = NULL;
  gboolean is_address = g_hostname_is_ip_address (host);

  if (strstr (host, "://") != NULL)
    result->libvirt_uri = g_strdup (host);
  else if (is_address && strchr (host, ':') != NULL)
    result->libvirt_uri = g_strdup_printf ("qemu+ssh://[%s]/system", host);
  else if (*host != '\0' && *host != '-' && strpbrk (host, " \t/?#@:[]") == NULL)
    result->libvirt_uri = g_strdup_printf ("qemu+ssh://%s/system", host);
  if (result->libvirt_uri == NULL ||
      !g_uri_split (result->libvirt_uri, G_URI_FLAGS_PARSE_RELAXED, NULL, NULL, &uri_host, NULL,
                    NULL, NULL, NULL, NULL)) {
    g_set_error (error, CTL_ERROR, CTL_ERROR_INVALID,
                 _ ("“%s” is neither a host name nor a libvirt connection URI such as "
                    "qemu+ssh://kvm2/system"),
                 host);
    return FALSE;
  }
  result->address = uri_host != NULL && *uri_host != '\0' ? g_steal_pointer (&uri_host)
                                                          : g_strdup ("localhost");
  return TRUE;
}

/* *@authority stays NULL without CertificateAuthority=. */
static gboolean
load_authority (const Settings *settings, PeerAuthority **authority, GError **error)
{
  g_autoptr (GTlsCertificate) own = NULL;

  if (settings->certificate_authority == NULL)
    return TRUE;
  own = identity_load_files (settings->certificate, settings->private_key, error);
  if (own == NULL)
    return FALSE;
  *authority = peer_authority_new (settings->certificate_authority,
                                   (const char *const *) settings->allowed_peers, own, error);
  return *authority != NULL;
}

/* public functions */

gboolean
peer_check_run (const char *host, const Settings *settings, PeerCheckResult *result, GError **error)
{
  g_autoptr (PeerAuthority) authority = NULL;
  g_autoptr (GPtrArray) candidates = NULL;
  g_autoptr (GError) libvirt_error = NULL;

  *result = (PeerCheckResult){ .port = settings->port };
  if (!take_host (host, result, error) || !load_authority (settings, &authority, error))
    return FALSE;
  candidates = peer_check_list_domains (result->libvirt_uri, &libvirt_error);
  if (candidates != NULL && candidates->len > 0)
    return measure_any (candidates, authority, result, error);

  result->problem =
    libvirt_error != NULL
      ? g_strdup (libvirt_error->message)
      : g_strdup_printf (_ ("no running domain at %s has been taken on by its clockferryd; to "
                            "compare clocks, start one there"),
                         result->libvirt_uri);
  return try_dial (authority, result, error);
}

void
peer_check_result_clear (PeerCheckResult *result)
{
  g_free (result->libvirt_uri);
  g_free (result->domain);
  g_free (result->address);
  g_free (result->pin);
  g_free (result->problem);
}
