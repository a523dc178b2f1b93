/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "departure.h"

#include "event-log.h"
#include "migration-id.h"

typedef enum {
  PAUSE_NONE,
  PAUSE_UNSAID, /* the guest is paused, and the journal waits for a claim */
  PAUSE_SAID,
} PauseState;

struct Departure {
  const HostContext *host;
  char *uuid;
  char *name; /* NULL until libvirt told */
  const DepartureCallbacks *callbacks;
  gpointer user_data;
  guint pause_ms;
  guint grace_ms;

  char *id;              /* NULL: the journal has nothing of it yet */
  char *peer;            /* the address that claimed it, or NULL */
  gboolean is_given_up;  /* that peer said so */
  gboolean is_abandoned; /* by that peer, as far as is known */
  PauseState pause;
  guint pause_id; /* until a pause is said without a claim */
  guint grace_id; /* until a peer that went away is_abandoned it */
};

/* what the journal is told */

static const char *
get_label (const Departure *departure)
{
  return departure->name != NULL ? departure->name : departure->uuid;
}

static EventEntry *
new_entry (Departure *departure, EventKind kind)
{
  EventEntry *entry = event_entry_new (kind, departure->uuid, departure->name);

  if (departure->id == NULL)
    departure->id = migration_id_make ();
  event_entry_add (entry, "CLOCKFERRY_MIGRATION", departure->id);
  event_entry_add (entry, "CLOCKFERRY_PEER", departure->peer);
  event_entry_set_observer (entry, &departure->host->migration_observer);
  return entry;
}

static void
say_paused (Departure *departure)
{
  static const struct {
    const char *name;
    const char *clause;
  } records[] = {
    [DEPARTURE_RECORD_NO_HELPER] = { "no-helper", "there is no helper in its QEMU" },
    [DEPARTURE_RECORD_NONE] = { "none", "its helper has given no clock record yet" },
    [DEPARTURE_RECORD_UNSEEN] = { "unseen", "the observer has seen no clock record yet" },
    [DEPARTURE_RECORD_UNCLAIMED] = { "unclaimed", "its clock record waits for a claim" },
    [DEPARTURE_RECORD_SENT] = { "sent", "its clock record was sent" },
  };
  DepartureRecord record = departure->callbacks->get_record (departure->user_data);
  EventEntry *entry = new_entry (departure, EVENT_DEPARTURE_PAUSED);

  G_STATIC_ASSERT (G_N_ELEMENTS (records) == DEPARTURE_RECORD_COUNT);
  g_clear_handle_id (&departure->pause_id, g_source_remove);
  departure->pause = PAUSE_SAID;
  event_entry_add (entry, "CLOCKFERRY_RECORD", records[record].name);
  event_entry_add (entry, "CLOCKFERRY_SOURCE",
                   departure->callbacks->get_source (departure->user_data));
  event_entry_log (entry, "%s is paused for its migration: %s", get_label (departure),
                   records[record].clause);
}

static void
forget (Departure *departure)
{
  g_clear_pointer (&departure->id, g_free);
  g_clear_pointer (&departure->peer, g_free);
  g_clear_handle_id (&departure->pause_id, g_source_remove);
  g_clear_handle_id (&departure->grace_id, g_source_remove);
  departure->is_given_up = FALSE;
  departure->is_abandoned = FALSE;
  departure->pause = PAUSE_NONE;
}

/* The last entry of what is under way. */
static EventEntry *
end (Departure *departure, EventKind kind)
{
  EventEntry *entry;

  if (departure->pause == PAUSE_UNSAID)
    say_paused (departure);
  entry = new_entry (departure, kind);
  forget (departure);
  return entry;
}

/* @clause says that there is none. */
static char *
describe_missing_record (const Departure *departure, const char *clause)
{
  const char *obstacle = departure->callbacks->get_obstacle (departure->user_data);

  if (obstacle == NULL)
    return g_strdup (clause);
  return g_strdup_printf ("%s: %s", clause, obstacle);
}

/* NULL: its record went ahead. Otherwise free with g_free(). */
static char *
describe_problem (const Departure *departure)
{
  switch (departure->callbacks->get_record (departure->user_data)) {
  case DEPARTURE_RECORD_NO_HELPER:
    return g_strdup ("no helper in its QEMU here, so there was no record");
  case DEPARTURE_RECORD_NONE:
    return describe_missing_record (departure, "the helper in its QEMU gave no record");
  case DEPARTURE_RECORD_UNSEEN:
    return describe_missing_record (departure,
                                    "no helper in its QEMU here, and the observer saw no record");
  case DEPARTURE_RECORD_UNCLAIMED:
    return g_strdup ("no daemon of the destination claimed its record");
  case DEPARTURE_RECORD_SENT:
  case DEPARTURE_RECORD_COUNT:
    break;
  }
  return NULL;
}

/* time */

static gboolean
on_pause_unclaimed (gpointer user_data)
{
  Departure *departure = user_data;

  departure->pause_id = 0;
  say_paused (departure);
  return G_SOURCE_REMOVE;
}

static gboolean
on_grace_over (gpointer user_data)
{
  Departure *departure = user_data;

  departure->grace_id = 0;
  departure->is_abandoned = TRUE;
  departure->callbacks->claim_lost (departure->user_data);
  return G_SOURCE_REMOVE;
}

/* Time for what libvirt, or that peer, may still say; then the claim is void. */
static void
begin_grace (Departure *departure, guint grace_ms)
{
  g_clear_handle_id (&departure->grace_id, g_source_remove);
  departure->grace_id = g_timeout_add (grace_ms, on_grace_over, departure);
}

/* public functions */

Departure *
departure_new (const HostContext *host, const char *uuid, const DepartureCallbacks *callbacks,
               gpointer user_data)
{
  Departure *departure = g_new0 (Departure, 1);

  departure->host = host;
  departure->uuid = g_strdup (uuid);
  departure->callbacks = callbacks;
  departure->user_data = user_data;
  departure_set_patience (departure, DEPARTURE_PAUSE_MS, DEPARTURE_GRACE_MS);
  return departure;
}

void
departure_set_patience (Departure *departure, guint pause_ms, guint grace_ms)
{
  departure->pause_ms = pause_ms;
  departure->grace_ms = grace_ms;
}

void
departure_free (Departure *departure)
{
  forget (departure);
  g_free (departure->name);
  g_free (departure->uuid);
  g_free (departure);
}

void
departure_drop (Departure *departure, const char *reason)
{
  if (departure->id != NULL)
    departure_cancel (departure, reason);
  else
    forget (departure);
}

void
departure_set_name (Departure *departure, const char *name)
{
  g_free (departure->name);
  departure->name = g_strdup (name);
}

void
departure_claim (Departure *departure, const char *id, const char *address)
{
  if (departure->id != NULL && !g_str_equal (departure->id, id)) {
    g_autofree char *reason =
      departure->peer != NULL
        ? g_strdup_printf ("the daemon at %s claimed it for another migration", address)
        : g_strdup_printf ("the daemon at %s claimed it late, and it goes on under that id",
                           address);

    departure_cancel (departure, reason);
  }
  if (departure->id == NULL)
    departure->id = g_strdup (id);
  g_free (departure->peer);
  departure->peer = g_strdup (address);
  departure->is_given_up = FALSE;
  departure->is_abandoned = FALSE;
  g_clear_handle_id (&departure->grace_id, g_source_remove);
  event_entry_log (new_entry (departure, EVENT_DEPARTURE_CLAIMED),
                   "the daemon at %s claimed the clock record of %s", address,
                   get_label (departure));
}

void
departure_lose_claim (Departure *departure, const char *id)
{
  if (g_strcmp0 (departure->id, id) == 0 && !departure->is_given_up &&
      !peer_listener_has_claim (departure->host->listener, departure->uuid, id))
    begin_grace (departure, departure->grace_ms);
}

void
departure_give_up_claim (Departure *departure, const char *id)
{
  if (g_strcmp0 (departure->id, id) != 0)
    return;
  departure->is_given_up = TRUE;
  begin_grace (departure, MIN (departure->grace_ms, DEPARTURE_GIVE_UP_MS));
}

void
departure_pause (Departure *departure)
{
  if (departure->pause == PAUSE_SAID)
    return;
  departure->pause = PAUSE_UNSAID;
  /* what the observer saw of the pause takes a moment to come here */
  if (departure->peer != NULL &&
      departure->callbacks->get_record (departure->user_data) != DEPARTURE_RECORD_UNSEEN)
    say_paused (departure);
  else if (departure->pause_id == 0)
    departure->pause_id = g_timeout_add (departure->pause_ms, on_pause_unclaimed, departure);
}

void
departure_note_record (Departure *departure)
{
  if (departure->pause == PAUSE_UNSAID && departure->peer != NULL)
    say_paused (departure);
}

gboolean
departure_is_claimed (const Departure *departure)
{
  return departure->peer != NULL && !departure->is_given_up && !departure->is_abandoned;
}

void
departure_settle (Departure *departure)
{
  departure->pause = PAUSE_NONE;
  g_clear_handle_id (&departure->pause_id, g_source_remove);
  if (departure->peer == NULL)
    departure_cancel (departure, "it runs again, and no daemon of a destination has claimed it");
  else if (departure->is_abandoned)
    departure_cancel (departure,
                      departure->is_given_up
                        ? "it did not arrive at its destination, and is still here"
                        : "the daemon of its destination went away, and it is still here");
}

void
departure_conclude (Departure *departure)
{
  g_autofree char *problem = describe_problem (departure);
  const char *source = departure->callbacks->get_source (departure->user_data);
  EventEntry *entry =
    end (departure, problem == NULL ? EVENT_DEPARTURE_DONE : EVENT_DEPARTURE_UNCLAIMED);

  event_entry_add (entry, "CLOCKFERRY_REASON", problem);
  event_entry_add (entry, "CLOCKFERRY_SOURCE", problem == NULL ? source : NULL);
  if (problem == NULL)
    event_entry_log (entry, "%s left, and its clock record went ahead", get_label (departure));
  else
    event_entry_log (entry, "%s left without its clocks: %s", get_label (departure), problem);
}

void
departure_roll_back (Departure *departure)
{
  event_entry_log (end (departure, EVENT_DEPARTURE_ROLLED_BACK),
                   "%s stays: its migration was rolled back, and its record is void",
                   get_label (departure));
}

void
departure_cancel (Departure *departure, const char *reason)
{
  EventEntry *entry;

  if (departure->id == NULL && departure->pause == PAUSE_NONE)
    return;
  entry = end (departure, EVENT_DEPARTURE_CANCELLED);
  event_entry_add (entry, "CLOCKFERRY_REASON", reason);
  event_entry_log (entry, "the migration of %s came to nothing: %s", get_label (departure), reason);
}
