/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said of the files of a host: helper, AppArmor and SELinux, state folder, journal, clock.
 */
#include "check-host.h"

#include <glib/gstdio.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "build-config.h"
#include "ctl-check-expect.h"
#include "ctl-check-fixture.h"
#include "ctl-config.h"
#include "observer-protocol.h"

/* the helper */

static void
test_helper_file (CheckFixture *fixture, gconstpointer data)
{
  g_autofree char *path = NULL;
  g_autofree char *read_remedy = NULL;
  g_autofree char *write_remedy = NULL;
  g_autofree char *suid_remedy = NULL;

  check_helper (fixture->host, fixture->list);
  g_assert_cmpint (check_expect_find (fixture->list, "helper-file")->status, ==, CHECK_FAILURE);
  /* nothing is tried with what is not there */
  check_expect_none (fixture->list, "helper-loads");

  check_fixture_restart (fixture);
  path = check_fixture_write (fixture, CLOCKFERRY_HELPER_PATH, "", 04644);
  check_helper (fixture->host, fixture->list);
  check_expect (fixture->list, "helper-file", CHECK_OK, path, NULL);

  check_fixture_restart (fixture);
  g_assert_cmpint (g_chmod (path, 0600), ==, 0);
  read_remedy = g_strdup_printf ("chmod a+r %s", path);
  check_helper (fixture->host, fixture->list);
  check_expect (fixture->list, "helper-file", CHECK_FAILURE, "may not read", read_remedy);

  check_fixture_restart (fixture);
  g_assert_cmpint (g_chmod (path, 0664), ==, 0);
  write_remedy = g_strdup_printf ("chmod go-w %s", path);
  check_helper (fixture->host, fixture->list);
  check_expect (fixture->list, "helper-file", CHECK_FAILURE, "change it", write_remedy);

  /* the bit only matters where there is SELinux */
  check_fixture_restart (fixture);
  g_assert_cmpint (g_chmod (path, 0644), ==, 0);
  check_helper (fixture->host, fixture->list);
  check_expect (fixture->list, "helper-file", CHECK_OK, path, NULL);
  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, CHECK_SELINUX_ENFORCE, "1", 0644));
  suid_remedy = g_strdup_printf ("chmod u+s %s", path);
  check_helper (fixture->host, fixture->list);
  check_expect (fixture->list, "helper-file", CHECK_FAILURE, "set-user-ID", suid_remedy);
}

/* By this machine's ld.so: whether it can find a helper depends on whether one is installed. */
static void
test_helper_loads (CheckFixture *fixture, gconstpointer data)
{
  const CheckResult *result;

  g_free (check_fixture_write (fixture, CLOCKFERRY_HELPER_PATH, "", 0644));
  check_helper (fixture->host, fixture->list);
  result = check_expect_find (fixture->list, "helper-loads");
  if (g_file_test (CLOCKFERRY_HELPER_PATH, G_FILE_TEST_EXISTS)) {
    g_assert_cmpint (result->status, ==, CHECK_OK);
    g_assert_nonnull (fixture->host->helper_path);
  } else {
    check_expect (fixture->list, "helper-loads", CHECK_FAILURE, "cannot open shared object file",
                  "ldconfig");
    g_assert_null (fixture->host->helper_path);
  }
}

/* the observer */

typedef struct {
  int listen_fd;
  gconstpointer message; /* NULL: hangs up without a word */
  gsize size;
} Answer;

static gpointer
answer_one (gpointer data)
{
  const Answer *answer = data;
  int fd = accept (answer->listen_fd, NULL, NULL);

  g_assert_cmpint (fd, >=, 0);
  if (answer->message != NULL)
    g_assert_cmpint (send (fd, answer->message, answer->size, 0), ==, (gssize) answer->size);
  close (fd);
  return NULL;
}

static void
check_answered (CheckFixture *fixture, int listen_fd, gconstpointer message, gsize size)
{
  Answer answer = { listen_fd, message, size };
  GThread *thread = g_thread_new ("observer", answer_one, &answer);

  check_fixture_restart (fixture);
  check_observer (fixture->host, fixture->list);
  g_thread_join (thread);
}

static int
listen_as_observer (const CheckFixture *fixture)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_autofree char *path = check_host_path (fixture->host, OBSERVER_SOCKET_PATH);
  g_autofree char *folder = g_path_get_dirname (path);
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  return fd;
}

static void
test_observer (CheckFixture *fixture, gconstpointer data)
{
  struct observer_header ready;
  struct observer_unable unable = { .text = "this kernel does not tell its types" };
  int listen_fd;

  check_observer (fixture->host, fixture->list);
  check_expect (fixture->list, "observer", CHECK_WARNING, "not installed", NULL);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, CLOCKFERRY_OBSERVER_PATH, "", 0755));
  check_observer (fixture->host, fixture->list);
  check_expect (fixture->list, "observer", CHECK_WARNING, "not in service",
                "systemctl enable --now clockferry-observer.socket");

  listen_fd = listen_as_observer (fixture);
  observer_header_init (&ready, OBSERVER_MESSAGE_READY, sizeof ready, 0);
  check_answered (fixture, listen_fd, &ready, sizeof ready);
  check_expect (fixture->list, "observer", CHECK_OK, "can observe", NULL);
  observer_header_init (&unable.header, OBSERVER_MESSAGE_UNABLE, sizeof unable, 0);
  check_answered (fixture, listen_fd, &unable, sizeof unable);
  check_expect (fixture->list, "observer", CHECK_WARNING, unable.text, NULL);
  check_answered (fixture, listen_fd, NULL, 0);
  check_expect (fixture->list, "observer", CHECK_WARNING, "does not answer",
                "journalctl -b -n 20 -u clockferry-observer");
  check_answered (fixture, listen_fd, "nonsense", 8);
  check_expect (fixture->list, "observer", CHECK_WARNING, "does not answer",
                "journalctl -b -n 20 -u clockferry-observer");
  close (listen_fd);
}

static void
test_apparmor (CheckFixture *fixture, gconstpointer data)
{
  const char *result_id = "apparmor";

  check_security (fixture->host, fixture->list);
  check_expect (fixture->list, result_id, CHECK_OK, "not in use", NULL);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, "/sys/module/apparmor/parameters/enabled", "Y\n", 0644));
  check_security (fixture->host, fixture->list);
  check_expect (fixture->list, result_id, CHECK_OK, "without profiles", NULL);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, "/etc/apparmor.d/abstractions/libvirt-qemu", "", 0644));
  g_free (check_fixture_write (fixture, "/etc/apparmor.d/usr.sbin.libvirtd", "", 0644));
  fixture->host->helper_path = g_strdup ("/usr/lib/x86_64-linux-gnu/libclockferry-qemu.so");
  check_security (fixture->host, fixture->list);
  check_expect (fixture->list, result_id, CHECK_OK, "let QEMU load", NULL);

  check_fixture_restart (fixture);
  fixture->host->helper_path = g_strdup ("/usr/local/lib/libclockferry-qemu.so");
  check_security (fixture->host, fixture->list);
  check_expect (fixture->list, result_id, CHECK_FAILURE, "/usr/local/lib",
                "echo '  /usr/local/lib/libclockferry-qemu.so mr,' >> "
                "/etc/apparmor.d/local/abstractions/libvirt-qemu");

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, "/etc/apparmor.d/local/abstractions/libvirt-qemu",
                               "  /usr/local/lib/libclockferry-qemu.so mr,\n", 0644));
  fixture->host->helper_path = g_strdup ("/usr/local/lib/libclockferry-qemu.so");
  check_security (fixture->host, fixture->list);
  check_expect (fixture->list, result_id, CHECK_OK, NULL, NULL);
}

static void
test_selinux (CheckFixture *fixture, gconstpointer data)
{
  g_autofree char *package = NULL;
  g_autofree char *config_folder = NULL;
  g_autofree char *remedy = NULL;

  check_security (fixture->host, fixture->list);
  check_expect (fixture->list, "selinux", CHECK_OK, "not in use", NULL);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, CHECK_SELINUX_ENFORCE, "1", 0644));
  check_security (fixture->host, fixture->list);
  check_expect (fixture->list, "selinux", CHECK_OK, "enforcing, without", NULL);

  check_fixture_restart (fixture);
  package = check_fixture_write (fixture, CLOCKFERRY_SELINUX_PACKAGE_PATH, "", 0644);
  g_free (check_fixture_write (fixture, CLOCKFERRY_CONFIG_FILE, "[clockferry]\nPort=4711\n", 0644));
  config_folder = g_path_get_dirname (CLOCKFERRY_CONFIG_FILE);
  remedy =
    g_strdup_printf ("semodule -i %s && { semanage port -a -t clockferry_port_t -p tcp 4711 || "
                     "semanage port -m -t clockferry_port_t -p tcp 4711; } && "
                     "restorecon -R " CLOCKFERRY_DAEMON_PATH " " CLOCKFERRY_STATE_DIR " %s && "
                     "systemctl restart clockferryd",
                     package, config_folder);
  check_security (fixture->host, fixture->list);
  check_expect (fixture->list, "selinux", CHECK_WARNING, "not loaded", remedy);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (
    fixture, "/var/lib/selinux/targeted/active/modules/400/clockferry/cil", "", 0644));
  check_security (fixture->host, fixture->list);
  check_expect (fixture->list, "selinux", CHECK_OK, "enforcing, with", NULL);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, CHECK_SELINUX_ENFORCE, "0", 0644));
  check_security (fixture->host, fixture->list);
  check_expect (fixture->list, "selinux", CHECK_OK, "permissive, with", NULL);
}

/* storage */

static void
test_state_folder (CheckFixture *fixture, gconstpointer data)
{
  const struct passwd *user = getpwnam (CLOCKFERRY_USER);
  g_autofree char *folder = g_strconcat (fixture->root, CLOCKFERRY_STATE_DIR, NULL);
  g_autofree char *chmod_remedy = g_strdup_printf ("chmod 700 %s", folder);
  g_autofree char *chown_remedy = g_strdup_printf ("chown " CLOCKFERRY_USER ": %s", folder);

  check_storage (fixture->host, fixture->list);
  check_expect (fixture->list, "state-folder", CHECK_FAILURE, folder,
                "systemd-tmpfiles --create clockferry.conf");

  check_fixture_restart (fixture);
  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  check_storage (fixture->host, fixture->list);
  if (user != NULL && user->pw_uid != geteuid ()) {
    check_expect (fixture->list, "state-folder", CHECK_FAILURE, "belong", chown_remedy);
    return;
  }
  check_expect (fixture->list, "state-folder", CHECK_OK, "free", NULL);

  check_fixture_restart (fixture);
  g_assert_cmpint (g_chmod (folder, 0755), ==, 0);
  check_storage (fixture->host, fixture->list);
  check_expect (fixture->list, "state-folder", CHECK_WARNING, "755", chmod_remedy);
}

static void
test_journal (CheckFixture *fixture, gconstpointer data)
{
  const char *config = "/etc/systemd/journald.conf";
  const char *drop_in = "/etc/systemd/journald.conf.d/10-mine.conf";
  g_autofree char *folder = g_strconcat (fixture->root, "/var/log/journal", NULL);
  const CheckResult *result;

  g_free (check_fixture_write (fixture, config, "[Journal]\n#Storage=none\n", 0644));
  check_storage (fixture->host, fixture->list);
  check_expect (fixture->list, "journal", CHECK_WARNING, "is missing",
                "mkdir -p /var/log/journal && systemd-tmpfiles --create --prefix /var/log/journal "
                "&& journalctl --flush");

  check_fixture_restart (fixture);
  g_assert_cmpint (g_mkdir_with_parents (folder, 0755), ==, 0);
  check_storage (fixture->host, fixture->list);
  check_expect (fixture->list, "journal", CHECK_OK, NULL, NULL);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, drop_in, "[Journal]\nStorage=volatile\n", 0644));
  check_storage (fixture->host, fixture->list);
  result = check_expect_find (fixture->list, "journal");
  g_assert_cmpint (result->status, ==, CHECK_WARNING);
  g_assert_nonnull (strstr (result->finding, "volatile"));

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, drop_in, "[Journal]\nStorage=none\n", 0644));
  check_storage (fixture->host, fixture->list);
  result = check_expect_find (fixture->list, "journal");
  g_assert_cmpint (result->status, ==, CHECK_WARNING);
  g_assert_nonnull (strstr (result->finding, "none"));

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, drop_in, "[Journal]\nStorage=persistent\n", 0644));
  g_assert_cmpint (g_rmdir (folder), ==, 0);
  check_storage (fixture->host, fixture->list);
  check_expect (fixture->list, "journal", CHECK_OK, NULL, NULL);
}

/* the clock */

static void
test_clocksource (CheckFixture *fixture, gconstpointer data)
{
  const char *current = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
  const char *available = "/sys/devices/system/clocksource/clocksource0/available_clocksource";

  check_clock (fixture->host, fixture->list);
  check_expect (fixture->list, "clocksource", CHECK_WARNING, current, NULL);
  g_assert_nonnull (check_expect_find (fixture->list, "clock-synchronised"));

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, current, "tsc\n", 0644));
  g_free (check_fixture_write (fixture, available, "tsc hpet acpi_pm \n", 0644));
  check_clock (fixture->host, fixture->list);
  check_expect (fixture->list, "clocksource", CHECK_OK, "tsc", NULL);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, current, "hyperv_clocksource_tsc_page\n", 0644));
  check_clock (fixture->host, fixture->list);
  check_expect (fixture->list, "clocksource", CHECK_OK, "hyperv", NULL);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, current, "hpet\n", 0644));
  check_clock (fixture->host, fixture->list);
  check_expect (fixture->list, "clocksource", CHECK_WARNING, "hpet",
                "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource");

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, available, "hpet acpi_pm \n", 0644));
  check_clock (fixture->host, fixture->list);
  check_expect (fixture->list, "clocksource", CHECK_WARNING, "given the TSC up",
                "journalctl -k --grep='tsc|clocksource'");
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *path;
    void (*run) (CheckFixture *fixture, gconstpointer data);
  } cases[] = {
    { "/ctl-check-files/helper-file", test_helper_file },
    { "/ctl-check-files/helper-loads", test_helper_loads },
    { "/ctl-check-files/observer", test_observer },
    { "/ctl-check-files/apparmor", test_apparmor },
    { "/ctl-check-files/selinux", test_selinux },
    { "/ctl-check-files/state-folder", test_state_folder },
    { "/ctl-check-files/journal", test_journal },
    { "/ctl-check-files/clocksource", test_clocksource },
  };

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_test_add (cases[i].path, CheckFixture, NULL, check_fixture_set_up, cases[i].run,
                check_fixture_tear_down);
  return g_test_run ();
}
