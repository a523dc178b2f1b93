/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings.h"

#include <string.h>

#include "error.h"
#include "names.h"
#include "settings-value.h"

static const char *const mode_names[] = {
  [SETTINGS_MODE_APPLY] = "apply",
  [SETTINGS_MODE_OBSERVE] = "observe",
};

typedef struct {
  const char *key;
  const SettingKind *kind;
  gsize offset; /* of its field in Settings */
  gboolean is_reloadable;
  const char *fallback; /* by default; NULL: not set */
  const char *allowed;  /* completes "must be ..." */
} Setting;

#define FIELD(name) G_STRUCT_OFFSET (Settings, name)

/* In the order of the installed file. */
static const Setting settings_known[] = {
  { "Address", &setting_kind_host_name, FIELD (address), FALSE, NULL,
    "a host name or an IP address" },
  { "ListenAddress", &setting_kind_ip_address, FIELD (listen_address), FALSE, NULL,
    "an IP address" },
  { "Port", &setting_kind_port, FIELD (port), FALSE, G_STRINGIFY (CLOCKFERRY_DEFAULT_PORT),
    "a number from 1 to 65535" },
  { "HostClock", &setting_kind_host_clock, FIELD (host_clock), TRUE, "auto",
    "one of auto, trust, measure" },
  { "Mode", &setting_kind_mode, FIELD (mode), TRUE, "apply", "one of apply, observe" },
  { "MaxAdvanceSec", &setting_kind_advance, FIELD (max_advance_s), TRUE, "300",
    "a number of seconds from 1 to " G_STRINGIFY (SETTINGS_MAX_ADVANCE_LIMIT_S) },
  { "CertificateAuthority", &setting_kind_path, FIELD (certificate_authority), FALSE, NULL,
    "an absolute path" },
  { "Certificate", &setting_kind_path, FIELD (certificate), FALSE, NULL, "an absolute path" },
  { "PrivateKey", &setting_kind_path, FIELD (private_key), FALSE, NULL, "an absolute path" },
  { "AllowedPeers", &setting_kind_patterns, FIELD (allowed_peers), TRUE, NULL,
    "host names or IP addresses, * and ? allowed, with spaces or commas between" },
};

/* keys */

static const Setting *
find_setting (const char *key)
{
  for (gsize i = 0; i < G_N_ELEMENTS (settings_known); i++) {
    if (g_str_equal (settings_known[i].key, key))
      return &settings_known[i];
  }
  return NULL;
}

/* Letters to insert, drop or replace to get from @a to @b, upper and lower case being the same. */
static guint
count_edits (const char *a, const char *b)
{
  gsize columns = strlen (b) + 1;
  g_autofree guint *row = g_new (guint, columns);

  for (guint j = 0; j < columns; j++)
    row[j] = j;
  for (guint i = 0; a[i] != '\0'; i++) {
    guint diagonal = row[0];

    row[0] = i + 1;
    for (guint j = 1; j < columns; j++) {
      guint replaced = diagonal + (g_ascii_tolower (a[i]) != g_ascii_tolower (b[j - 1]));

      diagonal = row[j];
      row[j] = MIN (replaced, MIN (row[j], row[j - 1]) + 1);
    }
  }
  return row[columns - 1];
}

/* The key that @misspelt was meant for, or NULL: a longer one may have more mistakes. */
static const char *
guess_key (const char *misspelt)
{
  const char *nearest = NULL;
  guint fewest = (guint) MIN (strlen (misspelt) / 4 + 2, 4);

  for (gsize i = 0; i < G_N_ELEMENTS (settings_known); i++) {
    guint edits = count_edits (misspelt, settings_known[i].key);

    if (edits < fewest) {
      fewest = edits;
      nearest = settings_known[i].key;
    }
  }
  return nearest;
}

static void
set_unknown_key_error (GError **error, const SettingsAssignment *assignment)
{
  const char *guess = guess_key (assignment->key);

  if (guess != NULL)
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING,
                 "%s:%u: there is no setting %s; did you mean %s?", assignment->path,
                 assignment->line, assignment->key, guess);
  else
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING,
                 "%s:%u: there is no setting %s", assignment->path, assignment->line,
                 assignment->key);
}

/* values */

static char *
get_text (const Settings *settings, const Setting *setting)
{
  return setting->kind->format ((const guint8 *) settings + setting->offset);
}

static gboolean
set_text (Settings *settings, const Setting *setting, const char *text)
{
  return setting->kind->parse ((guint8 *) settings + setting->offset, text);
}

static void
clear (Settings *settings, const Setting *setting)
{
  if (setting->kind->clear != NULL)
    setting->kind->clear ((guint8 *) settings + setting->offset);
}

/* Assign what @from has; another one's text was parsed before. */
static void
copy (Settings *settings, const Settings *from, const Setting *setting)
{
  g_autofree char *text = get_text (from, setting);

  if (text != NULL)
    set_text (settings, setting, text);
  else
    clear (settings, setting);
}

static gboolean
differs (const Settings *a, const Settings *b, const Setting *setting)
{
  g_autofree char *a_text = get_text (a, setting);
  g_autofree char *b_text = get_text (b, setting);

  return g_strcmp0 (a_text, b_text) != 0;
}

/* loading */

static gboolean
assign (Settings *settings, const SettingsAssignment *assignment, GError **error)
{
  const Setting *setting = find_setting (assignment->key);

  if (setting == NULL) {
    set_unknown_key_error (error, assignment);
    return FALSE;
  }
  if (!set_text (settings, setting, assignment->value)) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING,
                 "%s:%u: %s=%s: must be %s", assignment->path, assignment->line, assignment->key,
                 assignment->value, setting->allowed);
    return FALSE;
  }
  return TRUE;
}

/* One key wants another, wherever both would be: say it of the line that has the one. */
static gboolean
check_needed (const Settings *settings, const char *key, const char *needed, GError **error)
{
  g_autoptr (GPtrArray) places = settings_list_assignments (settings, key);
  g_autofree char *text = settings_get_text (settings, needed);
  const SettingsAssignment *place;

  if (places->len == 0 || text != NULL)
    return TRUE;
  place = g_ptr_array_index (places, places->len - 1);
  g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING,
               "%s:%u: %s= needs %s= too", place->path, place->line, key, needed);
  return FALSE;
}

static gboolean
check_together (const Settings *settings, GError **error)
{
  return check_needed (settings, "CertificateAuthority", "Certificate", error) &&
         check_needed (settings, "CertificateAuthority", "PrivateKey", error) &&
         check_needed (settings, "Certificate", "CertificateAuthority", error) &&
         check_needed (settings, "PrivateKey", "CertificateAuthority", error) &&
         check_needed (settings, "AllowedPeers", "CertificateAuthority", error);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The drop-ins of @directory in the order they are read; empty when there is no such folder. */
static GPtrArray *
list_drop_ins (const char *directory, GError **error)
{
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GDir) dir = g_dir_open (directory, 0, &local_error);
  const char *name;

  if (dir == NULL) {
    if (g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
      return g_steal_pointer (&paths);
    g_propagate_error (error, g_steal_pointer (&local_error));
    return NULL;
  }
  while ((name = g_dir_read_name (dir)) != NULL) {
    if (g_str_has_suffix (name, ".conf"))
      g_ptr_array_add (paths, g_build_filename (directory, name, NULL));
  }
  g_ptr_array_sort (paths, compare_names);
  return g_steal_pointer (&paths);
}

/* Every assignment of the main file and its drop-ins, in order. */
static GPtrArray *
read_files (const char *path, GError **error)
{
  g_autoptr (GPtrArray)
    assignments = g_ptr_array_new_with_free_func ((GDestroyNotify) settings_assignment_free);
  g_autofree char *drop_in_dir = g_strconcat (path, ".d", NULL);
  g_autoptr (GPtrArray) drop_ins = list_drop_ins (drop_in_dir, error);
  g_autoptr (GError) local_error = NULL;

  if (drop_ins == NULL)
    return NULL;
  if (!settings_file_read (path, assignments, &local_error) &&
      !g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
    g_propagate_error (error, g_steal_pointer (&local_error));
    return NULL;
  }
  for (guint i = 0; i < drop_ins->len; i++) {
    if (!settings_file_read (g_ptr_array_index (drop_ins, i), assignments, error))
      return NULL;
  }
  return g_steal_pointer (&assignments);
}

/* public functions */

const char *
settings_mode_name (SettingsMode mode)
{
  g_return_val_if_fail ((guint) mode < G_N_ELEMENTS (mode_names), "unknown");
  return mode_names[mode];
}

gboolean
settings_mode_parse (const char *name, SettingsMode *mode)
{
  for (guint i = 0; i < G_N_ELEMENTS (mode_names); i++) {
    if (g_str_equal (name, mode_names[i])) {
      *mode = (SettingsMode) i;
      return TRUE;
    }
  }
  return FALSE;
}

void
settings_free (Settings *settings)
{
  for (gsize i = 0; i < G_N_ELEMENTS (settings_known); i++)
    clear (settings, &settings_known[i]);
  g_clear_pointer (&settings->assignments, g_ptr_array_unref);
  g_free (settings->path);
  g_free (settings);
}

Settings *
settings_load (const char *path, GError **error)
{
  g_autoptr (Settings) settings = g_new0 (Settings, 1);

  settings->path = g_strdup (path);
  for (gsize i = 0; i < G_N_ELEMENTS (settings_known); i++) {
    const Setting *setting = &settings_known[i];
    gboolean is_good = setting->fallback == NULL || set_text (settings, setting, setting->fallback);

    g_assert (is_good);
  }
  settings->assignments = read_files (path, error);
  if (settings->assignments == NULL)
    return NULL;
  for (guint i = 0; i < settings->assignments->len; i++) {
    if (!assign (settings, g_ptr_array_index (settings->assignments, i), error))
      return NULL;
  }
  if (!check_together (settings, error))
    return NULL;
  return g_steal_pointer (&settings);
}

GStrv
settings_reload (Settings *settings, GError **error)
{
  g_autoptr (Settings) loaded = settings_load (settings->path, error);
  g_autoptr (GStrvBuilder) waiting = g_strv_builder_new ();
  gboolean has_other_authority;

  if (loaded == NULL)
    return NULL;
  has_other_authority =
    g_strcmp0 (loaded->certificate_authority, settings->certificate_authority) != 0;
  for (gsize i = 0; i < G_N_ELEMENTS (settings_known); i++) {
    const Setting *setting = &settings_known[i];
    gboolean waits_for_authority = setting->offset == FIELD (allowed_peers) && has_other_authority;

    if (!differs (settings, loaded, setting))
      continue;
    if (setting->is_reloadable && !waits_for_authority)
      copy (settings, loaded, setting);
    else
      g_strv_builder_add (waiting, setting->key);
  }
  return g_strv_builder_end (waiting);
}

const char *
settings_nth_key (guint index)
{
  return index < G_N_ELEMENTS (settings_known) ? settings_known[index].key : NULL;
}

gboolean
settings_key_is_reloadable (const char *key)
{
  const Setting *setting = find_setting (key);

  g_return_val_if_fail (setting != NULL, FALSE);
  return setting->is_reloadable;
}

char *
settings_get_text (const Settings *settings, const char *key)
{
  const Setting *setting = find_setting (key);

  g_return_val_if_fail (setting != NULL, NULL);
  return get_text (settings, setting);
}

GPtrArray *
settings_list_assignments (const Settings *settings, const char *key)
{
  GPtrArray *found = g_ptr_array_new ();

  for (guint i = 0; i < settings->assignments->len; i++) {
    SettingsAssignment *assignment = g_ptr_array_index (settings->assignments, i);

    if (g_str_equal (assignment->key, key))
      g_ptr_array_add (found, assignment);
  }
  return found;
}
