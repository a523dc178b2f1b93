/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * departure - the migrations of one guest away from here, one after the other, as the journal has
 * them
 *
 * One begins with the claim of a peer or with the pause of the guest, whatever comes first. libvirt
 * says nothing before that pause, and nothing at all of a migration that is given up before: so a
 * claim whose peer gives up, or goes away and does not come back, has to be looked into.
 */

#include "host-context.h"

/* A peer tries again a second after its connection broke, and gives an attempt five. */
#define DEPARTURE_GRACE_MS 10000

/* libvirt's word on a pause that was before a peer gave up may be on its way. */
#define DEPARTURE_GIVE_UP_MS 1000

/* A claim may be on its way when the guest is paused already, and has the migration's id. */
#define DEPARTURE_PAUSE_MS 5000

typedef struct Departure Departure;

/* What became of the guest's record so far. */
typedef enum {
  DEPARTURE_RECORD_NO_HELPER, /* there is none in its QEMU here */
  DEPARTURE_RECORD_NONE,      /* it gave none */
  DEPARTURE_RECORD_UNSEEN,    /* no helper, and the observer has seen none */
  DEPARTURE_RECORD_UNCLAIMED, /* nobody asked for it */
  DEPARTURE_RECORD_SENT,
  DEPARTURE_RECORD_COUNT,
} DepartureRecord;

/* None of these may free the departure. */
typedef struct {
  DepartureRecord (*get_record) (gpointer user_data);
  /* Of DEPARTURE_RECORD_NONE and UNSEEN: why, as a clause, or NULL where that is not known. Borrowed. */
  const char *(*get_obstacle) (gpointer user_data);
  /* Of a record that there is: "helper" or "observed", otherwise NULL. Constant. */
  const char *(*get_source) (gpointer user_data);
  /* The peer that had claimed it gave up, or stayed away: departure_settle() unless the guest stands still for
   * a migration. */
  void (*claim_lost) (gpointer user_data);
} DepartureCallbacks;

/* None is under way. @host and @callbacks are borrowed and must outlive it; @uuid is copied. */
Departure *departure_new (const HostContext *host, const char *uuid,
                          const DepartureCallbacks *callbacks, gpointer user_data);

/* Wait other times than DEPARTURE_PAUSE_MS and DEPARTURE_GRACE_MS from now on. */
void departure_set_patience (Departure *departure, guint pause_ms, guint grace_ms);

/* Without a word: the next daemon may see the end of what is under way. */
void departure_free (Departure *departure);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Departure, departure_free)

/* Nothing more is to be said of this guest: what is under way is forgotten, unless the journal has the
 * beginning of it; then it ends as departure_cancel() has it. */
void departure_drop (Departure *departure, const char *reason);

/* libvirt told the guest's name. */
void departure_set_name (Departure *departure, const char *name);

/*
 * A peer at @address claimed the guest for the migration @id. The same id once more is that peer
 * again, after its connection broke. Another id is another migration, and the one that was under
 * way came to nothing: libvirt runs one of a domain at a time.
 */
void departure_claim (Departure *departure, const char *id, const char *address);

/* A connection ended whose peer had claimed the guest for @id. */
void departure_lose_claim (Departure *departure, const char *id);

/* A peer that had claimed the guest for @id says that it does not come. */
void departure_give_up_claim (Departure *departure, const char *id);

/* The guest stands still for a migration. To be said again after a claim, which may name it anew. */
void departure_pause (Departure *departure);

/* There is a record that there was not: what became of it can be said now. */
void departure_note_record (Departure *departure);

/* Whether a peer has claimed it, and has not gone away since, as far as is known. */
gboolean departure_is_claimed (const Departure *departure);

/* The guest runs here, or stands still and not for a migration: what is under way came to nothing,
 * unless it is claimed. */
void departure_settle (Departure *departure);

/* ends */

/* The guest left. */
void departure_conclude (Departure *departure);

/* libvirt gave the migration up after the pause. */
void departure_roll_back (Departure *departure);

/* What is under way, if anything is, came to nothing. @reason: a clause, from what that follows. */
void departure_cancel (Departure *departure, const char *reason);
