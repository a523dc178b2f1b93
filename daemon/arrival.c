/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "arrival.h"

#include "arrival-report.h"
#include "arrival-source.h"
#include "error.h"
#include "event-log.h"
#include "host-clock.h"
#include "migration-id.h"

/* Two clocks drift apart by 1 ppm and more: what the helper was told of theta may not grow old. */
#define THETA_AGE_MAX_NS (5 * G_GINT64_CONSTANT (1000000000))
#define NS_PER_SECOND    G_GUINT64_CONSTANT (1000000000)

/* Records of one arrival that the journal has: there are two or three, and a hostile source could
 * fill it with more. */
#define ARMED_ENTRIES_MAX 16

/* Likewise of steps that failed, and of claims. */
#define FAILED_ENTRIES_MAX  64
#define CLAIMED_ENTRIES_MAX 64

G_STATIC_ASSERT (CLOCK_BOUND_UNKNOWN_NS <= HELPER_THETA_MAX_NS);

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
  char *helper_problem;         /* what was said last of the helper, NULL for nothing */
  ArrivalFixup fixup;           /* what the helper was told, for the report */
  gint64 fixup_sent_ns;         /* CLOCK_MONOTONIC */
  guint armed_entries;          /* in the journal */
  guint failed_entries;         /* likewise */
  guint claimed_entries;        /* likewise */
  gboolean is_warned;           /* of the hosts' clocks being apart */
  struct helper_report *report; /* NULL until the helper spoke */

  gboolean is_found; /* under way at this daemon's start: the helper may have a fix-up of another */
  gboolean may_move; /* the helper may have, or have had, what makes it move the guest's clocks */
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
  /* nothing was made of it: the final report must not speak of it */
  if (arrival->report == NULL)
    arrival_fixup_clear (&arrival->fixup);
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

/* A new record, or one whose theta is known otherwise than the helper was told, or is not of late. */
static gboolean
is_worth_sending (const Arrival *arrival, const ArrivalFixup *fixup)
{
  const ArrivalFixup *sent = &arrival->fixup;

  return !sent->is_sent || sent->record != fixup->record ||
         host_clock_monotonic_ns () - arrival->fixup_sent_ns > THETA_AGE_MAX_NS ||
         clock_choice_supersedes (&fixup->choice, &sent->choice);
}

static gboolean
send_fixup (Arrival *arrival, HelperLink *link, const ArrivalFixup *fixup, GError **error)
{
  const struct clock_record *record = g_bytes_get_data (fixup->record, NULL);
  guint64 max_advance_ns = arrival->terms.max_advance_s * NS_PER_SECOND;
  struct helper_fixup message = {
    .theta_ns = fixup->choice.theta_ns,
    .theta_bound_ns = fixup->choice.bound_ns,
    .real_minus_boot_ns = fixup->choice.real_minus_boot_ns,
    .deadline_monotonic_ns = (guint64) host_clock_monotonic_ns () + max_advance_ns,
    .max_advance_ns = max_advance_ns,
    .mode = arrival->terms.mode == SETTINGS_MODE_OBSERVE ? HELPER_MODE_OBSERVE : HELPER_MODE_APPLY,
  };

  if (arrival->terms.advances_without_kvmclock)
    message.flags |= HELPER_FIXUP_WITHOUT_PVCLOCK;
  if (arrival->host_clock == HOST_CLOCK_TRUST)
    message.flags |= HELPER_FIXUP_CLOCK_TRUSTED;

  return helper_link_send_fixup (link, &message, record, error);
}

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

/* Remember what the helper was told; a record is news, a better theta is not. */
static void
keep_fixup (Arrival *arrival, const ArrivalFixup *fixup)
{
  gboolean is_news = arrival->fixup.record != fixup->record;
  EventEntry *entry;

  g_bytes_ref (fixup->record);
  arrival_fixup_clear (&arrival->fixup);
  arrival->fixup = *fixup;
  arrival->fixup.is_sent = TRUE;
  arrival->fixup_sent_ns = host_clock_monotonic_ns ();
  arrival->may_move |= arrival->terms.mode != SETTINGS_MODE_OBSERVE;
  if (!is_news || arrival->armed_entries == ARMED_ENTRIES_MAX)
    return;
  arrival->armed_entries++;
  entry = new_entry (arrival, EVENT_ARRIVAL_ARMED);
  arrival_report_add_fixup (entry, &arrival->fixup);
  arrival_report_add_terms (entry, &arrival->terms, arrival->policy);
  event_entry_log (entry, "the helper of %s has a record to continue its clocks from",
                   get_label (arrival));
}

/* Since the helper was told, the clock may have been set, and the two have drifted apart. Another
 * fix-up may have been sent when it had already used one. */
static void
keep_used_theta (ClockChoice *choice, const struct helper_report *report, guint64 max_advance_ns)
{
  guint64 told_ns = report->deadline_monotonic_ns - max_advance_ns;
  /* unsigned, as nobody has checked what the helper says */
  gint64 age_ns = (gint64) ((guint64) host_clock_monotonic_ns () - told_ns);

  choice->theta_ns = report->theta_ns;
  choice->bound_ns = report->theta_bound_ns + (guint64) clock_offset_drift_ns (age_ns);
}

/*
 * With HostClock=trust a fix-up may have gone ahead of the first comparison, on the kernels' word
 * alone. What came out since is how wrong that was.
 */
static void
correct_trusted_bound (Arrival *arrival)
{
  ClockChoice now;

  if (arrival->host_clock != HOST_CLOCK_TRUST || !arrival->fixup.is_sent)
    return;
  if (arrival_source_choose_theta (arrival->source, HOST_CLOCK_TRUST,
                                   g_bytes_get_data (arrival->fixup.record, NULL), &now, NULL))
    arrival->fixup.choice.bound_ns = MAX (arrival->fixup.choice.bound_ns, now.bound_ns);
}

/* the final report */

static gboolean
is_unread (HelperLink *link)
{
  return link != NULL && helper_link_has_unread_fixup (link);
}

/* Of a helper that was told what to do. */
static const char *
describe_silence (HelperLink *link)
{
  if (link == NULL)
    return "the connection to the helper in its QEMU ended before it reported";
  if (is_unread (link))
    return "the helper saw no KVM_SET_CLOCK by libc's ioctl(), and has not even read its fix-up";
  return "the helper did not report";
}

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
  } else if (!arrival->fixup.is_sent) {
    arrival->failed_step = ARRIVAL_STEP_CLOCK_OFFSET;
    arrival->failed_reason = g_strdup ("the source's daemon did not tell its time in time");
  } else {
    arrival->failed_step = ARRIVAL_STEP_FIXUP;
    arrival->failed_reason = g_strdup (describe_silence (link));
  }
}

/*
 * Take a fix-up back that the helper has not read: FALSE if it may be at work with it. The order counts: what
 * lies unread behind the word that takes it back will be read together with that, however late.
 */
static gboolean
take_back (HelperLink *link)
{
  g_autoptr (GError) error = NULL;

  if (link == NULL)
    return FALSE;
  if (!helper_link_send_withdraw (link, &error)) {
    g_debug ("a fix-up could not be taken back: %s", error->message);
    return FALSE;
  }
  return is_unread (link);
}

static const char *
describe_unknown (const Arrival *arrival, HelperLink *link, gboolean is_paused)
{
  if (is_paused)
    return "it arrived paused, and its helper could not be told to leave its clocks alone";
  if (arrival->fixup.is_sent && (link == NULL || !arrival->is_found))
    return describe_silence (link);
  return "this daemon was started while the guest was arriving; its helper may have set the clocks "
         "by what it had from the daemon before";
}

static void
log_unknown (Arrival *arrival, HelperLink *link, gboolean is_paused, EventEntry *entry)
{
  const char *reason = describe_unknown (arrival, link, is_paused);

  event_entry_add (entry, "CLOCKFERRY_VERDICT", "unknown");
  event_entry_add (entry, "CLOCKFERRY_STEP", arrival_step_name (ARRIVAL_STEP_FIXUP));
  event_entry_add (entry, "CLOCKFERRY_REASON", reason);
  event_entry_log (
    entry,
    "the clocks of %s are either both right or both as stock QEMU has them, which is "
    "not known: %s",
    get_label (arrival), reason);
}

static char *
describe_stock (Arrival *arrival, HelperLink *link)
{
  const struct helper_report *report = arrival->report;
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

  event_entry_add (entry, "CLOCKFERRY_VERDICT", helper_verdict_name (HELPER_VERDICT_STOCK));
  event_entry_add (entry, "CLOCKFERRY_STEP", arrival_step_name (arrival->failed_step));
  event_entry_add (entry, "CLOCKFERRY_REASON", reason);
  event_entry_log (entry, "the clocks of %s were left as stock QEMU has them: %s: %s",
                   get_label (arrival), arrival_step_name (arrival->failed_step), reason);
}

static void
log_verdict (Arrival *arrival, EventEntry *entry)
{
  const struct helper_report *report = arrival->report;
  const char *verdict = helper_verdict_name (report->verdict);

  event_entry_add (entry, "CLOCKFERRY_VERDICT", verdict);
  if (report->reason != HELPER_REASON_NONE)
    event_entry_add (entry, "CLOCKFERRY_REASON", helper_reason_name (report->reason));
  event_entry_log (entry,
                   "%s: %s, advanced by %.3f ms, residual %" G_GINT64_FORMAT
                   " ns, hosts %.6f s apart (%s, known within %.6f s)",
                   get_label (arrival), verdict, (double) report->advance_ns / 1e6,
                   report->residual_ns, (double) arrival->fixup.choice.theta_ns / 1e9,
                   arrival->fixup.choice.measured ? "measured" : "trusted",
                   (double) arrival->fixup.choice.bound_ns / 1e9);
}

static void
log_paused (Arrival *arrival)
{
  EventEntry *entry = new_entry (arrival, EVENT_MIGRATION_STOCK);

  event_entry_add (entry, "CLOCKFERRY_VERDICT", helper_verdict_name (HELPER_VERDICT_STOCK));
  event_entry_add (entry, "CLOCKFERRY_STEP", arrival_step_name (ARRIVAL_STEP_FIXUP));
  event_entry_add (entry, "CLOCKFERRY_REASON", "arrived-paused");
  event_entry_log (
    entry, "%s arrived paused: its clocks stand still until it is resumed, as in stock QEMU",
    get_label (arrival));
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
  arrival->is_found = is_found;
  arrival->may_move = is_found;
  arrival->callbacks = callbacks;
  arrival->user_data = user_data;
  return arrival;
}

void
arrival_free (Arrival *arrival)
{
  g_clear_pointer (&arrival->source, arrival_source_free);
  g_clear_pointer (&arrival->record, g_bytes_unref);
  arrival_fixup_clear (&arrival->fixup);
  g_free (arrival->report);
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
  if (!is_worth_sending (arrival, &fixup))
    return;
  if (!send_fixup (arrival, link, &fixup, &error)) {
    /* what it was told before of this record is not as good as this, and good enough */
    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK) && arrival->fixup.is_sent &&
        arrival->fixup.record == fixup.record)
      return;
    arrival_fail (arrival, ARRIVAL_STEP_FIXUP, error->message);
    return;
  }
  keep_fixup (arrival, &fixup);
  warn_apart (arrival, &fixup.choice);
}

void
arrival_disarm (Arrival *arrival, HelperLink *link)
{
  g_autoptr (GError) error = NULL;

  if (link == NULL)
    return;
  if (helper_link_send_withdraw (link, &error))
    arrival->may_move = FALSE;
  else
    arrival_fail (arrival, ARRIVAL_STEP_FIXUP, error->message);
}

void
arrival_fail_link (Arrival *arrival, const GError *error)
{
  if (g_error_matches (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NO_HELPER) ||
      g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
    arrival->may_move = FALSE;
  arrival_fail (arrival, ARRIVAL_STEP_HELPER, error->message);
}

void
arrival_take_report (Arrival *arrival, const struct helper_report *report)
{
  g_free (arrival->report);
  arrival->report = g_memdup2 (report, report->header.length);
  if (report->verdict != HELPER_VERDICT_STOCK)
    keep_used_theta (&arrival->fixup.choice, report, arrival->terms.max_advance_s * NS_PER_SECOND);
}

void
arrival_conclude (Arrival *arrival, HelperLink *link, gboolean is_paused)
{
  guint32 verdict = arrival->report != NULL ? arrival->report->verdict : HELPER_VERDICT_STOCK;
  gboolean is_known = arrival->report != NULL || !arrival->may_move;
  EventEntry *entry;

  if (arrival->is_emulated)
    return;
  /* What lies unread tells of the time since this daemon connected, and another may have sent a fix-up
   * before; of a guest that stands still it tells nothing, as it will be read. */
  if (!is_known && !arrival->is_found && !is_paused)
    is_known = take_back (link);
  if (is_paused && is_known && arrival->report == NULL) {
    log_paused (arrival);
    return;
  }
  correct_trusted_bound (arrival);
  entry = new_entry (arrival, is_known ? arrival_report_kind (verdict) : EVENT_MIGRATION_UNKNOWN);
  arrival_report_add_fixup (entry, &arrival->fixup);
  arrival_report_add_terms (entry, &arrival->terms, arrival->policy);
  if (arrival->report != NULL)
    arrival_report_add_result (entry, arrival->report, &arrival->fixup);
  if (!is_known)
    log_unknown (arrival, link, is_paused, entry);
  else if (verdict == HELPER_VERDICT_STOCK)
    log_stock (arrival, link, entry);
  else
    log_verdict (arrival, entry);
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
