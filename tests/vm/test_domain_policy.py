# SPDX-License-Identifier: LGPL-2.1-or-later
"""A domain's own policy, in its metadata as an operator sets it with virsh: it goes with the guest and rules its next arrival."""

import pytest

import guest_domain
from daemon_journal import DaemonJournal

POLICY_URI = "https://clockferry.org/policy/1"


def set_policy(guest, attributes):
    guest.host.virsh("metadata", guest.name, "--uri", POLICY_URI, "--key", "clockferry", "--set", f"<policy {attributes}/>", "--live")


def migrate(trip, *options):
    to_host = trip.other_host
    return to_host, lambda: trip.guest.migrate(to_host, options)


def test_observe_this_guest(trip):
    set_policy(trip.board(name="ruled", vcpus=2), "mode='observe'")
    _measured, report = trip.expect_observed(*migrate(trip, "--live"))
    assert report["CLOCKFERRY_POLICY"] == "mode=observe"


@pytest.mark.full
def test_longest_advance_of_this_guest(trip):
    """Not live, the blackout is as long as the transfer."""
    set_policy(trip.board(name="ruled", vcpus=2), "maxAdvanceSec='1'")
    trip.expect_stock(None, *migrate(trip, "--bandwidth", "8"), "max-advance")


@pytest.mark.full
def test_guest_without_kvmclock_is_advanced_if_wanted(trip):
    guest = trip.board(name="ruled-hidden", **guest_domain.without_kvmclock(trip.hosts.source))
    set_policy(guest, "guestsWithoutKvmclock='advance'")
    measured, report = trip.hand_over(*migrate(trip, "--live"))
    assert set(measured.clocksources_after) == {"tsc"}
    assert report["CLOCKFERRY_POLICY"] == "guestsWithoutKvmclock=advance"


@pytest.mark.full
def test_bad_policy_is_reported_and_ignored(trip):
    guest = trip.board(name="ruled", vcpus=2)
    set_policy(guest, "mode='observe' maxAdvanceSec='0'")
    to_host, act = migrate(trip, "--live")
    journal = DaemonJournal(to_host)
    trip.hand_over(to_host, act)
    ignored = journal.wait_for_event("policy-ignored", guest.spec.uuid)
    assert "maxAdvanceSec" in ignored["CLOCKFERRY_REASON"]
