# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's profiles for libvirt, enforced, and QEMU in its seccomp sandbox: everything works as it does without."""

import json

import pytest

import clock_checks
import deployment
import host_pair
import host_time
import host_variant
import migration
import observed_clocks
import outcome
from daemon_journal import DaemonJournal

# a pair of hosts of its own, that has to boot
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def hosts():
    """In place of the everyday hosts, for all that is built on them."""
    with host_pair.borrow(host_variant.APPARMOR) as pair:
        yield pair


@pytest.fixture(scope="module")
def deployed_hosts(hosts, deployed_folder):
    for host in hosts:
        lockdown = host.get_file("/sys/kernel/security/lockdown")
        assert "[none]" in lockdown, "these hosts have run the tests before: tests/vm/hosts --kind apparmor down"
    deployment.deploy(hosts, deployed_folder)
    return hosts


def read_profile(host, pid):
    return host.get_file(f"/proc/{pid}/attr/current").strip()


def assert_enforced(guest):
    """libvirtd and the guest's QEMU are each in its profile; of one that only complains the kernel would say so."""
    libvirtd_pid = guest.host.run("systemctl show --property MainPID --value libvirtd.service").stdout.strip()
    assert read_profile(guest.host, libvirtd_pid) == "libvirtd (enforce)"
    qemu_pid = guest.host.get_file(f"/run/libvirt/qemu/{guest.name}.pid").strip()
    assert read_profile(guest.host, qemu_pid) == f"libvirt-{guest.spec.uuid} (enforce)"


def assert_sandboxed(guest):
    """libvirt has QEMU put itself under its seccomp filters, with nothing left out."""
    pid = guest.host.get_file(f"/run/libvirt/qemu/{guest.name}.pid").strip()
    command = guest.host.get_file(f"/proc/{pid}/cmdline").split("\0")
    assert command[command.index("-sandbox") + 1] == "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    status = dict(line.split(":\t", 1) for line in guest.host.get_file(f"/proc/{pid}/status").splitlines())
    assert status["Seccomp"] == "2" and int(status["Seccomp_filters"]) >= 1, status


def find_denials(host):
    """What AppArmor denied to anybody since the host was booted."""
    denials = host.run(["journalctl", "--boot", "--output", "cat", "--grep", 'apparmor="DENIED"'], check=False).stdout
    return denials.splitlines()


def assert_nothing_denied(hosts):
    denials = {host.name: find_denials(host) for host in hosts}
    print(denials)
    assert not [line for lines in denials.values() for line in lines if "clockferry" in line], denials


def start_observed_guest(source, start_guest):
    ready = DaemonJournal(source)
    guest = start_guest()
    assert ready.wait_for_event("domain-ready", guest.spec.uuid, observed_clocks.START_DEADLINE_S)["CLOCKFERRY_SOURCE"] == "observed"
    return guest


def expect_observed(guest, to_host):
    arrived = DaemonJournal(to_host)
    measured = outcome.migrate_promptly(guest, to_host)
    report = arrived.wait_for_report(guest.spec.uuid)
    assert (report["CLOCKFERRY_EVENT"], report.get("CLOCKFERRY_SOURCE")) == ("migration-fixed", "observed"), report["MESSAGE"]
    clock_checks.check_handed_over(measured, report)


def lock_down(host, extent):
    """What is in the kernel already may stay there."""
    host.run(["systemctl", "stop", observed_clocks.SERVICE])
    host.run(f"echo {extent} > /sys/kernel/security/lockdown")


def test_check_finds_no_fault(deployed_hosts):
    for host in deployed_hosts:
        checks = json.loads(host.run(["clockferryctl", "--json", "check"], check=False).stdout)["checks"]
        by_id = {check["id"]: check for check in checks}
        assert by_id["apparmor"]["status"] == "ok", by_id["apparmor"]
        assert by_id["helper-loads"]["status"] == "ok", by_id["helper-loads"]


def test_migration_under_enforced_profiles(deployed_hosts, start_ready_guest):
    """There, with the helper out of the domain's own XML, and back, with the one that the hook gave it."""
    guest = start_ready_guest(vcpus=2)
    assert_enforced(guest)
    assert_sandboxed(guest)
    for to_host in (deployed_hosts.dest, deployed_hosts.source):
        outcome.expect_fixed(guest, to_host)
        assert_enforced(guest)
        assert_sandboxed(guest)

    assert_nothing_denied(deployed_hosts)


def test_first_migration_is_right(deployed_hosts, start_guest):
    """The observer sees a QEMU that is in its profile."""
    guest = start_observed_guest(deployed_hosts.source, start_guest)
    assert_enforced(guest)
    expect_observed(guest, deployed_hosts.dest)
    assert_nothing_denied(deployed_hosts)


def test_kernel_that_is_locked_down(deployed_hosts, start_guest):
    """As by Secure Boot, where it can be observed; and wholly, where nothing can, and nothing else is lost.

    The last test of these hosts, which no kernel forgets: they are ended before they are used again.
    """
    source, dest = deployed_hosts
    host_time.keep_shared_memory(source)
    lock_down(source, "integrity")
    expect_observed(start_observed_guest(source, start_guest), dest)

    lock_down(source, "confidentiality")
    observed_clocks.check_warned(source, "locked down")
    ready, arrived = DaemonJournal(source), DaemonJournal(dest)
    guest = start_guest()
    not_ready = ready.wait_for_event("domain-not-ready", guest.spec.uuid, observed_clocks.START_DEADLINE_S)
    assert "locked down" in not_ready["CLOCKFERRY_REASON"], not_ready["MESSAGE"]
    clock_checks.check_stock(migration.migrate_and_judge(guest, dest))
    report = arrived.wait_for_report(guest.spec.uuid)
    assert (report["CLOCKFERRY_VERDICT"], report["CLOCKFERRY_STEP"]) == ("stock", "record"), report["MESSAGE"]
    arrived.wait_for_event("domain-ready", guest.spec.uuid)

    # such a kernel lets nobody trace it: not outcome.expect_fixed()
    returned = DaemonJournal(source)
    measured = migration.migrate_and_judge(guest, source)
    report = returned.wait_for_report(guest.spec.uuid)
    assert report["CLOCKFERRY_EVENT"] == "migration-fixed", report["MESSAGE"]
    clock_checks.check_handed_over(measured, report)
