/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * peer-check - the peer channel to another host, tried as a migration from there would use it
 *
 * Asks that host's libvirt for a running domain, reads where its daemon listens from the domain's
 * metadata, connects with the daemon's own code, and compares the two hosts' clocks for a second. No
 * record is fetched and nothing is claimed. The daemon there logs nothing, except where no running
 * domain gives a ticket: then TCP and TLS alone are tried, which it reports as a client refused.
 */

#include <glib.h>

#include "settings.h"

typedef struct {
  char *libvirt_uri;
  char *domain; /* the name of the running domain whose metadata was used; NULL: there is none */

  /* the daemon there: by the metadata, or without a domain @host and the port of this host's own */
  char *address;
  guint16 port;
  char
    *pin; /* by the metadata; without a domain that of the key which was shown; NULL: not known */

  /* Why the clocks were not compared, a sentence for people, already translated; NULL: they were,
   * and all that follows is valid. */
  char *problem;
  guint64 round_trip_ns;  /* the shortest of the connection */
  gint64 theta_ns;        /* this host's CLOCK_REALTIME is ahead of the other's by this */
  guint64 theta_bound_ns; /* and no further from the truth than this */
  guint comparisons;
  gboolean is_synchronised; /* the other host's kernel calls its clock so */
  guint64 max_error_us;     /* by that kernel */
} PeerCheckResult;

/*
 * Check the way to @host: a libvirt connection URI, or the name of a host, which stands for
 * qemu+ssh://HOST/system. @settings are those of this host's daemon. Iterates the default main
 * context for several seconds; a password that ssh asks for is the user's to type.
 *
 * TRUE: the daemon there answers, with the right key, lets this host in, and its clock was compared;
 * or libvirt gave no domain to do this with (result->problem says so), and something at the port
 * that this host's daemon has speaks TLS. FALSE with an error that names the step and what to look at, translated; @result
 * then has what was found out before. Clear it in both cases.
 */
gboolean peer_check_run (const char *host, const Settings *settings, PeerCheckResult *result,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Free what is in it, not the struct. */
void peer_check_result_clear (PeerCheckResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (PeerCheckResult, peer_check_result_clear)
