/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * guest-incoming - a guest on its way here: asks libvirt what it is, tells the helper in its QEMU, and
 * has its Arrival do what migration-phase decides
 */

#include "domain-info.h"
#include "helper-link.h"
#include "host-context.h"
#include "migration-phase.h"

typedef struct GuestIncoming GuestIncoming;

/* What the guest has to do. */
typedef struct {
  /* Libvirt told of the domain: take its name and number from @info, which is borrowed. */
  void (*found) (const DomainInfo *info, gpointer user_data);
  /* The link to its helper, made if need be and owned by the guest; NULL with an error. */
  HelperLink *(*open_link) (gpointer user_data, GError **error);
  /* That happened. guest_incoming_stop() may be called from here, guest_incoming_free() not. */
  void (*input) (MigrationInput input, gpointer user_data);
  /* What others are shown of it may be another. */
  void (*changed) (gpointer user_data);
} GuestIncomingCallbacks;

/* Does nothing before guest_incoming_start(). @host and @callbacks are borrowed and must outlive it. */
GuestIncoming *guest_incoming_new (const HostContext *host, const char *uuid,
                                   const GuestIncomingCallbacks *callbacks, gpointer user_data);

/* Stops it. */
void guest_incoming_free (GuestIncoming *incoming);

/* The domain was announced, or with @is_found was so before this daemon was there. Nothing of another
 * arrival is under way: it was stopped. */
void guest_incoming_start (GuestIncoming *incoming, gboolean is_found);

/* Without a word, and without any further callback: nothing is under way afterwards. */
void guest_incoming_stop (GuestIncoming *incoming);

/*
 * The actions of migration-phase.h, between start and end. @link is NULL where there is none. The
 * last two say how it ended, and are that end.
 */
void guest_incoming_look (GuestIncoming *incoming);
void guest_incoming_arm (GuestIncoming *incoming, HelperLink *link);
void guest_incoming_disarm (GuestIncoming *incoming, HelperLink *link, gboolean stands_still);
void guest_incoming_take_report (GuestIncoming *incoming, const struct helper_report *report);
void guest_incoming_conclude (GuestIncoming *incoming, HelperLink *link, gboolean is_paused);
void guest_incoming_abandon (GuestIncoming *incoming);
