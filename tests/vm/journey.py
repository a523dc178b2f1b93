# SPDX-License-Identifier: LGPL-2.1-or-later
"""Take a guest through one thing after another, with clockferry or without, and say of each what it did to the guest's clocks."""

import contextlib
import threading
import time

import clock_checks
import clock_trace
import deployment
import guest_domain
import kinds_table
import migration
import observed_clocks
from daemon_journal import FINAL_REPORTS, DaemonJournal

CLOCKFERRY = "clockferry"
STOCK = "stock"


@contextlib.contextmanager
def travel(hosts, arm):
    """A journey, with nothing left of it afterwards; of the arm STOCK, on hosts without clockferry."""
    with contextlib.ExitStack() as stack:
        if arm == STOCK:
            stack.enter_context(deployment.clockferry_out_of_service(hosts))
        made = Journey(hosts, arm)
        stack.callback(made.leave)
        yield made


class Journey:
    """One guest at a time on two hosts."""

    def __init__(self, hosts, arm):
        self.hosts = hosts
        self.arm = arm
        self.guest = None

    @property
    def with_clockferry(self):
        return self.arm == CLOCKFERRY

    @property
    def other_host(self):
        """The one the guest is not on."""
        return self.hosts.dest if self.guest.host is self.hosts.source else self.hosts.source

    def board(self, **fields):
        """Have a guest of this kind: the one that is there, or a new one on the source host."""
        spec = guest_domain.GuestSpec(domain_xml=guest_domain.WITH_HELPER_XML if self.with_clockferry else "", **fields)
        if self.guest is None or self.guest.spec != spec:
            self.leave()
            ready = DaemonJournal(self.hosts.source)
            self.guest = migration.start_guest(self.hosts, spec)
            if self.with_clockferry:
                ready.wait_for_event("domain-ready", spec.uuid)
        return self.guest

    def leave(self):
        """Be rid of the guest."""
        if self.guest is not None:
            migration.remove_guest(self.hosts, self.guest.spec)
            self.guest = None

    @contextlib.contextmanager
    def daemon_settings(self, **keys):
        """Within it both daemons run with these keys of clockferry.conf; each time the guest's knows the guest again."""
        restarted = DaemonJournal(self.guest.host)
        with deployment.daemon_settings(self.hosts, **keys):
            restarted.wait_for_event("domain-ready", self.guest.spec.uuid)
            yield
            restarted = DaemonJournal(self.guest.host)
        restarted.wait_for_event("domain-ready", self.guest.spec.uuid)

    def migrate(self, kind, *options):
        """Migrate by virsh with these options to the other host; both clocks must go on."""
        to_host = self.other_host
        return self.expect_fixed(kind, to_host, lambda: self.guest.migrate(to_host, options))

    def expect_fixed(self, kind, to_host, act):
        """act() migrates; with clockferry both clocks go on, without they are visibly behind."""
        if self.with_clockferry:
            measured, report = self.hand_over(to_host, act)
            clock_checks.check_theta(measured, report)
        else:
            measured, _reports, _traces = self._watch(to_host, act)
            report = None
            clock_checks.check_stock(measured)
        kinds_table.keep(kind, self.arm, measured, report)
        kinds_table.add_measurement(self.arm, measured.yardstick)
        return measured

    def hand_over(self, to_host, act):
        """act() migrates, with clockferry, and both clocks go on; returns what was measured, and the report."""
        ready = DaemonJournal(to_host)
        # of one that was paused before it is watched nothing is seen
        is_running = "running" in self.guest.host.virsh("domstate", self.guest.name).stdout
        with observed_clocks.watch(self.guest.host, self.guest.name) as seen:
            measured, reports, traces = self._watch(to_host, act)
        report, = reports
        assert report["CLOCKFERRY_EVENT"] == "migration-fixed", report["MESSAGE"]
        if is_running:
            observed_clocks.check_agreement(seen, report)
        assert any(trace.offsets_set for trace in traces), "the trace does not show what it should show elsewhere"
        clock_checks.check_handed_over(measured, report)
        ready.wait_for_event("domain-ready", self.guest.spec.uuid)
        return measured, report

    def expect_stock(self, kind, to_host, act, reason):
        """act() migrates; with clockferry the report says that it kept its hands off, and for which reason. kind: None if not one
        for the table."""
        measured, reports, traces = self._watch(to_host, act)
        report = None
        if self.with_clockferry:
            report, = reports
            assert (report["CLOCKFERRY_EVENT"], report["CLOCKFERRY_REASON"]) == ("migration-stock", reason), report["MESSAGE"]
        check_hands_off(traces, resumes=True)
        clock_checks.check_stock(measured)
        if kind is not None:
            kinds_table.keep(kind, self.arm, measured, report)
        return measured

    def expect_observed(self, to_host, act):
        """act() migrates; clockferry says what it would have done, and does nothing. Returns what was measured, and the report."""
        measured, reports, traces = self._watch(to_host, act)
        report, = reports
        assert (report["CLOCKFERRY_EVENT"], report["CLOCKFERRY_REASON"]) == ("migration-observed", "observe-only"), report["MESSAGE"]
        check_hands_off(traces, resumes=True)
        clock_checks.check_stock(measured)
        clock_checks.check_observed(measured, report)
        return measured, report

    def expect_no_report(self, kind, act, resumes=True):
        """act() leaves the guest where it is: nothing is reported of its clocks, and they are left to QEMU, which resumes it."""
        measured, reports, traces = self._watch(self.guest.host, act)
        assert not reports, [report["MESSAGE"] for report in reports]
        check_hands_off(traces, resumes)
        kinds_table.keep(kind, self.arm, measured, None)
        return measured

    def expect_reboot(self, kind, act):
        """act() lets the guest boot anew on the host it is on: its clocks begin again, and are left to QEMU."""
        guest = self.guest
        journals = [DaemonJournal(host) for host in self.hosts]
        with contextlib.ExitStack() as stack:
            traces = [stack.enter_context(clock_trace.trace_clock(host)) for host in self.hosts]
            boots = guest.count_boots()
            act()
            guest.host.wait_until(lambda: guest.count_boots() > boots, migration.START_DEADLINE_S, f"{guest.name} to boot anew")
            guest.wait_for_samples(1, migration.START_DEADLINE_S, since=guest.count_samples())
        assert not self._find_reports(journals)
        check_hands_off(traces, resumes=False)
        # Is it in step with itself? Nothing more happens to it.
        guest.settled_since = guest.read_log().get_last_stay_begin()
        watch = migration.Watch(guest, guest.host)
        measured = watch.judge(0)
        clock_checks.check_untouched(measured)
        kinds_table.keep(kind, self.arm, measured, None, note="boots anew")

    def _watch(self, to_host, act):
        watch = migration.Watch(self.guest, to_host)
        journals = [DaemonJournal(host) for host in self.hosts]
        with contextlib.ExitStack() as stack:
            traces = [stack.enter_context(clock_trace.trace_clock(host)) for host in self.hosts]
            begin = time.monotonic()
            act()
            duration_s = time.monotonic() - begin
            if self.with_clockferry and to_host is not watch.from_host:
                journals[list(self.hosts).index(to_host)].wait_for_report(self.guest.spec.uuid)
        measured = watch.judge(duration_s)
        print(f"\n{self.guest.spec.name}, {self.arm}\n{measured.describe()}")
        return measured, self._find_reports(journals), traces

    def _find_reports(self, journals):
        """Of both hosts: what is not expected must not be overlooked."""
        return [event for journal in journals for event in journal.read_events()
                if event["CLOCKFERRY_EVENT"] in FINAL_REPORTS and event["CLOCKFERRY_DOMAIN"] == self.guest.spec.uuid]


class Background:
    """A migration that runs while the test does something to it; the failure of virsh is what some tests ask for.

    As a context manager it sees to it that the migration is over when the test goes wrong meanwhile.
    """

    def __init__(self, guest, to_host, *options):
        self.error = None
        self._thread = threading.Thread(target=self._run, args=(guest, to_host, options))
        self._thread.start()

    def _run(self, guest, to_host, options):
        try:
            guest.migrate(to_host, options)
        except Exception as error:  # told by the thread that asserts
            self.error = error

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._thread.join()

    def expect_success(self):
        self._thread.join()
        if self.error is not None:
            raise self.error

    def expect_failure(self, *texts):
        """It failed, and said one of these: which one, where several things fail at once, is chance."""
        self._thread.join()
        assert any(text in str(self.error) for text in texts), self.error


@contextlib.contextmanager
def held_before_pause(guest, to_host):
    """A live migration that was claimed, and does not come to the pause before the end of this; then it succeeds."""
    journal = DaemonJournal(to_host)
    with Background(guest, to_host, "--live", "--bandwidth", "1") as moving:
        journal.wait_for_event("arrival-claimed", guest.spec.uuid, deadline_s=90)
        migration.set_speed(guest, migration.CRAWL_BYTES_PER_S)
        try:
            yield
        finally:
            migration.set_speed(guest, migration.FULL_BYTES_PER_S)
        moving.expect_success()


def check_hands_off(traces, resumes):
    """KVM was told what stock QEMU tells it, and that it was told at all if a guest was resumed."""
    for trace in traces:
        assert trace.is_as_stock, f"KVM was told more than stock QEMU tells it: {trace}"
    assert not resumes or any(trace.set_clock_flags for trace in traces), "the trace missed QEMU's own KVM_SET_CLOCK"
