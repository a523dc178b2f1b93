/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n.h>

#include "bus-client.h"
#include "commands.h"
#include "ctl-error.h"
#include "output.h"

#define NAME "list"

enum { COLUMN_NEXT = 3 };

/* What becomes of a domain's clocks at its next migration away from here. */
typedef enum {
  NEXT_FIXED,
  NEXT_OBSERVED,
  NEXT_STOCK,
  NEXT_EMULATED, /* QEMU keeps its clocks itself */
} NextMigration;

static const struct {
  const char *name; /* in JSON as well */
  OutputStyle style;
} next_words[] = {
  [NEXT_FIXED] = { "fixed", OUTPUT_GOOD },
  [NEXT_OBSERVED] = { "observed", OUTPUT_PLAIN },
  [NEXT_STOCK] = { "stock", OUTPUT_WARNING },
  [NEXT_EMULATED] = { "emulated", OUTPUT_PLAIN },
};

static gboolean
is_observed (BusDomain *domain)
{
  g_auto (GStrv) terms = g_strsplit (bus_domain_get_policy (domain), " ", -1);

  return g_strv_contains ((const char *const *) terms, "mode=observe");
}

static NextMigration
foresee (BusDomain *domain)
{
  if (bus_domain_get_emulated (domain))
    return NEXT_EMULATED;
  if (!bus_domain_get_ready (domain))
    return NEXT_STOCK;
  return is_observed (domain) ? NEXT_OBSERVED : NEXT_FIXED;
}

/* Why it is not "fixed", or what else is to be known; owned by the caller. */
static char *
explain (BusDomain *domain)
{
  const char *policy_problem = bus_domain_get_policy_problem (domain);

  if (bus_domain_get_emulated (domain))
    return g_strdup (_ ("not of type kvm: QEMU keeps its clocks itself"));
  if (!bus_domain_get_ready (domain))
    return g_strdup (bus_domain_get_problem (domain));
  if (*policy_problem != '\0')
    return g_strdup_printf (_ ("its policy is ignored: %s"), policy_problem);
  if (is_observed (domain))
    return g_strdup (_ ("by its policy"));
  return NULL;
}

static void
print_table (const CtlContext *context, const GPtrArray *domains)
{
  const char *const headings[] = {
    _ ("DOMAIN"),
    _ ("UUID"),
    _ ("PHASE"),
    /* TRANSLATORS: what becomes of the domain's clocks at its next migration */
    _ ("NEXT MIGRATION"),
    /* TRANSLATORS: why; or anything else that is to be known */
    _ ("REMARK"),
    NULL,
  };
  g_autoptr (Table) table = table_new (headings);

  for (guint i = 0; i < domains->len; i++) {
    BusDomain *domain = g_ptr_array_index (domains, i);
    NextMigration next = foresee (domain);
    g_autofree char *remark = explain (domain);

    table_add_row (table, bus_domain_get_name (domain), bus_domain_get_uuid (domain),
                   bus_domain_get_phase (domain), next_words[next].name, remark);
    table_style_cell (table, COLUMN_NEXT, next_words[next].style);
  }
  table_print (table, context);
}

static void
print_json (const GPtrArray *domains)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();

  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "domains");
  json_builder_begin_array (builder);
  for (guint i = 0; i < domains->len; i++) {
    BusDomain *domain = g_ptr_array_index (domains, i);

    json_builder_begin_object (builder);
    output_json_text (builder, "domain", bus_domain_get_uuid (domain));
    output_json_text (builder, "domain_name", bus_domain_get_name (domain));
    output_json_text (builder, "phase", bus_domain_get_phase (domain));
    output_json_text (builder, "next_migration", next_words[foresee (domain)].name);
    output_json_bool (builder, "emulated", bus_domain_get_emulated (domain));
    output_json_bool (builder, "ready", bus_domain_get_ready (domain));
    output_json_text (builder, "problem", bus_domain_get_problem (domain));
    output_json_bool (builder, "helper_connected", bus_domain_get_helper_connected (domain));
    output_json_text (builder, "policy", bus_domain_get_policy (domain));
    output_json_text (builder, "policy_problem", bus_domain_get_policy_problem (domain));
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
  json_builder_end_object (builder);
  output_json (json_builder_get_root (builder));
}

/* public functions */

int
list_run (const CtlContext *context, int argc, char **argv)
{
  g_autoptr (BusClient) client = NULL;
  g_autoptr (GPtrArray) domains = NULL;
  g_autoptr (GError) error = NULL;

  if (!command_parse (NAME, NULL, NULL, &argc, &argv, 0, 0))
    return CTL_EXIT_USAGE;
  client = bus_client_new (&error);
  if (client == NULL)
    return ctl_error_report (NAME, error);
  domains = bus_client_list_domains (client);

  if (context->is_json)
    print_json (domains);
  else if (domains->len == 0)
    g_printerr ("%s\n", bus_manager_get_libvirt_connected (bus_client_get_manager (client))
                          ? _ ("No domain runs here.")
                          : _ ("No domain is known: libvirt is not followed; see clockferryctl "
                               "status."));
  else
    print_table (context, domains);
  return CTL_EXIT_OK;
}
