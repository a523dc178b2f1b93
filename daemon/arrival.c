/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "arrival.h"

#include "arrival-helper.h"
#include "arrival-report.h"
#include "arrival-source.h"
#include "error.h"
#include "event-log.h"
#include "migration-id.h"

/* Records of one arrival that the journal has: there are two or three, and a hostile source could
 * fill it with more. */
#define ARMED_ENTRIES_MAX 16

/* Likewise of steps that failed, and of claims. */
#define FAILED_ENTRIES_MAX  64
#define CLAIMED_ENTRIES_MAX 64

struct Arrival {
  const HostContext *host;
  char *id; /* of the migration */
  char *uuid;
  char *name; /* NULL until libvirt told */
  const ArrivalCallbacks *callbacks;
  gpointer user_data;

  gboolean is_emulated; /* QEMU keeps its clocks itself: nothing is done or said about it */
  HostClockMode host_clock;
  ClockTerms terms;
  char *policy;          /* of the terms, what the domain's own policy says; NULL without one */
  ArrivalSource *source; /* NULL until the metadata named it */
  gboolean is_claimed;   /* ever */

  GBytes *record;
  ArrivalStep failed_step;
  char *failed_reason;
  char *helper_problem; /* what was said last of the helper, NULL for nothing */
  ArrivalHelper helper;
  guint armed_entries;   /* in the journal */
  guint failed_entries;  /* likewise */
  guint claimed_entries; /* likewise */
  gboolean is_warned;    /* of the hosts' clocks being apart */
};

static const char *
get_label (const Arrival *arrival)
{
  return arrival->name != NULL ? arrival->name : arrival->uuid;
}

/* All entries are about this one migration. */
static EventEntry *
new_entry (const Arrival *arrival, EventKind kind)
{
  EventEntry *entry = event_entry_new (kind, arrival->uuid, arrival->name);

  event_entry_add (entry, "CLOCKFERRY_MIGRATION", arrival->id);
  if (arrival->source != NULL)
    event_entry_add (entry, "CLOCKFERRY_PEER",
                     arrival_source_get_element (arrival->source)->address);
  event_entry_set_observer (entry, &arrival->host->migration_observer);
  return entry;
}

/* the source's daemon */

static guint64
get_guest_src_ns (GBytes *record)
{
  return ((const struct clock_record *) g_bytes_get_data (record, NULL))->guest_src_ns;
}

static void
on_source_record (GBytes *record, gpointer user_data)
{
  Arrival *arrival = user_data;

  /* kvmclock does not go back: that one was kept by somebody */
  if (arrival->record != NULL && get_guest_src_ns (record) < get_guest_src_ns (arrival->record))
    return;
  g_clear_pointer (&arrival->record, g_bytes_unref);
  arrival->record = g_bytes_ref (record);
  arrival->callbacks->record (arrival->user_data);
}

static void
on_source_withdrawn (const char *reason, gpointer user_data)
{
  Arrival *arrival = user_data;

  g_clear_pointer (&arrival->record, g_bytes_unref);
  /* the final report must not speak of it */
  arrival_helper_drop_record (&arrival->helper);
  arrival->callbacks->withdrawn (reason, arrival->user_data);
}

/* A record that was there before the claim comes before any comparison of the clocks, and a guest
 * that is not migrated live arrives long after its record: theta may become known, and better. */
static void
on_source_compared (gpointer user_data)
{
  Arrival *arrival = user_data;

  if (arrival->record != NULL)
    arrival->callbacks->record (arrival->user_data);
}

static void
on_source_lost (const GError *error, gpointer user_data)
{
  Arrival *arrival = user_data;

  /* with a record at hand the peer has done its part */
  if (arrival->record == NULL)
    arrival_fail (arrival, ARRIVAL_STEP_PEER, error->message);
}

static void
on_source_claimed (gpointer user_data)
{
  Arrival *arrival = user_data;
  const SourceElement *element = arrival_source_get_element (arrival->source);

  arrival->is_claimed = TRUE;
  if (arrival->failed_step == ARRIVAL_STEP_PEER)
    arrival->failed_step = ARRIVAL_STEP_NONE; /* mended by a later attempt */
  if (arrival->claimed_entries == CLAIMED_ENTRIES_MAX)
    return;
  arrival->claimed_entries++;
  event_entry_log (new_entry (arrival, EVENT_ARRIVAL_CLAIMED),
                   "claimed %s from the daemon of its source, %s port %u", get_label (arrival),
                   element->address, (guint) element->port);
}

static const ArrivalSourceCallbacks source_callbacks = {
  .claimed = on_source_claimed,
  .record = on_source_record,
  .withdrawn = on_source_withdrawn,
  .compared = on_source_compared,
  .lost = on_source_lost,
};

/* arming the helper */

/* Clocks that were to agree, and whose distance had to be measured instead. */
static void
warn_apart (Arrival *arrival, const ClockChoice *choice)
{
  if (choice->distrust == CLOCK_DISTRUST_NONE || arrival->is_warned)
    return;
  arrival->is_warned = TRUE;
  arrival_report_log_apart (new_entry (arrival, EVENT_CLOCKS_APART), get_label (arrival),
                            arrival_source_get_element (arrival->source)->address, choice);
}

static void
log_armed (Arrival *arrival)
{
  EventEntry *entry;

  if (arrival->armed_entries == ARMED_ENTRIES_MAX)
    return;
  arrival->armed_entries++;
  entry = new_entry (arrival, EVENT_ARRIVAL_ARMED);
  arrival_report_add_fixup (entry, &arrival->helper.fixup);
  arrival_report_add_terms (entry, &arrival->terms, arrival->policy);
  event_entry_log (entry, "the helper of %s has a record to continue its clocks from",
                   get_label (arrival));
}

/*
 * With HostClock=trust a fix-up may have gone ahead of the first comparison, on the kernels' word
 * alone. What came out since is how wrong that was.
 */
static void
correct_trusted_bound (Arrival *arrival)
{
  ArrivalFixup *fixup = &arrival->helper.fixup;
  ClockChoice now;

  if (arrival->host_clock != HOST_CLOCK_TRUST || !fixup->is_sent)
    return;
  if (arrival_source_choose_theta (arrival->source, HOST_CLOCK_TRUST,
                                   g_bytes_get_data (fixup->record, NULL), &now, NULL))
    fixup->choice.bound_ns = MAX (fixup->choice.bound_ns, now.bound_ns);
}

/* the final report */

/* What kept the guest's clocks from being fixed, when nobody else has said it. */
static void
note_silence (Arrival *arrival, HelperLink *link)
{
  if (arrival->failed_step != ARRIVAL_STEP_NONE)
    return;
  g_free (arrival->failed_reason); /* of a step that was mended */
  if (arrival->record == NULL) {
    arrival->failed_step = ARRIVAL_STEP_RECORD;
    arrival->failed_reason = g_strdup (arrival->is_claimed
                                         ? "the source sent no record of the paused guest"
                                         : "the source's daemon did not answer in time");
  } else if (!arrival->helper.fixup.is_sent) {
    arrival->failed_step = ARRIVAL_STEP_CLOCK_OFFSET;
    arrival->failed_reason = g_strdup ("the source's daemon did not tell its time in time");
  } else {
    arrival->failed_step = ARRIVAL_STEP_FIXUP;
    arrival->failed_reason = g_strdup (arrival_helper_describe_silence (link));
  }
}

static char *
describe_stock (Arrival *arrival, HelperLink *link)
{
  const struct helper_report *report = arrival->helper.report;
  /* "no record" of the helper is the consequence of what failed here before */
  gboolean helper_decided = report != NULL && report->reason != HELPER_REASON_NO_RECORD;

  if (helper_decided) {
    arrival->failed_step = ARRIVAL_STEP_FIXUP;
    return g_strdup (helper_reason_name (report->reason));
  }
  note_silence (arrival, link);
  return g_strdup (arrival->failed_reason);
}

static void
log_stock (Arrival *arrival, HelperLink *link, EventEntry *entry)
{
  g_autofree char *reason = describe_stock (arrival, link);

  arrival_report_log_stock (entry, get_label (arrival), arrival_step_name (arrival->failed_step),
                            reason);
}

/* public functions */

Arrival *
arrival_new (const HostContext *host, const char *uuid, gboolean is_found,
             const ArrivalCallbacks *callbacks, gpointer user_data)
{
  Arrival *arrival = g_new0 (Arrival, 1);

  arrival->host = host;
  arrival->id = migration_id_make ();
  arrival->host_clock = host->settings->host_clock;
  domain_policy_get_terms (host->settings, &arrival->terms);
  arrival->uuid = g_strdup (uuid);
  arrival_helper_init (&arrival->helper, is_found);
  arrival->callbacks = callbacks;
  arrival->user_data = user_data;
  return arrival;
}

void
arrival_free (Arrival *arrival)
{
  g_clear_pointer (&arrival->source, arrival_source_free);
  g_clear_pointer (&arrival->record, g_bytes_unref);
  arrival_helper_clear (&arrival->helper);
  g_free (arrival->failed_reason);
  g_free (arrival->helper_problem);
  g_free (arrival->policy);
  g_free (arrival->name);
  g_free (arrival->uuid);
  g_free (arrival->id);
  g_free (arrival);
}

void
arrival_fail (Arrival *arrival, ArrivalStep step, const char *reason)
{
  gboolean is_repeated = arrival->failed_step == step &&
                         g_strcmp0 (arrival->failed_reason, reason) == 0;
  EventEntry *entry;

  if (is_repeated)
    return;
  arrival->failed_step = step;
  g_free (arrival->failed_reason);
  arrival->failed_reason = g_strdup (reason);
  if (step == ARRIVAL_STEP_HELPER) {
    g_free (arrival->helper_problem);
    arrival->helper_problem = g_strdup (reason);
  }
  if (arrival->failed_entries == FAILED_ENTRIES_MAX)
    return;
  arrival->failed_entries++;

  entry = new_entry (arrival, EVENT_ARRIVAL_STEP_FAILED);
  event_entry_add (entry, "CLOCKFERRY_STEP", arrival_step_name (step));
  event_entry_add (entry, "CLOCKFERRY_REASON", reason);
  event_entry_log (entry, "%s is arriving, and a step failed: %s: %s", get_label (arrival),
                   arrival_step_name (step), reason);
}

void
arrival_claim (Arrival *arrival, const DomainInfo *info)
{
  g_free (arrival->name);
  arrival->name = g_strdup (info->name);
  arrival->is_emulated = !info->is_kvm;
  if (arrival->is_emulated)
    return;
  if (info->policy != NULL) {
    domain_policy_override (info->policy, &arrival->terms);
    arrival->policy = g_strdup (domain_policy_get_text (info->policy));
  }
  event_entry_log (new_entry (arrival, EVENT_ARRIVAL_ANNOUNCED), "%s is arriving", arrival->name);
  if (info->source == NULL) {
    arrival_fail (arrival, ARRIVAL_STEP_SOURCE_ELEMENT,
                  info->source_problem != NULL
                    ? info->source_problem
                    : "no daemon at its source put its address into the metadata");
    return;
  }
  arrival->source = arrival_source_new (info->source, arrival->host->authority, arrival->uuid,
                                        arrival->id, &source_callbacks, arrival);
}

void
arrival_arm (Arrival *arrival, HelperLink *link)
{
  const struct clock_record *record = g_bytes_get_data (arrival->record, NULL);
  ArrivalFixup fixup = { .record = arrival->record };
  g_autoptr (GError) error = NULL;
  gboolean is_news;

  if (link == NULL) {
    g_autofree char *problem = g_strdup (arrival->helper_problem != NULL
                                           ? arrival->helper_problem
                                           : "the connection to the helper in its QEMU is gone");

    arrival_fail (arrival, ARRIVAL_STEP_HELPER, problem);
    return;
  }
  if (!arrival_source_choose_theta (arrival->source, arrival->host_clock, record, &fixup.choice,
                                    &error)) {
    g_debug ("waiting for the first comparison of the clocks: %s", error->message);
    return;
  }
  /* the helper would refuse it, and a refusal costs the link */
  if (!clock_choice_is_credible (&fixup.choice)) {
    arrival_fail (arrival, ARRIVAL_STEP_CLOCK_OFFSET,
                  "the clocks of the two hosts are over a year apart");
    return;
  }
  if (!arrival_helper_needs (&arrival->helper, &fixup))
    return;
  is_news = arrival->helper.fixup.record != fixup.record;
  if (!arrival_helper_send (&arrival->helper, link, &fixup, &arrival->terms,
                            arrival->host_clock == HOST_CLOCK_TRUST, &error)) {
    /* what it was told before of this record is not as good as this, and good enough */
    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK) && !is_news)
      return;
    arrival_fail (arrival, ARRIVAL_STEP_FIXUP, error->message);
    return;
  }
  /* a record is news, a better theta is not */
  if (is_news)
    log_armed (arrival);
  warn_apart (arrival, &fixup.choice);
}

void
arrival_disarm (Arrival *arrival, HelperLink *link, gboolean stands_still)
{
  g_autoptr (GError) error = NULL;

  if (link != NULL && !arrival_helper_withdraw (&arrival->helper, link, stands_still, &error))
    arrival_fail (arrival, ARRIVAL_STEP_FIXUP, error->message);
}

void
arrival_fail_link (Arrival *arrival, const GError *error)
{
  if (g_error_matches (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NO_HELPER) ||
      g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
    arrival->helper.may_move = FALSE; /* nor was there one for another daemon to tell */
  arrival_fail (arrival, ARRIVAL_STEP_HELPER, error->message);
}

void
arrival_take_report (Arrival *arrival, const struct helper_report *report)
{
  arrival_helper_take_report (&arrival->helper, report, &arrival->terms);
}

void
arrival_conclude (Arrival *arrival, HelperLink *link, gboolean is_paused)
{
  ArrivalHelper *helper = &arrival->helper;
  const char *label = get_label (arrival);
  gboolean is_certain;
  guint32 verdict;
  EventEntry *entry;

  if (arrival->is_emulated)
    return;
  is_certain = arrival_helper_is_certain (helper, link, is_paused);
  if (is_paused && is_certain && helper->report == NULL) {
    arrival_report_log_paused (new_entry (arrival, EVENT_MIGRATION_STOCK), label,
                               arrival_step_name (ARRIVAL_STEP_FIXUP));
    return;
  }
  correct_trusted_bound (arrival);
  verdict = helper->report != NULL ? helper->report->verdict : HELPER_VERDICT_STOCK;
  entry = new_entry (arrival, is_certain ? arrival_report_kind (verdict) : EVENT_MIGRATION_UNKNOWN);
  arrival_report_add_fixup (entry, &helper->fixup);
  arrival_report_add_terms (entry, &arrival->terms, arrival->policy);
  if (helper->report != NULL)
    arrival_report_add_result (entry, helper->report, &helper->fixup);
  if (!is_certain)
    arrival_report_log_unknown (entry, label, arrival_step_name (ARRIVAL_STEP_FIXUP),
                                arrival_helper_describe_doubt (helper, link, is_paused));
  else if (verdict == HELPER_VERDICT_STOCK)
    log_stock (arrival, link, entry);
  else
    arrival_report_log_verdict (entry, label, helper->report, &helper->fixup);
}

void
arrival_abandon (Arrival *arrival)
{
  if (arrival->is_emulated)
    return;
  event_entry_log (new_entry (arrival, EVENT_ARRIVAL_ABANDONED),
                   "%s did not arrive: its migration failed or was cancelled", get_label (arrival));
  if (arrival->source != NULL)
    arrival_source_abandon (arrival->source);
}

const char *
arrival_step_name (ArrivalStep step)
{
  static const char *const names[] = {
    "none", "lookup", "helper", "source-element", "peer", "record", "clock-offset", "fixup",
  };

  G_STATIC_ASSERT (G_N_ELEMENTS (names) == ARRIVAL_STEP_COUNT);
  g_return_val_if_fail ((guint) step < ARRIVAL_STEP_COUNT, "unknown");
  return names[step];
}
