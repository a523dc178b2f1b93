# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's profiles for libvirt, enforced, and QEMU in its seccomp sandbox: everything works as it does without."""

import json

import pytest

import deployment
import host_pair
import host_variant
import outcome

# a pair of hosts of its own, that has to boot
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def hosts():
    """In place of the everyday hosts, for all that is built on them."""
    with host_pair.borrow(host_variant.APPARMOR) as pair:
        yield pair


@pytest.fixture(scope="module")
def deployed_hosts(hosts, deployed_folder):
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

    denials = {host.name: find_denials(host) for host in deployed_hosts}
    print(denials)
    assert not [line for lines in denials.values() for line in lines if "clockferry" in line], denials
