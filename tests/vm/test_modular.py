# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's modular daemons, virtqemud above all, in place of libvirtd."""

import pytest

import deployment
import host_pair
import host_variant
import observed_clocks
import outcome
from daemon_journal import DaemonJournal

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def hosts():
    """In place of the everyday hosts, for all that is built on them."""
    with host_pair.borrow(host_variant.MODULAR) as pair:
        yield pair


@pytest.fixture(scope="module")
def deployed_hosts(hosts, deployed_folder):
    deployment.deploy(hosts, deployed_folder)
    return hosts


def test_migration_between_modular_daemons(deployed_hosts, start_guest):
    """There without the helper, observed, and back with the one that virtqemud's hook gave it; the daemon sees virtqemud restart meanwhile."""
    source, dest = deployed_hosts
    for host in deployed_hosts:
        assert host.run("systemctl is-active virtqemud.service libvirtd.service", check=False).stdout.split() == ["active", "inactive"]
    departing, arrived = DaemonJournal(source), DaemonJournal(dest)
    guest = start_guest(vcpus=2)
    departing.wait_for_event("domain-ready", guest.spec.uuid, observed_clocks.START_DEADLINE_S)
    guest.migrate(dest)
    assert arrived.wait_for_report(guest.spec.uuid)["CLOCKFERRY_EVENT"] == "migration-fixed"
    arrived.wait_for_event("domain-ready", guest.spec.uuid)

    restarted = DaemonJournal(dest)
    dest.run(["systemctl", "restart", "virtqemud.service"])
    restarted.wait_for_event("libvirt-connected")

    outcome.expect_fixed(guest, source)
