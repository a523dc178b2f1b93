# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole way: after `virsh migrate --live` the guest's clocks are as if it had never moved. The control is in test_stock.py."""

import pytest

import clock_checks
import deployment
import journey
import kinds_table
import outcome
from daemon_journal import DaemonJournal


def expect_fixed(guest, to_host):
    """With theta checked, and for the table of what was measured; returns the report."""
    measured, report = outcome.expect_fixed(guest, to_host)
    clock_checks.check_theta(measured, report)
    kinds_table.add_measurement(journey.CLOCKFERRY, measured.yardstick)
    return report


@pytest.mark.parametrize("vcpus", [pytest.param(1, marks=pytest.mark.full), 4])
def test_clocks_go_on_there_and_back(deployed_hosts, start_ready_guest, vcpus):
    guest = start_ready_guest(vcpus=vcpus)
    for to_host in (deployed_hosts.dest, deployed_hosts.source):
        report = expect_fixed(guest, to_host)
        assert int(report["CLOCKFERRY_VCPUS"]) == vcpus


@pytest.mark.full
def test_guest_started_without_helper_is_right_from_its_second_migration_on(deployed_hosts, start_guest):
    """libvirt cannot give the helper to a QEMU at `virsh start`; the hook gives it to the one that receives the guest. Without an
    observer: with one, test_observer.py."""
    with deployment.observer_out_of_service(deployed_hosts):
        guest = start_guest()
        departed = DaemonJournal(deployed_hosts.source)
        arrived = DaemonJournal(deployed_hosts.dest)

        first, report = outcome.migrate_with_report(guest, deployed_hosts.dest, is_observable=False)
        assert report["CLOCKFERRY_EVENT"] == "migration-stock", report["MESSAGE"]
        assert report["CLOCKFERRY_STEP"] == "record", report["MESSAGE"]
        assert "no helper" in departed.wait_for_event("departure-unclaimed", guest.spec.uuid)["CLOCKFERRY_REASON"]
        clock_checks.check_stock(first)

    arrived.wait_for_event("domain-ready", guest.spec.uuid)
    expect_fixed(guest, deployed_hosts.source)
