/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "adoption.h"

#include <libvirt/libvirt.h>

#include "error.h"
#include "event-log.h"
#include "libvirt-calls.h"

/* A call to libvirt about a domain failed, its helper hung up, or there was no file descriptor left to
 * reach it by: no event may ever come that makes us look again, so look again by ourselves. */
#define RETRY_S 30

struct Adoption {
  const HostContext *host;
  char *uuid;
  char *name; /* NULL until libvirt told */
  const AdoptionCallbacks *callbacks;
  gpointer user_data;

  GCancellable *cancellable; /* of calls to libvirt about it */
  guint retry_id;
  gboolean was_answered;  /* by libvirt, what it is */
  gboolean has_link;      /* to its helper */
  char *link_problem;     /* why there is none, a clause, once that was tried */
  gboolean is_observed;   /* as there is none */
  gboolean is_advertised; /* the metadata holds our element */
  char *ticket;           /* NULL until it is in the metadata or on its way there */
  gboolean is_ready;      /* said so in the journal */
  char *problem;          /* why it is not, NULL where that is not known yet */
  char *not_ready_reason; /* what was said instead, NULL after is_ready */
};

static void schedule_retry (Adoption *adoption);

static void
set_ready (Adoption *adoption, gboolean is_ready, const char *problem)
{
  adoption->is_ready = is_ready;
  g_free (adoption->problem);
  adoption->problem = g_strdup (problem);
}

/* what the journal is told */

static void
say_not_ready (Adoption *adoption, const char *reason)
{
  EventEntry *entry;

  set_ready (adoption, FALSE, reason);
  adoption->callbacks->changed (adoption->user_data);
  if (g_strcmp0 (adoption->not_ready_reason, reason) == 0)
    return;
  g_free (adoption->not_ready_reason);
  adoption->not_ready_reason = g_strdup (reason);
  entry = event_entry_new (EVENT_DOMAIN_NOT_READY, adoption->uuid, adoption->name);
  event_entry_add (entry, "CLOCKFERRY_REASON", reason);
  event_entry_log (entry, "the clocks of %s would not be handed over at a migration: %s",
                   adoption->name != NULL ? adoption->name : adoption->uuid, reason);
}

static void
say_ready (Adoption *adoption)
{
  EventEntry *entry;

  if (adoption->is_ready)
    return;
  set_ready (adoption, TRUE, NULL);
  adoption->callbacks->changed (adoption->user_data);
  g_clear_pointer (&adoption->not_ready_reason, g_free);
  entry = event_entry_new (EVENT_DOMAIN_READY, adoption->uuid, adoption->name);
  event_entry_add (entry, "CLOCKFERRY_SOURCE", adoption->has_link ? "helper" : "observed");
  event_entry_log (entry, "the clocks of %s will be handed over at a migration%s", adoption->name,
                   adoption->has_link ? "" : ": it will be observed, as there is no helper");
}

/* Where all that is known of it makes it ready, or not. */
static void
judge (Adoption *adoption)
{
  gboolean is_known = TRUE;
  const char *problem = NULL;

  if (adoption->is_observed)
    problem = adoption->callbacks->get_observer_problem (&is_known, adoption->user_data);
  if (problem != NULL) {
    g_autofree char *reason =
      g_strdup_printf ("%s, and it can not be observed: %s", adoption->link_problem, problem);

    say_not_ready (adoption, reason);
  } else if (adoption->is_advertised && is_known && (adoption->has_link || adoption->is_observed)) {
    say_ready (adoption);
  }
}

/* An answer of libvirt that did not come. When the call was cancelled, @adoption may be gone. */
static void
fail_adoption (Adoption *adoption, const GError *error)
{
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  say_not_ready (adoption, error->message);
  schedule_retry (adoption);
}

/* the steps of an adoption, the last one first */

static void
on_element_set (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Adoption *adoption = user_data;
  g_autoptr (GError) error = NULL;

  if (!libvirt_set_element_finish (G_DBUS_CONNECTION (source), result, &error)) {
    fail_adoption (adoption, error);
    return;
  }
  adoption->is_advertised = TRUE;
  judge (adoption);
}

/* Is @element, found in the metadata, ours from before a restart of the daemon? */
static gboolean
is_own_element (const Adoption *adoption, const SourceElement *element)
{
  return element != NULL && g_str_equal (element->address, adoption->host->address) &&
         element->port == adoption->host->settings->port &&
         g_str_equal (element->pin, adoption->host->pin);
}

static void
advertise (Adoption *adoption)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *xml = NULL;
  SourceElement element = {
    .address = (char *) adoption->host->address,
    .port = adoption->host->settings->port,
    .pin = (char *) adoption->host->pin,
  };

  if (adoption->ticket == NULL)
    adoption->ticket = source_element_make_ticket (&error);
  if (adoption->ticket == NULL) {
    say_not_ready (adoption, error->message);
    return;
  }
  element.ticket = adoption->ticket;
  xml = source_element_to_xml (&element);
  libvirt_set_element_async (adoption->host->bus, adoption->host->driver_path, adoption->uuid, xml,
                             adoption->cancellable, on_element_set, adoption);
}

/* The metadata names no daemon, or another host's: the domain is new here, or just arriving. */
static void
on_adopted_state (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Adoption *adoption = user_data;
  g_autoptr (GError) error = NULL;
  LibvirtDomainState state = { 0 };

  if (!libvirt_get_state_finish (G_DBUS_CONNECTION (source), result, &state, &error)) {
    fail_adoption (adoption, error);
    return;
  }
  if (state.state != VIR_DOMAIN_PAUSED || state.reason != VIR_DOMAIN_PAUSED_MIGRATION ||
      !adoption->callbacks->paused_by_migration (adoption->user_data))
    advertise (adoption);
}

/* Whether there was no link for want of something that may be there again, and not for what this QEMU is. */
static bool
is_passing (const GError *error)
{
  return error->domain != CLOCKFERRY_ERROR &&
         !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
}

/* Where it is is of no use to anybody if it is not there. */
static const char *
describe_link_error (const GError *error)
{
  return g_error_matches (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NO_HELPER)
           ? "no helper in its QEMU"
           : error->message;
}

/* A socket on which nobody listens is of a helper that was never asked anything, or of a domain before a
 * power failure, in the folder of the same name. */
static gboolean
is_to_be_observed (const GError *error)
{
  return g_error_matches (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NO_HELPER) ||
         g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
}

/* The helper, or the observer where there is none. */
static void
find_way (Adoption *adoption)
{
  g_autoptr (GError) error = NULL;

  adoption->has_link = adoption->callbacks->open_link (adoption->user_data, &error);
  g_free (adoption->link_problem);
  adoption->link_problem = g_strdup (adoption->has_link ? NULL : describe_link_error (error));
  adoption->is_observed = !adoption->has_link && is_to_be_observed (error) &&
                          adoption->callbacks->observe (adoption->user_data);
  if (adoption->is_observed)
    judge (adoption);
  else if (!adoption->has_link)
    say_not_ready (adoption, error->message);
  if (!adoption->has_link && is_passing (error))
    schedule_retry (adoption);
}

static void
on_adopted_xml (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Adoption *adoption = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (DomainInfo)
    info = libvirt_get_info_finish (G_DBUS_CONNECTION (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the adoption may be gone */
  /* what libvirt says and cannot be read will be no better the next time */
  if (info != NULL || error->domain == CLOCKFERRY_ERROR)
    adoption->was_answered = TRUE;
  if (info == NULL) {
    fail_adoption (adoption, error);
    return;
  }
  g_free (adoption->name);
  adoption->name = g_strdup (info->name);
  adoption->callbacks->found (info, adoption->user_data);
  if (!info->is_kvm)
    return; /* QEMU emulates it, and keeps its clocks itself */
  find_way (adoption);

  if (is_own_element (adoption, info->source)) {
    g_free (adoption->ticket);
    adoption->ticket = g_strdup (info->source->ticket);
    adoption->is_advertised = TRUE;
    judge (adoption);
    return;
  }
  libvirt_get_state_async (adoption->host->bus, adoption->host->driver_path, adoption->uuid,
                           LIBVIRT_CALL_PATIENT, adoption->cancellable, on_adopted_state, adoption);
}

static void
adopt (Adoption *adoption)
{
  libvirt_get_xml_async (adoption->host->bus, adoption->host->driver_path, adoption->uuid,
                         LIBVIRT_CALL_PATIENT, adoption->cancellable, on_adopted_xml, adoption);
}

static gboolean
on_retry (gpointer user_data)
{
  Adoption *adoption = user_data;

  adoption->retry_id = 0;
  adopt (adoption);
  return G_SOURCE_REMOVE;
}

static void
schedule_retry (Adoption *adoption)
{
  if (adoption->retry_id == 0)
    adoption->retry_id = g_timeout_add_seconds (RETRY_S, on_retry, adoption);
}

/* public functions */

Adoption *
adoption_new (const HostContext *host, const char *uuid, const AdoptionCallbacks *callbacks,
              gpointer user_data)
{
  Adoption *adoption = g_new0 (Adoption, 1);

  adoption->host = host;
  adoption->uuid = g_strdup (uuid);
  adoption->callbacks = callbacks;
  adoption->user_data = user_data;
  adoption->cancellable = g_cancellable_new ();
  return adoption;
}

void
adoption_free (Adoption *adoption)
{
  adoption_forget (adoption);
  g_free (adoption->not_ready_reason);
  g_free (adoption->link_problem);
  g_clear_object (&adoption->cancellable);
  g_free (adoption->name);
  g_free (adoption->uuid);
  g_free (adoption);
}

void
adoption_start (Adoption *adoption, const char *name)
{
  g_free (adoption->name);
  adoption->name = g_strdup (name);
  adopt (adoption);
}

void
adoption_take_observer_change (Adoption *adoption)
{
  if (adoption->is_observed)
    judge (adoption);
}

void
adoption_lose_link (Adoption *adoption, gboolean looks_again)
{
  adoption->has_link = FALSE;
  set_ready (adoption, FALSE, "the connection to the helper in its QEMU ended");
  if (looks_again)
    schedule_retry (adoption);
}

/* What was said last stays: a domain that comes back with the same problem is no news. */
void
adoption_forget (Adoption *adoption)
{
  g_clear_handle_id (&adoption->retry_id, g_source_remove);
  g_cancellable_cancel (adoption->cancellable);
  g_object_unref (adoption->cancellable);
  adoption->cancellable = g_cancellable_new ();
  g_clear_pointer (&adoption->ticket, g_free);
  adoption->was_answered = FALSE;
  adoption->has_link = FALSE;
  adoption->is_observed = FALSE;
  adoption->is_advertised = FALSE;
  set_ready (adoption, FALSE, NULL);
}

const char *
adoption_get_problem (const Adoption *adoption)
{
  if (adoption->is_ready)
    return NULL;
  return adoption->problem != NULL ? adoption->problem : "it is still being looked at";
}

gboolean
adoption_was_answered (const Adoption *adoption)
{
  return adoption->was_answered;
}

const char *
adoption_get_ticket (const Adoption *adoption)
{
  return adoption->ticket;
}
