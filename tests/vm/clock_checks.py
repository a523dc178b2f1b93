# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests ask of a measured migration. The bounds, and why they are what they are."""

# TSC and MONOTONIC_RAW: what the project promises.
COHERENCE_MAX_NS = 1_000
# CLOCK_REALTIME: clockferry can know it no better than the hosts' clocks against each other, plus this.
CONTINUITY_SLACK_NS = 50_000
# Stock: far above anything the yardsticks could mistake, far below any migration that was seen here.
STOCK_ERROR_MIN_NS = 20_000_000


def check_handed_over(measured, report):
    """Both clocks went on, by the guest's and the hosts' own clocks; the report only tells how well the hosts' clocks were known."""
    verdict = measured.yardstick
    assert abs(verdict.coherence.shift_ns) <= COHERENCE_MAX_NS, measured.describe()
    for cpu, difference_ns in verdict.cpu_differences_ns.items():
        assert abs(difference_ns) <= COHERENCE_MAX_NS, f"CPU {cpu} is {difference_ns} ns off CPU 0\n{measured.describe()}"
    theta_bound_ns = int(report["CLOCKFERRY_THETA_BOUND_NS"])
    allowed_ns = theta_bound_ns + CONTINUITY_SLACK_NS + verdict.continuity.bound_ns
    assert abs(verdict.continuity.shift_ns) <= allowed_ns, f"allowed: {allowed_ns} ns\n{measured.describe()}"


def check_theta(measured, report):
    """What clockferry claims of the hosts' clocks holds against what is known of them from the memory they share."""
    offset = measured.clock_offsets[0]
    theta_ns, bound_ns = int(report["CLOCKFERRY_THETA_NS"]), int(report["CLOCKFERRY_THETA_BOUND_NS"])
    # the true offset drifts between its measurement and the migration: the one after tells by how much
    drift_ns = abs(measured.clock_offsets[-1].offset_ns - offset.offset_ns)
    assert abs(theta_ns - offset.offset_ns) <= bound_ns + offset.bound_ns + drift_ns, \
        f"theta {theta_ns} +- {bound_ns} ns, in truth {offset.offset_ns:.0f} +- {offset.bound_ns:.0f} ns"


def check_stock(measured):
    """The guest runs on, its clocks behind as stock QEMU has it."""
    assert measured.yardstick.continuity.shift_ns < -STOCK_ERROR_MIN_NS, measured.describe()
