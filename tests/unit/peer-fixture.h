/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * peer-fixture - both ends of the peer channel in one process
 *
 * Listener and session talk to each other over real TLS on the loopback, and what they say is counted
 * and kept. A test may put somebody else in the place of either.
 */

#include <gio/gio.h>
#include <stdbool.h>

#include "peer-listener.h"
#include "peer-session.h"

/* the domains that the source knows, and their tickets */
#define DOMAIN          "6c2c1d3e-7f5a-4b7e-9d0c-0123456789ab"
#define OTHER_DOMAIN    "6c2c1d3e-7f5a-4b7e-9d0c-ba9876543210"
#define TICKET          "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define MIGRATION       "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39"
#define OTHER_MIGRATION "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a30"
#define OTHER_TICKET    "f0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

#define SHORT_MS  100
#define SETTLE_MS 50

typedef struct {
  /* the source */
  GTlsCertificate *certificate;
  char *pin;
  PeerListener *listener;
  GBytes *record; /* pushed to whoever claims */
  guint claims;
  guint departures;
  GPtrArray *refusals; /* of GError */

  /* the destination */
  PeerSession *session;
  bool opened;
  GError *open_error;
  guint records;
  GBytes *last_record;
  char *withdrawn;
  GError *closed;
} PeerFixture;

/* A listener on the loopback that runs; no session. */
void peer_fixture_set_up (PeerFixture *fixture, gconstpointer data);
void peer_fixture_tear_down (PeerFixture *fixture, gconstpointer data);

/* All programs that use this are one family of tests. */
#define peer_fixture_add_test(name, function)                                                      \
  g_test_add ("/peer-channel/" name, PeerFixture, NULL, peer_fixture_set_up, function,             \
              peer_fixture_tear_down)

/* the source */

/* A certificate with a key of its own. */
GTlsCertificate *peer_fixture_make_identity (void);

/* What the listener is given to look tickets up. */
const char *peer_fixture_look_up_ticket (const char *domain, bool *is_early, gpointer user_data);

/* The listener refused one peer, with that error, which names the peer's address. */
void peer_fixture_assert_one_refusal (PeerFixture *fixture, GQuark domain, int code);

/* A valid record. */
GBytes *peer_fixture_make_record (guint vcpus, guint64 guest_src_ns);

/* the destination */

/* Make a session of the fixture's, and begin to open it. */
void peer_fixture_open_session (PeerFixture *fixture, guint16 port, const char *domain,
                                const char *ticket, GCancellable *cancellable);

/* The same with a session that only checks, of the fixture's listener. */
void peer_fixture_open_check (PeerFixture *fixture, const char *domain, const char *ticket);

/* The callback of opening a session: keeps what came of it in the fixture (the user data). */
void peer_fixture_on_opened (GObject *source, GAsyncResult *result, gpointer user_data);

/* Open a session to the fixture's listener that claims DOMAIN, and see that it may. */
void peer_fixture_claim (PeerFixture *fixture);

/* waiting */

/* Returns the id of a timeout that fails the test. */
guint wait_start_patience (void);

/* Run the main loop until @condition is true. */
#define wait_for(condition)                                                                        \
  G_STMT_START                                                                                     \
  {                                                                                                \
    guint patience_id_ = wait_start_patience ();                                                   \
    while (!(condition))                                                                           \
      g_main_context_iteration (NULL, TRUE);                                                       \
    g_source_remove (patience_id_);                                                                \
  }                                                                                                \
  G_STMT_END

/* Give what must not happen the time to happen. */
void wait_settle (void);

/* Drop the last reference but those of what is still under way, and see that these go as well. */
void wait_for_last_unref (gpointer object);
