# SPDX-License-Identifier: LGPL-2.1-or-later
"""A peer, or a helper in a QEMU that has been running for long, of another version of the protocol: stock, and it is said why."""

import pytest

import clock_checks
import daemon_variant
import outcome
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
def test_peer_of_another_version(deployed_hosts, start_ready_guest, place, version):
    guest = start_ready_guest()
    with daemon_variant.running(deployed_hosts.get_host(place), build_with_peer_version(version)):
        outcome.expect_stock(guest, deployed_hosts.dest, "peer", "version")


@pytest.fixture(scope="module")
def later_helper_daemon():
    """The daemon was upgraded, the helper in the guest's QEMU was not."""
    return daemon_variant.build("helper-2", ("plugin/clock/helper-protocol.h", HELPER_VERSION, HELPER_VERSION.replace("1", "2")))


def test_helper_of_another_version_on_the_source(deployed_hosts, start_ready_guest, later_helper_daemon):
    source, dest = deployed_hosts
    guest = start_ready_guest()
    with daemon_variant.running(source, later_helper_daemon):
        departed = DaemonJournal(source)
        outcome.expect_stock(guest, dest, "record", "sent no record")
        departure = departed.wait_for_event("departure-unclaimed", guest.spec.uuid)
    assert "bad-version" in departure["CLOCKFERRY_REASON"], departure["MESSAGE"]


def test_helper_of_another_version_on_the_destination(deployed_hosts, start_ready_guest, later_helper_daemon):
    """What it did cannot be known: whatever it says is not understood."""
    guest = start_ready_guest()
    with daemon_variant.running(deployed_hosts.dest, later_helper_daemon):
        arrived = DaemonJournal(deployed_hosts.dest)
        measured, report = outcome.migrate_with_report(guest, deployed_hosts.dest)
        lost = arrived.wait_for_event("helper-lost", guest.spec.uuid)
    clock_checks.check_stock(measured)
    assert report["CLOCKFERRY_VERDICT"] == "unknown", report["MESSAGE"]
    assert "bad-version" in lost["MESSAGE"]
