/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-peer.h"

#include "ctl-check-expect.h"

#define MS_NS G_GINT64_CONSTANT (1000000)

/* A peer as good as they get. */
static PeerCheckResult
make_good (void)
{
  return (PeerCheckResult){
    .domain = (char *) "web",
    .address = (char *) "192.0.2.7",
    .port = 16520,
    .pin = (char *) "00ff",
    .round_trip_ns = 300000,
    .theta_ns = -20000,
    .theta_bound_ns = 160000,
    .comparisons = 40,
    .is_synchronised = TRUE,
    .max_error_us = 1200,
  };
}

static CheckList *
judge (const PeerCheckResult *result)
{
  CheckList *list = check_list_new (NULL, NULL);

  check_peer_judge ("beta", result, list);
  check_expect_commands (list);
  return list;
}

static void
test_good (void)
{
  const PeerCheckResult result = make_good ();
  g_autoptr (CheckList) list = judge (&result);

  g_assert_cmpint (check_list_get_status (list), ==, CHECK_OK);
  check_expect (list, "peer-connection", CHECK_OK, "192.0.2.7 port 16520, by the metadata of web",
                NULL);
  check_expect (list, "peer-pin", CHECK_OK, "00ff", NULL);
  check_expect (list, "peer-round-trip", CHECK_OK, "300 µs, the shortest of 40", NULL);
  check_expect (list, "peer-theta", CHECK_OK, "-20.0 µs ± 160 µs", NULL);
  check_expect (list, "peer-clock-synchronised", CHECK_OK, "1.2 ms", NULL);
}

static void
test_apart (void)
{
  PeerCheckResult result = make_good ();
  g_autoptr (CheckList) ahead = NULL;
  g_autoptr (CheckList) behind = NULL;

  result.theta_ns = 3 * MS_NS;
  ahead = judge (&result);
  check_expect (ahead, "peer-theta", CHECK_WARNING, "do not agree", NULL);
  result.theta_ns = -3 * MS_NS;
  behind = judge (&result);
  check_expect (behind, "peer-theta", CHECK_WARNING, "do not agree", NULL);
}

static void
test_far (void)
{
  PeerCheckResult result = make_good ();
  g_autoptr (CheckList) list = NULL;

  result.theta_bound_ns = 11 * MS_NS;
  list = judge (&result);
  check_expect (list, "peer-theta", CHECK_WARNING, "too slow", NULL);
}

static void
test_unsynchronised (void)
{
  PeerCheckResult result = make_good ();
  g_autoptr (CheckList) list = NULL;

  result.is_synchronised = FALSE;
  list = judge (&result);
  check_expect (list, "peer-clock-synchronised", CHECK_WARNING, "beta", NULL);
  g_assert_cmpint (check_list_get_status (list), ==, CHECK_WARNING);
}

/* No domain runs there that says how to reach its daemon. */
static void
test_not_compared (void)
{
  PeerCheckResult result = make_good ();
  g_autoptr (CheckList) list = NULL;

  result.domain = NULL;
  result.pin = NULL;
  result.problem = (char *) "no domain runs there";
  list = judge (&result);
  check_expect (list, "peer-connection", CHECK_OK, "192.0.2.7 port 16520", NULL);
  check_expect (list, "peer-theta", CHECK_WARNING, "no domain runs there", NULL);
  check_expect_none (list, "peer-pin");
  check_expect_none (list, "peer-round-trip");
  check_expect_none (list, "peer-clock-synchronised");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl-check-peer/good", test_good);
  g_test_add_func ("/ctl-check-peer/apart", test_apart);
  g_test_add_func ("/ctl-check-peer/far", test_far);
  g_test_add_func ("/ctl-check-peer/unsynchronised", test_unsynchronised);
  g_test_add_func ("/ctl-check-peer/not-compared", test_not_compared);
  return g_test_run ();
}
