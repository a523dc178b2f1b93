/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings.h"

#include <string.h>

#include "error.h"
#include "names.h"

#define SETTINGS_GROUP "clockferry"

/* Of host names, of addresses, and of patterns for them. */
#define PEER_CHARACTERS G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-._:*?"

static const char *const mode_names[] = {
  [SETTINGS_MODE_APPLY] = "apply",
  [SETTINGS_MODE_OBSERVE] = "observe",
};

typedef gboolean (*SettingParser) (Settings *settings, const char *value);

typedef struct {
  const char *key;
  SettingParser parse;
  const char *allowed; /* completes "must be ..." */
} Setting;

/* value parsers */

static gboolean
parse_bounded (const char *value, guint64 min, guint64 max, guint64 *out)
{
  return g_ascii_string_to_unsigned (value, 10, min, max, out, NULL);
}

static gboolean
parse_host_name (const char *value, char **out)
{
  if (*value == '\0' || strpbrk (value, " \t<>&'\"/") != NULL)
    return FALSE;
  g_free (*out);
  *out = g_strdup (value);
  return TRUE;
}

static gboolean
parse_address (Settings *settings, const char *value)
{
  return parse_host_name (value, &settings->address);
}

static gboolean
parse_listen_address (Settings *settings, const char *value)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (value);

  return address != NULL && parse_host_name (value, &settings->listen_address);
}

static gboolean
parse_port (Settings *settings, const char *value)
{
  guint64 port = 0;

  if (!parse_bounded (value, 1, G_MAXUINT16, &port))
    return FALSE;
  settings->port = (guint16) port;
  return TRUE;
}

static gboolean
parse_host_clock (Settings *settings, const char *value)
{
  return host_clock_mode_parse (value, &settings->host_clock);
}

static gboolean
parse_mode (Settings *settings, const char *value)
{
  return settings_mode_parse (value, &settings->mode);
}

static gboolean
parse_max_advance (Settings *settings, const char *value)
{
  guint64 seconds = 0;

  if (!parse_bounded (value, 1, SETTINGS_MAX_ADVANCE_LIMIT_S, &seconds))
    return FALSE;
  settings->max_advance_s = (guint) seconds;
  return TRUE;
}

static gboolean
parse_path (const char *value, char **out)
{
  if (!g_path_is_absolute (value))
    return FALSE;
  g_free (*out);
  *out = g_strdup (value);
  return TRUE;
}

static gboolean
parse_certificate_authority (Settings *settings, const char *value)
{
  return parse_path (value, &settings->certificate_authority);
}

static gboolean
parse_certificate (Settings *settings, const char *value)
{
  return parse_path (value, &settings->certificate);
}

static gboolean
parse_private_key (Settings *settings, const char *value)
{
  return parse_path (value, &settings->private_key);
}

static gboolean
parse_allowed_peers (Settings *settings, const char *value)
{
  g_auto (GStrv) words = g_strsplit_set (value, " \t,", -1);
  g_autoptr (GStrvBuilder) peers = g_strv_builder_new ();
  gboolean is_empty = TRUE;

  for (guint i = 0; words[i] != NULL; i++) {
    if (words[i][0] == '\0')
      continue;
    if (words[i][strspn (words[i], PEER_CHARACTERS)] != '\0')
      return FALSE;
    g_strv_builder_add (peers, words[i]);
    is_empty = FALSE;
  }
  /* nobody, or anybody? */
  if (is_empty)
    return FALSE;
  g_strfreev (settings->allowed_peers);
  settings->allowed_peers = g_strv_builder_end (peers);
  return TRUE;
}

static const Setting settings_known[] = {
  { "Address", parse_address, "a host name or an IP address" },
  { "ListenAddress", parse_listen_address, "an IP address" },
  { "Port", parse_port, "a number from 1 to 65535" },
  { "HostClock", parse_host_clock, "one of auto, trust, measure" },
  { "Mode", parse_mode, "one of apply, observe" },
  { "MaxAdvanceSec", parse_max_advance,
    "a number of seconds from 1 to " G_STRINGIFY (SETTINGS_MAX_ADVANCE_LIMIT_S) },
  { "CertificateAuthority", parse_certificate_authority, "an absolute path" },
  { "Certificate", parse_certificate, "an absolute path" },
  { "PrivateKey", parse_private_key, "an absolute path" },
  { "AllowedPeers", parse_allowed_peers,
    "host names or IP addresses, * and ? allowed, with spaces or commas between" },
};

/* reading one file */

/* GKeyFile keeps no line numbers. Of several lines that begin with @start, followed by one of @ends,
 * the last is the one to name: the last assignment of a key is the one that counts. */
static guint
find_line (const char *text, const char *start, const char *ends)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  gsize length = strlen (start);
  guint found = 0;

  for (guint i = 0; lines[i] != NULL; i++) {
    const char *line = g_strchug (lines[i]);

    if (strncmp (line, start, length) == 0 && line[length] != '\0' &&
        strchr (ends, line[length]) != NULL)
      found = i + 1;
  }
  return found;
}

static const Setting *
find_setting (const char *key)
{
  for (gsize i = 0; i < G_N_ELEMENTS (settings_known); i++) {
    if (g_str_equal (settings_known[i].key, key))
      return &settings_known[i];
  }
  return NULL;
}

static gboolean
read_key (Settings *settings, GKeyFile *file, const char *key, GError **error)
{
  const Setting *setting = find_setting (key);
  g_autofree char *value = NULL;

  if (setting == NULL) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING,
                 "there is no setting %s", key);
    return FALSE;
  }
  value = g_key_file_get_value (file, SETTINGS_GROUP, key, error);
  if (value == NULL)
    return FALSE;
  if (!setting->parse (settings, g_strstrip (value))) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING, "%s=%s: must be %s",
                 key, value, setting->allowed);
    return FALSE;
  }
  return TRUE;
}

static gboolean
check_groups (GKeyFile *file, const char *path, const char *text, GError **error)
{
  g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);

  for (guint i = 0; groups[i] != NULL; i++) {
    g_autofree char *start = g_strconcat ("[", groups[i], NULL);

    if (g_str_equal (groups[i], SETTINGS_GROUP))
      continue;
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING,
                 "%s:%u: there is no section [%s], only [" SETTINGS_GROUP "]", path,
                 find_line (text, start, "]"), groups[i]);
    return FALSE;
  }
  return TRUE;
}

static gboolean
read_file (Settings *settings, const char *path, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) syntax_error = NULL;
  g_autofree char *text = NULL;
  g_auto (GStrv) keys = NULL;
  gsize length = 0;

  if (!g_file_get_contents (path, &text, &length, error))
    return FALSE;
  if (length == 0)
    return TRUE;
  /* else GKeyFile drops keys like Port[de] without a word */
  if (!g_key_file_load_from_data (file, text, length, G_KEY_FILE_KEEP_TRANSLATIONS,
                                  &syntax_error)) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING, "%s: %s", path,
                 syntax_error->message);
    return FALSE;
  }
  if (!check_groups (file, path, text, error))
    return FALSE;

  keys = g_key_file_get_keys (file, SETTINGS_GROUP, NULL, NULL);
  for (guint i = 0; keys != NULL && keys[i] != NULL; i++) {
    if (!read_key (settings, file, keys[i], error)) {
      g_prefix_error (error, "%s:%u: ", path, find_line (text, keys[i], "= \t"));
      return FALSE;
    }
  }
  return TRUE;
}

/* What one key wants of others, in whatever file those may be. */
static gboolean
check_together (const Settings *settings, const char *path, GError **error)
{
  gboolean has_authority = settings->certificate_authority != NULL;
  const struct {
    const char *key;
    gboolean is_set;
    gboolean is_needed; /* by CertificateAuthority=; each needs that */
  } keys[] = {
    { "Certificate", settings->certificate != NULL, TRUE },
    { "PrivateKey", settings->private_key != NULL, TRUE },
    { "AllowedPeers", settings->allowed_peers != NULL, FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++) {
    if (has_authority && keys[i].is_needed && !keys[i].is_set) {
      g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING,
                   "%s: CertificateAuthority= needs %s= too", path, keys[i].key);
      return FALSE;
    }
    if (!has_authority && keys[i].is_set) {
      g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING,
                   "%s: %s= needs CertificateAuthority= too", path, keys[i].key);
      return FALSE;
    }
  }
  return TRUE;
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
  g_free (settings->address);
  g_free (settings->listen_address);
  g_free (settings->certificate_authority);
  g_free (settings->certificate);
  g_free (settings->private_key);
  g_strfreev (settings->allowed_peers);
  g_free (settings);
}

Settings *
settings_load (const char *path, GError **error)
{
  g_autoptr (Settings) settings = g_new0 (Settings, 1);
  g_autofree char *drop_in_dir = g_strconcat (path, ".d", NULL);
  g_autoptr (GPtrArray) drop_ins = list_drop_ins (drop_in_dir, error);

  settings->port = CLOCKFERRY_DEFAULT_PORT;
  settings->host_clock = HOST_CLOCK_AUTO;
  settings->mode = SETTINGS_MODE_APPLY;
  settings->max_advance_s = 300;

  if (drop_ins == NULL)
    return NULL;
  if (g_file_test (path, G_FILE_TEST_EXISTS) && !read_file (settings, path, error))
    return NULL;
  for (guint i = 0; i < drop_ins->len; i++) {
    if (!read_file (settings, g_ptr_array_index (drop_ins, i), error))
      return NULL;
  }
  if (!check_together (settings, path, error))
    return NULL;
  return g_steal_pointer (&settings);
}
