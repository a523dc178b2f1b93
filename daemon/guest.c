/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest.h"

#include "adoption.h"
#include "arrival-look.h"
#include "arrival.h"
#include "departure.h"
#include "domain-info.h"
#include "event-log.h"
#include "helper-link.h"
#include "host-clock.h"
#include "libvirt-calls.h"

/*
 * How long the helper may expect a record after the announcement. A migration can take hours; the
 * end of one is always told to the helper, so this only bounds what a daemon that died leaves behind.
 */
#define INCOMING_DEADLINE_NS (24 * 3600 * G_GINT64_CONSTANT (1000000000))

/*
 * QEMU tells of its resuming before it sets the guest's clock (vm_prepare_start() in its
 * softmmu/cpus.c), and libvirt's event can be here while the helper is still at that. It needs some
 * milliseconds; this is for a host that is busy.
 */
#define REPORT_PATIENCE_MS 1000

struct Guest {
  const HostContext *host;
  char *uuid;
  char *name;           /* NULL until libvirt told */
  int id;               /* libvirt's number of it, -1 until it told */
  gboolean is_emulated; /* not KVM: QEMU keeps its clocks itself */
  gboolean is_found;    /* running, when libvirt listed its domains: no event told how it began */
  char *policy;         /* what its own policy says, NULL without */
  char *policy_problem; /* what was said of its policy, NULL while nothing is wrong with it */
  MigrationPhase phase;

  Adoption *adoption;        /* idle unless it lives here */
  Departure *departure;      /* idle unless it is leaving */
  GCancellable *cancellable; /* of calls to libvirt while it is arriving */
  HelperLink *link;          /* NULL without */
  gboolean had_link;         /* to this QEMU, which hangs up before libvirt tells of its end */

  GBytes *record;     /* the last one of our helper since the guest last ran */
  gboolean is_pushed; /* a peer was sent that one */
  GBytes *offered;    /* while KEEP_RECORD is to be decided */
  Arrival *arrival;   /* while it is arriving */
  const struct helper_report *offered_report;
  MigrationInput held_end; /* of the arrival, until the helper has reported; NONE as a rule */
  guint held_end_id;       /* until it is not waited for any longer */
};

/* What people are told: libvirt may not have told the name yet. */
static const char *
get_label (const Guest *guest)
{
  return guest->name != NULL ? guest->name : guest->uuid;
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
  event_entry_log (event_entry_new (EVENT_HELPER_LOST, guest->uuid, guest->name),
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
    guest->link = helper_link_new (&guest->host->folders, guest->name, guest->id, guest->uuid,
                                   &helper_callbacks, guest, error);
  guest->had_link |= guest->link != NULL;
  return guest->link != NULL;
}

/* Said where the domain lives already, while it can be mended in peace, and once where it arrives. */
static void
note_policy (Guest *guest, const DomainInfo *info)
{
  EventEntry *entry;

  if (g_strcmp0 (guest->policy_problem, info->policy_problem) == 0)
    return;
  g_free (guest->policy_problem);
  guest->policy_problem = g_strdup (info->policy_problem);
  if (info->policy_problem == NULL)
    return;
  entry = event_entry_new (EVENT_POLICY_IGNORED, guest->uuid, guest->name);
  event_entry_add (entry, "CLOCKFERRY_REASON", info->policy_problem);
  event_entry_log (entry, "the clock policy in the metadata of %s is ignored: %s", guest->name,
                   info->policy_problem);
}

static void
take_info (Guest *guest, const DomainInfo *info)
{
  g_free (guest->name);
  guest->name = g_strdup (info->name);
  guest->id = info->id;
  guest->is_emulated = !info->is_kvm;
  departure_set_name (guest->departure, info->name);
  g_free (guest->policy);
  guest->policy = info->policy != NULL ? g_strdup (domain_policy_get_text (info->policy)) : NULL;
  if (info->is_kvm)
    note_policy (guest, info);
  else
    departure_drop (guest->departure, "it is emulated: QEMU keeps its clocks itself");
  tell_change (guest);
}

/* That life of the domain here is over: what is known belongs to a QEMU that is gone. */
static void
forget (Guest *guest)
{
  adoption_forget (guest->adoption);
  g_cancellable_cancel (guest->cancellable);
  g_object_unref (guest->cancellable);
  guest->cancellable = g_cancellable_new ();
  peer_listener_release (guest->host->listener, guest->uuid);
  g_clear_pointer (&guest->link, helper_link_free);
  g_clear_pointer (&guest->record, g_bytes_unref);
  g_clear_pointer (&guest->arrival, arrival_free);
  g_clear_pointer (&guest->policy, g_free);
  g_clear_pointer (&guest->policy_problem, g_free);
  guest->id = -1;
  guest->had_link = FALSE;
  guest->is_emulated = FALSE;
  guest->is_found = FALSE;
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
  guest_input (guest, MIGRATION_INPUT_STARTED_MIGRATED); /* the event was before our time */
  return TRUE;
}

static void
on_adoption_changed (gpointer user_data)
{
  tell_change (user_data);
}

static const AdoptionCallbacks adoption_callbacks = {
  .found = on_found,
  .open_link = on_open_link,
  .paused_by_migration = on_paused_by_migration,
  .changed = on_adoption_changed,
};

/* leaving */

static void
push_record (Guest *guest)
{
  if (guest->record != NULL &&
      peer_listener_push_record (guest->host->listener, guest->uuid, guest->record) > 0)
    guest->is_pushed = TRUE;
}

static DepartureRecord
on_get_record (gpointer user_data)
{
  Guest *guest = user_data;

  if (guest->record != NULL)
    return guest->is_pushed ? DEPARTURE_RECORD_SENT : DEPARTURE_RECORD_UNCLAIMED;
  return guest->had_link ? DEPARTURE_RECORD_NONE : DEPARTURE_RECORD_NO_HELPER;
}

static void
on_claim_lost (gpointer user_data)
{
  guest_input (user_data, MIGRATION_INPUT_CLAIM_LOST);
}

static const DepartureCallbacks departure_callbacks = {
  .get_record = on_get_record,
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

static void
on_arrival_record (gpointer user_data)
{
  guest_input (user_data, MIGRATION_INPUT_RECORD);
}

static void
on_arrival_withdrawn (const char *reason, gpointer user_data)
{
  guest_input (user_data, MIGRATION_INPUT_WITHDRAWN);
}

static const ArrivalCallbacks arrival_callbacks = {
  .record = on_arrival_record,
  .withdrawn = on_arrival_withdrawn,
};

static void
on_arriving_xml (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Guest *guest = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (DomainInfo)
    info = libvirt_get_info_finish (G_DBUS_CONNECTION (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || guest->arrival == NULL)
    return;
  if (info == NULL) {
    arrival_fail (guest->arrival, ARRIVAL_STEP_LOOKUP, error->message);
    return;
  }
  take_info (guest, info);
  arrival_claim (guest->arrival, info);
  if (guest->is_emulated)
    return;
  if (!open_link (guest, &error) ||
      !helper_link_send_incoming (
        guest->link, (guint64) (host_clock_monotonic_ns () + INCOMING_DEADLINE_NS), &error))
    arrival_fail (guest->arrival, ARRIVAL_STEP_HELPER, error->message);
  tell_change (guest);
}

static void
announce (Guest *guest)
{
  forget (guest);
  guest->arrival = arrival_new (guest->host, guest->uuid, &arrival_callbacks, guest);
  libvirt_get_xml_async (guest->host->bus, guest->host->driver_path, guest->uuid,
                         guest->cancellable, on_arriving_xml, guest);
}

static void
on_looked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Guest *guest = user_data;
  g_autoptr (GError) error = NULL;
  ArrivalLook look;

  if (!arrival_look_finish (result, &look, &error)) {
    g_debug ("what became of the arriving domain is not known: %s", error->message);
    return;
  }
  /* without a number the answer to announce() is still under way, and will do */
  if (guest->arrival == NULL || guest->id < 0)
    return;
  if (look.id != guest->id)
    guest_input (guest, MIGRATION_INPUT_OTHER_QEMU);
  else if (look.input != MIGRATION_INPUT_NONE)
    guest_input (guest, look.input);
}

static void
disarm (Guest *guest)
{
  g_autoptr (GError) error = NULL;

  if (guest->link != NULL && !helper_link_send_withdraw (guest->link, &error))
    arrival_fail (guest->arrival, ARRIVAL_STEP_FIXUP, error->message);
}

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

/* What is said of a departure is said before its record is dropped, and after it was sent. */
static void
perform_departure (Guest *guest, guint actions, MigrationInput input)
{
  if (guest->is_emulated)
    return;
  if (actions & MIGRATION_ACTION_PAUSE_DEPARTURE)
    departure_pause (guest->departure);
  if (actions & MIGRATION_ACTION_SETTLE_DEPARTURE)
    departure_settle (guest->departure);
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
  if (actions & MIGRATION_ACTION_KEEP_RECORD) {
    g_clear_pointer (&guest->record, g_bytes_unref);
    guest->record = g_bytes_ref (guest->offered);
    guest->is_pushed = FALSE;
  }
  if (actions & MIGRATION_ACTION_PUSH_RECORD)
    push_record (guest);
  perform_departure (guest, actions, input);
  if (actions & MIGRATION_ACTION_DROP_RECORD)
    g_clear_pointer (&guest->record, g_bytes_unref);
  /* destination */
  if (actions & MIGRATION_ACTION_ARM)
    arrival_arm (guest->arrival, guest->link);
  if (actions & MIGRATION_ACTION_DISARM)
    disarm (guest);
  if (actions & MIGRATION_ACTION_KEEP_REPORT)
    arrival_take_report (guest->arrival, guest->offered_report);
  if (actions & MIGRATION_ACTION_CONCLUDE_ARRIVAL) {
    arrival_conclude (guest->arrival, input == MIGRATION_INPUT_PAUSED);
    g_clear_pointer (&guest->arrival, arrival_free);
  }
  if (actions & MIGRATION_ACTION_ABANDON_ARRIVAL) {
    arrival_abandon (guest->arrival);
    g_clear_pointer (&guest->arrival, arrival_free);
  }
  if (actions & MIGRATION_ACTION_ANNOUNCE)
    announce (guest);
  if (actions & MIGRATION_ACTION_LOOK)
    arrival_look_async (guest->host, guest->uuid, guest->cancellable, on_looked, guest);
  /* both */
  if (actions & MIGRATION_ACTION_ADOPT)
    adoption_start (guest->adoption, guest->name);
  if (actions & MIGRATION_ACTION_FORGET)
    forget (guest);
}

/* the end of an arrival */

static void
release_end (Guest *guest)
{
  guest->held_end = MIGRATION_INPUT_NONE;
  g_clear_handle_id (&guest->held_end_id, g_source_remove);
}

static void
step (Guest *guest, MigrationInput input)
{
  MigrationInput held_end = guest->held_end;
  guint actions = 0;

  if (input == MIGRATION_INPUT_LISTED && guest->phase == MIGRATION_PHASE_ABSENT) {
    guest->is_found = TRUE;
  } else if (input == MIGRATION_INPUT_STARTED) {
    guest->is_found = FALSE;
    guest->had_link = guest->link != NULL;
  }
  guest->phase = migration_phase_step (guest->phase, input, &actions);
  perform (guest, actions, input);
  tell_change (guest);
  if (held_end == MIGRATION_INPUT_NONE || guest->phase == MIGRATION_PHASE_ARMED)
    return;
  /* it has reported, or nothing is left to report; anything else was an end by itself */
  release_end (guest);
  if (guest->phase == MIGRATION_PHASE_REPORTED || input == MIGRATION_INPUT_WITHDRAWN)
    step (guest, held_end);
}

static gboolean
on_report_overdue (gpointer user_data)
{
  Guest *guest = user_data;
  MigrationInput held_end = guest->held_end;

  guest->held_end_id = 0;
  release_end (guest);
  step (guest, held_end);
  return G_SOURCE_REMOVE;
}

static gboolean
awaits_report (const Guest *guest, MigrationInput input)
{
  return guest->phase == MIGRATION_PHASE_ARMED && guest->link != NULL &&
         (input == MIGRATION_INPUT_RESUMED_MIGRATED || input == MIGRATION_INPUT_RESUMED_POSTCOPY);
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
  guest->id = -1;
  guest->phase = MIGRATION_PHASE_ABSENT;
  guest->adoption = adoption_new (host, uuid, &adoption_callbacks, guest);
  guest->departure = departure_new (host, uuid, &departure_callbacks, guest);
  guest->cancellable = g_cancellable_new ();
  return guest;
}

void
guest_free (Guest *guest)
{
  release_end (guest);
  forget (guest);
  departure_free (guest->departure);
  adoption_free (guest->adoption);
  g_clear_object (&guest->cancellable);
  g_free (guest->name);
  g_free (guest->uuid);
  g_free (guest);
}

void
guest_input (Guest *guest, MigrationInput input)
{
  drain_helper (guest, input);
  if (awaits_report (guest, input))
    hold_end (guest, input);
  else
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

MigrationPhase
guest_get_phase (const Guest *guest)
{
  return guest->phase;
}

void
guest_get_view (const Guest *guest, GuestView *view)
{
  *view = (GuestView){
    .name = guest->name,
    .phase = guest->phase,
    .is_emulated = guest->is_emulated,
    .has_link = guest->link != NULL,
    .policy = guest->policy,
    .policy_problem = guest->policy_problem,
  };
  if (guest->is_emulated)
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
