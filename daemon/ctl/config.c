/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n.h>

#include "build-config.h"
#include "bus-client.h"
#include "commands.h"
#include "ctl-error.h"
#include "output.h"
#include "settings.h"

#define NAME "config"

/* What goes for a key that is not set. */
typedef struct {
  const char *key;
  const char *meaning; /* not translated yet */
} Unset;

static const Unset unset_keys[] = {
  /* TRANSLATORS: in place of a setting's value: listen at every address of this host */
  { "ListenAddress", N_ ("(every address)") },
  /* TRANSLATORS: in place of a setting's value: which certificate authority, certificate or key */
  { "CertificateAuthority", N_ ("(none)") },
  { "Certificate", N_ ("(made by the daemon)") },
  { "PrivateKey", N_ ("(made by the daemon)") },
  /* TRANSLATORS: in place of a setting's value: which other hosts are let in */
  { "AllowedPeers", N_ ("(every host)") },
};

/* values */

/* The value that a daemon would run with; NULL where not being set says it all. Owned by the caller. */
static char *
get_value (const Settings *settings, const char *key)
{
  char *value = settings_get_text (settings, key);

  return value == NULL && g_str_equal (key, "Address") ? g_strdup (g_get_host_name ()) : value;
}

static const char *
get_unset_meaning (const char *key)
{
  for (gsize i = 0; i < G_N_ELEMENTS (unset_keys); i++) {
    if (g_str_equal (unset_keys[i].key, key))
      return _ (unset_keys[i].meaning);
  }
  return NULL;
}

/* the running daemon */

/* What it says of a key; NULL where it does not. Owned by the caller. */
static char *
get_running_value (BusManager *manager, const char *key)
{
  if (g_str_equal (key, "Address"))
    return bus_manager_dup_address (manager);
  if (g_str_equal (key, "Mode"))
    return bus_manager_dup_mode (manager);
  if (g_str_equal (key, "HostClock"))
    return bus_manager_dup_host_clock (manager);
  if (g_str_equal (key, "Port"))
    return g_strdup_printf ("%u", (guint) bus_manager_get_port (manager));
  if (g_str_equal (key, "MaxAdvanceSec"))
    return g_strdup_printf ("%u", bus_manager_get_max_advance_sec (manager));
  return NULL;
}

/* The value that the daemon runs with in place of that of @settings; NULL if it is the same, or not
 * known. Owned by the caller. */
static char *
find_difference (BusClient *client, const Settings *settings, const char *key)
{
  g_autofree char *running =
    client != NULL ? get_running_value (bus_client_get_manager (client), key) : NULL;
  g_autofree char *value = get_value (settings, key);

  return running != NULL && g_strcmp0 (running, value) != 0 ? g_steal_pointer (&running) : NULL;
}

static const char *
get_remedy (const char *key)
{
  return settings_key_is_reloadable (key) ? "systemctl reload clockferryd"
                                          : "systemctl restart clockferryd";
}

/* for people */

static void
add_row (Table *table, const Settings *settings, const char *key)
{
  g_autoptr (GPtrArray) places = settings_list_assignments (settings, key);
  g_autofree char *value = get_value (settings, key);
  g_autofree char *place = NULL;

  if (places->len > 0) {
    const SettingsAssignment *last = g_ptr_array_index (places, places->len - 1);

    place = g_strdup_printf ("%s:%u", last->path, last->line);
  }
  table_add_row (table, key, value != NULL ? value : get_unset_meaning (key),
                 /* TRANSLATORS: no file sets it */
                 place != NULL ? place : _ ("default"));
}

static void
print_differences (const CtlContext *context, BusClient *client, const Settings *settings)
{
  const char *key;

  for (guint i = 0; (key = settings_nth_key (i)) != NULL; i++) {
    g_autofree char *running = find_difference (client, settings, key);

    if (running == NULL)
      continue;
    g_print ("%s", output_style (context, OUTPUT_WARNING));
    /* TRANSLATORS: a key and its value, "Mode=apply"; then a command to type */
    g_print (_ ("The daemon still runs with %s=%s. Put the files in force: %s"), key, running,
             get_remedy (key));
    g_print ("%s\n", output_style (context, OUTPUT_PLAIN));
  }
}

static void
print_table (const CtlContext *context, BusClient *client, const Settings *settings)
{
  const char *const headings[] = {
    /* TRANSLATORS: headings of a table */
    _ ("SETTING"),
    _ ("VALUE"),
    /* TRANSLATORS: file and line, or "default" */
    _ ("SET IN"),
    NULL,
  };
  g_autoptr (Table) table = table_new (headings);
  const char *key;

  for (guint i = 0; (key = settings_nth_key (i)) != NULL; i++)
    add_row (table, settings, key);
  table_print (table, context);
  print_differences (context, client, settings);
}

/* for programs */

/* @place: NULL for none. */
static void
add_place (JsonBuilder *builder, const SettingsAssignment *place)
{
  output_json_text (builder, "file", place != NULL ? place->path : NULL);
  output_json_number (builder, "line", place != NULL, place != NULL ? place->line : 0);
}

static void
add_setting (JsonBuilder *builder, BusClient *client, const Settings *settings, const char *key)
{
  g_autoptr (GPtrArray) places = settings_list_assignments (settings, key);
  g_autofree char *value = get_value (settings, key);
  g_autofree char *running = find_difference (client, settings, key);

  json_builder_begin_object (builder);
  output_json_text (builder, "name", key);
  output_json_text (builder, "value", value);
  output_json_text (builder, "origin", places->len > 0 ? "file" : "default");
  add_place (builder, places->len > 0 ? g_ptr_array_index (places, places->len - 1) : NULL);
  json_builder_set_member_name (builder, "overridden");
  json_builder_begin_array (builder);
  for (guint i = 0; i + 1 < places->len; i++) {
    const SettingsAssignment *place = g_ptr_array_index (places, i);

    json_builder_begin_object (builder);
    output_json_text (builder, "value", place->value);
    add_place (builder, place);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
  output_json_text (builder, "running_value", running);
  output_json_text (builder, "takes", settings_key_is_reloadable (key) ? "reload" : "restart");
  json_builder_end_object (builder);
}

static void
print_json (BusClient *client, const Settings *settings)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  const char *key;

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "settings");
  json_builder_begin_array (builder);
  for (guint i = 0; (key = settings_nth_key (i)) != NULL; i++)
    add_setting (builder, client, settings, key);
  json_builder_end_array (builder);
  output_json_bool (builder, "daemon_answers", client != NULL);
  json_builder_end_object (builder);
  output_json (json_builder_get_root (builder));
}

/* public functions */

int
config_run (const CtlContext *context, int argc, char **argv)
{
  g_autofree char *path = NULL;
  gboolean is_shown = FALSE;
  const GOptionEntry entries[] = {
    { "show", 's', 0, G_OPTION_ARG_NONE, &is_shown,
      N_ ("Show each setting and the file and line that sets it"), NULL },
    { "config", 'c', 0, G_OPTION_ARG_FILENAME, &path, N_ ("Read this file and its drop-ins"),
      N_ ("FILE") },
    { NULL },
  };
  g_autoptr (Settings) settings = NULL;
  g_autoptr (BusClient) client = NULL;
  g_autoptr (GError) error = NULL;

  if (!command_parse (NAME, NULL, entries, &argc, &argv, 0, 0))
    return CTL_EXIT_USAGE;
  if (!is_shown)
    return command_fail (NAME, CTL_EXIT_USAGE,
                         _ ("nothing to do; clockferryctl config --show shows the settings"));
  if (path != NULL && !g_file_test (path, G_FILE_TEST_EXISTS))
    return command_fail (NAME, CTL_EXIT_FAILURE, _ ("there is no file “%s”"), path);
  settings = settings_load (path != NULL ? path : CLOCKFERRY_CONFIG_FILE, &error);
  if (settings == NULL)
    return command_fail (NAME, CTL_EXIT_FAILURE, "%s", error->message);

  /* one that does not run, or may not be asked, is no reason not to show the files */
  client = bus_client_new (NULL);
  if (context->is_json)
    print_json (client, settings);
  else
    print_table (context, client, settings);
  return CTL_EXIT_OK;
}
