# SPDX-License-Identifier: LGPL-2.1-or-later
"""A peer, or a helper in a QEMU that has been running for long, of another version of the protocol: stock, and it is said why."""

import pytest

import clock_checks
import daemon_variant
from daemon_journal import DaemonJournal

# two builds of the daemon
pytestmark = pytest.mark.full

PEER_INTERFACE = "org.clockferry1.Peer"
PREFIX_OF_PEER = "sources: peer_xml,\n  interface_prefix: 'org.clockferry1.'"
HELPER_VERSION = "#define HELPER_VERSION     1"


def build_with_peer_version(version):
    other = PEER_INTERFACE.replace("1", version)
    return daemon_variant.build(f"peer-{version}", ("data/org.clockferry1.Peer.xml", f'"{PEER_INTERFACE}"', f'"{other}"'),
                                ("daemon/meson.build", PREFIX_OF_PEER, PREFIX_OF_PEER.replace("ferry1", f"ferry{version}")))


@pytest.mark.parametrize("version", ["0", "2"], ids=["earlier", "later"])
@pytest.mark.parametrize("place", ["source", "dest"])
def test_peer_of_another_version(deployed_hosts, start_ready_guest, migrate_and_judge, place, version):
    dest = deployed_hosts.dest
    guest = start_ready_guest()
    with daemon_variant.running(deployed_hosts.get_host(place), build_with_peer_version(version)):
        journal = DaemonJournal(dest)
        measured = migrate_and_judge(guest, dest)
        report = journal.wait_for_report(guest.spec.uuid)
    clock_checks.check_stock(measured)
    assert (report["CLOCKFERRY_VERDICT"], report["CLOCKFERRY_STEP"]) == ("stock", "peer"), report["MESSAGE"]
    assert "version" in report["CLOCKFERRY_REASON"], report["MESSAGE"]


@pytest.mark.parametrize("place", ["source", "dest"])
def test_helper_of_another_version(deployed_hosts, start_ready_guest, migrate_and_judge, place):
    """The daemon was upgraded, the helper in the guest's QEMU was not."""
    dest = deployed_hosts.dest
    guest = start_ready_guest()
    later = daemon_variant.build("helper-2", ("plugin/clock/helper-protocol.h", HELPER_VERSION, HELPER_VERSION.replace("1", "2")))
    with daemon_variant.running(deployed_hosts.get_host(place), later):
        journal = DaemonJournal(dest)
        measured = migrate_and_judge(guest, dest)
        report = journal.wait_for_report(guest.spec.uuid)
    clock_checks.check_stock(measured)
    assert report["CLOCKFERRY_VERDICT"] == "stock", report["MESSAGE"]
    assert report["CLOCKFERRY_STEP"] == ("helper" if place == "dest" else "record"), report["MESSAGE"]
