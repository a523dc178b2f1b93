/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * arrival-source - the daemon of the source of an arriving domain, for as long as it arrives
 *
 * Keeps a PeerSession to it: one that is lost is opened again, as that daemon may be restarting, may not know
 * its domains yet, or have no place just now. A wrong key or ticket will not become right, and ends the
 * attempts.
 */

#include "clock-record.h"
#include "domain-info.h"
#include "peer-session.h"

typedef struct ArrivalSource ArrivalSource;

/* None of these may free the source. */
typedef struct {
  /* It accepted the ticket; again after every reconnection. */
  void (*claimed) (gpointer user_data);
  /* A record of the paused guest; referenced by whoever keeps it. */
  void (*record) (GBytes *record, gpointer user_data);
  /* The guest stays there: the last record is void. */
  void (*withdrawn) (const char *reason, gpointer user_data);
  /* arrival_source_choose_theta() knows one more comparison of the clocks. */
  void (*compared) (gpointer user_data);
  /* An attempt failed, or a session ended. */
  void (*lost) (const GError *error, gpointer user_data);
} ArrivalSourceCallbacks;

/*
 * Connect to the daemon that @element names, and claim the domain @uuid there for @migration
 * (migration-id.h). @authority (nullable, see peer_session_new()) and @callbacks are borrowed and
 * must outlive it; @element is copied.
 */
ArrivalSource *arrival_source_new (const SourceElement *element, PeerAuthority *authority,
                                   const char *uuid, const char *migration,
                                   const ArrivalSourceCallbacks *callbacks, gpointer user_data);

/* Disconnects, without any callback. */
void arrival_source_free (ArrivalSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ArrivalSource, arrival_source_free)

/* Tell it, if there is a connection, that the domain does not come; nothing else follows. */
void arrival_source_abandon (ArrivalSource *source);

/* Who that daemon is. Borrowed. */
const SourceElement *arrival_source_get_element (const ArrivalSource *source);

/*
 * For a fix-up from @record that is made now: which theta to use, under @mode, by what was measured
 * and by what both kernels say of their clocks. FALSE with an error as of clock_offset_choose(), or
 * when there is no session just now.
 */
gboolean arrival_source_choose_theta (const ArrivalSource *source, HostClockMode mode,
                                      const struct clock_record *record, ClockChoice *choice,
                                      GError **error);
