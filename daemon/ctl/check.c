/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n.h>
#include <stdio.h>
#include <unistd.h>

#include "build-config.h"
#include "check-host.h"
#include "check-peer.h"
#include "commands.h"
#include "ctl-error.h"
#include "domain-check.h"
#include "output.h"

#define NAME "check"

/* How a result's status is said, and how it looks. */
static const struct {
  const char *word; /* not translated yet */
  OutputStyle style;
} statuses[] = {
  /* TRANSLATORS: the three results of a check, in a column of their own; short */
  [CHECK_OK] = { N_ ("ok"), OUTPUT_GOOD },
  [CHECK_WARNING] = { N_ ("warning"), OUTPUT_WARNING },
  [CHECK_FAILURE] = { N_ ("FAILURE"), OUTPUT_BAD },
};

typedef struct {
  const CtlContext *context;
  gboolean has_progress; /* on a line of stderr that is wiped again */
  guint word_width;      /* of the widest word for a status */
  guint counts[G_N_ELEMENTS (statuses)];
} Report;

/* printing */

static void
report_init (Report *report, const CtlContext *context)
{
  *report = (Report){
    .context = context,
    .has_progress = isatty (STDERR_FILENO) == 1 && g_strcmp0 (g_getenv ("TERM"), "dumb") != 0,
  };
  for (gsize i = 0; i < G_N_ELEMENTS (statuses); i++)
    report->word_width = MAX (report->word_width, output_width (_ (statuses[i].word)));
}

static void
wipe_progress (const Report *report)
{
  if (report->has_progress)
    g_printerr ("\r\033[K");
}

static void
on_begun (const char *subject, gpointer user_data)
{
  const Report *report = user_data;

  if (!report->has_progress)
    return;
  wipe_progress (report);
  /* TRANSLATORS: progress; %s is what is being looked at */
  g_printerr (_ ("looking at %s…"), subject);
}

static void
on_found (const CheckResult *result, gpointer user_data)
{
  Report *report = user_data;
  const CtlContext *context = report->context;
  const char *word = _ (statuses[result->status].word);
  g_autofree char *subject = output_clean (result->subject);
  g_autofree char *finding = output_clean (result->finding);

  wipe_progress (report);
  report->counts[result->status]++;
  if (context->is_json)
    return;
  g_print ("%s%s%s%*s  %s: %s\n", output_style (context, statuses[result->status].style), word,
           output_style (context, OUTPUT_PLAIN), (int) (report->word_width - output_width (word)),
           "", subject, finding);
  if (result->remedy != NULL) {
    g_autofree char *remedy = output_clean (result->remedy);

    /* TRANSLATORS: before a command line that mends what the line above says */
    g_print ("%*s  %s %s%s%s\n", (int) report->word_width, "", _ ("mend it:"),
             output_style (context, OUTPUT_BOLD), remedy, output_style (context, OUTPUT_PLAIN));
  }
}

static const CheckCallbacks callbacks = { .begun = on_begun, .found = on_found };

/* Members "checks" and "status" of an object that has been begun. */
static void
add_checks (JsonBuilder *builder, const CheckList *list)
{
  const GPtrArray *results = check_list_get_results (list);

  json_builder_set_member_name (builder, "checks");
  json_builder_begin_array (builder);
  for (guint i = 0; i < results->len; i++) {
    const CheckResult *result = g_ptr_array_index (results, i);

    json_builder_begin_object (builder);
    output_json_text (builder, "id", result->id);
    output_json_text (builder, "status", check_status_name (result->status));
    output_json_text (builder, "subject", result->subject);
    output_json_text (builder, "finding", result->finding);
    output_json_text (builder, "remedy", result->remedy);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
  output_json_text (builder, "status", check_status_name (check_list_get_status (list)));
}

static void
print_json (JsonBuilder *builder)
{
  json_builder_end_object (builder);
  output_json (json_builder_get_root (builder));
}

/* The exit status of a check is its own: 0, 1, 2. */
static int
exit_status (const CheckList *list)
{
  return (int) check_list_get_status (list);
}

/* this host */

static int
check_this_host (const CtlContext *context)
{
  g_autoptr (CheckHost) host = check_host_new ();
  g_autoptr (CheckList) list = NULL;
  g_autoptr (JsonBuilder) builder = NULL;
  Report report;

  report_init (&report, context);
  list = check_list_new (&callbacks, &report);
  check_whole_host (host, list);
  wipe_progress (&report);
  if (context->is_json) {
    builder = json_builder_new ();
    json_builder_begin_object (builder);
    add_checks (builder, list);
    print_json (builder);
  } else {
    g_print ("\n");
    g_print (_ ("ok: %u, warnings: %u, failures: %u\n"), report.counts[CHECK_OK],
             report.counts[CHECK_WARNING], report.counts[CHECK_FAILURE]);
  }
  return exit_status (list);
}

/* a domain */

static int
check_domain (const CtlContext *context, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusConnection) bus = g_bus_get_sync (G_BUS_TYPE_SYSTEM, NULL, &error);
  g_autoptr (DomainCheck) check = NULL;
  g_autoptr (CheckList) list = NULL;
  g_autoptr (JsonBuilder) builder = NULL;
  g_autofree char *sentence = NULL;
  g_autofree char *clean = NULL;
  DomainVerdict verdict;
  Report report;

  if (bus == NULL)
    return command_fail (NAME, CHECK_FAILURE,
                         _ ("cannot connect to the system bus: %s; see "
                            "systemctl status dbus"),
                         error->message);
  g_dbus_connection_set_exit_on_close (bus, FALSE);
  check = domain_check_new (bus, name, &error);
  if (check == NULL)
    return command_fail (NAME, CHECK_FAILURE, "%s", error->message);

  report_init (&report, context);
  list = check_list_new (&callbacks, &report);
  verdict = domain_check_judge (check, list);
  wipe_progress (&report);
  sentence = domain_check_describe (check, verdict, list);
  if (context->is_json) {
    builder = json_builder_new ();
    json_builder_begin_object (builder);
    output_json_text (builder, "domain", check->facts->uuid);
    output_json_text (builder, "domain_name", check->facts->name);
    output_json_bool (builder, "running", check->facts->is_running);
    output_json_text (builder, "next_migration", domain_verdict_name (verdict));
    output_json_text (builder, "summary", sentence);
    add_checks (builder, list);
    print_json (builder);
  } else {
    clean = output_clean (sentence);
    g_print ("\n%s\n", clean);
  }
  return exit_status (list);
}

/* a peer */

static void
add_peer (JsonBuilder *builder, const PeerCheckResult *result, gboolean is_measured)
{
  json_builder_set_member_name (builder, "peer");
  json_builder_begin_object (builder);
  output_json_text (builder, "address", result->address);
  output_json_number (builder, "port", result->port != 0, result->port);
  output_json_text (builder, "pin", result->pin);
  output_json_text (builder, "domain_name", result->domain);
  output_json_number (builder, "round_trip_ns", is_measured, (gint64) result->round_trip_ns);
  output_json_number (builder, "theta_ns", is_measured, result->theta_ns);
  output_json_number (builder, "theta_bound_ns", is_measured, (gint64) result->theta_bound_ns);
  json_builder_set_member_name (builder, "synchronised");
  if (is_measured)
    json_builder_add_boolean_value (builder, result->is_synchronised);
  else
    json_builder_add_null_value (builder);
  output_json_number (builder, "max_error_us", is_measured, (gint64) result->max_error_us);
  json_builder_end_object (builder);
}

static int
check_peer (const CtlContext *context, const char *peer)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Settings) settings = settings_load (CLOCKFERRY_CONFIG_FILE, &error);
  g_auto (PeerCheckResult) result = { 0 };
  g_autoptr (CheckList) list = NULL;
  g_autoptr (JsonBuilder) builder = NULL;
  gboolean is_reached;
  Report report;

  if (settings == NULL)
    return command_fail (NAME, CHECK_FAILURE, "%s", error->message);
  report_init (&report, context);
  list = check_list_new (&callbacks, &report);
  on_begun (peer, &report);
  is_reached = peer_check_run (peer, settings, &result, &error);
  wipe_progress (&report);
  if (is_reached) {
    check_peer_judge (peer, &result, list);
  } else {
    check_list_begin (list, "peer-connection", _ ("connection"));
    check_list_fail (list, NULL, "%s", error->message);
  }
  wipe_progress (&report);
  if (context->is_json) {
    builder = json_builder_new ();
    json_builder_begin_object (builder);
    add_peer (builder, &result, is_reached && result.problem == NULL);
    add_checks (builder, list);
    print_json (builder);
  }
  return exit_status (list);
}

/* public functions */

int
check_run (const CtlContext *context, int argc, char **argv)
{
  g_autofree char *peer = NULL;
  const GOptionEntry entries[] = {
    { "peer", 0, 0, G_OPTION_ARG_STRING, &peer,
      N_ ("Try the way to another host, and compare its clock with this one's"), N_ ("HOST|URI") },
    { NULL },
  };

  if (!command_parse (NAME, _ ("[DOMAIN]"), entries, &argc, &argv, 0, 1))
    return CTL_EXIT_USAGE;
  if (peer != NULL && argc > 1)
    return command_fail (
      NAME, CTL_EXIT_USAGE,
      _ ("--peer and a domain do not go together; see clockferryctl check --help"));
  if (argc > 1 && !g_utf8_validate (argv[1], -1, NULL))
    return command_fail (NAME, CTL_EXIT_USAGE,
                         _ ("the name of a domain is UTF-8, and what was given is not; "
                            "clockferryctl list shows those that run"));
  if (peer != NULL)
    return check_peer (context, peer);
  return argc > 1 ? check_domain (context, argv[1]) : check_this_host (context);
}
