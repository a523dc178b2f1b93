# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that were started without the helper: their first migration is right, by the record that clockferry-observer makes.

clockferry could not give them the helper at their start, and for some it was out of service then; in test_packages.py it is not
installed yet. What their first migration does to them without an observer is test_hand_over.py's, and the control of all of it
test_stock.py's.
"""

import contextlib

import pytest

import clock_checks
import deployment
import faults
import host_pair
import journey
import kinds_table
import migration
import observed_clocks
import outcome
from daemon_journal import DaemonJournal

# Half a minute after the last guest has left, and the kernel takes its time.
_DETACH_DEADLINE_S = 60
# capabilities(7)
_CAP_PERFMON, _CAP_BPF = 38, 39


@pytest.fixture
def start_old_guest(deployed_hosts, start_guest):
    """start_guest(), and no helper is in its QEMU; returns when the source's daemon knows it. before_clockferry: that is not in service
    until the guest runs."""
    def start(before_clockferry=False, **fields):
        journal = DaemonJournal(deployed_hosts.source)
        with deployment.clockferry_out_of_service(deployed_hosts) if before_clockferry else contextlib.nullcontext():
            guest = start_guest(**fields)
        ready = journal.wait_for_event("domain-ready", guest.spec.uuid, observed_clocks.START_DEADLINE_S)
        assert ready["CLOCKFERRY_SOURCE"] == "observed", ready["MESSAGE"]
        return guest

    return start


def check_departed(journal, guest):
    """The source says of it what the destination does."""
    paused = journal.wait_for_event("departure-paused", guest.spec.uuid)
    done = journal.wait_for_event("departure-done", guest.spec.uuid)
    assert (paused["CLOCKFERRY_RECORD"], paused["CLOCKFERRY_SOURCE"]) == ("sent", "observed"), paused["MESSAGE"]
    assert done["CLOCKFERRY_SOURCE"] == "observed", done["MESSAGE"]


def check_observed_report(measured, report):
    """Both clocks go on, by a record that was observed."""
    assert (report["CLOCKFERRY_EVENT"], report.get("CLOCKFERRY_SOURCE")) == ("migration-fixed", "observed"), report["MESSAGE"]
    clock_checks.check_handed_over(measured, report)
    clock_checks.check_theta(measured, report)
    kinds_table.add_measurement(journey.CLOCKFERRY, measured.yardstick)


def expect_observed(guest, to_host, options=("--live",)):
    """With no helper in its QEMU, both clocks go on; both hosts say why. Returns the report.

    Only the daemon has the observer watch, and it is in time for that: not outcome.migrate_with_report(), which has it watch before.
    """
    departed, arrived = DaemonJournal(guest.host), DaemonJournal(to_host)
    observed_clocks.check_qemu_is_untouched(guest)
    measured = outcome.migrate_promptly(guest, to_host, options)
    report = arrived.wait_for_report(guest.spec.uuid)
    check_observed_report(measured, report)
    check_departed(departed, guest)
    arrived.wait_for_event("domain-ready", guest.spec.uuid)
    return report


@pytest.mark.parametrize("vcpus", [1, pytest.param(16, marks=pytest.mark.full)])
def test_first_migration_is_right(deployed_hosts, start_old_guest, vcpus):
    guest = start_old_guest(before_clockferry=True, vcpus=vcpus)
    report = expect_observed(guest, deployed_hosts.dest)
    assert int(report["CLOCKFERRY_VCPUS"]) == vcpus

    # and back, with the helper that the hook gave it
    _measured, report = outcome.expect_fixed(guest, deployed_hosts.source)
    assert report["CLOCKFERRY_SOURCE"] == "helper", report["MESSAGE"]


@pytest.mark.full
@pytest.mark.parametrize("options", [
    pytest.param([], id="not-live"),
    pytest.param(["--live", "--p2p"], id="peer-to-peer"),
    pytest.param(["--live", "--p2p", "--tunnelled"], id="tunnelled"),
    pytest.param(["--live", "--postcopy", "--postcopy-after-precopy"], id="post-copy"),
])
def test_other_ways_to_migrate(deployed_hosts, start_old_guest, options):
    expect_observed(start_old_guest(vcpus=2), deployed_hosts.dest, options)


@pytest.mark.full
def test_watched_between_claim_and_departure(deployed_hosts, start_old_guest):
    """And neither before nor after; nothing is done to QEMU meanwhile, and the observer has the capabilities for that alone."""
    guest = start_old_guest()
    source, dest = deployed_hosts
    definition = source.virsh("dumpxml", guest.name).stdout
    source.wait_until(lambda: not observed_clocks.is_attached(source), _DETACH_DEADLINE_S, "the observer to be detached")
    with journey.held_before_pause(guest, dest):
        source.wait_until(lambda: observed_clocks.is_attached(source), 30, "the observer to be attached")
        observed_clocks.check_qemu_is_untouched(guest)
        assert source.virsh("dumpxml", guest.name).stdout == definition
        status = source.get_file(f"/proc/{faults.get_pid(source, observed_clocks.SERVICE)}/status")
        assert f"CapEff:\t{1 << _CAP_PERFMON | 1 << _CAP_BPF:016x}" in status, status
    source.wait_until(lambda: not observed_clocks.is_attached(source), _DETACH_DEADLINE_S, "the observer to be detached again")


@pytest.mark.full
def test_two_guests_at_once(deployed_hosts, start_old_guest):
    """The record of one is never used for the other: it has as many vCPUs as the guest, and its clocks go on."""
    guests = [start_old_guest(name=f"with-{vcpus}", vcpus=vcpus) for vcpus in (1, 3)]
    source, dest = deployed_hosts
    arrived, departed = DaemonJournal(dest), DaemonJournal(source)
    watches = [migration.Watch(guest, dest) for guest in guests]
    durations_s = host_pair.run_in_parallel(*(lambda guest=guest: guest.migrate(dest) for guest in guests))
    for guest, watch, duration_s in zip(guests, watches, durations_s):
        report = arrived.wait_for_report(guest.spec.uuid)
        measured = watch.judge(duration_s)
        print(f"\n{guest.spec.name}\n{measured.describe()}")
        check_observed_report(measured, report)
        assert int(report["CLOCKFERRY_VCPUS"]) == guest.spec.vcpus
        check_departed(departed, guest)


@pytest.mark.full
def test_helper_and_observer_agree(deployed_hosts, start_ready_guest):
    """Two ways that have nothing in common to the same record."""
    guest = start_ready_guest(vcpus=4)
    with observed_clocks.watch(deployed_hosts.source, guest.name) as seen:
        _measured, report = outcome.expect_fixed(guest, deployed_hosts.dest)
    observed_clocks.check_agreement(seen, report)
    assert not [said for said in seen.others if "missed" in said], seen


@pytest.mark.full
def test_migration_that_fails_after_the_pause(deployed_hosts, start_old_guest):
    """What was observed of it is void, and the next one has its own."""
    guest = start_old_guest()
    source, dest = deployed_hosts
    arrived, departed = DaemonJournal(dest), DaemonJournal(source)
    dest.run("mkdir -p /etc/libvirt/qemu && mount -t tmpfs -o ro none /etc/libvirt/qemu")
    try:
        journey.Background(guest, dest, "--live", "--persistent").expect_failure("Read-only file system")
    finally:
        dest.run(["umount", "/etc/libvirt/qemu"])
    assert departed.wait_for_event("departure-paused", guest.spec.uuid)["CLOCKFERRY_SOURCE"] == "observed"
    departed.wait_for_event("departure-rolled-back", guest.spec.uuid)
    void = arrived.wait_for_event("arrival-armed", guest.spec.uuid)
    # what the pause did to its clocks is stock, and not what is measured
    guest.settled_since = guest.count_samples()
    report = expect_observed(guest, dest)
    assert report["CLOCKFERRY_GUEST_SRC_NS"] != void["CLOCKFERRY_GUEST_SRC_NS"]


@pytest.mark.full
def test_restarted_domain_has_its_own_record(deployed_hosts, start_old_guest):
    """A domain that was shut down and started again has another QEMU: of that one the record is."""
    guest = start_old_guest(persistent=True)
    source, dest = deployed_hosts
    source.virsh("destroy", guest.name)
    restarted = DaemonJournal(source)
    source.virsh("start", guest.name)
    assert restarted.wait_for_event("domain-ready", guest.spec.uuid)["CLOCKFERRY_SOURCE"] == "observed"
    guest.wait_for_samples(1, migration.START_DEADLINE_S, since=guest.count_samples())
    guest.settled_since = guest.read_log().get_last_stay_begin()
    expect_observed(guest, dest)


@pytest.mark.full
def test_paused_before_the_claim(deployed_hosts, start_old_guest):
    """Not migrated live, and the destination's daemon comes to claim it long after the pause: the record is there."""
    guest = start_old_guest()
    source, dest = deployed_hosts
    departed, arrived = DaemonJournal(source), DaemonJournal(dest)
    watch = migration.Watch(guest, dest)
    with journey.Background(guest, dest, "--bandwidth", "4") as moving:
        with faults.frozen(dest, deployment.DAEMON_UNIT):
            source.wait_until(lambda: source.virsh("domstate", guest.name, check=False).stdout.strip() != "running", 90, "the pause")
        moving.expect_success()
    measured = watch.judge(0)
    print(f"\n{guest.spec.name}\n{measured.describe()}")
    check_observed_report(measured, arrived.wait_for_report(guest.spec.uuid))
    check_departed(departed, guest)


@pytest.mark.full
def test_destination_that_only_observes(deployed_hosts, start_old_guest):
    """It says what it would have done by the record that was observed, and does nothing."""
    guest = start_old_guest()
    with deployment.daemon_settings([deployed_hosts.dest], Mode="observe"):
        measured, report = outcome.migrate_with_report(guest, deployed_hosts.dest)
    assert (report["CLOCKFERRY_EVENT"], report["CLOCKFERRY_SOURCE"]) == ("migration-observed", "observed"), report["MESSAGE"]
    clock_checks.check_stock(measured)
    clock_checks.check_observed(measured, report)


@pytest.mark.full
@pytest.mark.parametrize("unit", [observed_clocks.SERVICE, deployment.DAEMON_UNIT])
def test_restarted_under_a_migration(deployed_hosts, start_old_guest, unit):
    """The observer, or the daemon that it tells, before the pause: it is watched again in time."""
    guest = start_old_guest()
    source, dest = deployed_hosts
    departed, arrived = DaemonJournal(source), DaemonJournal(dest)
    watch = migration.Watch(guest, dest)
    with journey.held_before_pause(guest, dest):
        source.wait_until(lambda: observed_clocks.is_attached(source), 30, "the observer to be attached")
        restarted = DaemonJournal(source)
        with faults.restarted(source, unit):
            if unit == deployment.DAEMON_UNIT:
                restarted.wait_for_event("departure-claimed", guest.spec.uuid, 90)
                restarted.wait_for_event("domain-ready", guest.spec.uuid, observed_clocks.START_DEADLINE_S)
            # the kernel detached it when the observer ended
            source.wait_until(lambda: observed_clocks.is_attached(source), observed_clocks.START_DEADLINE_S,
                              "the observer to be attached again")
    measured = watch.judge(0)
    print(f"\n{guest.spec.name}\n{measured.describe()}")
    check_observed_report(measured, arrived.wait_for_report(guest.spec.uuid))
    check_departed(departed, guest)


@pytest.mark.full
def test_observer_that_hangs(deployed_hosts, start_old_guest):
    """The guest is stock, and nothing waits for it."""
    guest = start_old_guest()
    source, dest = deployed_hosts
    departed, arrived = DaemonJournal(source), DaemonJournal(dest)
    with faults.frozen(source, observed_clocks.SERVICE):
        measured = outcome.migrate_promptly(guest, dest)
        report = arrived.wait_for_report(guest.spec.uuid)
        left = departed.wait_for_event("departure-unclaimed", guest.spec.uuid)
    assert (report["CLOCKFERRY_VERDICT"], report["CLOCKFERRY_STEP"]) == ("stock", "record"), report["MESSAGE"]
    clock_checks.check_stock(measured)
    assert "the observer saw no record" in left["CLOCKFERRY_REASON"], left["MESSAGE"]
