/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "clock-offset.h"
#include "host-clock.h"
#include "peer-authority.h"

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * PeerSession - the destination's end of one connection: claim a domain, get its records
 *
 * Accepts exactly one key, that of the pin, and with an authority only one that it lets in; the
 * ticket does not leave this host before the other end has proven to hold it. While the session is
 * open it keeps comparing the two hosts' clocks.
 */

/* What the source wrote into the domain's metadata, and for what it is asked. The strings are copied. */
typedef struct {
  const char *address; /* IP address or host name */
  uint16_t port;
  const char *pin;    /* identity_pin() of the source's certificate */
  const char *domain; /* UUID */
  const char *ticket;
  const char *migration; /* migration-id.h: not from there, but what the claim is for */
} PeerAnnouncement;

/* From the first packet to the answer to Claim or Check. */
#define PEER_SESSION_OPEN_MS 5000

#define PEER_TYPE_SESSION (peer_session_get_type ())
G_DECLARE_FINAL_TYPE (PeerSession, peer_session, PEER, SESSION, GObject)

/*
 * A session that is not open yet, to be opened once. With @authority (nullable), the source must be
 * one that it lets in, and is shown this host's certificate. Set the property "open-ms" to allow opening
 * another time than PEER_SESSION_OPEN_MS.
 *
 * Signals, only while open:
 *   "record" (GBytes *)        a record that clock_record_check() accepted, aligned for its struct
 *   "withdrawn" (const char *reason)  the guest goes on at the source: forget the record
 *   "compared" ()              peer_session_get_estimate() knows one more comparison of the clocks
 *   "closed" (const GError *)  the connection is lost; nothing comes after it. Not emitted for
 *                              peer_session_close().
 */
PeerSession *peer_session_new (const PeerAnnouncement *announcement, PeerAuthority *authority);

/*
 * The same to look whether the source could be claimed from, and to compare clocks: it claims nothing,
 * no record ever comes, and the source closes it after some seconds.
 */
PeerSession *peer_session_new_for_check (const PeerAnnouncement *announcement,
                                         PeerAuthority *authority);

/*
 * Connect, check the key, claim the domain. A record that waits at the source comes right after
 * @callback, so connect to the signals before. The error is CLOCKFERRY_ERROR_WRONG_KEY,
 * _NOT_AUTHORIZED or _TIMED_OUT for these reasons, and G_IO_ERROR_CANCELLED for @cancellable or
 * peer_session_close().
 */
void peer_session_open_async (PeerSession *self, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data);
bool peer_session_open_finish (PeerSession *self, GAsyncResult *result, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

/*
 * How far this host's clock is ahead, now, of the source's as it was when that was ahead of its
 * CLOCK_BOOTTIME by @remote_real_minus_boot_ns. False before the first comparison. Works on a closed
 * session too, with a bound that grows with age.
 */
bool peer_session_get_estimate (PeerSession *self, int64_t remote_real_minus_boot_ns,
                                ClockEstimate *estimate);

/* The same for the source's clock as it was at its answer to a check. False for a session that claims. */
bool peer_session_get_present_estimate (PeerSession *self, ClockEstimate *estimate);

/* The shortest round trip so far in nanoseconds, 0 before the first comparison. */
uint64_t peer_session_get_round_trip_ns (PeerSession *self);

/*
 * What the source's kernel said about its clock in answer to the claim; the error has aged since.
 * Valid once open.
 */
void peer_session_get_remote_clock (PeerSession *self, HostClockState *state);

/*
 * The same as peer_session_close(), but that the source of an open session is told first that the
 * domain does not come. It is not awaited, nor need the source know of this.
 */
void peer_session_abandon (PeerSession *self);

/*
 * Close; no signal comes afterwards, and a pending open fails with G_IO_ERROR_CANCELLED. To be
 * called before the last reference is dropped, as a step of opening holds one of its own.
 */
void peer_session_close (PeerSession *self);
