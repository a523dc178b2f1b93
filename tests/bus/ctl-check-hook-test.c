/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said of the hook: its file, its program, others, and whether libvirt's daemon knows of it.
 */
#include "check-host.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "ctl-check-bus.h"
#include "ctl-check-expect.h"
#include "ctl-check-fixture.h"
#include "ctl-config.h"

#define HOUR_US (G_GINT64_CONSTANT (3600) * G_USEC_PER_SEC)

#define HOOK_TEXT                                                                                  \
  "#!/bin/sh\n"                                                                                    \
  "# clockferryctl enable puts this file here, and replaces it: changes to it are lost.\n"

static void
test_hook_seen (CheckFixture *fixture, gconstpointer data)
{
  gint64 now_us = g_get_real_time ();

  g_free (check_fixture_write (fixture, CLOCKFERRY_HOOK_MASTER_PATH, HOOK_TEXT, 0644));
  g_free (check_fixture_write (fixture, CLOCKFERRY_HOOK_PATH, HOOK_TEXT, 0755));
  check_hook (fixture->host, fixture->list);
  check_expect (fixture->list, "hook-file", CHECK_OK, CLOCKFERRY_HOOK_PATH, NULL);
  check_expect (fixture->list, "hook-seen", CHECK_OK, "when it is started", NULL);

  check_fixture_restart (fixture);
  check_bus_set_unit (fixture->bus, "libvirtd.service", "loaded", "active", "enabled", "success",
                      now_us - HOUR_US);
  check_hook (fixture->host, fixture->list);
  check_expect (fixture->list, "hook-seen", CHECK_WARNING, "libvirtd.service",
                "systemctl reload libvirtd.service");

  /* reloaded, or restarted */
  check_fixture_restart (fixture);
  check_bus_set_unit (fixture->bus, "libvirtd.service", "loaded", "active", "enabled", "success",
                      now_us + HOUR_US);
  check_hook (fixture->host, fixture->list);
  check_expect (fixture->list, "hook-seen", CHECK_OK, NULL, NULL);

  /* both run: each has to know */
  check_fixture_restart (fixture);
  check_bus_set_unit (fixture->bus, "virtqemud.service", "loaded", "active", "enabled", "success",
                      now_us - HOUR_US);
  check_hook (fixture->host, fixture->list);
  check_expect (fixture->list, "hook-seen", CHECK_WARNING, "virtqemud.service",
                "systemctl reload virtqemud.service");
}

static void
test_hook_states (CheckFixture *fixture, gconstpointer data)
{
  g_autofree char *copy = g_strconcat (CLOCKFERRY_HOOK_PATH, ".dpkg-old", NULL);
  g_autofree char *folder = g_path_get_dirname (CLOCKFERRY_HOOK_PATH);
  g_autofree char *other = g_strconcat (folder, "/10-mine", NULL);
  g_autofree char *idle = g_strconcat (folder, "/20-idle", NULL);
  g_autofree char *remedy = NULL;

  g_free (check_fixture_write (fixture, CLOCKFERRY_HOOK_MASTER_PATH, HOOK_TEXT, 0644));
  check_hook (fixture->host, fixture->list);
  check_expect (fixture->list, "hook-file", CHECK_FAILURE, "not in place", "clockferryctl enable");
  check_expect (fixture->list, "hook-others", CHECK_OK, "none", NULL);
  check_expect_none (fixture->list, "hook-seen");
  g_assert_cmpint (check_expect_find (fixture->list, "hook-program")->status, ==, CHECK_FAILURE);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, CLOCKFERRY_HOOK_PATH, HOOK_TEXT, 0644));
  check_hook (fixture->host, fixture->list);
  check_expect (fixture->list, "hook-file", CHECK_FAILURE, "not executable",
                "clockferryctl enable");

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, CLOCKFERRY_HOOK_PATH, HOOK_TEXT, 0777));
  check_hook (fixture->host, fixture->list);
  check_expect (fixture->list, "hook-file", CHECK_FAILURE, "others", "clockferryctl enable");

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, CLOCKFERRY_HOOK_PATH, HOOK_TEXT "# more\n", 0755));
  g_free (check_fixture_write (fixture, other, "#!/bin/sh\n", 0755));
  g_free (check_fixture_write (fixture, idle, "#!/bin/sh\n", 0644));
  check_hook (fixture->host, fixture->list);
  check_expect (fixture->list, "hook-file", CHECK_WARNING, "changed", "clockferryctl enable");
  check_expect (fixture->list, "hook-others", CHECK_OK, "1 run by libvirt, 1 not executable", NULL);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, CLOCKFERRY_HOOK_PATH, "#!/bin/sh\n", 0755));
  g_free (check_fixture_write (fixture, copy, HOOK_TEXT, 0755));
  check_hook (fixture->host, fixture->list);
  g_assert_cmpint (check_expect_find (fixture->list, "hook-file")->status, ==, CHECK_FAILURE);
  remedy = g_strdup_printf ("rm %s%s", fixture->root, copy);
  check_expect (fixture->list, "hook-others", CHECK_WARNING, ".dpkg-old", remedy);

  /* the name alone makes it nobody's */
  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, copy, "#!/bin/sh\n", 0755));
  check_hook (fixture->host, fixture->list);
  check_expect (fixture->list, "hook-others", CHECK_OK, "2 run by libvirt, 1 not executable", NULL);
}

/* As /etc/libvirt is to those who are not root, where it is root's own. */
static void
test_hook_hidden (CheckFixture *fixture, gconstpointer data)
{
  gboolean is_root = geteuid () == 0;

  g_free (check_fixture_write (fixture, CLOCKFERRY_HOOK_PATH, HOOK_TEXT, 0755));
  fixture->host->is_root = FALSE;
  g_assert_cmpint (g_chmod (fixture->root, 0), ==, 0);
  if (is_root)
    g_assert_cmpint (seteuid (65534), ==, 0);
  check_hook (fixture->host, fixture->list);
  if (is_root)
    g_assert_cmpint (seteuid (0), ==, 0);
  g_assert_cmpint (g_chmod (fixture->root, 0700), ==, 0);
  check_list_finish (fixture->list, "true");
  check_expect_none (fixture->list, "hook-file");
  check_expect_none (fixture->list, "hook-others");
  check_expect (fixture->list, "not-root", CHECK_WARNING, "other hooks", "true");
}

static void
test_hook_program (CheckFixture *fixture, gconstpointer data)
{
  g_free (check_fixture_write (fixture, CLOCKFERRY_HOOK_PROGRAM_PATH,
                               "#!/bin/sh\necho \"<x>" CLOCKFERRY_HELPER_SONAME "</x>\"\n", 0755));
  check_hook (fixture->host, fixture->list);
  check_expect (fixture->list, "hook-program", CHECK_OK, NULL, NULL);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, CLOCKFERRY_HOOK_PROGRAM_PATH, "#!/bin/sh\n", 0755));
  check_hook (fixture->host, fixture->list);
  check_expect (fixture->list, "hook-program", CHECK_FAILURE, "does not find", NULL);

  check_fixture_restart (fixture);
  g_free (check_fixture_write (fixture, CLOCKFERRY_HOOK_PROGRAM_PATH,
                               "#!/bin/sh\necho oh no >&2; exit 1\n", 0755));
  check_hook (fixture->host, fixture->list);
  check_expect (fixture->list, "hook-program", CHECK_FAILURE, "oh no", NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/ctl-check-hook/seen", CheckFixture, NULL, check_bus_set_up, test_hook_seen,
              check_bus_tear_down);
  g_test_add ("/ctl-check-hook/states", CheckFixture, NULL, check_bus_set_up, test_hook_states,
              check_bus_tear_down);
  g_test_add ("/ctl-check-hook/hidden", CheckFixture, NULL, check_bus_set_up, test_hook_hidden,
              check_bus_tear_down);
  g_test_add ("/ctl-check-hook/program", CheckFixture, NULL, check_bus_set_up, test_hook_program,
              check_bus_tear_down);
  return g_test_run ();
}
