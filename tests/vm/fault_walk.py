# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every fault at every phase of a migration: what there is to walk through, one step of it, and the table of what came of each."""

import contextlib
import dataclasses
import functools
import json
import os
import random
import re
import time

import build_tree
import clock_checks
import clock_trace
import cont_delay
import deployment
import faults
import guest_domain
import journey
import kinds_table
import migration
import phase_gate
from daemon_journal import FINAL_REPORTS, DaemonJournal

SOURCE, DEST, BETWEEN = "source", "destination", "between"
CLOCK_BACK = "clock an hour back"

# Where in a migration a fault begins: with the source's, or the destination's QEMU held there.
BEFORE_CLAIM = "before the claim"
CLAIMED = "after the claim"
RECORDS = "between the records"
CONT = "before cont"
REPORT = "at the report"
PHASES = (BEFORE_CLAIM, CLAIMED, RECORDS, CONT, REPORT)

_MOMENTS = {BEFORE_CLAIM: (DEST, "create-vm"), RECORDS: (SOURCE, "records"), CONT: (DEST, "cont"), REPORT: (DEST, "report")}

# Decides on the order; another one each time, unless it is given.
SEED = int(os.environ.get("CLOCKFERRY_SEED", random.SystemRandom().randrange(1 << 32)))

_CLAIM_DEADLINE_S = 90
_SETTLE_DEADLINE_S = 60
# Where nobody could tell how well the hosts' clocks were known to each other: 2 to 5 ms, as a rule.
_UNTOLD = {"CLOCKFERRY_THETA_BOUND_NS": "10000000"}
# What is said where the source is not heard at all, or not again after the first of its two records, whose clock QEMU does not set.
_PEER_REASONS = (r"peer: cannot (connect to|verify) \w+, port 16520: .+"
                 "|record: the source's daemon did not (answer|tell its time) in time"
                 "|record: the source sent no record of the paused guest"
                 "|fixup: clock-mismatch")
_OVERDUE_REASON = r"fixup: the helper saw no KVM_SET_CLOCK by libc's ioctl\(\), and has not even read its fix-up"
# The report was held up, or is on its way to a daemon that was not there, and whatever it says may be true.
_UNKNOWN_REASONS = "fixup: the helper did not report|fixup: the connection to the helper in its QEMU ended before it reported"
_ROWS_PATH = build_tree.BUILD_DIR / "fault-walk.json"
TABLE_PATH = build_tree.BUILD_DIR / "fault-walk.md"


@dataclasses.dataclass(frozen=True)
class Fault:
    """begin(walk, hosts) is a context manager: hosts are the ones it concerns."""
    name: str
    begin: object
    places: tuple = (SOURCE, DEST)
    is_harmless: bool = False   # whenever it comes, both clocks go on
    silences: bool = False      # the daemon that it hits may not be there to report
    reasons: str = _PEER_REASONS    # that may be given where the clocks are stock
    takes_long: bool = False    # longer than the daemon gives a helper to begin with `cont`, so that it takes its fix-up back


@contextlib.contextmanager
def _nothing(_walk, _hosts):
    yield


def _on_host(manager, *arguments):
    return lambda walk, hosts: manager(hosts[0], *arguments)


def _on_network(netem):
    return lambda walk, hosts: faults.network(hosts, netem)


FAULTS = (
    # the control: being held there is no fault
    Fault("nothing", _nothing, (BETWEEN,), is_harmless=True),
    Fault("clockferryd killed", _on_host(faults.killed, deployment.DAEMON_UNIT), silences=True),
    Fault("clockferryd frozen", _on_host(faults.frozen, deployment.DAEMON_UNIT)),
    Fault("clockferryd restarted", _on_host(faults.restarted, deployment.DAEMON_UNIT), silences=True),
    Fault("clockferryd upgraded", lambda walk, hosts: walk.upgrade(hosts[0]), silences=True, takes_long=True,
          reasons=f"{_PEER_REASONS}|{_OVERDUE_REASON}"),
    Fault("libvirt-dbus killed", _on_host(faults.libvirt_dbus_killed)),
    Fault("libvirt-dbus frozen", _on_host(faults.libvirt_dbus_frozen)),
    Fault("libvirt-dbus restarted", _on_host(faults.libvirt_dbus_restarted)),
    Fault("clockferryd dropped by the bus", _on_host(faults.dropped_by_bus), silences=True),
    Fault("libvirtd reloaded", _on_host(faults.reloaded, faults.LIBVIRTD), is_harmless=True),
    Fault("network cut", _on_network("loss 100%"), (BETWEEN,)),
    Fault("network sends nothing", _on_network("loss 100%")),
    Fault("network 200 ms late", _on_network("delay 100ms"), (BETWEEN,), is_harmless=True),
    Fault("network loses 5 %", _on_network("loss 5%"), (BETWEEN,)),
    Fault("network of 64 kbit/s", _on_network("rate 64kbit"), (BETWEEN,)),
    Fault("state folder full", _on_host(faults.state_folder_full), silences=True),
    Fault("no file descriptor left", _on_host(faults.without_file_descriptors)),
    Fault("no memory left", _on_host(faults.without_memory), silences=True),
    Fault("journal away", _on_host(faults.without_journal), is_harmless=True, silences=True),
    Fault("journal frozen", _on_host(faults.frozen, "systemd-journald.service"), is_harmless=True),
    Fault("clock an hour ahead", _on_host(faults.clock_stepped, faults.HOUR_NS), is_harmless=True),
    Fault(CLOCK_BACK, _on_host(faults.clock_stepped, -faults.HOUR_NS), is_harmless=True),
)


@dataclasses.dataclass(frozen=True)
class Combination:
    phase: str
    fault: Fault
    place: str

    @property
    def name(self):
        return f"{self.fault.name}, {self.place}, {self.phase}".replace(", ", ":").replace(" ", "-")

    @property
    def can_be_held(self):
        """A migration is held there by its bandwidth, and QEMU waits for its next share of that by CLOCK_REALTIME: without
        clockferry it transfers nothing either for as long as that is back."""
        return (self.phase, self.fault.name, self.place) != (CLAIMED, CLOCK_BACK, SOURCE)

    @property
    def has_to_be_fixed(self):
        """From `cont` on the helper has all it needs."""
        return self.fault.is_harmless or self.phase == REPORT or (self.phase == CONT and not self.fault.takes_long)

    @property
    def may_silence(self):
        """The destination's daemon, which reports, may be away when there is something to report, or its journal."""
        return self.fault.silences and self.place == DEST

    @property
    def may_puzzle(self):
        """The destination's daemon may not know what became of the clocks: the helper's report is held up, or found nobody."""
        return self.phase == REPORT or self.place == DEST


def list_combinations(in_every_place):
    """Every fault at every phase, in every place that it may concern or in one of them: the seed decides, and on the order."""
    dice = random.Random(SEED)
    combinations = []
    for phase in PHASES:
        for fault in FAULTS:
            candidates = [each for each in (Combination(phase, fault, place) for place in fault.places) if each.can_be_held]
            combinations += candidates if in_every_place else dice.sample(candidates, 1)
    dice.shuffle(combinations)
    return combinations


@dataclasses.dataclass(frozen=True)
class Step:
    """What came of a combination."""
    combination: Combination
    measured: migration.MeasuredMigration
    was_moved: bool             # KVM was told more than stock QEMU tells it
    report: dict                # None: the daemon had no chance to make one
    armed: dict                 # the last record that the helper had, as the journal has it; None: none
    cont_s: float

    @property
    def held_s(self):
        """At most: with its clocks set, and no vCPU running yet."""
        return self.measured.yardstick.blackout_ns / 1e9 if self.combination.phase == REPORT else 0

    @property
    def verdict(self):
        return self.report["CLOCKFERRY_VERDICT"] if self.report else None

    @property
    def why(self):
        """The report's step and reason, where it is not fixed."""
        if self.verdict in ("fixed", None):
            return None
        return f"{self.verdict}: {self.step_and_reason}"

    @property
    def step_and_reason(self):
        return f"{self.report['CLOCKFERRY_STEP']}: {self.report['CLOCKFERRY_REASON']}"


class Walk:
    """One guest that goes to and fro."""

    def __init__(self, hosts, successors_folder):
        self.hosts = hosts
        self.guest = None
        self.has_upgraded = False
        self._successors_folder = successors_folder

    def board(self):
        """Have the guest, a new one on the source host if there is none."""
        if self.guest is None:
            for host in self.hosts:
                phase_gate.open_gates(host)
            spec = guest_domain.GuestSpec(name="walker", vcpus=2, domain_xml=phase_gate.DOMAIN_XML)
            ready = DaemonJournal(self.hosts.source)
            self.guest = migration.start_guest(self.hosts, spec)
            ready.wait_for_event("domain-ready", spec.uuid)

    def leave(self):
        if self.guest is not None:
            for host in self.hosts:
                phase_gate.open_gates(host)
            migration.remove_guest(self.hosts, self.guest.spec)
            self.guest = None

    def upgrade(self, host):
        """The fault of it, as a context manager."""
        self.has_upgraded = True
        return faults.upgraded(host, self._successors_folder)

    def take(self, combination):
        """Migrate to the other host with the fault; returns when all is well again, with what was measured."""
        self.board()
        guest = self.guest
        from_host = guest.host
        to_host = self.hosts.dest if from_host is self.hosts.source else self.hosts.source
        concerned = {SOURCE: [from_host], DEST: [to_host], BETWEEN: [from_host, to_host]}[combination.place]
        watch = migration.Watch(guest, to_host)
        arrival_begin = guest.count_samples(to_host)
        journal = DaemonJournal(to_host)
        phase_gate.forget_cont(to_host)
        begin = time.monotonic()
        with clock_trace.trace_clock(to_host) as trace:
            with contextlib.ExitStack() as fault:
                with hold_migration(combination.phase, guest, from_host, to_host) as moving:
                    fault.enter_context(combination.fault.begin(self, concerned))
                moving.expect_success()
                guest.wait_for_samples(1, _SETTLE_DEADLINE_S, since=arrival_begin)
            duration_s = time.monotonic() - begin
            for host in self.hosts:
                faults.wait_until_recovered(host, *([guest.spec.uuid] if host is to_host else []))
        events = [event for event in journal.read_events() if event.get("CLOCKFERRY_DOMAIN") == guest.spec.uuid]
        return Step(combination, watch.judge(duration_s), not trace.is_as_stock,
                    _find_last(events, FINAL_REPORTS), _find_last(events, ("arrival-armed",)), phase_gate.get_cont_s(to_host))


def _find_last(events, names):
    return next((event for event in reversed(events) if event["CLOCKFERRY_EVENT"] in names), None)


@contextlib.contextmanager
def hold_migration(phase, guest, from_host, to_host):
    """Begin a migration; within it, the migration is held in the phase; afterwards it is over, well or not."""
    with contextlib.ExitStack() as held:
        if phase == CLAIMED:
            journal = DaemonJournal(to_host)
            moving = journey.Background(guest, to_host, "--live", "--bandwidth", "1")
            reach = functools.partial(_crawl_once_claimed, journal, guest, held)
        else:
            place, moment = _MOMENTS[phase]
            reach = held.enter_context(phase_gate.hold(from_host if place == SOURCE else to_host, moment))
            moving = journey.Background(guest, to_host, "--live")
        with moving:
            try:
                reach()
                yield moving
            finally:
                held.close()


def _crawl_once_claimed(journal, guest, held):
    journal.wait_for_event("arrival-claimed", guest.spec.uuid, deadline_s=_CLAIM_DEADLINE_S)
    migration.set_speed(guest, migration.CRAWL_BYTES_PER_S)
    held.callback(migration.set_speed, guest, migration.FULL_BYTES_PER_S)


# ---- judging

def check_step(step):
    """Both clocks or neither, both where nothing stands in the way; `cont` hardly held up; a report, and a true one."""
    combination = step.combination
    assert step.cont_s <= cont_delay.DELAY_MAX_S, f"cont took {step.cont_s * 1e3:.1f} ms over the clocks"
    assert step.was_moved or not combination.has_to_be_fixed, step.report and step.report["MESSAGE"]
    assert step.verdict is not None or combination.may_silence, "nobody said what became of the guest's clocks"
    assert step.verdict != "unknown" or combination.may_puzzle, step.report["MESSAGE"]
    if step.why is not None:
        reasons = _UNKNOWN_REASONS if step.verdict == "unknown" else combination.fault.reasons
        assert re.fullmatch(reasons, step.step_and_reason), step.report["MESSAGE"]
    if step.was_moved:
        known_by = step.report if step.verdict == "fixed" else step.armed
        assert known_by is not None or combination.may_silence, "the guest's clocks were moved, and nobody said so"
        clock_checks.check_handed_over(step.measured, known_by or _UNTOLD, step.held_s)
        assert step.verdict in ("fixed", "unknown", None), step.report["MESSAGE"]
    else:
        clock_checks.check_stock(step.measured)
        assert step.verdict in ("stock", "unknown", None), step.report["MESSAGE"]


# ---- the table

def keep(step):
    """Note a row of the table, in place of an earlier one of the same combination."""
    rows = {} if not _ROWS_PATH.exists() else json.loads(_ROWS_PATH.read_text())
    combination, verdict = step.combination, step.measured.yardstick
    rows[combination.name] = {
        "fault": combination.fault.name, "place": combination.place, "phase": combination.phase,
        "clocks": "go on" if step.was_moved else "stock",
        "continuity": kinds_table.format_shift(verdict.continuity.shift_ns),
        "coherence": kinds_table.format_shift(verdict.coherence.shift_ns),
        "cont_ms": f"{step.cont_s * 1e3:.1f}",
        "report": step.why or step.verdict or "none",
    }
    _ROWS_PATH.parent.mkdir(parents=True, exist_ok=True)
    _ROWS_PATH.write_text(json.dumps(rows, indent=1))
    TABLE_PATH.write_text(format_table(rows.values()))


def forget():
    for path in (_ROWS_PATH, TABLE_PATH):
        path.unlink(missing_ok=True)


def format_table(rows):
    lines = ["| fault | where | when | virsh | clocks | CLOCK_REALTIME | kvmclock against TSC | in cont, ms | the report |",
             "|---|---|---|---|---|---|---|---|---|"]
    order = {phase: number for number, phase in enumerate(PHASES)}
    for row in sorted(rows, key=lambda row: (row["fault"], row["place"], order[row["phase"]])):
        lines.append(f"| {row['fault']} | {row['place']} | {row['phase']} | migrated | {row['clocks']} | {row['continuity']} "
                     f"| {row['coherence']} | {row['cont_ms']} | {row['report']} |")
    return "\n".join(lines) + "\n"
