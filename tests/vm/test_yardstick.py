# SPDX-License-Identifier: LGPL-2.1-or-later
"""The yardsticks themselves, on a simulated guest whose clocks were moved by known amounts. Needs no hosts."""

import random

import pytest

import yardstick
from host_time import ClockOffset, ClockPair

TSC_KHZ = 2_596_140
INTERVAL_NS = 25_000_000
EPOCH_NS = 1_795_387_296_485_504_490
MAX_ERROR_NS = 100


class SimulatedMigration:
    """A guest on a host, then on another, with everything as the measurements would deliver it.

    Time runs in true ns from the start. Readings lie at a random place within pairs of random width, as real ones do.
    """

    def __init__(self, raw_shift_ns=0, realtime_shift_ns=0, clock_offset_ns=0, clock_drift_ppm=0, guest_drift_ppm=0,
                 cpus=1):
        self._random = random.Random(1)
        self._raw_shift_ns = raw_shift_ns
        self._realtime_shift_ns = realtime_shift_ns
        self._clock_offset_ns = clock_offset_ns
        self._clock_drift_ppm = clock_drift_ppm
        self._guest_drift_ppm = guest_drift_ppm
        self._host_tsc_base_ticks = [10**12, 3 * 10**12]
        self._guest_tsc_offset_ticks = [-10**12 + 5000, None]
        # The TSC is moved so that RAW, which moves with CLOCK_REALTIME, ends up raw_shift_ns off the TSC's line.
        tsc_shift_ns = realtime_shift_ns - raw_shift_ns
        self._guest_tsc_offset_ticks[1] = (self._guest_tsc_offset_ticks[0] + self._host_tsc_base_ticks[0]
                                           - self._host_tsc_base_ticks[1] + round(tsc_shift_ns * TSC_KHZ / 1e6))
        self._cpus = cpus

    def judge(self):
        samples = [[self._take_sample(number, host) for number in numbers]
                   for host, numbers in ((0, range(1, 500)), (1, range(530, 900)))]
        views = [self._make_view(host) for host in (0, 1)]
        offsets = [self._make_offset(true_ns) for true_ns in (0, 900 * INTERVAL_NS)]
        return yardstick.judge_migration(*samples, *views, offsets)

    def _take_sample(self, sequence, host):
        true_ns = sequence * INTERVAL_NS + self._random.randrange(1_000_000)
        shift_ns = self._realtime_shift_ns if host else 0

        def take_pair(clock_base_ns, at_ns):
            width_ticks = self._random.choice([208, 234, 260, 286, 4000])
            offset_ticks = self._guest_tsc_offset_ticks[host]
            tsc_ticks = (self._host_tsc_base_ticks[host] + offset_ticks + round(at_ns * TSC_KHZ / 1e6)) % (1 << 64)
            read_at_ns = at_ns + self._random.uniform(0.4, 0.6) * width_ticks / TSC_KHZ * 1e6
            clock_ns = clock_base_ns + round(read_at_ns * (1 + self._guest_drift_ppm / 1e6) + shift_ns)
            return ClockPair(tsc_ticks, width_ticks, clock_ns)

        cpu = sequence % self._cpus
        return yardstick.GuestSample(sequence, cpu, take_pair(0, true_ns), take_pair(EPOCH_NS, true_ns + 1000))

    def _get_clock_offset_ns(self, true_ns):
        return self._clock_offset_ns + true_ns * self._clock_drift_ppm / 1e6

    def _make_view(self, host):
        pairs = []
        for true_ns in [*range(0, 40000, 1000), *range(900 * INTERVAL_NS, 900 * INTERVAL_NS + 40000, 1000)]:
            clock_ns = EPOCH_NS + true_ns + round(self._get_clock_offset_ns(true_ns) if host else 0)
            pairs.append(ClockPair(self._host_tsc_base_ticks[host] + round(true_ns * TSC_KHZ / 1e6), 0, clock_ns))
        return yardstick.HostView(pairs, yardstick.GuestTscOffsets([self._guest_tsc_offset_ticks[host]] * self._cpus))

    def _make_offset(self, true_ns):
        return ClockOffset(self._get_clock_offset_ns(true_ns), 100, 200, EPOCH_NS + true_ns)


def test_unmoved_clocks_show_no_shift():
    verdict = SimulatedMigration().judge()
    assert abs(verdict.coherence.shift_ns) < MAX_ERROR_NS
    assert abs(verdict.continuity.shift_ns) < MAX_ERROR_NS
    assert abs(verdict.coherence_null.shift_ns) < MAX_ERROR_NS
    assert verdict.coherence.bound_ns < 2 * MAX_ERROR_NS


@pytest.mark.parametrize("raw_shift_ns", [-64_000_000, -1000, 1000, 24_000_000])
@pytest.mark.parametrize("realtime_shift_ns", [-178_000_000, -1000, 0])
def test_shifts_are_told_apart(raw_shift_ns, realtime_shift_ns):
    verdict = SimulatedMigration(raw_shift_ns, realtime_shift_ns).judge()
    assert verdict.coherence.shift_ns == pytest.approx(raw_shift_ns, abs=MAX_ERROR_NS)
    assert verdict.continuity.shift_ns == pytest.approx(realtime_shift_ns, abs=MAX_ERROR_NS)
    assert verdict.tsc_shift_ns == pytest.approx(realtime_shift_ns - raw_shift_ns, abs=2 * MAX_ERROR_NS)


@pytest.mark.parametrize("clock_offset_ns", [-3_600 * 10**9, 497_830_814])
def test_hosts_clocks_apart_and_drifting_change_nothing(clock_offset_ns):
    verdict = SimulatedMigration(0, -5_000_000, clock_offset_ns, clock_drift_ppm=25).judge()
    assert verdict.continuity.shift_ns == pytest.approx(-5_000_000, abs=MAX_ERROR_NS)


def test_guest_that_drifts_is_not_taken_for_shifted():
    verdict = SimulatedMigration(guest_drift_ppm=40).judge()
    assert abs(verdict.coherence.shift_ns) < MAX_ERROR_NS
    assert abs(verdict.continuity.shift_ns) < MAX_ERROR_NS


def test_blackout_is_in_true_time():
    verdict = SimulatedMigration(realtime_shift_ns=-178_000_000, clock_offset_ns=10**9).judge()
    assert verdict.blackout_ns == pytest.approx(31 * INTERVAL_NS, abs=1_000_000)


def test_other_cpus_are_compared_with_the_first():
    verdict = SimulatedMigration(cpus=3).judge()
    assert set(verdict.cpu_differences_ns) == {1, 2}
    assert all(abs(difference_ns) < MAX_ERROR_NS for difference_ns in verdict.cpu_differences_ns.values())


def test_scaled_tsc_is_unscaled():
    offsets = yardstick.GuestTscOffsets([1000], ratio=3 << 31, ratio_frac_bits=32)
    assert offsets.to_host_tsc(1000 + 3 * 10**12, cpu=0) == 2 * 10**12


def test_half_written_line_is_left_alone():
    log = yardstick.GuestLog.parse("S 1 tsc\nP 1 0 10 2 30 11 2 40\nP 2 0 20 2 3")
    assert [sample.sequence for sample in log.samples] == [1]
    assert log.clocksources == ["tsc"]


def test_last_stay_begins_where_numbers_are_missing():
    lines = "".join(f"P {sequence} 0 {sequence} 2 3 4 5 6\n" for sequence in (1, 2, 3, 40, 41))
    assert yardstick.GuestLog.parse(lines).get_last_stay_begin() == 3


def test_hyperv_page_is_read_where_it_stands():
    log = yardstick.GuestLog.parse("S 1 hyperv_clocksource_tsc_page\nP 1 0 10 2 30 11 2 40\nH 1 7 36893488147419103 -5\n")
    page, = log.hyperv_pages
    assert (page.after_samples, page.page_sequence) == (1, 7)
    # a scale of 2^64 / 500: 500 ticks are one unit of 100 ns
    assert page.get_reference_time_ns(500 * 10**6 + 1) == 100 * (10**6 - 5)
