/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "arrival-helper.h"

#include "host-clock.h"

/* Two clocks drift apart by 1 ppm and more: what the helper was told of theta may not grow old. */
#define THETA_AGE_MAX_NS (5 * G_GINT64_CONSTANT (1000000000))
#define NS_PER_SECOND    G_GUINT64_CONSTANT (1000000000)

G_STATIC_ASSERT (CLOCK_BOUND_UNKNOWN_NS <= HELPER_THETA_MAX_NS);

static guint64
get_max_advance_ns (const ClockTerms *terms)
{
  return terms->max_advance_s * NS_PER_SECOND;
}

static gboolean
is_unread (HelperLink *link)
{
  return link != NULL && helper_link_has_unread_fixup (link);
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

/* public functions */

void
arrival_helper_init (ArrivalHelper *helper, gboolean is_found)
{
  *helper = (ArrivalHelper){ .is_found = is_found, .may_move = is_found };
}

void
arrival_helper_clear (ArrivalHelper *helper)
{
  arrival_fixup_clear (&helper->fixup);
  g_clear_pointer (&helper->report, g_free);
}

gboolean
arrival_helper_needs (const ArrivalHelper *helper, const ArrivalFixup *fixup)
{
  const ArrivalFixup *sent = &helper->fixup;

  return !sent->is_sent || sent->record != fixup->record ||
         host_clock_monotonic_ns () - helper->fixup_sent_ns > THETA_AGE_MAX_NS ||
         clock_choice_supersedes (&fixup->choice, &sent->choice);
}

gboolean
arrival_helper_send (ArrivalHelper *helper, HelperLink *link, const ArrivalFixup *fixup,
                     const ClockTerms *terms, gboolean is_trusted, GError **error)
{
  const struct clock_record *record = g_bytes_get_data (fixup->record, NULL);
  guint64 max_advance_ns = get_max_advance_ns (terms);
  struct helper_fixup message = {
    .theta_ns = fixup->choice.theta_ns,
    .theta_bound_ns = fixup->choice.bound_ns,
    .real_minus_boot_ns = fixup->choice.real_minus_boot_ns,
    .deadline_monotonic_ns = (guint64) host_clock_monotonic_ns () + max_advance_ns,
    .max_advance_ns = max_advance_ns,
    .mode = terms->mode == SETTINGS_MODE_OBSERVE ? HELPER_MODE_OBSERVE : HELPER_MODE_APPLY,
  };

  if (terms->advances_without_kvmclock)
    message.flags |= HELPER_FIXUP_WITHOUT_PVCLOCK;
  if (is_trusted)
    message.flags |= HELPER_FIXUP_CLOCK_TRUSTED;
  if (!helper_link_send_fixup (link, &message, record, error))
    return FALSE;

  g_bytes_ref (fixup->record);
  arrival_fixup_clear (&helper->fixup);
  helper->fixup = *fixup;
  helper->fixup.is_sent = TRUE;
  helper->fixup_sent_ns = host_clock_monotonic_ns ();
  helper->may_move |= terms->mode != SETTINGS_MODE_OBSERVE;
  return TRUE;
}

void
arrival_helper_drop_record (ArrivalHelper *helper)
{
  if (helper->report == NULL)
    arrival_fixup_clear (&helper->fixup);
}

gboolean
arrival_helper_withdraw (ArrivalHelper *helper, HelperLink *link, gboolean stands_still,
                         GError **error)
{
  if (!helper_link_send_withdraw (link, error))
    return FALSE;
  /* one that has read its fix-up may be at work with it, or have been: of this daemon or of another */
  if (stands_still || (!helper->is_found && is_unread (link)))
    helper->may_move = FALSE;
  return TRUE;
}

void
arrival_helper_take_report (ArrivalHelper *helper, const struct helper_report *report,
                            const ClockTerms *terms)
{
  g_free (helper->report);
  helper->report = g_memdup2 (report, report->header.length);
  if (report->verdict != HELPER_VERDICT_STOCK)
    keep_used_theta (&helper->fixup.choice, report, get_max_advance_ns (terms));
}

gboolean
arrival_helper_is_certain (ArrivalHelper *helper, HelperLink *link, gboolean is_paused)
{
  if (helper->report != NULL || !helper->may_move)
    return TRUE;
  /* What lies unread tells of the time since this daemon connected, and another may have sent a fix-up
   * before; of a guest that stands still it tells nothing, as it will be read. */
  return !helper->is_found && !is_paused && take_back (link);
}

const char *
arrival_helper_describe_silence (HelperLink *link)
{
  if (link == NULL)
    return "the connection to the helper in its QEMU ended before it reported";
  if (is_unread (link))
    return "the helper saw no KVM_SET_CLOCK by libc's ioctl(), and has not even read its fix-up";
  return "the helper did not report";
}

const char *
arrival_helper_describe_doubt (const ArrivalHelper *helper, HelperLink *link, gboolean is_paused)
{
  if (is_paused)
    return "it arrived paused, and its helper could not be told to leave its clocks alone";
  /* a fix-up of this daemon that was withdrawn since is forgotten, and yet the reason */
  if (!helper->is_found || (helper->fixup.is_sent && link == NULL))
    return arrival_helper_describe_silence (link);
  return "this daemon was started while the guest was arriving; its helper may have set the clocks "
         "by what it had from the daemon before";
}
