/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-fixture.h"

#include "clock-record.h"
#include "error.h"
#include "identity.h"
#include "temp-folder.h"

#include <string.h>

#define PATIENCE_MS 20000

/* waiting */

static gboolean
on_patience_over (gpointer user_data)
{
  g_error ("waited %d ms in vain", PATIENCE_MS);
  return G_SOURCE_REMOVE;
}

static gboolean
on_settled (gpointer user_data)
{
  *(bool *) user_data = true;
  return G_SOURCE_REMOVE;
}

/* the source */

static void
on_claimed (PeerListener *listener, const char *domain, const char *migration, const char *address,
            gpointer user_data)
{
  PeerFixture *fixture = user_data;

  g_assert_cmpstr (address, ==, "127.0.0.1");
  g_assert_cmpstr (migration, ==, MIGRATION);
  g_assert_true (peer_listener_has_claim (listener, domain, migration));
  g_assert_false (peer_listener_has_claim (listener, domain, OTHER_MIGRATION));
  fixture->claims++;
  if (fixture->record != NULL)
    g_assert_cmpuint (peer_listener_push_record (listener, domain, fixture->record), ==,
                      fixture->claims - fixture->departures);
}

static void
on_gone (PeerListener *listener, const char *domain, const char *migration, gpointer user_data)
{
  g_assert_cmpstr (migration, ==, MIGRATION);
  ((PeerFixture *) user_data)->departures++;
}

static void
on_refused (PeerListener *listener, const GError *error, gpointer user_data)
{
  g_ptr_array_add (((PeerFixture *) user_data)->refusals, g_error_copy (error));
}

/* the destination */

static void
on_record (PeerSession *session, GBytes *record, gpointer user_data)
{
  PeerFixture *fixture = user_data;

  g_assert_true (fixture->opened);
  g_clear_pointer (&fixture->last_record, g_bytes_unref);
  fixture->last_record = g_bytes_ref (record);
  fixture->records++;
}

static void
on_withdrawn (PeerSession *session, const char *reason, gpointer user_data)
{
  PeerFixture *fixture = user_data;

  g_assert_null (fixture->withdrawn);
  fixture->withdrawn = g_strdup (reason);
}

static void
on_closed (PeerSession *session, const GError *error, gpointer user_data)
{
  PeerFixture *fixture = user_data;

  g_assert_null (fixture->closed);
  fixture->closed = g_error_copy (error);
}

/* public functions */

guint
wait_start_patience (void)
{
  return g_timeout_add (PATIENCE_MS, on_patience_over, NULL);
}

void
wait_settle (void)
{
  bool settled = false;

  g_timeout_add (SETTLE_MS, on_settled, &settled);
  wait_for (settled);
}

void
wait_for_last_unref (gpointer object)
{
  gpointer weak = object;

  g_object_add_weak_pointer (object, &weak);
  g_object_unref (object);
  wait_for (weak == NULL);
}

const char *
peer_fixture_look_up_ticket (const char *domain, bool *is_early, gpointer user_data)
{
  if (g_str_equal (domain, DOMAIN))
    return TICKET;
  return g_str_equal (domain, OTHER_DOMAIN) ? OTHER_TICKET : NULL;
}

GTlsCertificate *
peer_fixture_make_identity (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TempFolder) dir = temp_folder_make ();
  GTlsCertificate *certificate = identity_load (dir, &error);

  g_assert_no_error (error);
  return certificate;
}

void
peer_fixture_set_up (PeerFixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  /* so that GDBus turns the answers that strangers get into our codes */
  (void) clockferry_error_quark ();
  fixture->certificate = peer_fixture_make_identity ();
  fixture->pin = identity_pin (fixture->certificate, &error);
  g_assert_no_error (error);
  fixture->refusals = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  fixture->listener =
    peer_listener_new (fixture->certificate, NULL, peer_fixture_look_up_ticket, NULL);
  g_signal_connect (fixture->listener, "claimed", G_CALLBACK (on_claimed), fixture);
  g_signal_connect (fixture->listener, "gone", G_CALLBACK (on_gone), fixture);
  g_signal_connect (fixture->listener, "refused", G_CALLBACK (on_refused), fixture);
  g_assert_true (peer_listener_start (fixture->listener, "127.0.0.1", 0, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (peer_listener_get_port (fixture->listener), !=, 0);
}

void
peer_fixture_tear_down (PeerFixture *fixture, gconstpointer data)
{
  if (fixture->session != NULL)
    peer_session_close (fixture->session);
  peer_listener_stop (fixture->listener);
  if (fixture->session != NULL)
    wait_for_last_unref (fixture->session);
  wait_for_last_unref (fixture->listener);
  g_clear_pointer (&fixture->record, g_bytes_unref);
  g_clear_pointer (&fixture->last_record, g_bytes_unref);
  g_clear_error (&fixture->open_error);
  g_clear_error (&fixture->closed);
  g_ptr_array_unref (fixture->refusals);
  g_free (fixture->withdrawn);
  g_free (fixture->pin);
  g_object_unref (fixture->certificate);
}

void
peer_fixture_on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  PeerFixture *fixture = user_data;

  fixture->opened = peer_session_open_finish (PEER_SESSION (source), result, &fixture->open_error);
  g_assert_true (fixture->opened == (fixture->open_error == NULL));
}

/* Takes @session. */
static void
open_session (PeerFixture *fixture, PeerSession *session, GCancellable *cancellable)
{
  fixture->session = session;
  g_signal_connect (fixture->session, "record", G_CALLBACK (on_record), fixture);
  g_signal_connect (fixture->session, "withdrawn", G_CALLBACK (on_withdrawn), fixture);
  g_signal_connect (fixture->session, "closed", G_CALLBACK (on_closed), fixture);
  peer_session_open_async (fixture->session, cancellable, peer_fixture_on_opened, fixture);
}

void
peer_fixture_open_session (PeerFixture *fixture, guint16 port, const char *domain,
                           const char *ticket, GCancellable *cancellable)
{
  const PeerAnnouncement announcement = {
    .address = "127.0.0.1",
    .port = port,
    .pin = fixture->pin,
    .domain = domain,
    .ticket = ticket,
    .migration = MIGRATION,
  };

  open_session (fixture, peer_session_new (&announcement, NULL), cancellable);
}

void
peer_fixture_open_check (PeerFixture *fixture, const char *domain, const char *ticket)
{
  const PeerAnnouncement announcement = {
    .address = "127.0.0.1",
    .port = peer_listener_get_port (fixture->listener),
    .pin = fixture->pin,
    .domain = domain,
    .ticket = ticket,
  };

  open_session (fixture, peer_session_new_for_check (&announcement, NULL), NULL);
}

void
peer_fixture_claim (PeerFixture *fixture)
{
  peer_fixture_open_session (fixture, peer_listener_get_port (fixture->listener), DOMAIN, TICKET,
                             NULL);
  wait_for (fixture->opened || fixture->open_error != NULL);
  g_assert_no_error (fixture->open_error);
}

GBytes *
peer_fixture_make_record (guint vcpus, guint64 guest_src_ns)
{
  gsize size = clock_record_size (vcpus);
  g_autofree struct clock_record *record = g_malloc0 (size);

  record->guest_src_ns = guest_src_ns;
  record->host_src_ns = 1700000000000000000;
  record->boot_src_ns = 3600000000000;
  record->tsc_src_ticks = 12345;
  record->freq_khz = 2000000;
  record->flags = CLOCK_RECORD_MASTER_CLOCK;
  record->vcpu_count = vcpus;
  for (guint i = 0; i < vcpus; i++)
    record->vcpus[i] = (struct clock_record_vcpu){ .id = i, .ofs_ticks = ~(guint64) i };
  return g_bytes_new (record, size);
}

void
peer_fixture_assert_one_refusal (PeerFixture *fixture, GQuark domain, int code)
{
  g_assert_cmpuint (fixture->refusals->len, ==, 1);
  g_assert_error ((GError *) fixture->refusals->pdata[0], domain, code);
  g_assert_nonnull (strstr (((GError *) fixture->refusals->pdata[0])->message, "127.0.0.1"));
}
