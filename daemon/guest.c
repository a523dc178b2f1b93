/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest.h"

#include "adoption.h"
#include "departure.h"
#include "event-log.h"
#include "guest-facts.h"
#include "guest-incoming.h"
#include "guest-record.h"
#include "helper-link.h"

/*
 * QEMU tells of its resuming before it sets the guest's clock (vm_prepare_start() in its
 * softmmu/cpus.c), and libvirt's event can be here while the helper is still at that. It needs some
 * milliseconds; this is for a host that is busy. Whoever has not read the fix-up by then gets none.
 */
#define REPORT_PATIENCE_MS 5000

struct Guest {
  const HostContext *host;
  char *uuid;
  GuestFacts facts;
  gboolean is_found; /* running, when libvirt listed its domains: no event told how it began */
  gboolean is_older; /* found when libvirt did so first: another daemon may have followed it */
  gboolean is_found_arriving; /* while a find is taken for the announcement, which was before us */
  MigrationPhase phase;

  Adoption *adoption;      /* idle unless it lives here */
  Departure *departure;    /* idle unless it is leaving */
  GuestIncoming *incoming; /* idle unless it is arriving */
  HelperLink *link;        /* NULL without */
  gboolean had_link;       /* to this QEMU, which hangs up before libvirt tells of its end */

  GuestRecord record;
  GBytes *offered;                            /* while KEEP_RECORD is to be decided */
  const struct helper_report *offered_report; /* likewise KEEP_REPORT */
  MigrationInput held_end; /* of the arrival, until the helper has reported; NONE as a rule */
  guint held_end_id;       /* until it is not waited for any longer */
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

static void
on_helper_record (const struct clock_record *record, gsize size, gpointer user_data)
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
      guest_record_miss (&guest->record, helper_reason_name (report->reason));
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
  if (is_at_home && guest->record.newest == NULL)
    guest_record_miss (&guest->record, error->message);
  event_entry_log (event_entry_new (EVENT_HELPER_LOST, guest->uuid, guest->facts.name),
                   "the connection to the helper in the QEMU of %s ended: %s", get_label (guest),
                   error->message);
}

static const HelperLinkCallbacks helper_callbacks = {
  .record = on_helper_record,
  .report = on_helper_report,
  .closed = on_helper_closed,
};

static gboolean
open_link (Guest *guest, GError **error)
{
  if (guest->link == NULL)
    guest->link = helper_link_new (&guest->host->folders, guest->facts.name, guest->facts.id,
                                   guest->uuid, &helper_callbacks, guest, error);
  guest->had_link |= guest->link != NULL;
  return guest->link != NULL;
}

static void
take_info (Guest *guest, const DomainInfo *info)
{
  guest_facts_take (&guest->facts, guest->uuid, info);
  departure_set_name (guest->departure, info->name);
  if (!info->is_kvm)
    departure_drop (guest->departure, "it is emulated: QEMU keeps its clocks itself");
  tell_change (guest);
}

/* That life of the domain here is over: what is known belongs to a QEMU that is gone. */
static void
forget (Guest *guest)
{
  adoption_forget (guest->adoption);
  peer_listener_release (guest->host->listener, guest->uuid);
  g_clear_pointer (&guest->link, helper_link_free);
  guest_record_drop (&guest->record);
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
  .paused_by_migration = on_paused_by_migration,
  .changed = on_changed,
};

/* leaving */

static DepartureRecord
on_get_record (gpointer user_data)
{
  Guest *guest = user_data;

  return guest_record_describe (&guest->record, guest->had_link);
}

static const char *
on_get_obstacle (gpointer user_data)
{
  const Guest *guest = user_data;

  return guest->record.obstacle;
}

static void
on_claim_lost (gpointer user_data)
{
  guest_input (user_data, MIGRATION_INPUT_CLAIM_LOST);
}

static const DepartureCallbacks departure_callbacks = {
  .get_record = on_get_record,
  .get_obstacle = on_get_obstacle,
  .claim_lost = on_claim_lost,
};

static void
roll_back (Guest *guest)
{
  peer_listener_withdraw (guest->host->listener, guest->uuid, "rolled-back");
  departure_roll_back (guest->departure);
}

static void
cancel_departure (Guest *guest, MigrationInput input)
{
  departure_cancel (guest->departure, input == MIGRATION_INPUT_STOPPED
                                        ? "the domain ended here"
                                        : "libvirt did not tell what became of it here");
}

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

  if (follows_helper && guest->link != NULL)
    helper_link_drain (guest->link);
}

/* The helper speaks whenever QEMU asks for the clock, which it does before it tells of its pause. */
static void
note_silence (Guest *guest)
{
  if (guest->link != NULL && guest->record.newest == NULL && guest->record.obstacle == NULL)
    guest_record_miss (&guest->record, "it saw no KVM_GET_CLOCK by libc's ioctl()");
}

/* What is said of a departure is said before its record is dropped, and after it was sent. */
static void
perform_departure (Guest *guest, guint actions, MigrationInput input)
{
  if (guest->facts.is_emulated)
    return;
  if (actions & MIGRATION_ACTION_PAUSE_DEPARTURE) {
    /* not at a claim, as the link may be younger than the pause */
    if (input == MIGRATION_INPUT_PAUSED_MIGRATED)
      note_silence (guest);
    departure_pause (guest->departure);
  }
  if (actions & MIGRATION_ACTION_SETTLE_DEPARTURE) {
    departure_settle (guest->departure);
    /* of a guest that is paused by hand it stands, for another migration */
    guest_record_recall (&guest->record);
  }
  if (actions & MIGRATION_ACTION_ROLL_BACK)
    roll_back (guest);
  if (actions & MIGRATION_ACTION_CONCLUDE_DEPARTURE)
    departure_conclude (guest->departure);
  if (actions & MIGRATION_ACTION_CANCEL_DEPARTURE)
    cancel_departure (guest, input);
}

static void
perform (Guest *guest, guint actions, MigrationInput input)
{
  /* source */
  if (actions & MIGRATION_ACTION_KEEP_RECORD)
    guest_record_keep (&guest->record, guest->offered);
  if (actions & MIGRATION_ACTION_PUSH_RECORD)
    guest_record_push (&guest->record, guest->host->listener, guest->uuid);
  perform_departure (guest, actions, input);
  if (actions & MIGRATION_ACTION_DROP_RECORD)
    guest_record_drop (&guest->record);
  /* destination */
  if (actions & MIGRATION_ACTION_ARM)
    guest_incoming_arm (guest->incoming, guest->link);
  if (actions & MIGRATION_ACTION_DISARM)
    guest_incoming_disarm (guest->incoming, guest->link);
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

/* the end of an arrival */

/* The guest was resumed, and its helper may still be at it; a source that takes its record back now is too
 * late. */
static gboolean
is_still_arriving (const Guest *guest, MigrationInput input)
{
  return guest->phase == MIGRATION_PHASE_ARMED ||
         (guest->phase == MIGRATION_PHASE_INCOMING && input != MIGRATION_INPUT_OTHER_QEMU);
}

static void
release_end (Guest *guest)
{
  guest->held_end = MIGRATION_INPUT_NONE;
  g_clear_handle_id (&guest->held_end_id, g_source_remove);
}

/* NOLINTBEGIN(misc-no-recursion): once, as the end that it holds is released before */
static void
step (Guest *guest, MigrationInput input)
/* NOLINTEND(misc-no-recursion) */
{
  MigrationInput held_end = guest->held_end;
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
  if (held_end == MIGRATION_INPUT_NONE || is_still_arriving (guest, input))
    return;
  /* it has reported; anything else was an end by itself */
  release_end (guest);
  if (guest->phase == MIGRATION_PHASE_REPORTED)
    step (guest, held_end);
}

static void
step_held_end (Guest *guest)
{
  MigrationInput held_end = guest->held_end;

  release_end (guest);
  step (guest, held_end);
}

static gboolean
on_report_overdue (gpointer user_data)
{
  Guest *guest = user_data;

  guest->held_end_id = 0;
  step_held_end (guest);
  return G_SOURCE_REMOVE;
}

/* Without a record as well: the helper waits for one that is late, and reports in any case. */
static gboolean
awaits_report (const Guest *guest, MigrationInput input)
{
  return (guest->phase == MIGRATION_PHASE_ARMED || guest->phase == MIGRATION_PHASE_INCOMING) &&
         guest->link != NULL &&
         (input == MIGRATION_INPUT_RESUMED_MIGRATED || input == MIGRATION_INPUT_RESUMED_POSTCOPY);
}

/* Of an arrival whose end is held: nothing that a guest does before it has arrived. */
static gboolean
follows_end (MigrationInput input)
{
  return input == MIGRATION_INPUT_PAUSED || input == MIGRATION_INPUT_PAUSED_MIGRATED ||
         input == MIGRATION_INPUT_STOPPED_MIGRATED;
}

static void
hold_end (Guest *guest, MigrationInput input)
{
  guest->held_end = input;
  if (guest->held_end_id == 0)
    guest->held_end_id = g_timeout_add (REPORT_PATIENCE_MS, on_report_overdue, guest);
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
  guest->departure = departure_new (host, uuid, &departure_callbacks, guest);
  guest->incoming = guest_incoming_new (host, uuid, &incoming_callbacks, guest);
  return guest;
}

void
guest_free (Guest *guest)
{
  release_end (guest);
  forget (guest);
  departure_free (guest->departure);
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
  if (awaits_report (guest, input)) {
    hold_end (guest, input);
    return;
  }
  /* it was resumed, so it did arrive, and not paused, and its helper has had its turn */
  if (follows_end (input) && guest->held_end != MIGRATION_INPUT_NONE)
    step_held_end (guest);
  step (guest, input);
}

void
guest_claim (Guest *guest, const char *id, const char *address)
{
  departure_claim (guest->departure, id, address);
  guest_input (guest, MIGRATION_INPUT_CLAIMED);
}

void
guest_lose_claim (Guest *guest, const char *id)
{
  departure_lose_claim (guest->departure, id);
}

void
guest_give_up_claim (Guest *guest, const char *id)
{
  departure_give_up_claim (guest->departure, id);
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

const char *
guest_get_ticket (const Guest *guest)
{
  return adoption_get_ticket (guest->adoption);
}
