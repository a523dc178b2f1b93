# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole way: after `virsh migrate --live` the guest's clocks are as if it had never moved. The control is in test_stock.py."""

import pytest

import clock_checks
import journey
import kinds_table
import outcome
from daemon_journal import DaemonJournal


def check_fixed(measured, report):
    assert report["CLOCKFERRY_EVENT"] == "migration-fixed", report["MESSAGE"]
    clock_checks.check_handed_over(measured, report)
    clock_checks.check_theta(measured, report)
    kinds_table.add_measurement(journey.CLOCKFERRY, measured.yardstick)


@pytest.mark.parametrize("vcpus", [pytest.param(1, marks=pytest.mark.full), 4])
def test_clocks_go_on_there_and_back(deployed_hosts, start_ready_guest, vcpus):
    guest = start_ready_guest(vcpus=vcpus)
    ready_for_return = DaemonJournal(deployed_hosts.dest)

    for to_host in (deployed_hosts.dest, deployed_hosts.source):
        measured, report = outcome.migrate_with_report(guest, to_host)
        check_fixed(measured, report)
        assert int(report["CLOCKFERRY_VCPUS"]) == vcpus
        ready_for_return.wait_for_event("domain-ready", guest.spec.uuid)


def test_guest_started_without_helper_is_right_from_its_second_migration_on(deployed_hosts, start_guest):
    """libvirt cannot give the helper to a QEMU at `virsh start`; the hook gives it to the one that receives the guest."""
    guest = start_guest()
    departed = DaemonJournal(deployed_hosts.source)
    arrived = DaemonJournal(deployed_hosts.dest)

    first, report = outcome.migrate_with_report(guest, deployed_hosts.dest)
    assert report["CLOCKFERRY_EVENT"] == "migration-stock", report["MESSAGE"]
    assert report["CLOCKFERRY_STEP"] == "record", report["MESSAGE"]
    assert "no helper" in departed.wait_for_event("departure-unclaimed", guest.spec.uuid)["CLOCKFERRY_REASON"]
    clock_checks.check_stock(first)

    arrived.wait_for_event("domain-ready", guest.spec.uuid)
    second, report = outcome.migrate_with_report(guest, deployed_hosts.source)
    check_fixed(second, report)
