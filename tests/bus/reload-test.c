/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reload-test - the real daemon reads its settings anew, and what does not change by that
 */

#include <glib/gstdio.h>
#include <string.h>

#include "bus-host.h"
#include "child-launcher.h"
#include "domain-info.h"
#include "error.h"
#include "names.h"
#include "peer-session.h"
#include "temp-folder.h"
#include "test-pki.h"
#include "wait-until.h"

#define DROP_IN "clockferry.conf.d/test.conf"

typedef struct {
  BusHost *host;
  DaemonProcess *daemon;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->host = bus_host_new ();
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->daemon, daemon_process_stop);
  g_clear_pointer (&fixture->host, bus_host_free);
}

static void
write_settings (Fixture *fixture, const char *settings)
{
  g_autofree char *text = g_strconcat ("[clockferry]\n", settings, NULL);
  g_autofree char *path = temp_folder_write (fixture->host->folder, DROP_IN, text);
}

static void
start (Fixture *fixture, const char *settings)
{
  write_settings (fixture, settings);
  fixture->daemon = bus_host_start_daemon (fixture->host);
  WAIT_UNTIL (daemon_process_count (fixture->daemon, "libvirt-connected", NULL) == 1);
}

static guint
count (Fixture *fixture, const char *event, const char *text)
{
  return daemon_process_count (fixture->daemon, event, text);
}

/* @event says what came of it. */
static void
reload (Fixture *fixture, const char *settings, const char *event)
{
  guint before = count (fixture, event, NULL);

  write_settings (fixture, settings);
  daemon_process_reload (fixture->daemon);
  WAIT_UNTIL (count (fixture, event, NULL) == before + 1);
}

/* a guest that comes without a helper: its final report says by which settings it was handled */

static void
begin_arrival (Fixture *fixture, const char *uuid)
{
  g_autofree char *about = g_strconcat ("DOMAIN=", uuid, NULL);

  stand_in_libvirt_add_domain (fixture->host->libvirt, uuid, "guest", ID_OF (1));
  stand_in_libvirt_set_state (fixture->host->libvirt, uuid, STATE_PAUSED_MIGRATION);
  g_assert_true (stand_in_libvirt_emit (fixture->host->libvirt, uuid, STARTED_MIGRATED));
  WAIT_UNTIL (count (fixture, "arrival-step-failed", about) > 0);
}

static void
end_arrival (Fixture *fixture, const char *uuid, const char *mode)
{
  g_autofree char *about = g_strconcat ("DOMAIN=", uuid, NULL);

  stand_in_libvirt_set_state (fixture->host->libvirt, uuid, STATE_RUNNING);
  g_assert_true (stand_in_libvirt_emit (fixture->host->libvirt, uuid, RESUMED_MIGRATED));
  WAIT_UNTIL (count (fixture, "migration-stock", about) == 1);
  g_assert_cmpuint (count (fixture, "migration-stock", mode), ==, 1);
}

/* tests */

static void
test_good (Fixture *fixture, gconstpointer data)
{
  start (fixture, "Mode=apply\n");
  begin_arrival (fixture, WEB);
  reload (fixture, "Mode=observe\nHostClock=trust\nMaxAdvanceSec=7\n", "settings-reloaded");
  g_assert_cmpuint (
    count (fixture, "settings-reloaded", "MODE=observe HOST_CLOCK=trust MAX_ADVANCE_S=7]"), ==, 1);
  begin_arrival (fixture, MAIL);

  /* the one that was under way goes on as it began */
  end_arrival (fixture, WEB, "MODE=apply");
  end_arrival (fixture, MAIL, "MODE=observe");

  /* and back to what is said by nobody */
  reload (fixture, "", "settings-reloaded");
  g_assert_cmpuint (
    count (fixture, "settings-reloaded", "MODE=apply HOST_CLOCK=auto MAX_ADVANCE_S=300]"), ==, 1);
}

static void
test_bad (Fixture *fixture, gconstpointer data)
{
  start (fixture, "Mode=observe\n");
  reload (fixture, "Mode=apply\nPrt=1\n", "settings-rejected");
  g_assert_cmpuint (
    count (fixture, "settings-rejected", DROP_IN ":3: there is no setting Prt; did you mean Port?"),
    ==, 1);
  g_assert_cmpuint (count (fixture, "settings-rejected", "REASON="), ==, 1);

  begin_arrival (fixture, WEB);
  end_arrival (fixture, WEB, "MODE=observe");
  g_assert_cmpuint (count (fixture, "settings-reloaded", NULL), ==, 0);
}

static void
test_restart_only (Fixture *fixture, gconstpointer data)
{
  start (fixture, "");
  for (guint i = 1; i <= 2; i++) {
    reload (fixture, "Address=kvm1\nPort=1\nMaxAdvanceSec=7\n", "settings-reloaded");
    g_assert_cmpuint (
      count (fixture, "settings-reloaded", "MAX_ADVANCE_S=7 RESTART_NEEDED=Address Port]"), ==, i);
  }
  /* where it listens, and what it tells its peers */
  bus_host_boot_and_wait (fixture->host, WEB, "web", ID_OF (1));
  g_assert_nonnull (
    strstr (stand_in_libvirt_get_element (fixture->host->libvirt, WEB), "address='127.0.0.1'"));

  /* taken back, it waits no more */
  reload (fixture, "MaxAdvanceSec=7\n", "settings-reloaded");
  g_assert_cmpuint (count (fixture, "settings-reloaded", "RESTART_NEEDED"), ==, 2);
}

/* over the bus, where the answer is the caller's */

static void
on_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static GVariant *
call_manager (GDBusConnection *bus, const char *interface, const char *method, GVariant *arguments,
              GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  g_dbus_connection_call (bus, CLOCKFERRY_BUS_NAME, CLOCKFERRY_MANAGER_PATH, interface, method,
                          arguments, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, on_result, &result);
  WAIT_UNTIL (result != NULL);
  return g_dbus_connection_call_finish (bus, result, error);
}

static void
assert_mode (GDBusConnection *bus, const char *mode)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant)
    reply = call_manager (bus, "org.freedesktop.DBus.Properties", "Get",
                          g_variant_new ("(ss)", CLOCKFERRY_MANAGER_IFACE, "Mode"), &error);
  g_autoptr (GVariant) value = NULL;

  g_assert_no_error (error);
  g_variant_get (reply, "(v)", &value);
  g_assert_cmpstr (g_variant_get_string (value, NULL), ==, mode);
}

static void
test_over_the_bus (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDBusConnection) bus = private_bus_connect (fixture->host->bus);
  const struct {
    const char *settings;
    int code;
    const char *said; /* NULL: it is done */
    const char *mode;
  } steps[] = {
    { "Mode=observe\n", 0, NULL, "observe" },
    { "Mode=observe\nMode=bad\n", CLOCKFERRY_ERROR_INVALID_SETTING, DROP_IN ":3: Mode=bad: must be",
      "observe" },
    { "Port=1\nAddress=kvm1\n", CLOCKFERRY_ERROR_NEEDS_RESTART,
      "these wait for systemctl restart clockferryd: Address Port", "apply" },
  };

  (void) clockferry_error_quark ();
  start (fixture, "");
  assert_mode (bus, "apply");
  for (gsize i = 0; i < G_N_ELEMENTS (steps); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GVariant) reply = NULL;

    write_settings (fixture, steps[i].settings);
    reply = call_manager (bus, CLOCKFERRY_MANAGER_IFACE, "Reload", NULL, &error);
    if (steps[i].said == NULL) {
      g_assert_no_error (error);
    } else {
      g_assert_error (error, CLOCKFERRY_ERROR, steps[i].code);
      g_assert_nonnull (strstr (error->message, steps[i].said));
    }
    assert_mode (bus, steps[i].mode);
  }
  g_assert_true (g_dbus_connection_close_sync (bus, NULL, NULL));
}

/* Where there is nothing to fall back on, wrong settings are the end. */
static void
test_bad_at_start (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GSubprocessLauncher) launcher = child_launcher_new (G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autofree char *config =
    temp_folder_write (fixture->host->folder, "bad.conf", "[clockferry]\n\nPort=x\n");
  g_autofree char *said = NULL;
  g_autoptr (GSubprocess) daemon = NULL;
  g_autoptr (GError) error = NULL;

  daemon = g_subprocess_launcher_spawn (launcher, &error, g_getenv ("CLOCKFERRYD"), "--config",
                                        config, "--state-dir", fixture->host->folder, NULL);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_communicate_utf8 (daemon, NULL, NULL, NULL, &said, &error));
  g_assert_no_error (error);
  g_assert_cmpint (g_subprocess_get_exit_status (daemon), ==, 1);
  g_assert_nonnull (strstr (said, "bad.conf:3: Port=x: must be a number from 1 to 65535"));
}

/* AllowedPeers=, by somebody at the other end who checks */

static TestCert *
make_host_cert (const TestCert *root, const char *name)
{
  const TestCertSpec spec = { name, .dns = { name } };

  return test_cert_make (&spec, root);
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GError **error = user_data;

  if (peer_session_open_finish (PEER_SESSION (source), result, error))
    *error = g_error_new (G_IO_ERROR, G_IO_ERROR_EXISTS, "open");
}

/* Whether a check of WEB is answered. */
static gboolean
check (Fixture *fixture, PeerAuthority *authority)
{
  g_autofree char *xml =
    g_strdup_printf ("<domain><name>web</name><uuid>" WEB "</uuid><metadata>%s</metadata></domain>",
                     stand_in_libvirt_get_element (fixture->host->libvirt, WEB));
  g_autoptr (DomainInfo) info = domain_info_parse (xml, NULL);
  const PeerAnnouncement announcement = {
    .address = info->source->address,
    .port = info->source->port,
    .pin = info->source->pin,
    .domain = WEB,
    .ticket = info->source->ticket,
  };
  g_autoptr (PeerSession) session = peer_session_new_for_check (&announcement, authority);
  g_autoptr (GError) end = NULL;

  peer_session_open_async (session, NULL, on_opened, &end);
  WAIT_UNTIL (end != NULL);
  g_test_message ("%s", end->message);
  peer_session_close (session);
  return g_error_matches (end, G_IO_ERROR, G_IO_ERROR_EXISTS);
}

static void
test_allowed_peers (Fixture *fixture, gconstpointer data)
{
  const TestCertSpec root_spec = { "root", .is_authority = TRUE };
  g_autoptr (TestCert) root = test_cert_make (&root_spec, NULL);
  g_autoptr (TestCert) source = make_host_cert (root, "kvm1");
  g_autoptr (TestCert) dest = make_host_cert (root, "kvm2");
  const char *folder = fixture->host->folder;
  g_autofree char *root_path = temp_folder_write (folder, "root.pem", root->cert_pem);
  g_autofree char *cert_path = temp_folder_write (folder, "kvm1.pem", source->cert_pem);
  g_autofree char *key_path = temp_folder_write (folder, "kvm1-key.pem", source->key_pem);
  g_autofree char *trust = g_strdup_printf (
    "CertificateAuthority=%s\nCertificate=%s\nPrivateKey=%s\n", root_path, cert_path, key_path);
  g_autofree char *without = g_strconcat (trust, "AllowedPeers=kvm3\n", NULL);
  g_autofree char *with = g_strconcat (trust, "AllowedPeers=kvm3 kvm2\n", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (PeerAuthority) authority = peer_authority_new (root_path, NULL, dest->tls, &error);

  g_assert_no_error (error);
  start (fixture, without);
  bus_host_boot_and_wait (fixture->host, WEB, "web", ID_OF (1));
  g_assert_false (check (fixture, authority));
  WAIT_UNTIL (count (fixture, "peer-refused", "CN=kvm2 is refused") == 1);

  reload (fixture, with, "settings-reloaded");
  g_assert_cmpuint (count (fixture, "settings-reloaded", "ALLOWED_PEERS=kvm3 kvm2]"), ==, 1);
  g_assert_true (check (fixture, authority));

  /* under another authority the names would be of others */
  reload (fixture, "", "settings-reloaded");
  g_assert_cmpuint (
    count (fixture, "settings-reloaded",
           "RESTART_NEEDED=CertificateAuthority Certificate PrivateKey AllowedPeers]"),
    ==, 1);
  g_assert_true (check (fixture, authority));

  reload (fixture, without, "settings-reloaded");
  g_assert_false (check (fixture, authority));
  WAIT_UNTIL (count (fixture, "peer-refused", NULL) == 2);
  /* nobody was told of those who only checked */
  g_assert_cmpuint (count (fixture, "departure-claimed", NULL), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) g_test_add ("/reload/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("good", test_good);
  ADD ("bad", test_bad);
  ADD ("restart-only", test_restart_only);
  ADD ("over-the-bus", test_over_the_bus);
  ADD ("bad-at-start", test_bad_at_start);
  ADD ("allowed-peers", test_allowed_peers);
#undef ADD
  return g_test_run ();
}
