/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * peer-service - what the source's end of a connection answers and sends, once that is encrypted
 *
 * The one on the other end is a stranger until it shows a ticket, and gets nothing; then the time
 * alone, or the records of one domain as well.
 */

#include <gio/gio.h>
#include <stdbool.h>

/*
 * Tells the ticket of a domain of this host, or NULL for an unknown domain. @domain is what a
 * stranger sent, bounded and in the form of a UUID. The comparison with the stranger's ticket, in
 * constant time, is not the owner's business: it is done in peer-service.c.
 *
 * *@is_early, which is false, is to be set for as long as this host's domains are not all known: who
 * is not right then may be later, and is told so, whatever domain was asked for.
 *
 * Returns: (transfer none): valid until the main context runs again
 */
typedef const char *(*PeerTicketLookup) (const char *domain, bool *is_early, gpointer user_data);

typedef struct PeerService PeerService;

/* Each may stop and free the service, but for the first. */
typedef struct {
  /* It has shown the ticket of peer_service_get_domain(): NULL, or why it can not claim it just now, a constant
   * clause. Then it is told to come again, and has ended. */
  const char *(*find_obstacle) (gpointer user_data);
  /* It has shown a ticket: the domain is its to have records of ... */
  void (*claimed) (gpointer user_data);
  /* ... or it only looks whether it could claim. */
  void (*checked) (gpointer user_data);
  /* After a claim: the domain does not come. */
  void (*abandoned) (gpointer user_data);
  /* The connection is lost, or the peer has no business here: peer_service_stop(). Nothing comes
   * after it. @error is NULL for an end in good order. */
  void (*ended) (const GError *error, gpointer user_data);
} PeerServiceCallbacks;

/*
 * Serve on @stream a peer at @address, which is for errors. All but @stream and @address is borrowed
 * and must outlive it.
 */
PeerService *peer_service_new (GIOStream *stream, const char *address, PeerTicketLookup lookup,
                               gpointer lookup_data, const PeerServiceCallbacks *callbacks,
                               gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Close after what is queued was sent. No callback comes afterwards. */
void peer_service_stop (PeerService *self);

/* Once stopped, or for one that never was: drops the connection. */
void peer_service_free (PeerService *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (PeerService, peer_service_free)

/* The claimed domain, or NULL before a claim with its ticket. */
const char *peer_service_get_domain (const PeerService *self);

/* What migration it was claimed for (migration-id.h), or NULL likewise. */
const char *peer_service_get_migration (const PeerService *self);

/* Send a record, or take all records back; ignored unless claimed and not stopped. */
void peer_service_push_record (PeerService *self, GBytes *record);
void peer_service_withdraw (PeerService *self, const char *reason);
