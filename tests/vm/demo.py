# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demo: one guest, migrated once as stock QEMU does it and once with clockferry, both measured by the guest's own clocks.

Started by scripts/demo, which has built and staged the project. Writes table.md, the series as text, clock-error.svg and
clock-error.png into build/demo/.
"""

import contextlib
import subprocess
import sys
import time

import build_tree
import demo_plot
import deployment
import guest_domain
import host_pair
import migration
from daemon_journal import DaemonJournal

DEMO_DIR = build_tree.BUILD_DIR.parent / "demo"


class StepList:
    """Steps with the time they took, shown as they happen: on a terminal the running one counts up in place."""

    def __init__(self):
        self._begin = time.monotonic()

    @contextlib.contextmanager
    def step(self, what):
        begin = time.monotonic()
        print(f"  [{begin - self._begin:6.1f} s]  {what} …", end="", flush=True)
        yield
        print(f" {time.monotonic() - begin:.1f} s", flush=True)

    def note(self, what):
        print(f"              {what}", flush=True)


def run_stock(hosts, steps):
    print("\nA migration as stock QEMU does it")
    with deployment.clockferry_out_of_service(hosts):
        with steps.step("starting a Linux guest on source"):
            guest = migration.start_guest(hosts, guest_domain.GuestSpec(name="stock"))
        return measure(hosts, guest, steps)


def run_fixed(hosts, steps):
    print("\nThe same with clockferry")
    ready, arrived = DaemonJournal(hosts.source), DaemonJournal(hosts.dest)
    with steps.step("starting a Linux guest on source"):
        spec = guest_domain.GuestSpec(name="ferried", domain_xml=guest_domain.WITH_HELPER_XML)
        guest = migration.start_guest(hosts, spec)
    with steps.step("waiting for clockferryd to know it"):
        ready.wait_for_event("domain-ready", spec.uuid)
    measured = measure(hosts, guest, steps)
    arrived.wait_for_report(spec.uuid)
    for journal in (ready, arrived):
        for event in journal.read_events():
            if event.get("CLOCKFERRY_DOMAIN") == spec.uuid:
                steps.note(f"{event['_HOSTNAME']}: {event['MESSAGE']}")
    return measured


def measure(hosts, guest, steps):
    try:
        with steps.step("reading the guest's clocks and the hosts'"):
            watch = migration.Watch(guest, hosts.dest)
        with steps.step("virsh migrate --live to dest"):
            virsh_duration_s = guest.migrate(hosts.dest)
        with steps.step("reading the guest's clocks and the hosts' again"):
            return watch.judge(virsh_duration_s)
    finally:
        migration.remove_guest(hosts, guest.spec)


def make_table(stock, fixed):
    """The README's table, from two measured migrations."""
    def show(shift):
        magnitude = abs(shift.shift_ns)
        return f"{shift.shift_ns / 1e6:+.3f} ms" if magnitude >= 100_000 else f"{shift.shift_ns / 1e3:+.3f} µs"

    def make_row(what, get_shift):
        return (what, *(show(get_shift(each.yardstick)) for each in (stock, fixed)))

    rows = [
        ("blackout, as the guest saw it", *(f"{each.yardstick.blackout_ns / 1e6:.0f} ms" for each in (stock, fixed))),
        make_row("CLOCK_REALTIME against true time: error gained before, in as long a time", lambda verdict: verdict.continuity_null),
        make_row("CLOCK_REALTIME against true time: **error gained in the migration**", lambda verdict: verdict.continuity),
        make_row("kvmclock against TSC: error gained before, in as long a time", lambda verdict: verdict.coherence_null),
        make_row("kvmclock against TSC: **error gained in the migration**", lambda verdict: verdict.coherence),
        ("how well the yardsticks can tell: time, kvmclock against TSC",
         *(f"± {each.yardstick.continuity.bound_ns / 1e3:.1f} µs, ± {each.yardstick.coherence.bound_ns / 1e3:.1f} µs"
           for each in (stock, fixed))),
    ]
    lines = ["| | stock QEMU and libvirt | with clockferry |", "|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


def main():
    pair, steps = host_pair.HostPair(), StepList()
    DEMO_DIR.mkdir(parents=True, exist_ok=True)
    was_up = pair.are_up()
    print("Two hosts, each an emulated machine with systemd, libvirtd, clockferryd and a real KVM")
    if not was_up:
        with steps.step("booting both"):
            pair.boot()
    try:
        with pair.hold():
            with steps.step("installing clockferry in both"):
                pair.wait_until_ready()
                deployment.deploy(pair, build_tree.STAGING_DIR)
            stock = run_stock(pair, steps)
            fixed = run_fixed(pair, steps)
    finally:
        if not was_up:
            pair.stop()

    table = make_table(stock, fixed)
    (DEMO_DIR / "table.md").write_text(table)
    plots = demo_plot.draw(DEMO_DIR, stock.yardstick, fixed.yardstick)
    print(f"\n{table}\nThe table and the guest's clock errors over time are in:")
    for path in [DEMO_DIR / "table.md", *plots]:
        print(f"  {path.relative_to(build_tree.BUILD_DIR.parent.parent)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, TimeoutError, OSError, subprocess.CalledProcessError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        sys.exit(1)
