/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * adoption - taking on a domain that runs here, and advertising where its record can be had
 *
 * Asks libvirt what the domain is, has its guest find the helper, or be observed where its QEMU has
 * none, and keeps our source element with the ticket in the live metadata, for the daemon of a
 * destination to find. Says in the journal whether the clocks would be handed over at a migration,
 * once for as long as that stays so.
 *
 * No error is handed to the caller: what fails is said in the journal. Where an answer of libvirt
 * was missing or of no use, all is tried again after a while.
 */

#include <gio/gio.h>

#include "domain-info.h"
#include "host-context.h"

typedef struct Adoption Adoption;

/* What the guest has to do. None of these may free the adoption. */
typedef struct {
  /* Libvirt told of the domain: take its name and number from @info, which is borrowed. */
  void (*found) (const DomainInfo *info, gpointer user_data);
  /* See that there is a link to the helper of the domain that was found. FALSE with any @error when
   * there is none; the adoption goes on without. */
  gboolean (*open_link) (gpointer user_data, GError **error);
  /* Its QEMU has no helper, or none that answers: have it observed instead, when it leaves. FALSE where
   * nothing observes. */
  gboolean (*observe) (gpointer user_data);
  /* Of a guest that is observed: guest_observer_get_problem(). */
  const char *(*get_observer_problem) (gboolean *is_known, gpointer user_data);
  /*
   * A migration has the domain paused, and its metadata does not name this host. TRUE when it is
   * arriving, not running, and adoption_forget() was called; FALSE to go on and advertise.
   */
  gboolean (*paused_by_migration) (gpointer user_data);
  /* adoption_get_problem() may tell else. */
  void (*changed) (gpointer user_data);
} AdoptionCallbacks;

/* Does nothing before adoption_start(). @host and @callbacks are borrowed and must outlive it. */
Adoption *adoption_new (const HostContext *host, const char *uuid,
                        const AdoptionCallbacks *callbacks, gpointer user_data);

/* Forgets, without any callback. What is in the metadata stays there. */
void adoption_free (Adoption *adoption);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Adoption, adoption_free)

/*
 * See that the helper is found and the metadata holds our source element; again does no harm. Only
 * for a domain that lives here: forget it before it may not any more. @name, for the journal, is
 * copied; NULL until libvirt told.
 */
void adoption_start (Adoption *adoption, const char *name);

/* get_observer_problem() may tell else. */
void adoption_take_observer_change (Adoption *adoption);

/* The link to the helper ended. @looks_again: start again after a while, as no event may ever come
 * that makes the guest do so. */
void adoption_lose_link (Adoption *adoption, gboolean looks_again);

/* That life of the domain here is over, and its link as well: let go of the ticket, and of all
 * calls and retries that are under way. */
void adoption_forget (Adoption *adoption);

/* Why the clocks would not be handed over at a migration, a clause; NULL: they will be. Borrowed. */
const char *adoption_get_problem (const Adoption *adoption);

/* Whether libvirt has said what the domain is, since it was forgotten: then adoption_get_ticket() knows of a
 * ticket from before this daemon. */
gboolean adoption_was_answered (const Adoption *adoption);

/* The secret that is in the metadata or on its way there, or NULL. Borrowed. */
const char *adoption_get_ticket (const Adoption *adoption);
