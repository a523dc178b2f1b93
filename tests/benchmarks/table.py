#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tables of docs/benchmarks.md, from the last run of a build folder's benchmarks.

    meson test -C BUILD --benchmark --logbase benchmarks
    table.py BUILD [FILE]         # into FILE, between its lines BEGIN and END; or to the standard output

Exits with 1 when a benchmark of that run failed, or nothing was measured. What figures.h prints is read here.
"""

import json
import pathlib
import sys

BEGIN = "<!-- begin: table.py -->"
END = "<!-- end: table.py -->"
PARTS = {
    "helper": "The helper, inside QEMU",
    "daemon": "The daemon",
}
# A unit's figures are shown in the largest of these that leaves something before the point.
SCALES = {
    "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns")),
    "ms": ((1e3, "s"), (1, "ms"), (1e-3, "us")),
    "s": ((1, "s"), (1e-3, "ms")),
    "KiB": ((1024, "MiB"), (1, "KiB")),
    "": ((1, ""),),
}


def main():
    log = pathlib.Path(sys.argv[1]) / "meson-logs" / "benchmarks.json"
    runs = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    figures = [figure for run in runs for figure in read_figures(run.get("stdout", ""))]
    tables = format_tables(figures)
    if len(sys.argv) > 2:
        put_into(pathlib.Path(sys.argv[2]), tables)
    else:
        print(tables, end="")
    failed = [run["name"] for run in runs if run["result"] not in ("OK", "SKIP")]
    if failed:
        print(f"table: these benchmarks failed: {', '.join(failed)}", file=sys.stderr)
    if not figures:
        print(f"table: nothing was measured in {log}", file=sys.stderr)
    return 1 if failed or not figures else 0


def put_into(path, tables):
    before, rest = path.read_text(encoding="utf-8").split(f"{BEGIN}\n")
    after = rest.split(f"{END}\n")[1]
    path.write_text(f"{before}{BEGIN}\n{tables}{END}\n{after}", encoding="utf-8")


def format_tables(figures):
    sections = []
    for part, heading in PARTS.items():
        rows = [figure for figure in figures if figure["part"] == part]
        if rows:
            sections.append(f"## {heading}\n\n{format_table(rows)}")
    return "\n".join(sections)


def read_figures(output):
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def format_table(figures):
    lines = [
        "| what | measured | against | that measured | ratio | goal | met |",
        "|---|---|---|---|---|---|---|",
    ]
    remarks = []
    for figure in figures:
        what = figure["what"]
        remark = figure.get("remark")
        if remark:
            if remark not in remarks:
                remarks.append(remark)
            what += f" ({remarks.index(remark) + 1})"
        lines.append("| " + " | ".join([
            what,
            format_series(figure, "samples"),
            figure.get("against", ""),
            format_series(figure, "control"),
            format_ratio(figure),
            format_goal(figure),
            format_met(figure),
        ]) + " |")
    notes = "".join(f"\n({number}) {remark}.\n" for number, remark in enumerate(remarks, 1))
    return "\n".join(lines) + "\n" + notes


def format_series(figure, key):
    """The figure, and in brackets its spread: quartiles, or median and worst of a 99th percentile."""
    if key not in figure:
        return ""
    value, low, high = figure[key]
    text = format_value(value, figure["unit"])
    if figure["statistic"] == "p99":
        median, worst = (format_value(each, figure["unit"]) for each in (low, high))
        return f"p99 {text} (median {median}, worst {worst})"
    if figure["count"] == 1:
        return text
    return f"{text} ({format_value(low, figure['unit'])} to {format_value(high, figure['unit'])})"


def format_value(value, unit):
    scales = SCALES[unit]
    scale, name = next(((scale, name) for scale, name in scales if abs(value) >= scale), scales[-1])
    value /= scale
    digits = 0 if value == 0 or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    if name in ("", "KiB"):
        digits = 0
    return f"{value:,.{digits}f} {name}".strip()


def format_ratio(figure):
    if "ratio" not in figure:
        return ""
    ratio = figure["ratio"][0]
    return f"{ratio:.3f}" if ratio < 10 else f"{ratio:.0f}"


def format_goal(figure):
    limit = figure.get("limit")
    match figure.get("goal"):
        case "ratio":
            return f"ratio {limit:g}"
        case "difference":
            return f"{format_value(limit, figure['unit'])} more"
        case "samples":
            return format_value(limit, figure["unit"])
    return ""


def format_met(figure):
    goal = figure.get("goal")
    if goal not in figure:
        return ""
    value = figure[goal][0]
    met = "yes" if value <= figure["limit"] else "no"
    return f"{met}: {format_value(value, figure['unit'])} more" if goal == "difference" else met


if __name__ == "__main__":
    sys.exit(main())
