# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of docs/migrations.md: what each kind of migration does to a guest's clocks, as measured.

keep() notes a measurement while the tests run; run as a program, this file writes the table of all that was kept to the
standard output.
"""

import json
import os
import pathlib
import sys

import build_tree

_KEPT = build_tree.BUILD_DIR / "kinds.json"
_MEASUREMENTS = "CLOCKFERRY_MEASUREMENTS"
_ARMS = ("stock", "clockferry")
# Below this it is the yardsticks' own error, at most.
_NOTHING_NS = 1000


def keep(kind, arm, measured, report, note=None):
    """Note what was measured of a kind of migration, in place of an earlier measurement of it."""
    kept = _read()
    verdict = measured.yardstick
    kept.setdefault(kind, {})[arm] = {
        "note": note,
        "blackout_ns": verdict.blackout_ns,
        "coherence_ns": verdict.coherence.shift_ns,
        "continuity_ns": verdict.continuity.shift_ns,
        "claimed_bound_ns": int(report["CLOCKFERRY_THETA_BOUND_NS"]) if report and "CLOCKFERRY_THETA_BOUND_NS" in report else None,
        "verdict": report and report["CLOCKFERRY_VERDICT"],
        "reason": report and report.get("CLOCKFERRY_REASON"),
    }
    _KEPT.parent.mkdir(parents=True, exist_ok=True)
    _KEPT.write_text(json.dumps(kept, indent=1))


def forget():
    """Forget what was kept: kinds that are not tested any more would stay in the table."""
    _KEPT.unlink(missing_ok=True)


def begin_measurements():
    """Forget what an earlier run added."""
    if _MEASUREMENTS in os.environ:
        _get_measurements_path().write_text("suite,arm,quantity,ns\n")


def add_measurement(arm, verdict):
    """For the table of errors that ends a test run (tests/measurements), if that wants any."""
    if _MEASUREMENTS in os.environ:
        with open(_get_measurements_path(), "a", encoding="utf-8") as file:
            file.write(f"vm,{arm},coherence,{verdict.coherence.shift_ns:.0f}\n"
                       f"vm,{arm},continuity,{verdict.continuity.shift_ns:.0f}\n")


def _get_measurements_path():
    return pathlib.Path(os.environ[_MEASUREMENTS]) / "vm.csv"


def _read():
    return json.loads(_KEPT.read_text()) if _KEPT.exists() else {}


def format_table(kept):
    lines = ["| what is done | stock: CLOCK_REALTIME | stock: kvmclock against TSC | clockferry: CLOCK_REALTIME "
             "| clockferry: kvmclock against TSC | its report, and the bound it claims |", "|---|---|---|---|---|---|"]
    for kind, arms in kept.items():
        cells = [kind]
        for arm in _ARMS:
            cells += _format_arm(arms.get(arm))
        cells.append(_format_report(arms.get("clockferry")))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _format_arm(row):
    if row is None:
        return ["not measured", "not measured"]
    if row["note"]:
        return [row["note"], row["note"]]
    return [format_shift(row["continuity_ns"]), format_shift(row["coherence_ns"])]


def format_shift(shift_ns):
    if abs(shift_ns) < _NOTHING_NS:
        return "goes on"
    return f"{shift_ns / 1e6:+,.0f} ms" if abs(shift_ns) >= 10_000_000 else f"{shift_ns / 1e6:+.2f} ms"


def _format_report(row):
    if row is None or row["verdict"] is None:
        return "none"
    if row["reason"]:
        return f"{row['verdict']}: {row['reason']}"
    return f"{row['verdict']}, within {row['claimed_bound_ns'] / 1e6:.1f} ms"


if __name__ == "__main__":
    sys.stdout.write(format_table(_read()))
