# SPDX-License-Identifier: LGPL-2.1-or-later
"""One migration with clockferry, and what has to come of it: by the guest's own clocks, and in the report of the host it goes to."""

import clock_checks
import cont_delay
import migration
import observed_clocks
from daemon_journal import DaemonJournal


def migrate_promptly(guest, to_host, options=("--live",)):
    """Migrate; returns the measurement. Whatever becomes of the clocks, the guest goes on without delay."""
    with cont_delay.trace_cont_delay(to_host) as traced:
        measured = migration.migrate_and_judge(guest, to_host, options)
    assert traced.delay_s is not None, "no KVM_SET_CLOCK was seen"
    print(f"cont held up for {traced.delay_s * 1e3:.3f} ms")
    assert traced.delay_s <= cont_delay.DELAY_MAX_S, f"cont took {traced.delay_s * 1e3:.1f} ms over the clocks"
    return measured


def migrate_with_report(guest, to_host, is_observable=True):
    """Migrate live; returns the measurement and the final report. Where clocks were handed over, the observer saw the same of them;
    is_observable: the source has one that can."""
    arrived = DaemonJournal(to_host)
    with observed_clocks.watch(guest.host, guest.name, is_observable) as seen:
        measured = migrate_promptly(guest, to_host)
    report = arrived.wait_for_report(guest.spec.uuid)
    if report["CLOCKFERRY_EVENT"] == "migration-fixed" and is_observable:
        observed_clocks.check_agreement(seen, report)
    return measured, report


def expect_fixed(guest, to_host):
    """Both clocks go on; returns the measurement and the report once the host's daemon would hand the guest over again."""
    arrived = DaemonJournal(to_host)
    measured, report = migrate_with_report(guest, to_host)
    assert report["CLOCKFERRY_EVENT"] == "migration-fixed", report["MESSAGE"]
    clock_checks.check_handed_over(measured, report)
    arrived.wait_for_event("domain-ready", guest.spec.uuid)
    return measured, report


def expect_stock(guest, to_host, step, text):
    """The clocks are stock QEMU's; the report has this step, and this text in its reason."""
    measured, report = migrate_with_report(guest, to_host)
    assert (report["CLOCKFERRY_VERDICT"], report["CLOCKFERRY_STEP"]) == ("stock", step), report["MESSAGE"]
    assert text in report["CLOCKFERRY_REASON"], report["MESSAGE"]
    clock_checks.check_stock(measured)
    return measured, report
