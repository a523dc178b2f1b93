/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said of libvirt's daemon, libvirt-dbus and clockferryd by what they answer on the bus;
 * and reloading a service.
 */
#include "check-host.h"

#include <string.h>

#include "build-config.h"
#include "ctl-check-bus.h"
#include "ctl-check-expect.h"
#include "ctl-check-fixture.h"
#include "ctl-error.h"
#include "domain-check.h"
#include "systemd-unit.h"
#include "temp-folder.h"

#define LIBVIRT_NAME "org.libvirt"
#define LIBVIRT_PATH "/org/libvirt/QEMU"
#define DAEMON_NAME  "org.clockferry1"
#define MANAGER_PATH "/org/clockferry1/Manager"

#define UUID        "c7a5fdbd-edaf-9455-926a-d65c16db1809"
#define DOMAIN_PATH LIBVIRT_PATH "/domain/_c7a5fdbd_edaf_9455_926a_d65c16db1809"
#define DAEMON_PATH "/org/clockferry1/domain/_c7a5fdbd_edaf_9455_926a_d65c16db1809"
#define DOMAIN_XML  "<domain type='kvm' id='3'><name>web</name><uuid>" UUID "</uuid></domain>"

/* Two domains run, on libvirt and QEMU as in Debian 12. */
static void
fixture_start_libvirt (CheckFixture *fixture)
{
  const char *const domains[] = { LIBVIRT_PATH "/domain/_a", LIBVIRT_PATH "/domain/_b" };

  check_bus_own (fixture->bus, LIBVIRT_NAME);
  check_bus_answer (fixture->bus, LIBVIRT_PATH, "ListDomains", NULL,
                    g_variant_new ("(@ao)", g_variant_new_objv (domains, 2)));
}

static void
fixture_set_versions (CheckFixture *fixture, guint64 libvirt, guint64 qemu)
{
  check_bus_answer (fixture->bus, LIBVIRT_PATH, "Get", "org.libvirt.Connect/LibVersion",
                    g_variant_new ("(v)", g_variant_new_uint64 (libvirt)));
  check_bus_answer (fixture->bus, LIBVIRT_PATH, "Get", "org.libvirt.Connect/Version",
                    g_variant_new ("(v)", g_variant_new_uint64 (qemu)));
}

/* libvirt */

static void
test_libvirt_daemon (CheckFixture *fixture, gconstpointer data)
{
  check_libvirt (fixture->host, fixture->list);
  g_assert_cmpint (check_expect_find (fixture->list, "libvirt-daemon")->status, ==, CHECK_FAILURE);
  g_assert_nonnull (
    strstr (check_expect_find (fixture->list, "libvirt-daemon")->finding, "installed"));

  check_fixture_restart (fixture);
  check_bus_set_unit (fixture->bus, "libvirtd.service", "loaded", "inactive", "disabled", "success",
                      0);
  check_libvirt (fixture->host, fixture->list);
  check_expect (fixture->list, "libvirt-daemon", CHECK_FAILURE, "runs",
                "systemctl enable --now libvirtd.service");

  /* of the two, the one that is meant to run */
  check_fixture_restart (fixture);
  check_bus_set_unit (fixture->bus, "virtqemud.socket", "loaded", "inactive", "enabled", "", 0);
  check_libvirt (fixture->host, fixture->list);
  check_expect (fixture->list, "libvirt-daemon", CHECK_FAILURE, "runs",
                "systemctl enable --now virtqemud.socket");

  check_fixture_restart (fixture);
  check_bus_set_unit (fixture->bus, "virtqemud.socket", "loaded", "active", "enabled", "", 0);
  check_libvirt (fixture->host, fixture->list);
  check_expect (fixture->list, "libvirt-daemon", CHECK_OK, "virtqemud.socket", NULL);

  check_fixture_restart (fixture);
  check_bus_set_unit (fixture->bus, "libvirtd.service", "loaded", "active", "enabled", "success",
                      0);
  check_libvirt (fixture->host, fixture->list);
  check_expect (fixture->list, "libvirt-daemon", CHECK_OK, "libvirtd.service", NULL);
}

static void
test_libvirt_dbus (CheckFixture *fixture, gconstpointer data)
{
  const CheckResult *result;

  check_libvirt (fixture->host, fixture->list);
  result = check_expect_find (fixture->list, "libvirt-dbus");
  g_assert_cmpint (result->status, ==, CHECK_FAILURE);
  g_assert_nonnull (strstr (result->finding, "not installed"));
  g_assert_false (fixture->host->libvirt_answers);
  check_expect_none (fixture->list, "libvirt-version");

  check_fixture_restart (fixture);
  fixture_start_libvirt (fixture);
  fixture_set_versions (fixture, 9000000, 7002022);
  check_libvirt (fixture->host, fixture->list);
  check_expect (fixture->list, "libvirt-dbus", CHECK_OK, "2 domains", NULL);
  check_expect (fixture->list, "libvirt-version", CHECK_OK, "9.0.0", NULL);
  check_expect (fixture->list, "qemu-version", CHECK_OK, "7.2.22", NULL);
  g_assert_true (fixture->host->libvirt_answers);
  g_assert_cmpuint (fixture->host->domain_count, ==, 2);

  check_fixture_restart (fixture);
  fixture_set_versions (fixture, 8010000, 0);
  check_libvirt (fixture->host, fixture->list);
  check_expect (fixture->list, "libvirt-version", CHECK_FAILURE, "8.10.0", NULL);

  check_fixture_restart (fixture);
  check_bus_fail (fixture->bus, LIBVIRT_PATH, "ListDomains", NULL, "org.libvirt.Error",
                  "Failed to connect socket to '/var/run/libvirt/libvirt-sock'");
  check_libvirt (fixture->host, fixture->list);
  result = check_expect_find (fixture->list, "libvirt-dbus");
  g_assert_cmpint (result->status, ==, CHECK_FAILURE);
  g_assert_nonnull (strstr (result->finding, "libvirt-sock"));

  check_fixture_restart (fixture);
  check_bus_fail (fixture->bus, LIBVIRT_PATH, "ListDomains", NULL,
                  "org.freedesktop.DBus.Error.NoReply", "gone");
  check_libvirt (fixture->host, fixture->list);
  check_expect (fixture->list, "libvirt-dbus", CHECK_FAILURE, "did not answer",
                "pkill -x libvirt-dbus");
  check_fixture_restart (fixture);
  check_bus_set_unit (fixture->bus, "libvirt-dbus.service", "loaded", "active", "static", "success",
                      0);
  check_libvirt (fixture->host, fixture->list);
  check_expect (fixture->list, "libvirt-dbus", CHECK_FAILURE, "did not answer",
                "systemctl restart libvirt-dbus");
}

/* Who is not root, nor in the group libvirt, is told so once. */
static void
test_access_denied (CheckFixture *fixture, gconstpointer data)
{
  const CheckResult *skipped;

  fixture_start_libvirt (fixture);
  check_bus_own (fixture->bus, DAEMON_NAME);
  check_bus_fail (fixture->bus, LIBVIRT_PATH, "ListDomains", NULL,
                  "org.freedesktop.DBus.Error.AccessDenied", "Rejected send message");
  check_bus_fail (fixture->bus, MANAGER_PATH, "GetAll", NULL,
                  "org.freedesktop.DBus.Error.AccessDenied", "Rejected send message");
  fixture->host->is_root = FALSE;
  check_libvirt (fixture->host, fixture->list);
  check_daemon (fixture->host, fixture->list);
  check_list_finish (fixture->list, "sudo clockferryctl check");
  check_expect_none (fixture->list, "libvirt-dbus");
  check_expect_none (fixture->list, "daemon-answers");
  skipped = check_expect_find (fixture->list, "not-root");
  g_assert_nonnull (strstr (skipped->finding, "libvirt-dbus"));
  g_assert_nonnull (strstr (skipped->finding, "clockferryd on the bus"));
}

static void
test_no_bus (void)
{
  g_autoptr (TempFolder) root = temp_folder_make ();
  g_autoptr (CheckHost) host = check_host_new_for_test (root, NULL);
  g_autoptr (CheckList) list = check_list_new (NULL, NULL);

  check_libvirt (host, list);
  check_daemon (host, list);
  check_hook (host, list);
  check_expect (list, "system-bus", CHECK_FAILURE, "none in this test", "systemctl start dbus");
  check_expect_none (list, "libvirt-daemon");
  check_expect_none (list, "daemon-running");
  check_expect_none (list, "hook-seen");
  check_expect_commands (list);
}

/* clockferryd */

static void
fixture_start_daemon (CheckFixture *fixture, const char *version, gboolean is_connected)
{
  GVariantDict properties;

  g_variant_dict_init (&properties, NULL);
  g_variant_dict_insert (&properties, "Version", "s", version);
  g_variant_dict_insert (&properties, "Mode", "s", "apply");
  g_variant_dict_insert (&properties, "HostClock", "s", "auto");
  g_variant_dict_insert (&properties, "MaxAdvanceSec", "u", 300u);
  g_variant_dict_insert (&properties, "Port", "q", (guint16) 16520);
  g_variant_dict_insert (&properties, "LibvirtConnected", "b", is_connected);
  g_variant_dict_insert (&properties, "LibvirtProblem", "s",
                         is_connected ? "" : "libvirt is on holiday");
  check_bus_answer (fixture->bus, MANAGER_PATH, "GetAll", NULL,
                    g_variant_new ("(@a{sv})", g_variant_dict_end (&properties)));
}

static void
test_daemon_down (CheckFixture *fixture, gconstpointer data)
{
  check_daemon (fixture->host, fixture->list);
  check_expect (fixture->list, "settings", CHECK_OK, NULL, NULL);
  check_expect (fixture->list, "daemon-running", CHECK_FAILURE, "clockferryd.service",
                "systemctl daemon-reload");
  check_expect_none (fixture->list, "daemon-enabled");
  check_expect_none (fixture->list, "daemon-answers");

  check_fixture_restart (fixture);
  check_bus_set_unit (fixture->bus, "clockferryd.service", "loaded", "inactive", "disabled",
                      "success", 0);
  check_daemon (fixture->host, fixture->list);
  check_expect (fixture->list, "daemon-running", CHECK_FAILURE, "does not run",
                "systemctl enable --now clockferryd");
  check_expect (fixture->list, "daemon-enabled", CHECK_WARNING, NULL,
                "systemctl enable clockferryd");

  check_fixture_restart (fixture);
  check_bus_set_unit (fixture->bus, "clockferryd.service", "loaded", "failed", "enabled",
                      "exit-code", 0);
  check_daemon (fixture->host, fixture->list);
  check_expect (fixture->list, "daemon-running", CHECK_FAILURE, "exit-code",
                "journalctl -b -n 20 -u clockferryd");
  check_expect (fixture->list, "daemon-enabled", CHECK_OK, NULL, NULL);

  /* between two attempts of Restart=on-failure */
  check_fixture_restart (fixture);
  check_bus_set_unit (fixture->bus, "clockferryd.service", "loaded", "activating", "enabled",
                      "exit-code", 0);
  check_daemon (fixture->host, fixture->list);
  check_expect (fixture->list, "daemon-running", CHECK_FAILURE, "exit-code",
                "journalctl -b -n 20 -u clockferryd");

  check_fixture_restart (fixture);
  check_bus_set_unit (fixture->bus, "clockferryd.service", "masked", "inactive", "masked",
                      "success", 0);
  check_daemon (fixture->host, fixture->list);
  g_assert_cmpint (check_expect_find (fixture->list, "daemon-running")->status, ==, CHECK_FAILURE);
}

static void
test_daemon_up (CheckFixture *fixture, gconstpointer data)
{
  check_bus_own (fixture->bus, DAEMON_NAME);
  check_bus_set_unit (fixture->bus, "clockferryd.service", "loaded", "active", "enabled", "success",
                      0);
  fixture_start_daemon (fixture, CLOCKFERRY_VERSION, TRUE);
  check_daemon (fixture->host, fixture->list);
  g_assert_cmpint (check_list_get_status (fixture->list), ==, CHECK_OK);
  check_expect (fixture->list, "daemon-version", CHECK_OK, CLOCKFERRY_VERSION, NULL);
  check_expect (fixture->list, "daemon-libvirt", CHECK_OK, NULL, NULL);
  check_expect (fixture->list, "settings-in-force", CHECK_OK, NULL, NULL);
  g_assert_true (fixture->host->daemon_runs);

  check_fixture_restart (fixture);
  fixture_start_daemon (fixture, "0.0.9", FALSE);
  check_daemon (fixture->host, fixture->list);
  check_expect (fixture->list, "daemon-version", CHECK_WARNING, "0.0.9",
                "systemctl restart clockferryd");
  check_expect (fixture->list, "daemon-libvirt", CHECK_FAILURE, "on holiday",
                "journalctl -b -n 20 -u clockferryd");
}

static void
test_daemon_off_the_bus (CheckFixture *fixture, gconstpointer data)
{
  check_bus_set_unit (fixture->bus, "clockferryd.service", "loaded", "active", "enabled", "success",
                      0);
  check_daemon (fixture->host, fixture->list);
  check_expect (fixture->list, "daemon-answers", CHECK_FAILURE, "policy",
                "systemctl reload dbus && systemctl restart clockferryd");
}

static void
test_settings (CheckFixture *fixture, gconstpointer data)
{
  const char *name = CLOCKFERRY_CONFIG_FILE + 1;
  g_autofree char *path = NULL;

  check_bus_own (fixture->bus, DAEMON_NAME);
  check_bus_set_unit (fixture->bus, "clockferryd.service", "loaded", "active", "enabled", "success",
                      0);
  fixture_start_daemon (fixture, CLOCKFERRY_VERSION, TRUE);

  path = temp_folder_write (fixture->root, name, "[clockferry]\nMode=observe\n");
  check_daemon (fixture->host, fixture->list);
  check_expect (fixture->list, "settings-in-force", CHECK_WARNING,
                "Mode=", "systemctl reload clockferryd");

  check_fixture_restart (fixture);
  g_free (temp_folder_write (fixture->root, name, "[clockferry]\nMode=apply\nPort=16521\n"));
  check_daemon (fixture->host, fixture->list);
  check_expect (fixture->list, "settings-in-force", CHECK_WARNING,
                "Port=", "systemctl restart clockferryd");

  check_fixture_restart (fixture);
  g_free (temp_folder_write (fixture->root, name, "[clockferry]\nPort=many\n"));
  check_daemon (fixture->host, fixture->list);
  check_expect (fixture->list, "settings", CHECK_FAILURE, "clockferry.conf:2", NULL);
  check_expect_none (fixture->list, "settings-in-force");
}

/* a domain */

static void
test_domain (CheckFixture *fixture, gconstpointer data)
{
  CheckBus *bus = fixture->bus;
  GDBusConnection *client = fixture->client;
  g_autoptr (DomainCheck) by_name = NULL;
  g_autoptr (DomainCheck) by_uuid = NULL;
  g_autoptr (GError) error = NULL;
  GVariantDict properties;

  /* no libvirt at all */
  g_assert_null (domain_check_new (client, "web", &error));
  g_assert_error (error, CTL_ERROR, CTL_ERROR_FAILED);
  g_clear_error (&error);

  check_bus_own (bus, LIBVIRT_NAME);
  check_bus_answer (bus, LIBVIRT_PATH, "ListDomains", NULL, g_variant_new ("(ao)", NULL));
  check_bus_fail (bus, LIBVIRT_PATH, "DomainLookupByName", NULL, "org.libvirt.Error",
                  "Domain not found: no domain with matching name 'web'");
  g_assert_null (domain_check_new (client, "web", &error));
  g_assert_error (error, CTL_ERROR, CTL_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "clockferryctl list"));
  g_clear_error (&error);

  check_bus_answer (bus, LIBVIRT_PATH, "DomainLookupByName", "web",
                    g_variant_new ("(o)", DOMAIN_PATH));
  check_bus_answer (bus, LIBVIRT_PATH, "DomainLookupByUUID", UUID,
                    g_variant_new ("(o)", DOMAIN_PATH));
  check_bus_answer (bus, DOMAIN_PATH, "GetXMLDesc", NULL, g_variant_new ("(s)", DOMAIN_XML));
  by_name = domain_check_new (client, "web", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (by_name->facts->uuid, ==, UUID);
  g_assert_nonnull (by_name->definition);
  g_assert_false (by_name->state.is_known);
  g_assert_nonnull (by_name->state.problem);

  check_bus_own (bus, DAEMON_NAME);
  g_variant_dict_init (&properties, NULL);
  g_variant_dict_insert (&properties, "Ready", "b", TRUE);
  g_variant_dict_insert (&properties, "HelperConnected", "b", TRUE);
  g_variant_dict_insert (&properties, "Problem", "s", "");
  check_bus_answer (bus, DAEMON_PATH, "GetAll", "org.clockferry1.Domain",
                    g_variant_new ("(@a{sv})", g_variant_dict_end (&properties)));
  by_uuid = domain_check_new (client, UUID, &error);
  g_assert_no_error (error);
  g_assert_true (by_uuid->state.is_known);
  g_assert_true (by_uuid->state.is_ready);
  g_assert_true (by_uuid->state.has_link);
  g_assert_null (by_uuid->state.problem);
}

/* reloading */

static void
test_reload (CheckFixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  GDBusConnection *bus = check_bus_get_client (fixture->bus);

  g_assert_true (systemd_unit_reload (bus, "libvirtd.service", &error));
  g_assert_no_error (error);
  g_assert_cmpuint (check_bus_count (fixture->bus, "ReloadUnit"), ==, 1);

  check_bus_set_job_result (fixture->bus, "failed");
  g_assert_false (systemd_unit_reload (bus, "libvirtd.service", &error));
  g_assert_nonnull (strstr (error->message, "failed"));
  g_clear_error (&error);

  check_bus_fail (fixture->bus, "/org/freedesktop/systemd1", "ReloadUnit", NULL,
                  "org.freedesktop.systemd1.NoSuchUnit", "Unit libvirtd.service not found.");
  g_assert_false (systemd_unit_reload (bus, "libvirtd.service", &error));
  g_assert_cmpstr (error->message, ==, "Unit libvirtd.service not found.");
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *path;
    void (*run) (CheckFixture *fixture, gconstpointer data);
  } cases[] = {
    { "/ctl-check-services/libvirt-daemon", test_libvirt_daemon },
    { "/ctl-check-services/libvirt-dbus", test_libvirt_dbus },
    { "/ctl-check-services/access-denied", test_access_denied },
    { "/ctl-check-services/daemon-down", test_daemon_down },
    { "/ctl-check-services/daemon-up", test_daemon_up },
    { "/ctl-check-services/daemon-off-the-bus", test_daemon_off_the_bus },
    { "/ctl-check-services/settings", test_settings },
    { "/ctl-check-services/domain", test_domain },
    { "/ctl-check-services/reload", test_reload },
  };

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_test_add (cases[i].path, CheckFixture, NULL, check_bus_set_up, cases[i].run,
                check_bus_tear_down);
  g_test_add_func ("/ctl-check-services/no-bus", test_no_bus);
  return g_test_run ();
}
