/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest.h"

#include "adoption.h"
#include "event-log.h"
#include "guest-end.h"
#include "guest-facts.h"
#include "guest-incoming.h"
#include "guest-outgoing.h"
#include "helper-link.h"

struct Guest {
  const HostContext *host;
  char *uuid;
  GuestFacts facts;
  gboolean is_found; /* running, when libvirt listed its domains: no event told how it began */
  gboolean is_older; /* found when libvirt did so first: another daemon may have followed it */
  gboolean is_found_arriving; /* while a find is taken for the announcement, which was before us */
  MigrationPhase phase;

  Adoption *adoption;      /* idle unless it lives here */
  GuestOutgoing *outgoing; /* idle unless it is leaving */
  GuestIncoming *incoming; /* idle unless it is arriving */
  HelperLink *link;        /* NULL without */
  gboolean had_link;       /* to this QEMU, which hangs up before libvirt tells of its end */

  GBytes *offered;                            /* while KEEP_RECORD is to be decided */
  const struct helper_report *offered_report; /* likewise KEEP_REPORT */
  GuestEnd end;                               /* of the arrival, until the helper has reported */
};

/* What people are told: libvirt may not have told the name yet. */
static const char *
get_label (const Guest *guest)
{
  return guest->facts.name != NULL ? guest->facts.name : guest->uuid;
}

static void
tell_change (const Guest *guest)
{
  if (guest->host->guest_changed != NULL)
    guest->host->guest_changed (guest->uuid, guest->host->user_data);
}

/* helper link callbacks */

/* By the helper, or by the observer. */
static void
on_record (const struct clock_record *record, gsize size, gpointer user_data)
{
  Guest *guest = user_data;

  guest->offered = g_bytes_new (record, size);
  guest_input (guest, MIGRATION_INPUT_LOCAL_RECORD);
  g_clear_pointer (&guest->offered, g_bytes_unref);
}

static void
on_helper_report (const struct helper_report *report, gpointer user_data)
{
  Guest *guest = user_data;

  if (report->flags & HELPER_REPORT_NO_RECORD) {
    if (migration_phase_is_at_home (guest->phase))
      guest_outgoing_miss_record (guest->outgoing, helper_reason_name (report->reason));
    return;
  }
  guest->offered_report = report;
  guest_input (guest, MIGRATION_INPUT_REPORT);
  guest->offered_report = NULL;
}

static void
on_helper_closed (const GError *error, gpointer user_data)
{
  Guest *guest = user_data;
  gboolean is_at_home = migration_phase_is_at_home (guest->phase);
  gboolean is_hang_up = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED);

  g_clear_pointer (&guest->link, helper_link_free);
  adoption_lose_link (guest->adoption, is_hang_up && is_at_home);
  tell_change (guest);
  /* A QEMU that ends closes its socket before libvirt says STOPPED: that is no news. */
  if (is_hang_up)
    return;
  if (is_at_home && !guest_outgoing_has_record (guest->outgoing))
    guest_outgoing_miss_record (guest->outgoing, error->message);
  event_entry_log (event_entry_new (EVENT_HELPER_LOST, guest->uuid, guest->facts.name),
                   "the connection to the helper in the QEMU of %s ended: %s", get_label (guest),
                   error->message);
}

static const HelperLinkCallbacks helper_callbacks = {
  .record = on_record,
  .report = on_helper_report,
  .closed = on_helper_closed,
};

static gboolean
open_link (Guest *guest, GError **error)
{
  if (guest->link == NULL)
    guest->link = helper_link_new (&guest->host->folders, guest->facts.name, guest->facts.id,
                                   guest->uuid, &helper_callbacks, guest, error);
  if (guest->link == NULL)
    return FALSE;
  guest->had_link = TRUE;
  guest_outgoing_stop_observing (guest->outgoing);
  return TRUE;
}

static void
take_info (Guest *guest, const DomainInfo *info)
{
  guest_facts_take (&guest->facts, guest->uuid, info);
  guest_outgoing_take_facts (guest->outgoing);
  tell_change (guest);
}

/* That life of the domain here is over: what is known belongs to a QEMU that is gone. */
static void
forget (Guest *guest)
{
  adoption_forget (guest->adoption);
  g_clear_pointer (&guest->link, helper_link_free);
  guest_outgoing_forget (guest->outgoing);
  guest_incoming_stop (guest->incoming);
  guest_facts_forget (&guest->facts);
  guest->had_link = FALSE;
  guest->is_found = FALSE;
  guest->is_older = FALSE;
}

/* adopting */

static void
on_found (const DomainInfo *info, gpointer user_data)
{
  take_info (user_data, info);
}

static gboolean
on_open_link (gpointer user_data, GError **error)
{
  return open_link (user_data, error);
}

static gboolean
on_observe (gpointer user_data)
{
  return guest_outgoing_observe (((const Guest *) user_data)->outgoing);
}

static const char *
on_get_observer_problem (gboolean *is_known, gpointer user_data)
{
  return guest_outgoing_get_observer_problem (((const Guest *) user_data)->outgoing, is_known);
}

static gboolean
on_paused_by_migration (gpointer user_data)
{
  Guest *guest = user_data;

  /* A domain that is leaving is paused by that as well, but then SUSPENDED said so; and libvirt says
   * the same of one that is being restored, but then STARTED was not of a migration. */
  if (guest->phase != MIGRATION_PHASE_RUNNING || !guest->is_found)
    return FALSE;
  guest->is_found_arriving = guest->is_older;
  guest_input (guest, MIGRATION_INPUT_STARTED_MIGRATED); /* the event was before our time */
  guest->is_found_arriving = FALSE;
  return TRUE;
}

static void
on_changed (gpointer user_data)
{
  tell_change (user_data);
}

static const AdoptionCallbacks adoption_callbacks = {
  .found = on_found,
  .open_link = on_open_link,
  .observe = on_observe,
  .get_observer_problem = on_get_observer_problem,
  .paused_by_migration = on_paused_by_migration,
  .changed = on_changed,
};

/* leaving */

static gboolean
on_has_link (gpointer user_data)
{
  return ((const Guest *) user_data)->link != NULL;
}

static gboolean
on_had_link (gpointer user_data)
{
  return ((const Guest *) user_data)->had_link;
}

static gboolean
on_is_running (gpointer user_data)
{
  return ((const Guest *) user_data)->phase == MIGRATION_PHASE_RUNNING;
}

static void
on_observer_changed (gpointer user_data)
{
  adoption_take_observer_change (((const Guest *) user_data)->adoption);
}

static void
on_claim_lost (gpointer user_data)
{
  guest_input (user_data, MIGRATION_INPUT_CLAIM_LOST);
}

static const GuestOutgoingCallbacks outgoing_callbacks = {
  .has_link = on_has_link,
  .had_link = on_had_link,
  .is_running = on_is_running,
  .observed = on_record,
  .observer_changed = on_observer_changed,
  .claim_lost = on_claim_lost,
};

/* arriving */

static HelperLink *
on_open_incoming_link (gpointer user_data, GError **error)
{
  Guest *guest = user_data;

  return open_link (guest, error) ? guest->link : NULL;
}

static void
on_incoming_input (MigrationInput input, gpointer user_data)
{
  guest_input (user_data, input);
}

static const GuestIncomingCallbacks incoming_callbacks = {
  .found = on_found,
  .open_link = on_open_incoming_link,
  .input = on_incoming_input,
  .changed = on_changed,
};

static void
announce (Guest *guest)
{
  forget (guest);
  guest_incoming_start (guest->incoming, guest->is_found_arriving);
}

/* doing what migration-phase decides */

/* The helper wrote a record before libvirt knew of the pause, and mostly its report before libvirt's
 * event came here, but that may overtake them. */
static void
drain_helper (Guest *guest, MigrationInput input)
{
  gboolean follows_helper =
    input == MIGRATION_INPUT_RESUMED_MIGRATED || input == MIGRATION_INPUT_RESUMED_POSTCOPY ||
    input == MIGRATION_INPUT_RESUMED || input == MIGRATION_INPUT_PAUSED ||
    input == MIGRATION_INPUT_PAUSED_MIGRATED || input == MIGRATION_INPUT_STOPPED_MIGRATED;

  if ((follows_helper || guest_end_is_held (&guest->end)) && guest->link != NULL)
    helper_link_drain (guest->link);
  if (follows_helper)
    guest_outgoing_drain_observer (guest->outgoing);
}

static void
perform (Guest *guest, guint actions, MigrationInput input)
{
  guest_outgoing_perform (guest->outgoing, actions, input, guest->offered);
  /* destination */
  if (actions & MIGRATION_ACTION_ARM)
    guest_incoming_arm (guest->incoming, guest->link);
  if (actions & MIGRATION_ACTION_DISARM)
    guest_incoming_disarm (guest->incoming, guest->link, input == MIGRATION_INPUT_PAUSED);
  if (actions & MIGRATION_ACTION_KEEP_REPORT)
    guest_incoming_take_report (guest->incoming, guest->offered_report);
  if (actions & MIGRATION_ACTION_CONCLUDE_ARRIVAL)
    guest_incoming_conclude (guest->incoming, guest->link, input == MIGRATION_INPUT_PAUSED);
  if (actions & MIGRATION_ACTION_ABANDON_ARRIVAL)
    guest_incoming_abandon (guest->incoming);
  if (actions & MIGRATION_ACTION_ANNOUNCE)
    announce (guest);
  if (actions & MIGRATION_ACTION_LOOK)
    guest_incoming_look (guest->incoming);
  /* both */
  if (actions & MIGRATION_ACTION_ADOPT)
    adoption_start (guest->adoption, guest->facts.name);
  if (actions & MIGRATION_ACTION_FORGET)
    forget (guest);
}

/* inputs */

/* NOLINTBEGIN(misc-no-recursion): once, as the end that it holds is released before */
static void
step (Guest *guest, MigrationInput input)
/* NOLINTEND(misc-no-recursion) */
{
  gboolean is_held = guest_end_is_held (&guest->end);
  MigrationInput held_end;
  guint actions = 0;

  if (input == MIGRATION_INPUT_LISTED && guest->phase == MIGRATION_PHASE_ABSENT) {
    guest->is_found = TRUE;
    guest->is_older = !guest->host->has_listed;
  } else if (input == MIGRATION_INPUT_STARTED) {
    guest->is_found = FALSE;
    guest->is_older = FALSE;
    guest->had_link = guest->link != NULL;
  }
  guest->phase = migration_phase_step (guest->phase, input, &actions);
  perform (guest, actions, input);
  tell_change (guest);
  if (!is_held || guest_end_is_awaited (guest->phase, input))
    return;
  /* it has reported; anything else was an end by itself */
  held_end = guest_end_release (&guest->end);
  if (guest->phase == MIGRATION_PHASE_REPORTED)
    step (guest, held_end);
}

static void
on_end_overdue (gpointer user_data)
{
  Guest *guest = user_data;

  step (guest, guest_end_release (&guest->end));
}

/* public functions */

Guest *
guest_new (const HostContext *host, const char *uuid)
{
  Guest *guest = g_new0 (Guest, 1);

  guest->host = host;
  guest->uuid = g_strdup (uuid);
  guest_facts_init (&guest->facts);
  guest->phase = MIGRATION_PHASE_ABSENT;
  guest->adoption = adoption_new (host, uuid, &adoption_callbacks, guest);
  guest->outgoing = guest_outgoing_new (host, uuid, &guest->facts, &outgoing_callbacks, guest);
  guest_end_init (&guest->end, on_end_overdue, guest);
  guest->incoming = guest_incoming_new (host, uuid, &incoming_callbacks, guest);
  return guest;
}

void
guest_free (Guest *guest)
{
  (void) guest_end_release (&guest->end);
  forget (guest);
  guest_outgoing_free (guest->outgoing);
  adoption_free (guest->adoption);
  guest_incoming_free (guest->incoming);
  guest_facts_clear (&guest->facts);
  g_free (guest->uuid);
  g_free (guest);
}

void
guest_input (Guest *guest, MigrationInput input)
{
  drain_helper (guest, input);
  if (guest_end_is_to_hold (guest->phase, guest->link != NULL, input)) {
    guest_end_hold (&guest->end, input);
    return;
  }
  /* it was resumed, so it did arrive, and not paused, and its helper has had its turn */
  if (guest_end_precedes (input) && guest_end_is_held (&guest->end))
    step (guest, guest_end_release (&guest->end));
  step (guest, input);
}

void
guest_claim (Guest *guest, const char *id, const char *address)
{
  guest_outgoing_claim (guest->outgoing, id, address);
  guest_input (guest, MIGRATION_INPUT_CLAIMED);
}

void
guest_lose_claim (Guest *guest, const char *id)
{
  guest_outgoing_lose_claim (guest->outgoing, id);
}

void
guest_give_up_claim (Guest *guest, const char *id)
{
  guest_outgoing_give_up_claim (guest->outgoing, id);
}

MigrationPhase
guest_get_phase (const Guest *guest)
{
  return guest->phase;
}

void
guest_get_view (const Guest *guest, GuestView *view)
{
  *view = (GuestView){
    .name = guest->facts.name,
    .phase = guest->phase,
    .is_emulated = guest->facts.is_emulated,
    .has_link = guest->link != NULL,
    .policy = guest->facts.policy,
    .policy_problem = guest->facts.policy_problem,
  };
  if (guest->facts.is_emulated)
    view->problem = "it is not of type kvm: QEMU keeps its clocks itself";
  else if (migration_phase_is_at_home (guest->phase))
    view->problem = adoption_get_problem (guest->adoption);
  else
    view->problem = "it has not arrived yet";
}

gboolean
guest_is_unheard (const Guest *guest)
{
  return migration_phase_is_at_home (guest->phase) && !adoption_was_answered (guest->adoption);
}

const char *
guest_get_ticket (const Guest *guest)
{
  return adoption_get_ticket (guest->adoption);
}
