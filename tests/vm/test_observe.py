# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mode=observe, on the migrations that are fixed elsewhere: everything is reported, nothing is changed, and the report is true."""

import pytest


@pytest.mark.parametrize("guest, options", [
    pytest.param({"name": "observed", "vcpus": 2}, ["--live"], id="live"),
    pytest.param({"name": "observed", "vcpus": 2}, ["--live", "--p2p"], id="peer-to-peer", marks=pytest.mark.full),
    pytest.param({"name": "observed", "vcpus": 2}, [], id="not-live", marks=pytest.mark.full),
    pytest.param({"name": "observed-tsc", "clocksource": "tsc"}, ["--live"], id="clocksource-tsc", marks=pytest.mark.full),
])
def test_observe_reports_what_it_would_do(trip, guest, options):
    trip.board(**guest)
    to_host = trip.other_host
    with trip.daemon_settings(Mode="observe"):
        trip.expect_observed(to_host, lambda: trip.guest.migrate(to_host, options))


@pytest.mark.full
def test_observed_guest_is_fixed_once_that_is_wanted(trip):
    """Being observed leaves nothing behind."""
    trip.board(name="observed", vcpus=2)
    to_host = trip.other_host
    with trip.daemon_settings(Mode="observe"):
        trip.expect_observed(to_host, lambda: trip.guest.migrate(to_host))
    back_host = trip.other_host
    trip.hand_over(back_host, lambda: trip.guest.migrate(back_host))
