/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * authority-test - CertificateAuthority= and AllowedPeers= from the settings to a claim, or none
 */

#include <string.h>

#include "error.h"
#include "event-tape.h"
#include "identity.h"
#include "managed-host.h"
#include "temp-folder.h"
#include "test-pki.h"
#include "wait-until.h"

typedef struct {
  TestCert *root;
  ManagedHost *source;
  ManagedHost *dest;
} Fixture;

/* Give @host a certificate in the name of @name, and settings that say so. */
static void
configure (ManagedHost *host, const char *name, const TestCert *root, const TestCert *issuer)
{
  const TestCertSpec spec = { name };
  const char *folder = host->host->folder;
  g_autoptr (TestCert) cert = test_cert_make (&spec, issuer);
  g_autoptr (GError) error = NULL;

  host->settings.certificate_authority = temp_folder_write (folder, "ca.pem", root->cert_pem);
  host->settings.certificate = temp_folder_write (folder, "host.pem", cert->cert_pem);
  host->settings.private_key = temp_folder_write (folder, "host-key.pem", cert->key_pem);
  g_object_unref (host->identity);
  host->identity =
    identity_load_files (host->settings.certificate, host->settings.private_key, &error);
  g_assert_no_error (error);
}

static void
deconfigure (ManagedHost *host)
{
  g_free (host->settings.certificate_authority);
  g_free (host->settings.certificate);
  g_free (host->settings.private_key);
  managed_host_free (host);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  const TestCertSpec root_spec = { "our root", .is_authority = TRUE };

  event_tape_clear ();
  fixture->root = test_cert_make (&root_spec, NULL);
  fixture->source = managed_host_new ();
  fixture->dest = managed_host_new ();
  configure (fixture->source, "kvm1.a.org", fixture->root, fixture->root);
  configure (fixture->dest, "kvm2.a.org", fixture->root, fixture->root);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  deconfigure (fixture->dest);
  deconfigure (fixture->source);
  test_cert_free (fixture->root);
}

/* Start both daemons, and let WEB be on its way. */
static void
migrate (Fixture *fixture)
{
  managed_host_start_daemon (fixture->source);
  managed_host_start_daemon (fixture->dest);
  WAIT_UNTIL (event_tape_count ("libvirt-connected") == 2);
  managed_host_boot (fixture->source);
  WAIT_UNTIL (event_tape_count ("domain-ready") == 1);
  managed_host_prepare (fixture->dest, fixture->source, TRUE);
}

/* tests */

static void
test_claimed (Fixture *fixture, gconstpointer data)
{
  const char *allowed[] = { "kvm?.a.org", NULL };
  g_autofree char *pin = identity_pin (fixture->source->identity, NULL);

  fixture->source->settings.allowed_peers = (GStrv) allowed;
  fixture->dest->settings.allowed_peers = (GStrv) allowed;
  migrate (fixture);
  WAIT_UNTIL (event_tape_count ("arrival-claimed") == 1);
  g_assert_cmpuint (event_tape_count ("peer-refused"), ==, 0);
  g_assert_nonnull (
    strstr (stand_in_libvirt_get_element (fixture->source->host->libvirt, WEB), pin));
}

static void
test_source_not_allowed (Fixture *fixture, gconstpointer data)
{
  const char *allowed[] = { "kvm3.a.org", NULL };
  const char *reason;

  fixture->dest->settings.allowed_peers = (GStrv) allowed;
  migrate (fixture);
  WAIT_UNTIL (event_tape_count ("arrival-step-failed") == 1);
  g_assert_cmpstr (event_tape_get ("arrival-step-failed", "CLOCKFERRY_STEP"), ==, "peer");
  reason = event_tape_get ("arrival-step-failed", "CLOCKFERRY_REASON");
  g_assert_nonnull (strstr (reason, "certificate of CN=kvm1.a.org is refused"));
  g_assert_cmpuint (event_tape_count ("departure-claimed"), ==, 0);
}

static void
test_dest_not_allowed (Fixture *fixture, gconstpointer data)
{
  const char *allowed[] = { "kvm1.a.org", NULL };

  fixture->source->settings.allowed_peers = (GStrv) allowed;
  migrate (fixture);
  WAIT_UNTIL (event_tape_count ("peer-refused") > 0);
  g_assert_nonnull (
    strstr (event_tape_get ("peer-refused", "MESSAGE"), "certificate of CN=kvm2.a.org is refused"));
  WAIT_UNTIL (event_tape_count ("arrival-step-failed") > 0);
  g_assert_cmpuint (event_tape_count ("departure-claimed"), ==, 0);
}

/* The daemon does not start with what its peers would refuse. */
static void
test_foreign_certificate (Fixture *fixture, gconstpointer data)
{
  ManagedHost *host = managed_host_new ();
  g_autoptr (GError) error = NULL;

  configure (host, "evil", fixture->root, NULL);
  g_assert_null (manager_new_with_folders (host->connection, &host->settings, host->identity,
                                           &host->folders->folders, &error));
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NOT_AUTHORIZED);
  g_assert_nonnull (strstr (error->message, host->settings.certificate_authority));
  g_assert_nonnull (strstr (error->message, "CN=evil"));
  deconfigure (host);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  event_tape_start ();

#define ADD(path, function)                                                                        \
  g_test_add ("/authority/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("claimed", test_claimed);
  ADD ("source-not-allowed", test_source_not_allowed);
  ADD ("dest-not-allowed", test_dest_not_allowed);
  ADD ("foreign-certificate", test_foreign_certificate);
#undef ADD
  return g_test_run ();
}
