# SPDX-License-Identifier: LGPL-2.1-or-later
"""The control: what a migration does to a guest's clocks without clockferry. It also proves that the yardsticks can see it."""

import pytest

import journey
import kinds_table
import migration

VISIBLE_ERROR_NS = 20_000_000
ESTIMATOR_ERROR_NS = 1_000
ESTIMATOR_BOUND_NS = 2_000


@pytest.mark.parametrize("clocksource", ["kvm-clock", pytest.param("tsc", marks=pytest.mark.full)])
def test_stock_migration_breaks_the_clocks(stock_hosts, start_guest, clocksource):
    guest = start_guest(clocksource=clocksource)
    there_and_back = [migration.migrate_and_judge(guest, host) for host in (stock_hosts.dest, stock_hosts.source)]

    for measured in there_and_back:
        verdict = measured.yardstick
        assert set(measured.clocksources_after) == {clocksource}
        assert abs(verdict.coherence_null.shift_ns) < ESTIMATOR_ERROR_NS
        assert abs(verdict.continuity_null.shift_ns) < ESTIMATOR_ERROR_NS
        assert verdict.coherence.bound_ns < ESTIMATOR_BOUND_NS
        assert verdict.continuity.bound_ns < ESTIMATOR_BOUND_NS
        assert verdict.continuity.shift_ns < -VISIBLE_ERROR_NS
        kinds_table.add_measurement(journey.STOCK, verdict)

    coherence_ns = [abs(measured.yardstick.coherence.shift_ns) for measured in there_and_back]
    if clocksource == "kvm-clock":
        # It is the difference of two delays, on the source and on the destination, so one migration alone may have little.
        assert max(coherence_ns) > VISIBLE_ERROR_NS
    else:
        # Here MONOTONIC_RAW is made from the TSC, so the two cannot come apart.
        assert max(coherence_ns) < ESTIMATOR_ERROR_NS
