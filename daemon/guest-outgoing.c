/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-outgoing.h"

#include "guest-observer.h"

struct GuestOutgoing {
  const HostContext *host;
  char *uuid;
  const GuestFacts *facts;
  const GuestOutgoingCallbacks *callbacks;
  gpointer user_data;

  GuestRecord record;
  Departure *departure;    /* idle unless it is leaving */
  GuestObserver *observer; /* started while its QEMU has no helper, and it lives here */
};

/* what the departure asks */

static DepartureRecord
on_get_record (gpointer user_data)
{
  GuestOutgoing *outgoing = user_data;

  return guest_record_describe (&outgoing->record,
                                outgoing->callbacks->had_link (outgoing->user_data),
                                guest_observer_is_started (outgoing->observer));
}

static const char *
on_get_source (gpointer user_data)
{
  const GuestOutgoing *outgoing = user_data;

  return guest_record_get_source (&outgoing->record);
}

static const char *
on_get_obstacle (gpointer user_data)
{
  const GuestOutgoing *outgoing = user_data;

  return outgoing->record.obstacle != NULL ? outgoing->record.obstacle
                                           : guest_observer_get_obstacle (outgoing->observer);
}

static void
on_claim_lost (gpointer user_data)
{
  GuestOutgoing *outgoing = user_data;

  outgoing->callbacks->claim_lost (outgoing->user_data);
}

static const DepartureCallbacks departure_callbacks = {
  .get_record = on_get_record,
  .get_obstacle = on_get_obstacle,
  .get_source = on_get_source,
  .claim_lost = on_claim_lost,
};

/* observing */

static void
on_observer_began (gpointer user_data)
{
  GuestOutgoing *outgoing = user_data;

  if (outgoing->record.newest == NULL)
    guest_record_drop (&outgoing->record);
}

static void
on_observer_changed (gpointer user_data)
{
  GuestOutgoing *outgoing = user_data;

  outgoing->callbacks->observer_changed (outgoing->user_data);
}

static void
on_observer_record (const struct clock_record *record, gsize size, gpointer user_data)
{
  GuestOutgoing *outgoing = user_data;

  outgoing->callbacks->observed (record, size, outgoing->user_data);
}

static void
on_observer_missed (const char *obstacle, gpointer user_data)
{
  GuestOutgoing *outgoing = user_data;

  guest_record_miss (&outgoing->record, obstacle);
}

/* What was seen before stands. */
static void
on_observer_lost (const char *obstacle, gpointer user_data)
{
  GuestOutgoing *outgoing = user_data;

  if (outgoing->record.newest == NULL)
    guest_record_miss (&outgoing->record, obstacle);
}

static const GuestObserverCallbacks observer_callbacks = {
  .began = on_observer_began,
  .changed = on_observer_changed,
  .record = on_observer_record,
  .missed = on_observer_missed,
  .lost = on_observer_lost,
};

static void
update_observer (GuestOutgoing *outgoing)
{
  gboolean is_claimed = departure_is_claimed (outgoing->departure);
  GuestRecord *record = &outgoing->record;

  /* for now: what was seen of the pause may be on its way, and QEMU mostly asks for the clock again, right before
   * it sends it */
  if (guest_observer_set_claimed (outgoing->observer, is_claimed) && record->newest == NULL &&
      record->obstacle == NULL && !outgoing->callbacks->is_running (outgoing->user_data))
    guest_record_miss (record, "it was paused before it was observed");
}

/* doing what migration-phase decides */

/* The helper speaks whenever QEMU asks for the clock, which it does before it tells of its pause. */
static void
note_silence (GuestOutgoing *outgoing)
{
  GuestRecord *record = &outgoing->record;

  if (record->newest == NULL && record->obstacle == NULL &&
      outgoing->callbacks->has_link (outgoing->user_data))
    guest_record_miss (record, "it saw no KVM_GET_CLOCK by libc's ioctl()");
}

static void
roll_back (GuestOutgoing *outgoing)
{
  peer_listener_withdraw (outgoing->host->listener, outgoing->uuid, "rolled-back");
  departure_roll_back (outgoing->departure);
}

static void
cancel_departure (GuestOutgoing *outgoing, MigrationInput input)
{
  departure_cancel (outgoing->departure, input == MIGRATION_INPUT_STOPPED
                                           ? "the domain ended here"
                                           : "libvirt did not tell what became of it here");
}

/* What is said of a departure is said before its record is dropped, and after it was sent. */
static void
perform_departure (GuestOutgoing *outgoing, guint actions, MigrationInput input)
{
  if (outgoing->facts->is_emulated)
    return;
  if (actions & MIGRATION_ACTION_PAUSE_DEPARTURE) {
    /* not at a claim, as the link may be younger than the pause */
    if (input == MIGRATION_INPUT_PAUSED_MIGRATED)
      note_silence (outgoing);
    departure_pause (outgoing->departure);
  }
  if (actions & MIGRATION_ACTION_SETTLE_DEPARTURE) {
    departure_settle (outgoing->departure);
    /* of a guest that is paused by hand it stands, for another migration */
    guest_record_recall (&outgoing->record);
  }
  if (actions & MIGRATION_ACTION_ROLL_BACK)
    roll_back (outgoing);
  if (actions & MIGRATION_ACTION_CONCLUDE_DEPARTURE)
    departure_conclude (outgoing->departure);
  if (actions & MIGRATION_ACTION_CANCEL_DEPARTURE)
    cancel_departure (outgoing, input);
}

/* public functions */

GuestOutgoing *
guest_outgoing_new (const HostContext *host, const char *uuid, const GuestFacts *facts,
                    const GuestOutgoingCallbacks *callbacks, gpointer user_data)
{
  GuestOutgoing *outgoing = g_new0 (GuestOutgoing, 1);

  outgoing->host = host;
  outgoing->uuid = g_strdup (uuid);
  outgoing->facts = facts;
  outgoing->callbacks = callbacks;
  outgoing->user_data = user_data;
  outgoing->departure = departure_new (host, uuid, &departure_callbacks, outgoing);
  outgoing->observer = guest_observer_new (host, uuid, &observer_callbacks, outgoing);
  return outgoing;
}

void
guest_outgoing_free (GuestOutgoing *outgoing)
{
  departure_free (outgoing->departure);
  guest_observer_free (outgoing->observer);
  guest_record_drop (&outgoing->record);
  g_free (outgoing->uuid);
  g_free (outgoing);
}

void
guest_outgoing_take_facts (GuestOutgoing *outgoing)
{
  departure_set_name (outgoing->departure, outgoing->facts->name);
  if (outgoing->facts->is_emulated)
    departure_drop (outgoing->departure, "it is emulated: QEMU keeps its clocks itself");
}

void
guest_outgoing_forget (GuestOutgoing *outgoing)
{
  peer_listener_release (outgoing->host->listener, outgoing->uuid);
  guest_observer_stop (outgoing->observer);
  guest_record_drop (&outgoing->record);
}

void
guest_outgoing_miss_record (GuestOutgoing *outgoing, const char *obstacle)
{
  guest_record_miss (&outgoing->record, obstacle);
}

gboolean
guest_outgoing_has_record (const GuestOutgoing *outgoing)
{
  return outgoing->record.newest != NULL;
}

void
guest_outgoing_claim (GuestOutgoing *outgoing, const char *id, const char *address)
{
  departure_claim (outgoing->departure, id, address);
}

void
guest_outgoing_lose_claim (GuestOutgoing *outgoing, const char *id)
{
  departure_lose_claim (outgoing->departure, id);
  update_observer (outgoing);
}

void
guest_outgoing_give_up_claim (GuestOutgoing *outgoing, const char *id)
{
  departure_give_up_claim (outgoing->departure, id);
  update_observer (outgoing);
}

gboolean
guest_outgoing_observe (GuestOutgoing *outgoing)
{
  if (!guest_observer_start (outgoing->observer, outgoing->facts->name))
    return FALSE;
  /* it may have been claimed already */
  update_observer (outgoing);
  return TRUE;
}

void
guest_outgoing_stop_observing (GuestOutgoing *outgoing)
{
  guest_observer_stop (outgoing->observer);
}

const char *
guest_outgoing_get_observer_problem (const GuestOutgoing *outgoing, gboolean *is_known)
{
  return guest_observer_get_problem (outgoing->observer, is_known);
}

void
guest_outgoing_drain_observer (GuestOutgoing *outgoing)
{
  guest_observer_drain (outgoing->observer);
}

void
guest_outgoing_perform (GuestOutgoing *outgoing, guint actions, MigrationInput input,
                        GBytes *offered)
{
  if (actions & MIGRATION_ACTION_KEEP_RECORD)
    guest_record_keep (&outgoing->record, offered);
  if (actions & MIGRATION_ACTION_PUSH_RECORD)
    guest_record_push (&outgoing->record, outgoing->host->listener, outgoing->uuid);
  if (actions & MIGRATION_ACTION_KEEP_RECORD)
    departure_note_record (outgoing->departure);
  perform_departure (outgoing, actions, input);
  if (actions & MIGRATION_ACTION_DROP_RECORD)
    guest_record_drop (&outgoing->record);
  update_observer (outgoing);
}
