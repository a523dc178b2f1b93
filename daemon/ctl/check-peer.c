/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-peer.h"

#include <glib/gi18n.h>

#include "output.h"

/* A bound above this is a network or a host too slow to compare clocks well. */
#define THETA_BOUND_GOOD_NS (10 * G_GUINT64_CONSTANT (1000000))

static void
judge_theta (const PeerCheckResult *result, CheckList *list)
{
  g_autofree char *theta = output_difference (result->theta_ns);
  g_autofree char *bound = output_duration ((gint64) result->theta_bound_ns);
  guint64 distance_ns = (guint64) (result->theta_ns < 0 ? -result->theta_ns : result->theta_ns);

  check_list_begin (list, "peer-theta", _ ("clocks"));
  if (distance_ns > result->theta_bound_ns)
    check_list_warn (
      list, NULL,
      _ ("this host's minus the other's: %s ± %s: they do not agree, so that the distance is "
         "measured at each migration"),
      theta, bound);
  else if (result->theta_bound_ns > THETA_BOUND_GOOD_NS)
    check_list_warn (
      list, NULL,
      _ ("this host's minus the other's: %s ± %s: the way there is too slow to tell it "
         "better, and a guest's clock may be off by as much"),
      theta, bound);
  else
    check_list_ok (list, _ ("this host's minus the other's: %s ± %s"), theta, bound);
}

/* public functions */

void
check_peer_judge (const char *peer, const PeerCheckResult *result, CheckList *list)
{
  g_autofree char *round_trip = NULL;

  check_list_begin (list, "peer-connection", _ ("connection"));
  if (result->domain != NULL)
    check_list_ok (list, _ ("%s port %u, by the metadata of %s there"), result->address,
                   result->port, result->domain);
  else
    check_list_ok (list, _ ("%s port %u"), result->address, result->port);
  if (result->pin != NULL) {
    check_list_begin (list, "peer-pin", _ ("its key"));
    check_list_ok (list, "%s", result->pin);
  }
  if (result->problem != NULL) {
    check_list_begin (list, "peer-theta", _ ("clocks"));
    check_list_warn (list, NULL, "%s", result->problem);
    return;
  }
  check_list_begin (list, "peer-round-trip", _ ("round trip"));
  round_trip = output_duration ((gint64) result->round_trip_ns);
  check_list_ok (list,
                 ngettext ("%s, the shortest of %u", "%s, the shortest of %u", result->comparisons),
                 round_trip, result->comparisons);
  judge_theta (result, list);
  check_list_begin (list, "peer-clock-synchronised", _ ("its clock"));
  if (result->is_synchronised)
    check_list_ok (list, _ ("synchronised, within ± %.1f ms by the kernel's estimate"),
                   (double) result->max_error_us / 1000);
  else
    check_list_warn (list, NULL, _ ("not synchronised: run clockferryctl check on %s"), peer);
}
