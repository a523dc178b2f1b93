/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "arrival-report.h"

static const struct clock_record *
get_record (const ArrivalFixup *fixup)
{
  return fixup->record != NULL ? g_bytes_get_data (fixup->record, NULL) : NULL;
}

/* "id:source:before:after" of each vCPU, in signed ticks; "-" where the source had no such vCPU. */
static char *
format_offsets (const struct helper_report *report, const struct clock_record *record)
{
  GString *text = g_string_new (NULL);

  for (guint32 i = 0; i < report->vcpu_count; i++) {
    const struct helper_report_vcpu *vcpu = &report->vcpus[i];
    const struct clock_record_vcpu *source =
      record != NULL ? clock_record_find_vcpu (record, vcpu->id) : NULL;

    g_string_append_printf (text, "%s%u:", i > 0 ? " " : "", vcpu->id);
    if (source != NULL)
      g_string_append_printf (text, "%" G_GINT64_FORMAT, (gint64) source->ofs_ticks);
    else
      g_string_append_c (text, '-');
    g_string_append_printf (text, ":%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT,
                            (gint64) vcpu->ofs_before_ticks, (gint64) vcpu->ofs_dest_ticks);
  }
  return g_string_free (text, FALSE);
}

static const char *
describe_distrust (ClockDistrust distrust)
{
  switch (distrust) {
  case CLOCK_DISTRUST_SOURCE_UNSYNCHRONISED:
    return "the source's kernel does not call its clock synchronised";
  case CLOCK_DISTRUST_DESTINATION_UNSYNCHRONISED:
    return "this host's kernel does not call its clock synchronised";
  case CLOCK_DISTRUST_BOTH_UNSYNCHRONISED:
    return "neither kernel calls its clock synchronised";
  case CLOCK_DISTRUST_APART:
    return "both kernels call their clocks synchronised, and yet they lie apart by more than the "
           "measurement can be off";
  case CLOCK_DISTRUST_NONE:
    break;
  }
  g_return_val_if_reached ("unknown");
}

static void
add_end (EventEntry *entry, const char *verdict, const char *step, const char *reason)
{
  event_entry_add (entry, "CLOCKFERRY_VERDICT", verdict);
  event_entry_add (entry, "CLOCKFERRY_STEP", step);
  event_entry_add (entry, "CLOCKFERRY_REASON", reason);
}

/* public functions */

void
arrival_fixup_clear (ArrivalFixup *fixup)
{
  g_clear_pointer (&fixup->record, g_bytes_unref);
  *fixup = (ArrivalFixup){ 0 };
}

void
arrival_report_add_fixup (EventEntry *entry, const ArrivalFixup *fixup)
{
  const struct clock_record *record;

  if (!fixup->is_sent)
    return;
  record = g_bytes_get_data (fixup->record, NULL);
  event_entry_add_int (entry, "CLOCKFERRY_THETA_NS", fixup->choice.theta_ns);
  event_entry_add_uint (entry, "CLOCKFERRY_THETA_BOUND_NS", fixup->choice.bound_ns);
  event_entry_add (entry, "CLOCKFERRY_THETA_USED", fixup->choice.measured ? "measured" : "trusted");
  event_entry_add (entry, "CLOCKFERRY_SOURCE", clock_record_source_name (record));
  event_entry_add_uint (entry, "CLOCKFERRY_GUEST_SRC_NS", record->guest_src_ns);
  event_entry_add_uint (entry, "CLOCKFERRY_HOST_SRC_NS", record->host_src_ns);
  event_entry_add_uint (entry, "CLOCKFERRY_TSC_SRC_TICKS", record->tsc_src_ticks);
  event_entry_add_uint (entry, "CLOCKFERRY_FREQ_KHZ", record->freq_khz);
}

void
arrival_report_add_terms (EventEntry *entry, const ClockTerms *terms, const char *policy)
{
  event_entry_add (entry, "CLOCKFERRY_MODE", settings_mode_name (terms->mode));
  event_entry_add (entry, "CLOCKFERRY_POLICY", policy);
}

void
arrival_report_add_result (EventEntry *entry, const struct helper_report *report,
                           const ArrivalFixup *fixup)
{
  g_autofree char *offsets = format_offsets (report, get_record (fixup));

  event_entry_add_uint (entry, "CLOCKFERRY_GUEST_DEST_NS", report->guest_dest_ns);
  event_entry_add_uint (entry, "CLOCKFERRY_HOST_DEST_NS", report->host_dest_ns);
  event_entry_add_uint (entry, "CLOCKFERRY_TSC_DEST_TICKS", report->tsc_dest_ticks);
  event_entry_add_int (entry, "CLOCKFERRY_ADVANCE_NS", report->advance_ns);
  event_entry_add_int (entry, "CLOCKFERRY_RESIDUAL_NS", report->residual_ns);
  event_entry_add_uint (entry, "CLOCKFERRY_WAITED_NS", report->waited_ns);
  event_entry_add_uint (entry, "CLOCKFERRY_SPENT_NS", report->spent_ns);
  event_entry_add_uint (entry, "CLOCKFERRY_ATTEMPTS", report->attempts);
  event_entry_add_uint (entry, "CLOCKFERRY_KVM_FLAGS", report->kvm_flags);
  event_entry_add_uint (entry, "CLOCKFERRY_VCPUS", report->vcpu_count);
  event_entry_add (entry, "CLOCKFERRY_OFFSETS", offsets);
  if (report->flags & HELPER_REPORT_OFFSETS_APART)
    event_entry_add (entry, "CLOCKFERRY_OFFSETS_RELATION", "apart");
  else if (report->flags & HELPER_REPORT_OFFSETS_JOINED)
    event_entry_add (entry, "CLOCKFERRY_OFFSETS_RELATION", "joined");
  if (report->flags & HELPER_REPORT_UNDO_FAILED)
    event_entry_add (entry, "CLOCKFERRY_UNDO", "failed");
  if (report->failed_errno != 0)
    event_entry_add_int (entry, "CLOCKFERRY_ERRNO", report->failed_errno);
}

void
arrival_report_log_apart (EventEntry *entry, const char *label, const char *peer,
                          const ClockChoice *choice)
{
  event_entry_add_int (entry, "CLOCKFERRY_THETA_NS", choice->theta_ns);
  event_entry_add_uint (entry, "CLOCKFERRY_THETA_BOUND_NS", choice->bound_ns);
  event_entry_add (entry, "CLOCKFERRY_REASON", clock_distrust_name (choice->distrust));
  event_entry_log (entry,
                   "the clock of this host is taken to be %+.6f s ahead of that of %s, as measured "
                   "within %.6f s, for %s: %s",
                   (double) choice->theta_ns / 1e9, peer, (double) choice->bound_ns / 1e9, label,
                   describe_distrust (choice->distrust));
}

void
arrival_report_log_unknown (EventEntry *entry, const char *label, const char *step,
                            const char *reason)
{
  add_end (entry, "unknown", step, reason);
  event_entry_log (
    entry,
    "the clocks of %s are either both right or both as stock QEMU has them, which is "
    "not known: %s",
    label, reason);
}

void
arrival_report_log_stock (EventEntry *entry, const char *label, const char *step,
                          const char *reason)
{
  add_end (entry, helper_verdict_name (HELPER_VERDICT_STOCK), step, reason);
  event_entry_log (entry, "the clocks of %s were left as stock QEMU has them: %s: %s", label, step,
                   reason);
}

void
arrival_report_log_paused (EventEntry *entry, const char *label, const char *step)
{
  add_end (entry, helper_verdict_name (HELPER_VERDICT_STOCK), step, "arrived-paused");
  event_entry_log (
    entry, "%s arrived paused: its clocks stand still until it is resumed, as in stock QEMU",
    label);
}

void
arrival_report_log_verdict (EventEntry *entry, const char *label,
                            const struct helper_report *report, const ArrivalFixup *fixup)
{
  const char *verdict = helper_verdict_name (report->verdict);

  event_entry_add (entry, "CLOCKFERRY_VERDICT", verdict);
  if (report->reason != HELPER_REASON_NONE)
    event_entry_add (entry, "CLOCKFERRY_REASON", helper_reason_name (report->reason));
  event_entry_log (entry,
                   "%s: %s, advanced by %.3f ms, residual %" G_GINT64_FORMAT
                   " ns, hosts %.6f s apart (%s, known within %.6f s)",
                   label, verdict, (double) report->advance_ns / 1e6, report->residual_ns,
                   (double) fixup->choice.theta_ns / 1e9,
                   fixup->choice.measured ? "measured" : "trusted",
                   (double) fixup->choice.bound_ns / 1e9);
}

EventKind
arrival_report_kind (guint32 verdict)
{
  switch (verdict) {
  case HELPER_VERDICT_FIXED:
    return EVENT_MIGRATION_FIXED;
  case HELPER_VERDICT_KVMCLOCK_ONLY:
    return EVENT_MIGRATION_KVMCLOCK_ONLY;
  case HELPER_VERDICT_OBSERVED:
    return EVENT_MIGRATION_OBSERVED;
  default:
    return EVENT_MIGRATION_STOCK;
  }
}
