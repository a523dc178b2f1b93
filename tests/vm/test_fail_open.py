# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever is missing: the migration succeeds, the guest runs on as stock, `cont` is hardly held up, and the journal says why."""

import contextlib
import threading

import pytest

import clock_checks
import deployment
import outcome
from daemon_journal import DaemonJournal


@pytest.fixture
def ready_guest(start_ready_guest):
    return start_ready_guest()


@contextlib.contextmanager
def daemon_stopped(host):
    host.run(["systemctl", "stop", deployment.DAEMON_UNIT])
    try:
        yield
    finally:
        host.run(["systemctl", "start", deployment.DAEMON_UNIT])


@pytest.mark.full
def test_daemon_stopped_on_the_source(deployed_hosts, ready_guest):
    with daemon_stopped(deployed_hosts.source):
        outcome.expect_stock(ready_guest, deployed_hosts.dest, "peer", "refused")


@pytest.mark.full
def test_daemon_stopped_on_the_destination(deployed_hosts, ready_guest):
    journal = DaemonJournal(deployed_hosts.source)
    with daemon_stopped(deployed_hosts.dest):
        clock_checks.check_stock(outcome.migrate_promptly(ready_guest, deployed_hosts.dest))
        departure = journal.wait_for_event("departure-unclaimed", ready_guest.spec.uuid)
    assert "no daemon of the destination claimed" in departure["CLOCKFERRY_REASON"]


@pytest.mark.full
def test_helper_file_missing_on_the_destination(deployed_hosts, ready_guest):
    dest = deployed_hosts.dest
    library = dest.run("ls /usr/lib/*/libclockferry-qemu.so").stdout.strip()
    dest.run(["mv", library, f"{library}.away"])
    try:
        outcome.expect_stock(ready_guest, dest, "helper", "no helper in its QEMU")
    finally:
        dest.run(["mv", f"{library}.away", library])


def test_record_withheld(deployed_hosts, ready_guest):
    """The source's daemon accepts the claim and then says nothing more."""
    source, dest = deployed_hosts.source, deployed_hosts.dest
    journal = DaemonJournal(dest)
    failures = []

    def freeze_daemon_once_claimed():
        try:
            journal.wait_for_event("arrival-claimed", ready_guest.spec.uuid, deadline_s=90)
            source.run(["systemctl", "kill", "--signal=SIGSTOP", deployment.DAEMON_UNIT])
        except Exception as error:  # told below, by the thread that asserts
            failures.append(error)

    freezer = threading.Thread(target=freeze_daemon_once_claimed)
    freezer.start()
    try:
        # so slow that the daemon is frozen well before the guest is paused
        clock_checks.check_stock(outcome.migrate_promptly(ready_guest, dest, options=("--live", "--bandwidth", "4")))
        report = journal.wait_for_report(ready_guest.spec.uuid)
    finally:
        freezer.join()
        source.run(["systemctl", "kill", "--signal=SIGCONT", deployment.DAEMON_UNIT])
    assert not failures, failures
    assert (report["CLOCKFERRY_VERDICT"], report["CLOCKFERRY_STEP"]) == ("stock", "record"), report["MESSAGE"]
