/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settings - a configuration file with drop-ins, loaded at start and taken over by a reload
 *
 * A line "--- NAME" of the input begins the drop-in NAME.conf; what is before the first is the main
 * file. What is accepted is within its documented range, and survives being written down again.
 */
#include <errno.h>
#include <string.h>

#include <glib/gstdio.h>

#include "error.h"
#include "fuzz-target.h"
#include "settings.h"

#define MAIN_FILE "clockferry.conf"
#define SEPARATOR "--- "
/* More say nothing more. */
#define DROP_INS_MAX 4
/* Of the names of drop-ins, which are file names of the administrator's and not under test. */
#define NAME_CHARACTERS G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_"

/* files */

static void
clear_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *file = g_build_filename (path, name, NULL);

    g_assert_cmpint (g_remove (file), ==, 0);
  }
}

/* The line that begins a drop-in, at or after @at; NULL after the last one. */
static const char *
find_separator (const char *begin, const char *at, const char *end)
{
  for (; (at = memmem (at, (gsize) (end - at), SEPARATOR, strlen (SEPARATOR))) != NULL; at++) {
    if (at == begin || at[-1] == '\n')
      return at;
  }
  return NULL;
}

/* Returns: what comes after the line with the name. */
static const char *
take_name (const char *at, const char *end, char **name)
{
  const char *newline = memchr (at, '\n', (gsize) (end - at));
  const char *end_of_name = newline != NULL ? newline : end;
  g_autofree char *given = NULL;

  at += strlen (SEPARATOR);
  given = g_strndup (at, (gsize) (end_of_name - at));
  g_strcanon (given, NAME_CHARACTERS, '_');
  *name = g_strdup_printf ("%.32s.conf", given);
  return newline != NULL ? newline + 1 : end;
}

static void
write_files (const char *folder, const char *drop_in_folder, const uint8_t *data, size_t size)
{
  const char *begin = (const char *) data;
  const char *end = begin + size;
  const char *next = find_separator (begin, begin, end);

  clear_folder (drop_in_folder);
  fuzz_write_file (folder, MAIN_FILE, begin, (gsize) ((next != NULL ? next : end) - begin));
  for (guint i = 0; i < DROP_INS_MAX && next != NULL; i++) {
    g_autofree char *name = NULL;
    const char *text = take_name (next, end, &name);

    next = find_separator (begin, text, end);
    fuzz_write_file (drop_in_folder, name, text, (gsize) ((next != NULL ? next : end) - text));
  }
}

/* promises */

static void
check_together (const Settings *settings)
{
  gboolean has_authority = settings->certificate_authority != NULL;

  g_assert_true ((settings->certificate != NULL) == has_authority);
  g_assert_true ((settings->private_key != NULL) == has_authority);
  g_assert_true (settings->allowed_peers == NULL || has_authority);
}

static void
check_ranges (const Settings *settings)
{
  g_autoptr (GInetAddress) address = NULL;
  const char *const paths[] = { settings->certificate_authority, settings->certificate,
                                settings->private_key };

  g_assert_cmpuint (settings->port, >=, 1);
  g_assert_cmpuint (settings->max_advance_s, >=, 1);
  g_assert_cmpuint (settings->max_advance_s, <=, SETTINGS_MAX_ADVANCE_LIMIT_S);
  g_assert_cmpuint (settings->mode, <=, SETTINGS_MODE_OBSERVE);
  g_assert_cmpuint (settings->host_clock, <=, HOST_CLOCK_MEASURE);
  g_assert_true (settings->address == NULL || *settings->address != '\0');
  if (settings->listen_address != NULL) {
    address = g_inet_address_new_from_string (settings->listen_address);
    g_assert_nonnull (address);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    g_assert_true (paths[i] == NULL || g_path_is_absolute (paths[i]));
  g_assert_true (settings->allowed_peers == NULL || settings->allowed_peers[0] != NULL);
}

static void
check_assignments (const Settings *settings)
{
  for (guint i = 0; settings_nth_key (i) != NULL; i++) {
    g_autoptr (GPtrArray) places = settings_list_assignments (settings, settings_nth_key (i));
    g_autofree char *text = settings_get_text (settings, settings_nth_key (i));

    g_assert_true (places->len == 0 || text != NULL);
    for (guint j = 0; j < places->len; j++) {
      const SettingsAssignment *place = g_ptr_array_index (places, j);

      g_assert_cmpuint (place->line, >=, 1);
      g_assert_true (g_str_has_suffix (place->path, ".conf"));
    }
  }
}

/* What is in force, as `clockferryctl config --show` prints it. Owned by the caller. */
static char *
write_down (const Settings *settings)
{
  GString *text = g_string_new ("[clockferry]\n");

  for (guint i = 0; settings_nth_key (i) != NULL; i++) {
    g_autofree char *value = settings_get_text (settings, settings_nth_key (i));

    g_assert_true (value == NULL || g_utf8_validate (value, -1, NULL));
    if (value != NULL)
      g_string_append_printf (text, "%s=%s\n", settings_nth_key (i), value);
  }
  return g_string_free (text, FALSE);
}

static void
check_survives (const Settings *settings)
{
  g_autofree char *text = write_down (settings);
  g_autofree char *path = g_build_filename (fuzz_folder (), "again.conf", NULL);
  g_autofree char *again_text = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (Settings) again = NULL;

  fuzz_write_file (fuzz_folder (), "again.conf", text, strlen (text));
  again = settings_load (path, &error);
  g_assert_no_error (error);
  again_text = write_down (again);
  g_assert_cmpstr (text, ==, again_text);
}

/* A refusal names the file, in words that a journal and a bus can hold. */
static void
check_refusal (const GError *error)
{
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING);
  g_assert_true (g_str_has_prefix (error->message, fuzz_folder ()));
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_null (strchr (error->message, '\n'));
}

/* A daemon that runs with the defaults reads the files anew. */
static void
check_reload (const char *path, Settings *loaded)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Settings) running = settings_load ("/nonexistent/clockferry.conf", &error);
  g_auto (GStrv) waiting = NULL;

  g_assert_no_error (error);
  g_free (running->path);
  running->path = g_strdup (path);
  waiting = settings_reload (running, &error);
  g_assert_true ((waiting != NULL) == (loaded != NULL));
  for (guint i = 0; loaded != NULL && settings_nth_key (i) != NULL; i++) {
    const char *key = settings_nth_key (i);
    g_autofree char *wanted = settings_get_text (loaded, key);
    g_autofree char *got = settings_get_text (running, key);

    /* what is in the files is in force, or waits for a restart */
    g_assert_true ((g_strcmp0 (wanted, got) == 0) !=
                   g_strv_contains ((const char *const *) waiting, key));
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *path = g_build_filename (fuzz_folder (), MAIN_FILE, NULL);
  g_autofree char *drop_in_folder = g_strconcat (path, ".d", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (Settings) settings = NULL;

  fuzz_begin ();
  g_assert_true (g_mkdir (drop_in_folder, 0700) == 0 || errno == EEXIST);
  write_files (fuzz_folder (), drop_in_folder, data, size);
  settings = settings_load (path, &error);
  if (settings == NULL) {
    check_refusal (error);
  } else {
    check_together (settings);
    check_ranges (settings);
    check_assignments (settings);
    check_survives (settings);
  }
  check_reload (path, settings);
  return 0;
}
