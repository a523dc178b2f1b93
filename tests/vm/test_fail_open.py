# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever is missing: the migration succeeds, the guest runs on as stock, `cont` is hardly held up, and the journal says why."""

import contextlib
import threading

import pytest

import clock_checks
from cont_delay import trace_cont_delay
from daemon_journal import DaemonJournal

DAEMON_UNIT = "clockferryd.service"
CONT_DELAY_MAX_S = 0.050


@pytest.fixture
def ready_guest(start_ready_guest):
    return start_ready_guest()


@contextlib.contextmanager
def daemon_stopped(host):
    host.run(["systemctl", "stop", DAEMON_UNIT])
    try:
        yield
    finally:
        host.run(["systemctl", "start", DAEMON_UNIT])


def migrate_traced(migrate_and_judge, guest, to_host, **options):
    """Migrate; asserts what holds in every case, whatever failed."""
    with trace_cont_delay(to_host) as traced:
        measured = migrate_and_judge(guest, to_host, **options)
    clock_checks.check_stock(measured)
    assert traced.delay_s is not None, "no KVM_SET_CLOCK was seen"
    print(f"cont held up for {traced.delay_s * 1e3:.3f} ms")
    assert traced.delay_s <= CONT_DELAY_MAX_S
    return measured


@pytest.mark.full
def test_daemon_stopped_on_the_source(deployed_hosts, ready_guest, migrate_and_judge):
    journal = DaemonJournal(deployed_hosts.dest)
    with daemon_stopped(deployed_hosts.source):
        migrate_traced(migrate_and_judge, ready_guest, deployed_hosts.dest)
        report = journal.wait_for_report(ready_guest.spec.uuid)
    assert (report["CLOCKFERRY_VERDICT"], report["CLOCKFERRY_STEP"]) == ("stock", "peer"), report["MESSAGE"]
    assert "refused" in report["CLOCKFERRY_REASON"]


def test_daemon_stopped_on_the_destination(deployed_hosts, ready_guest, migrate_and_judge):
    journal = DaemonJournal(deployed_hosts.source)
    with daemon_stopped(deployed_hosts.dest):
        migrate_traced(migrate_and_judge, ready_guest, deployed_hosts.dest)
        departure = journal.wait_for_event("departure-unclaimed", ready_guest.spec.uuid)
    assert "no daemon of the destination claimed" in departure["CLOCKFERRY_REASON"]


@pytest.mark.full
def test_helper_file_missing_on_the_destination(deployed_hosts, ready_guest, migrate_and_judge):
    dest = deployed_hosts.dest
    library = dest.run("ls /usr/lib/*/libclockferry-qemu.so").stdout.strip()
    journal = DaemonJournal(dest)
    dest.run(["mv", library, f"{library}.away"])
    try:
        migrate_traced(migrate_and_judge, ready_guest, dest)
        report = journal.wait_for_report(ready_guest.spec.uuid)
    finally:
        dest.run(["mv", f"{library}.away", library])
    assert (report["CLOCKFERRY_VERDICT"], report["CLOCKFERRY_STEP"]) == ("stock", "helper"), report["MESSAGE"]
    assert "no helper in its QEMU" in report["CLOCKFERRY_REASON"]


def test_record_withheld(deployed_hosts, ready_guest, migrate_and_judge):
    """The source's daemon accepts the claim and then says nothing more."""
    source, dest = deployed_hosts.source, deployed_hosts.dest
    journal = DaemonJournal(dest)
    failures = []

    def freeze_daemon_once_claimed():
        try:
            journal.wait_for_event("arrival-claimed", ready_guest.spec.uuid, deadline_s=90)
            source.run(["systemctl", "kill", "--signal=SIGSTOP", DAEMON_UNIT])
        except Exception as error:  # told below, by the thread that asserts
            failures.append(error)

    freezer = threading.Thread(target=freeze_daemon_once_claimed)
    freezer.start()
    try:
        # so slow that the daemon is frozen well before the guest is paused
        migrate_traced(migrate_and_judge, ready_guest, dest, options=("--live", "--bandwidth", "4"))
        report = journal.wait_for_report(ready_guest.spec.uuid)
    finally:
        freezer.join()
        source.run(["systemctl", "kill", "--signal=SIGCONT", DAEMON_UNIT])
    assert not failures, failures
    assert (report["CLOCKFERRY_VERDICT"], report["CLOCKFERRY_STEP"]) == ("stock", "record"), report["MESSAGE"]
