/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n.h>

#include "commands.h"
#include "ctl-error.h"
#include "migration-history.h"
#include "migration-json.h"
#include "migration-words.h"
#include "output.h"
#include "reason-words.h"

#define NAME      "show"
#define NS_PER_S  G_GUINT64_CONSTANT (1000000000)
#define NS_PER_US 1000

/* values */

/* To the ns: "83421.123456789 s"; owned by the caller. */
static char *
format_exact (gint64 ns)
{
  /* of G_MININT64 as well */
  guint64 magnitude = ns < 0 ? -(guint64) ns : (guint64) ns;

  return g_strdup_printf ("%s%" G_GUINT64_FORMAT ".%09" G_GUINT64_FORMAT " s", ns < 0 ? "-" : "",
                          magnitude / NS_PER_S, magnitude % NS_PER_S);
}

/* Print @field of @record, a number of nanoseconds, if it is known. */
static void
print_ns (const CtlContext *context, const MigrationRecord *record, const char *label,
          const char *field, char *(*format) (gint64 ns))
{
  g_autofree char *text = NULL;
  gint64 ns = 0;

  if (!migration_record_get_int (record, field, &ns))
    return;
  text = format (ns);
  output_field (context, label, OUTPUT_PLAIN, text);
}

/* groups */

static void
print_who (const CtlContext *context, const MigrationRecord *record)
{
  const char *name = migration_record_get (record, "DOMAIN_NAME");
  g_autofree char *way = migration_words_way (record);
  g_autofree char *time = output_time (migration_record_get_time (record));
  g_autofree char *age = output_age (migration_record_get_time (record));
  g_autofree char *when = g_strdup_printf ("%s, %s", time, age);
  g_autofree char *heading = g_strdup_printf (_ ("Migration %s"), record->id);

  output_heading (context, heading);
  output_field (context, _ ("Domain"), OUTPUT_PLAIN, name);
  output_field (context, _ ("UUID"), OUTPUT_PLAIN, migration_record_get (record, "DOMAIN"));
  output_field (context, _ ("Way"), OUTPUT_PLAIN, way);
  output_field (context, record->end != NULL ? _ ("Ended") : _ ("Last event"), OUTPUT_PLAIN, when);
}

static void
print_reason (const CtlContext *context, const MigrationRecord *record)
{
  const char *reason = migration_record_get (record, "REASON");
  const char *step = migration_record_get (record, "STEP");
  ReasonWords words = { 0 };

  if (step != NULL)
    output_field (context, _ ("Step"), OUTPUT_PLAIN, step);
  if (reason == NULL)
    return;
  output_field (context, _ ("Reason"), OUTPUT_PLAIN, reason);
  if (reason_words_find (reason, &words))
    output_field (context, "", OUTPUT_PLAIN, words.meaning);
  else if (g_str_equal (migration_record_get_result (record), "unknown"))
    words.advice = reason_words_advise_unknown ();
  else
    words.advice = reason_words_advise_step (step);
  if (words.advice != NULL)
    output_field (context, _ ("What to do"), OUTPUT_PLAIN, words.advice);
}

static void
print_result (const CtlContext *context, const MigrationRecord *record)
{
  const char *mode = migration_record_get (record, "MODE");
  const char *policy = migration_record_get (record, "POLICY");
  gint64 failed_errno = 0;

  output_field (context, _ ("Result"), migration_words_style (record),
                migration_record_get_result (record));
  output_field (context, "", OUTPUT_PLAIN, migration_words_result (record));
  print_reason (context, record);
  if (migration_record_get_int (record, "ERRNO", &failed_errno))
    output_field (context, _ ("System's error"), OUTPUT_PLAIN, g_strerror ((int) failed_errno));
  if (migration_record_get (record, "UNDO") != NULL)
    output_field (context, _ ("Undo"), OUTPUT_BAD,
                  _ ("failed: something had been written and could not be taken back"));
  if (mode != NULL)
    output_field (context, _ ("Mode"), OUTPUT_PLAIN, mode);
  if (policy != NULL)
    output_field (context, _ ("Domain's policy"), OUTPUT_PLAIN, policy);
}

static void
print_source (const CtlContext *context, const MigrationRecord *record)
{
  const char *source = migration_record_get (record, "SOURCE");

  if (g_strcmp0 (source, "observed") == 0)
    /* TRANSLATORS: the label of what the source says of the guest's clocks */
    output_field (context, _ ("Record"), OUTPUT_PLAIN,
                  _ ("by the observer, as there was no helper in the source's QEMU"));
  else if (source != NULL)
    output_field (context, _ ("Record"), OUTPUT_PLAIN, _ ("by the helper in the source's QEMU"));
}

static void
print_theta (const CtlContext *context, const MigrationRecord *record)
{
  g_autofree char *text = NULL;
  gint64 theta_ns = 0, bound_ns = 0;
  g_autofree char *distance = NULL;
  g_autofree char *bound = NULL;
  gboolean is_trusted = g_strcmp0 (migration_record_get (record, "THETA_USED"), "trusted") == 0;

  if (!migration_record_get_int (record, "THETA_NS", &theta_ns))
    return;
  distance = output_difference (theta_ns);
  if (migration_record_get_bound (record, &bound_ns))
    bound = output_duration (bound_ns);
  if (bound == NULL)
    text = g_strdup_printf (
      /* TRANSLATORS: %s is a time with its sign */
      _ ("destination minus source: %s, trusted; nobody knows how exactly"), distance);
  else if (is_trusted)
    text = g_strdup_printf (
      /* TRANSLATORS: times, the first with its sign */
      _ ("destination minus source: %s, within ± %s, trusted"), distance, bound);
  else
    text = g_strdup_printf (
      /* TRANSLATORS: times, the first with its sign */
      _ ("destination minus source: %s, within ± %s, measured"), distance, bound);
  /* TRANSLATORS: how far the two hosts' clocks are apart */
  output_field (context, _ ("Hosts' clocks"), OUTPUT_PLAIN, text);
}

/* What the fix-up cost. */
static void
print_spent (const CtlContext *context, const MigrationRecord *record)
{
  gint64 spent_ns = 0, waited_ns = 0;
  g_autofree char *spent = NULL;
  g_autofree char *waited = NULL;
  g_autofree char *text = NULL;

  if (!migration_record_get_int (record, "SPENT_NS", &spent_ns) ||
      !migration_record_get_int (record, "WAITED_NS", &waited_ns))
    return;
  spent = output_duration (spent_ns);
  waited = output_duration (waited_ns);
  /* TRANSLATORS: two times; what was waited for is the record of the source */
  text = g_strdup_printf (_ ("%s in KVM_SET_CLOCK, waiting %s of it"), spent, waited);
  /* TRANSLATORS: the time that something took */
  output_field (context, _ ("Took"), OUTPUT_PLAIN, text);
}

/* Of struct kvm_clock_data. */
static void
print_kvm_flags (const CtlContext *context, const MigrationRecord *record)
{
  static const struct {
    gint64 flag;
    const char *name;
  } names[] = { { 2, "TSC_STABLE" }, { 4, "REALTIME" }, { 8, "HOST_TSC" } };
  g_autoptr (GString) text = g_string_new (NULL);
  gint64 flags = 0;

  if (!migration_record_get_int (record, "KVM_FLAGS", &flags))
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    if ((flags & names[i].flag) != 0)
      g_string_append_printf (text, "%s%s", text->len > 0 ? " " : "", names[i].name);
  }
  output_field (context, _ ("KVM's flags"), OUTPUT_PLAIN, text->str);
}

static void
print_tsc (const CtlContext *context, const MigrationRecord *record)
{
  const char *relation = migration_record_get (record, "OFFSETS_RELATION");
  gint64 freq_khz = 0;
  g_autofree char *freq = NULL;

  if (migration_record_get_int (record, "FREQ_KHZ", &freq_khz)) {
    freq = g_strdup_printf ("%" G_GINT64_FORMAT " kHz", freq_khz);
    output_field (context, _ ("Guest's TSC"), OUTPUT_PLAIN, freq);
  }
  if (g_strcmp0 (relation, "joined") == 0)
    output_field (context, _ ("TSC offsets"), OUTPUT_PLAIN,
                  _ ("joined: they differed by less than a second and were made equal"));
  else if (g_strcmp0 (relation, "apart") == 0)
    output_field (context, _ ("TSC offsets"), OUTPUT_PLAIN,
                  _ ("apart: they differed by a second or more and were kept so"));
}

static void
print_times (const CtlContext *context, const MigrationRecord *record)
{
  gint64 blackout_ns = 0;
  g_autofree char *blackout = NULL;

  if (migration_record_get_blackout (record, &blackout_ns))
    blackout = output_duration (blackout_ns);
  output_field (context, _ ("Blackout"), OUTPUT_PLAIN,
                blackout != NULL ? blackout : _ ("not known"));
  /* TRANSLATORS: the time that was credited to the guest */
  print_ns (context, record, _ ("Advance"), "ADVANCE_NS", output_duration);
  /* TRANSLATORS: how far the guest's clock then was from where it should be */
  print_ns (context, record, _ ("Residual"), "RESIDUAL_NS", output_difference);
  print_theta (context, record);
  print_spent (context, record);
  if (migration_record_get (record, "ATTEMPTS") != NULL)
    output_field (context, _ ("Attempts"), OUTPUT_PLAIN, migration_record_get (record, "ATTEMPTS"));
}

/* One clock on both hosts. @shift_ns is taken off what has passed. */
static void
add_clock (Table *table, const MigrationRecord *record, const char *label, const char *source,
           const char *destination, gint64 shift_ns)
{
  gint64 source_ns = 0, dest_ns = 0, passed_ns = 0;
  gboolean has_dest = migration_record_get_int (record, destination, &dest_ns) && dest_ns != 0;
  g_autofree char *source_text = NULL;
  g_autofree char *dest_text = NULL;
  g_autofree char *passed = NULL;

  if (!migration_record_get_int (record, source, &source_ns))
    return;
  source_text = format_exact (source_ns);
  if (has_dest) {
    dest_text = format_exact (dest_ns);
    if (!__builtin_sub_overflow (dest_ns, source_ns, &passed_ns) &&
        !__builtin_sub_overflow (passed_ns, shift_ns, &passed_ns))
      passed = format_exact (passed_ns);
  }
  table_add_row (table, label, source_text, dest_text, passed);
}

static char *
format_ticks (const MigrationRecord *record, const char *field)
{
  const char *ticks = migration_record_get (record, field);

  return ticks != NULL && !g_str_equal (ticks, "0") ? g_strdup (ticks) : NULL;
}

static void
print_clocks (const CtlContext *context, const MigrationRecord *record)
{
  const char *const headings[] = {
    _ ("CLOCK"),
    _ ("SOURCE"),
    _ ("DESTINATION"),
    /* TRANSLATORS: how much time has passed */
    _ ("PASSED"),
    NULL,
  };
  g_autoptr (Table) table = table_new (headings);
  g_autofree char *tsc_src = format_ticks (record, "TSC_SRC_TICKS");
  g_autofree char *tsc_dest = format_ticks (record, "TSC_DEST_TICKS");
  gint64 theta_ns = 0;

  if (tsc_src == NULL)
    return;
  migration_record_get_int (record, "THETA_NS", &theta_ns);
  add_clock (table, record, "kvmclock", "GUEST_SRC_NS", "GUEST_DEST_NS", 0);
  /* its two readings are of two hosts, which are theta apart */
  add_clock (table, record, "CLOCK_REALTIME", "HOST_SRC_NS", "HOST_DEST_NS", theta_ns);
  table_add_row (table, _ ("host's TSC, ticks"), tsc_src, tsc_dest, NULL);
  g_print ("\n");
  table_print (table, context);
}

static void
print_offsets (const CtlContext *context, const MigrationRecord *record)
{
  const char *const headings[] = {
    _ ("VCPU"), _ ("TSC OFFSET ON THE SOURCE"), _ ("DESTINATION BEFORE"), _ ("DESTINATION AFTER"),
    NULL,
  };
  g_autoptr (GArray) offsets = migration_offsets_parse (migration_record_get (record, "OFFSETS"));
  g_autoptr (Table) table = table_new (headings);

  if (offsets->len == 0)
    return;
  for (guint i = 0; i < offsets->len; i++) {
    const VcpuOffsets *vcpu = &g_array_index (offsets, VcpuOffsets, i);
    g_autofree char *id = g_strdup_printf ("%u", vcpu->vcpu);
    g_autofree char *source = g_strdup_printf ("%" G_GINT64_FORMAT, vcpu->source_ticks);
    g_autofree char *before = g_strdup_printf ("%" G_GINT64_FORMAT, vcpu->before_ticks);
    g_autofree char *after = g_strdup_printf ("%" G_GINT64_FORMAT, vcpu->after_ticks);

    table_add_row (table, id, vcpu->has_source ? source : NULL, before, after);
  }
  g_print ("\n");
  table_print (table, context);
}

static void
print_events (const CtlContext *context, const MigrationRecord *record)
{
  const char *const headings[] = {
    _ ("TIME"),
    /* TRANSLATORS: the time since the first event */
    _ ("SINCE BEGIN"),
    _ ("EVENT"),
    _ ("MESSAGE"),
    NULL,
  };
  g_autoptr (Table) table = table_new (headings);
  const MigrationEvent *first = g_ptr_array_index (record->events, 0);

  for (guint i = 0; i < record->events->len; i++) {
    const MigrationEvent *event = g_ptr_array_index (record->events, i);
    g_autofree char *time = output_time (event->realtime_us);
    g_autofree char *since =
      output_difference ((event->realtime_us - first->realtime_us) * NS_PER_US);

    table_add_row (table, time, since, (const char *) g_hash_table_lookup (event->fields, "EVENT"),
                   (const char *) g_hash_table_lookup (event->fields, "MESSAGE"));
  }
  g_print ("\n");
  table_print (table, context);
}

static void
print_record (const CtlContext *context, const MigrationRecord *record)
{
  print_who (context, record);
  print_result (context, record);
  print_source (context, record);
  if (record->is_arriving) {
    print_times (context, record);
    print_kvm_flags (context, record);
    print_tsc (context, record);
  }
  print_clocks (context, record);
  print_offsets (context, record);
  print_events (context, record);
}

/* output */

static void
print_text (const CtlContext *context, const GPtrArray *records)
{
  for (guint i = 0; i < records->len; i++) {
    if (i > 0)
      g_print ("\n");
    print_record (context, g_ptr_array_index (records, i));
  }
}

/* public functions */

int
show_run (const CtlContext *context, int argc, char **argv)
{
  g_autofree char *journal_path = NULL;
  const GOptionEntry entries[] = {
    { "journal", 'j', 0, G_OPTION_ARG_FILENAME, &journal_path,
      N_ ("Read this journal: a file, or a folder of files"), N_ ("PATH") },
    { NULL },
  };
  g_autoptr (sd_journal) journal = NULL;
  g_autoptr (GPtrArray) records = NULL;
  g_autoptr (GError) error = NULL;

  /* TRANSLATORS: what names a migration: its id, or the word "last", which is not translated */
  if (!command_parse (NAME, _ ("ID|last"), entries, &argc, &argv, 1, 1))
    return CTL_EXIT_USAGE;
  journal = journal_open (journal_path, &error);
  if (journal != NULL)
    records = migration_history_find (journal, argv[1], &error);
  if (records == NULL)
    return ctl_error_report (NAME, error);

  if (context->is_json)
    migration_json_print (records, migration_json_add_whole);
  else
    print_text (context, records);
  return CTL_EXIT_OK;
}
