# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts whose clocks do not agree: what clockferry takes theta for, and whether its claimed bound contains the truth.

The truth is twofold: the hosts' clocks, compared through memory that both map, and the guest's own CLOCK_REALTIME, which has to
go on as if it had never moved. Neither knows of the other, or of clockferry.
"""

import contextlib

import pytest

import clock_checks
import host_time
import journey
from daemon_journal import DaemonJournal

MS = 1_000_000
STEP_NS = 2_000 * MS
SLEW_PPM = 500
# How well host_time.set_clock_offset() sets one clock by the other, and clocks keep that for half a minute.
SET_BOUND_NS = 20_000
# Slow enough for something to happen while the guest is on its way, MiB/s.
SLOW = 8


@pytest.fixture(scope="module", autouse=True)
def clocks_as_they_were(deployed_hosts):
    yield
    for host in deployed_hosts:
        host_time.declare_clock(host, synchronised=False)
    host_time.set_clock_offset(deployed_hosts.source, deployed_hosts.dest, 0)


@contextlib.contextmanager
def host_clock(trip, mode, synchronised=(True, True), apart_ns=0):
    """A guest on its host, daemons with this HostClock, and clocks this far apart; yields the host to migrate to."""
    guest = trip.board(name="timely")
    # the default needs no setting, and a restart of the daemons takes its time
    with trip.daemon_settings(HostClock=mode) if mode != "auto" else contextlib.nullcontext():
        to_host = trip.other_host
        host_time.set_clock_offset(guest.host, to_host, apart_ns)
        # a step, of whatever length, tells the kernel that the clock is no longer synchronised
        for host, is_synchronised in zip((guest.host, to_host), synchronised):
            host_time.declare_clock(host, is_synchronised)
        yield to_host


def migrate(trip, to_host, *options):
    return trip.hand_over(to_host, lambda: trip.guest.migrate(to_host, options or ("--live",)))


def get_warnings(trip, journal):
    """The reasons of the warnings that the hosts' clocks were not trusted to agree."""
    return [event["CLOCKFERRY_REASON"] for event in journal.read_events()
            if event["CLOCKFERRY_EVENT"] == "clocks-apart" and event["CLOCKFERRY_DOMAIN"] == trip.guest.spec.uuid]


# ---- which theta

@pytest.mark.parametrize("apart_ns", [3_000 * MS, pytest.param(-3_000 * MS, marks=pytest.mark.full),
                                      pytest.param(100 * MS, marks=pytest.mark.full),
                                      pytest.param(-100 * MS, marks=pytest.mark.full)])
def test_auto_does_not_trust_clocks_that_are_visibly_apart(trip, apart_ns):
    with host_clock(trip, "auto", apart_ns=apart_ns) as to_host:
        journal = DaemonJournal(to_host)
        measured, report = migrate(trip, to_host)
        assert report["CLOCKFERRY_THETA_USED"] == "measured"
        assert get_warnings(trip, journal) == ["apart"]
        clock_checks.check_theta(measured, report)


@pytest.mark.parametrize("apart_ns", [0, pytest.param(MS, marks=pytest.mark.full), pytest.param(-MS, marks=pytest.mark.full)])
def test_auto_trusts_clocks_that_may_agree(trip, apart_ns):
    """They can be compared to a few ms over the network of these hosts, so clocks 1 ms apart may be one."""
    with host_clock(trip, "auto", apart_ns=apart_ns) as to_host:
        journal = DaemonJournal(to_host)
        measured, report = migrate(trip, to_host)
        clock_checks.check_theta(measured, report)
        # a comparison that was luckier than usual may tell clocks 1 ms apart from one
        is_trusted = report["CLOCKFERRY_THETA_USED"] == "trusted"
        assert is_trusted or apart_ns != 0
        assert is_trusted or get_warnings(trip, journal) == ["apart"]
        assert apart_ns != 0 or get_warnings(trip, journal) == []


@pytest.mark.full
@pytest.mark.parametrize("synchronised, reason", [
    ((False, True), "source-unsynchronised"),
    ((True, False), "destination-unsynchronised"),
    ((False, False), "both-unsynchronised"),
])
def test_auto_does_not_trust_an_unsynchronised_clock(trip, synchronised, reason):
    with host_clock(trip, "auto", synchronised=synchronised) as to_host:
        journal = DaemonJournal(to_host)
        measured, report = migrate(trip, to_host)
        assert report["CLOCKFERRY_THETA_USED"] == "measured"
        assert get_warnings(trip, journal) == [reason]
        clock_checks.check_theta(measured, report)


@pytest.mark.full
@pytest.mark.parametrize("apart_ns", [100 * MS, MS, 3_000 * MS])
def test_trust(trip, apart_ns):
    """The administrator's word: the guest's clock goes on by the destination's, and the bound says how wrong that may be."""
    with host_clock(trip, "trust", apart_ns=apart_ns) as to_host:
        journal = DaemonJournal(to_host)
        measured, report = migrate(trip, to_host)
        assert (report["CLOCKFERRY_THETA_USED"], report["CLOCKFERRY_THETA_NS"]) == ("trusted", "0")
        assert not get_warnings(trip, journal)
        clock_checks.check_theta(measured, report)
        # what the hosts' clocks are apart is what the guest's clock has jumped
        assert measured.yardstick.continuity.shift_ns == pytest.approx(apart_ns, abs=MS)


@pytest.mark.full
def test_trust_in_a_destination_that_is_behind(trip):
    """By its clock the guest arrives before it has left: nothing can be credited."""
    with host_clock(trip, "trust", apart_ns=-60_000 * MS) as to_host:
        trip.expect_stock(None, to_host, lambda: trip.guest.migrate(to_host), "negative-elapsed")


@pytest.mark.parametrize("apart_ns", [MS, pytest.param(100 * MS, marks=pytest.mark.full),
                                      pytest.param(-3_000 * MS, marks=pytest.mark.full)])
def test_measure(trip, apart_ns):
    with host_clock(trip, "measure", apart_ns=apart_ns) as to_host:
        journal = DaemonJournal(to_host)
        measured, report = migrate(trip, to_host)
        assert report["CLOCKFERRY_THETA_USED"] == "measured"
        assert not get_warnings(trip, journal)
        clock_checks.check_theta(measured, report)


# ---- clocks that do not stand still

@pytest.mark.full
@pytest.mark.parametrize("mode", ["auto", "measure"])
@pytest.mark.parametrize("ppm", [SLEW_PPM, -SLEW_PPM])
def test_destination_is_slewing(trip, mode, ppm):
    with host_clock(trip, mode, apart_ns=20 * MS) as to_host:
        host_time.slew_clock(to_host, ppm)
        try:
            measured, report = migrate(trip, to_host)
        finally:
            host_time.slew_clock(to_host, 0)
        clock_checks.check_theta(measured, report)


@pytest.mark.parametrize("mode", ["auto", pytest.param("measure", marks=pytest.mark.full)])
@pytest.mark.parametrize("step_ns", [STEP_NS, pytest.param(-STEP_NS, marks=pytest.mark.full)])
@pytest.mark.parametrize("which", ["source", pytest.param("destination", marks=pytest.mark.full)])
@pytest.mark.parametrize("options, event", [
    pytest.param(["--live", "--bandwidth", str(SLOW)], "arrival-claimed", id="before-the-pause", marks=pytest.mark.full),
    # not live: the pause comes first
    pytest.param(["--bandwidth", str(SLOW)], "arrival-armed", id="while-paused"),
])
def test_clock_is_stepped_on_the_way(trip, mode, step_ns, which, options, event):
    with host_clock(trip, mode) as to_host:
        from_host, journal = trip.guest.host, DaemonJournal(to_host)
        stepped = from_host if which == "source" else to_host
        source_ns = destination_ns = None

        def migrate_and_step():
            nonlocal source_ns, destination_ns
            with journey.Background(trip.guest, to_host, *options) as migrating:
                journal.wait_for_event(event, trip.guest.spec.uuid, deadline_s=60)
                source_ns, destination_ns = (read_clock_ns(host) for host in (from_host, to_host))
                host_time.step_clock(stepped, step_ns)
                migrating.expect_success()

        _measured, report = trip.hand_over(to_host, migrate_and_step)
        was_paused = event == "arrival-armed"
        # was it when it was meant to be? By clocks of which one was set by then.
        if was_paused:
            assert int(report["CLOCKFERRY_HOST_SRC_NS"]) < source_ns
        else:
            assert int(report["CLOCKFERRY_HOST_SRC_NS"]) > source_ns + (step_ns if which == "source" else 0)
        assert int(report["CLOCKFERRY_HOST_DEST_NS"]) > destination_ns + (step_ns if which == "destination" else 0)

        # theta goes with the record: a source that is set later does not change it
        theta_ns = {"destination": step_ns, "source": 0 if was_paused else -step_ns}[which]
        bound_ns = int(report["CLOCKFERRY_THETA_BOUND_NS"])
        assert abs(int(report["CLOCKFERRY_THETA_NS"]) - theta_ns) <= bound_ns + SET_BOUND_NS
        assert bound_ns < STEP_NS / 10


def read_clock_ns(host):
    return int(host.run(["date", "+%s%N"]).stdout)
