# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is wrong from the start, or for the whole of a migration; what comes upon one in the middle is in test_fault_walk.py."""

import contextlib

import pytest

import clock_checks
import deployment
import faults
import journey
import migration
import outcome
import package_files
from daemon_journal import DaemonJournal

# minutes together
pytestmark = pytest.mark.full

KEY = f"{faults.STATE_DIR}/key.pem"


# ---- the key

@contextlib.contextmanager
def broken_key(host, command):
    """The daemon is started with its key spoilt; with the key mended it comes up by itself."""
    host.run(["cp", "--archive", KEY, "/run/clockferry-test-key"])
    try:
        host.run(["sh", "-c", command, KEY])
        host.run(["systemctl", "restart", deployment.DAEMON_UNIT], check=False)
        yield
    finally:
        host.run(["cp", "--archive", "/run/clockferry-test-key", KEY])
        faults.wait_until_active(host, deployment.DAEMON_UNIT)


@pytest.mark.parametrize("command, complaint", [
    pytest.param('chown root:root "$0" && chmod 600 "$0"', "Permission denied", id="unreadable"),
    pytest.param('truncate --size=100 "$0"', "is damaged", id="truncated"),
    pytest.param(': > "$0"', "is damaged", id="empty"),
])
@pytest.mark.parametrize("place", ["source", "dest"])
def test_key(deployed_hosts, start_ready_guest, place, command, complaint):
    source, dest = deployed_hosts
    host = deployed_hosts.get_host(place)
    guest = start_ready_guest()
    since = host.run(["date", "+%s"]).stdout.strip()
    with broken_key(host, command):
        if host is source:
            outcome.expect_stock(guest, dest, "peer", "refused")
        else:
            clock_checks.check_stock(outcome.migrate_promptly(guest, dest))
        said = host.run(["journalctl", "--unit", "clockferryd", "--output", "cat", "--since", f"@{since}"]).stdout
        assert "key.pem" in said and complaint in said, said
    ready = DaemonJournal(dest)
    dest.run(["systemctl", "restart", deployment.DAEMON_UNIT])
    ready.wait_for_event("domain-ready", guest.spec.uuid)
    outcome.expect_fixed(guest, source)


# ---- two daemons

def test_second_daemon_gives_way(deployed_hosts, start_ready_guest):
    """One that is started by hand ends and says why; the first does not mind."""
    source, dest = deployed_hosts
    guest = start_ready_guest()
    first_pids = [faults.get_pid(host, deployment.DAEMON_UNIT) for host in deployed_hosts]
    for host, first_pid in zip(deployed_hosts, first_pids):
        second = host.run(["runuser", "-u", "clockferry", "--", "/usr/sbin/clockferryd"], check=False, timeout=30)
        assert second.rc == 1, second
        assert f"another clockferryd runs on this host: process {first_pid}" in second.stderr, second
    outcome.expect_fixed(guest, dest)
    assert [faults.get_pid(host, deployment.DAEMON_UNIT) for host in deployed_hosts] == first_pids
    assert source.run(["clockferryctl", "status"], check=False).rc == 0


# ---- the destination knows nothing of clockferry

def test_destination_without_clockferry(deployed_hosts, deployed_folder, start_ready_guest):
    if not package_files.find_packages(deployed_folder):
        pytest.skip(f"{deployed_folder} holds no packages")
    source, dest = deployed_hosts
    guest = start_ready_guest()
    journal = DaemonJournal(source)
    deployment.remove_packages(dest, purge=True)
    try:
        measured = outcome.migrate_promptly(guest, dest)
        departure = journal.wait_for_event("departure-unclaimed", guest.spec.uuid)
    finally:
        deployment.install_packages([dest], deployed_folder)
    clock_checks.check_stock(measured)
    assert "no daemon of the destination claimed" in departure["CLOCKFERRY_REASON"]


# ---- the whole network between the hosts, migration and all

def test_migration_over_a_late_network(deployed_hosts, start_ready_guest):
    guest = start_ready_guest()
    with contextlib.ExitStack() as stack:
        for host in deployed_hosts:
            host.run(f"modprobe sch_netem && tc qdisc replace dev {faults.NETWORK_DEVICE} root netem delay 100ms")
            stack.callback(host.run, ["tc", "qdisc", "del", "dev", faults.NETWORK_DEVICE, "root"])
        _measured, report = outcome.expect_fixed(guest, deployed_hosts.dest)
    # both ways are as late, and yet that is not known: it is in the bound that is claimed
    assert int(report["CLOCKFERRY_THETA_BOUND_NS"]) >= 90_000_000


# ---- libvirt's daemon goes in the middle of it, and the migration with it

@pytest.mark.parametrize("place", ["source", "dest"])
def test_libvirtd_restarted_under_a_migration(deployed_hosts, start_ready_guest, place):
    """As without clockferry, virsh fails and the guest stays; nothing has happened to its clocks, and the next migration is fixed."""
    source, dest = deployed_hosts
    guest = start_ready_guest(vcpus=2)
    journal = DaemonJournal(dest)
    watch = migration.Watch(guest, source)
    with journey.Background(guest, dest, "--live", "--bandwidth", "1") as moving:
        journal.wait_for_event("arrival-claimed", guest.spec.uuid, deadline_s=90)
        deployed_hosts.get_host(place).run(["systemctl", "restart", faults.LIBVIRTD], timeout=120)
        moving.expect_failure("error:")
    faults.wait_until_recovered(source, guest.spec.uuid)
    clock_checks.check_untouched(watch.judge(0))
    dest.wait_until(lambda: not dest.virsh("list", "--name", "--all").stdout.strip(), 60, "the guest that did not come to be gone")
    outcome.expect_fixed(guest, dest)


# ---- many vCPUs

def test_sixty_four_vcpus(deployed_hosts, start_ready_guest):
    guest = start_ready_guest(name="wide", vcpus=64, memory_mib=512)
    _measured, report = outcome.expect_fixed(guest, deployed_hosts.dest)
    assert int(report["CLOCKFERRY_VCPUS"]) == 64
