#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table that ends a test run: how far guests' clocks were off after a migration, in stock QEMU and with clockferry.

Reads every *.csv of a folder, which the tests of the suites wrote there (suite,arm,quantity,ns), and fails when clockferry's
clocks came apart by more than the project promises.

    measured_errors.py FOLDER

Exits with 1 as well when there is nothing to show.
"""

import collections
import csv
import math
import pathlib
import statistics
import sys

ARMS = ("stock", "clockferry")
QUANTITIES = {
    "coherence": "kvmclock against TSC",
    "continuity": "clock against true time",
}
SUITES = {
    "model": "random migrations of a model of KVM",
    "kvm": "tiny guest, real KVM",
    "vm": "Linux guest, two hosts, virsh migrate",
}
COHERENCE_MAX_NS = 1000


def main():
    folder = pathlib.Path(sys.argv[1])
    errors_ns = read_errors(folder)
    sys.stdout.write(format_table(errors_ns))
    if not errors_ns:
        print(f"nothing was measured into {folder}", file=sys.stderr)
        return 1
    worst_ns = max((max(values) for (_suite, arm, quantity), values in errors_ns.items()
                    if (arm, quantity) == ("clockferry", "coherence")), default=0)
    if worst_ns > COHERENCE_MAX_NS:
        print(f"with clockferry kvmclock and TSC came apart by {worst_ns} ns; {COHERENCE_MAX_NS} ns are promised", file=sys.stderr)
        return 1
    return 0


def read_errors(folder):
    """{(suite, arm, quantity): [magnitudes in ns]}"""
    errors_ns = collections.defaultdict(list)
    for path in sorted(folder.glob("*.csv")):
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                key = row["suite"], row["arm"], row["quantity"]
                if key[0] not in SUITES or key[1] not in ARMS or key[2] not in QUANTITIES:
                    raise ValueError(f"{path}: {row}: no such suite, arm or quantity")
                errors_ns[key].append(abs(int(row["ns"])))
    return errors_ns


def format_table(errors_ns):
    lines = [f"{'error after a migration':75} {'':>11} {'median':>12} {'p99':>12} {'worst':>12} {'count':>7}"]
    for suite, what in SUITES.items():
        for quantity, meaning in QUANTITIES.items():
            for arm in ARMS:
                values = sorted(errors_ns.get((suite, arm, quantity), []))
                label = f"{suite}: {what}, {meaning}" if arm == ARMS[0] else ""
                cells = [format_ns(value) for value in summarise(values)] if values else ["not measured", "", ""]
                lines.append(f"{label:75} {arm:>11} {cells[0]:>12} {cells[1]:>12} {cells[2]:>12} {len(values):>7}")
    return "\n".join(lines) + "\n"


def summarise(values):
    """Median, the value that 99 of 100 do not exceed, worst."""
    return statistics.median(values), values[math.ceil(0.99 * len(values)) - 1], values[-1]


def format_ns(value):
    if value < 1000:
        return f"{value:.0f} ns"
    if value < 1_000_000:
        return f"{value / 1e3:.1f} us"
    if value < 10_000_000_000:
        return f"{value / 1e6:.1f} ms"
    return f"{value / 1e9:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
