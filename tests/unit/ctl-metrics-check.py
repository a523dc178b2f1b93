#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Is the text on stdin what OpenMetrics wants, and does it mean the same to who reads Prometheus' older form?"""

import sys

from prometheus_client import openmetrics, parser
import prometheus_client.openmetrics.parser

# node_exporter's textfile collector refuses a file with any other
_TYPES_IN_BOTH = {"gauge", "counter", "histogram"}


def _collect(families):
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


def main():
    text = sys.stdin.read()
    families = list(openmetrics.parser.text_string_to_metric_families(text))
    for family in families:
        assert family.name.startswith("clockferry_"), family.name
        assert family.type in _TYPES_IN_BOTH, f"{family.name} is {family.type}"
        assert family.documentation, f"{family.name} has no help"
        assert family.samples, f"{family.name} has no sample"
        if family.unit:
            assert family.name.endswith("_" + family.unit), family.name
    samples = _collect(families)
    assert samples == _collect(parser.text_string_to_metric_families(text)), "the two forms differ"
    print(len(samples))


if __name__ == "__main__":
    main()
