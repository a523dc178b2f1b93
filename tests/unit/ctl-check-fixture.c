/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl-check-fixture.h"

#include <glib/gstdio.h>

#include "build-config.h"
#include "ctl-check-expect.h"
#include "temp-folder.h"

static void
forget (CheckFixture *fixture)
{
  check_expect_commands (fixture->list);
  check_list_free (fixture->list);
  check_host_free (fixture->host);
}

/* public functions */

void
check_fixture_set_up (CheckFixture *fixture, gconstpointer data)
{
  fixture->root = temp_folder_make ();
  fixture->host = check_host_new_for_test (fixture->root, fixture->client);
  fixture->list = check_list_new (NULL, NULL);
}

void
check_fixture_tear_down (CheckFixture *fixture, gconstpointer data)
{
  forget (fixture);
  temp_folder_remove (fixture->root);
}

void
check_fixture_restart (CheckFixture *fixture)
{
  forget (fixture);
  fixture->host = check_host_new_for_test (fixture->root, fixture->client);
  fixture->list = check_list_new (NULL, NULL);
}

char *
check_fixture_write (CheckFixture *fixture, const char *path, const char *text, int mode)
{
  char *file = temp_folder_write (fixture->root, path + 1, text);

  g_assert_cmpint (g_chmod (file, mode), ==, 0);
  return file;
}

void
check_fixture_load_settings (CheckFixture *fixture)
{
  g_autofree char *path = check_host_path (fixture->host, CLOCKFERRY_CONFIG_FILE);
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&fixture->host->settings, settings_free);
  fixture->host->settings = settings_load (path, &error);
  g_assert_no_error (error);
}
