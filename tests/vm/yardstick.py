# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a migration did to a guest's clocks, judged without any of clockferry's code.

The guest writes pairs of its TSC with CLOCK_MONOTONIC_RAW and with CLOCK_REALTIME (guest/guest_init.c). Two yardsticks:

coherence   MONOTONIC_RAW over the TSC is a straight line. After a migration it must be the same line: its shift is how far
            TSC and kvmclock (or whatever the guest keeps time by) were moved against each other.
continuity  The guest's TSC is the host's plus an offset that debugfs tells, and the host's TSC ties to the host's clock, so
            each reading of the guest's CLOCK_REALTIME has an exact place on the host's: its error must be the same after.
page        A guest with Hyper-V's reference TSC page has the relation of its two clocks in that page, to be read there.

Both are found by fitting a line to either side and comparing the two where they meet (the seam). The slope is therefore
extrapolated over the blackout alone. "True" time is the CLOCK_MONOTONIC_RAW of the host that the guest came from, on which no
step or slew of the host's clock shows.
"""

import dataclasses
import math
import statistics

from host_time import ClockPair

# Of the pairs, the tighter half is used for a fit: the others were disturbed by an interrupt or an exit.
_USED_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class GuestSample:
    sequence: int
    cpu: int
    raw: ClockPair
    realtime: ClockPair


@dataclasses.dataclass(frozen=True)
class HypervPage:
    """Hyper-V's reference TSC page, as the guest saw it: reference time is TSC * scale >> 64 + offset, in 100 ns."""
    after_samples: int            # how many samples of the log came before
    page_sequence: int
    scale: int
    offset: int

    def get_reference_time_ns(self, tsc_ticks):
        return 100 * ((tsc_ticks * self.scale >> 64) + self.offset)


@dataclasses.dataclass(frozen=True)
class GuestLog:
    """What the guest wrote on one host."""
    samples: list
    clocksources: list
    hyperv_pages: list

    @classmethod
    def parse(cls, text):
        samples, clocksources, hyperv_pages = [], [], []
        # The last line may be half written.
        for line in text[:text.rfind("\n") + 1].splitlines():
            kind, *words = line.split()
            if kind == "P":
                sequence, cpu, *numbers = (int(word) for word in words)
                samples.append(GuestSample(sequence, cpu, ClockPair(*numbers[:3]), ClockPair(*numbers[3:])))
            elif kind == "H":
                hyperv_pages.append(HypervPage(len(samples), *(int(word) for word in words[1:])))
            else:
                clocksources.append(words[1])
        return cls(samples, clocksources, hyperv_pages)

    def get_last_stay_begin(self):
        """Where the samples since the guest last came to this host begin: where it was elsewhere, numbers are missing."""
        begin = 0
        for index in range(1, len(self.samples)):
            if self.samples[index].sequence != self.samples[index - 1].sequence + 1:
                begin = index
        return begin


@dataclasses.dataclass(frozen=True)
class GuestTscOffsets:
    """KVM's TSC offset of each vCPU, and the scaling where there is any, as debugfs tells."""
    offset_ticks: list
    ratio: int = 1
    ratio_frac_bits: int = 0

    def to_host_tsc(self, guest_tsc_ticks, cpu):
        unwrapped_ticks = (guest_tsc_ticks - self.offset_ticks[cpu]) % (1 << 64)
        return (unwrapped_ticks << self.ratio_frac_bits) // self.ratio


@dataclasses.dataclass(frozen=True)
class HostView:
    """What one host tells about its own clock and about the guest's TSC while the guest was on it."""
    clock_pairs: list             # from before the migration and from after it: two ends for a line
    guest_tsc: GuestTscOffsets


class Line:
    """A straight line by least squares. Points are taken relative to the first, since floats cannot hold TSC or epoch ns."""

    def __init__(self, points):
        self._x0, self._y0 = points[0]
        xs = [float(x - self._x0) for x, _y in points]
        ys = [float(y - self._y0) for _x, y in points]
        self._x_mean, self._y_mean = statistics.fmean(xs), statistics.fmean(ys)
        x_square_sum = math.fsum((x - self._x_mean) ** 2 for x in xs)
        self.slope = math.fsum((x - self._x_mean) * (y - self._y_mean) for x, y in zip(xs, ys)) / x_square_sum
        residuals = [y - self._y_mean - self.slope * (x - self._x_mean) for x, y in zip(xs, ys)]
        self.residual_rms = math.sqrt(math.fsum(r * r for r in residuals) / max(1, len(points) - 2))
        self._mean_error = self.residual_rms / math.sqrt(len(points))
        self._slope_error = self.residual_rms / math.sqrt(x_square_sum)

    def get_difference(self, x, y):
        """How far above the line the point lies."""
        return float(y - self._y0) - self._y_mean - self.slope * (float(x - self._x0) - self._x_mean)

    def get_value(self, x):
        """The line's y at x, as an integer, since epoch ns do not fit a float."""
        return self._y0 + round(self._y_mean + self.slope * (float(x - self._x0) - self._x_mean))

    def get_error(self, x):
        """Three standard errors of the line at x."""
        return 3 * math.hypot(self._mean_error, self._slope_error * (float(x - self._x0) - self._x_mean))


@dataclasses.dataclass(frozen=True)
class Shift:
    """How far a line was moved at the seam, the bound of that, and how much its slope changed."""
    shift_ns: float
    bound_ns: float
    slope_change_ppm: float


@dataclasses.dataclass(frozen=True)
class SeriesPoint:
    """One sample of the guest, for plotting; the errors are against where they were before the migration."""
    true_time_ns: int
    realtime_error_ns: float
    raw_against_tsc_ns: float
    cpu: int


@dataclasses.dataclass(frozen=True)
class MigrationYardstick:
    """The verdict on one migration."""
    coherence: Shift              # of MONOTONIC_RAW against the TSC
    coherence_null: Shift         # the same estimator with a gap as long within the time before: what it cannot see
    continuity: Shift             # of the guest's CLOCK_REALTIME against true time
    continuity_null: Shift
    realtime_error_before_ns: float
    realtime_error_after_ns: float
    blackout_ns: int              # between the guest's last sample before and its first after, in true time
    cpu_differences_ns: dict      # CPU: how far its pairs lie off CPU 0's line after the migration
    series: list

    @property
    def tsc_shift_ns(self):
        """How far the TSC itself was moved against true time: MONOTONIC_RAW and CLOCK_REALTIME move as one."""
        return self.continuity.shift_ns - self.coherence.shift_ns

    def describe(self):
        """The verdict for people, in microseconds."""
        def show(shift):
            return f"{shift.shift_ns / 1e3:+14.3f} us +- {shift.bound_ns / 1e3:.3f}"
        return "\n".join([
            f"coherence   RAW against TSC  {show(self.coherence)}   (null test {show(self.coherence_null)})",
            f"continuity  guest REALTIME   {show(self.continuity)}   (null test {show(self.continuity_null)})",
            f"            guest TSC        {self.tsc_shift_ns / 1e3:+14.3f} us",
            f"blackout                     {self.blackout_ns / 1e3:14.3f} us",
        ])


class TrueTime:
    """True time for a host TSC reading: the host's own clock there, less how far that clock is ahead of the true one."""

    def __init__(self, clock_pairs, clock_offsets=()):
        self._clock = Line([(pair.tsc_mid_ticks, pair.clock_ns) for pair in clock_pairs])
        self.bound_ns = self._clock.residual_rms * 3 + max((each.bound_ns for each in clock_offsets), default=0)
        self._reference = None
        if clock_offsets:
            self._reference = Line([(each.reference_time_ns + round(each.offset_ns), each.reference_time_ns)
                                    for each in clock_offsets])

    def get_time_ns(self, host_tsc_ticks):
        host_time_ns = self._clock.get_value(host_tsc_ticks)
        return self._reference.get_value(host_time_ns) if self._reference else host_time_ns


def judge_migration(samples_before, samples_after, host_before, host_after, clock_offsets):
    """Compare a guest's samples on the host it came from with those on the host it went to.

    clock_offsets: at least two measurements of how far the second host's clock is ahead, around the migration; none when it is
    the same host.
    """
    time_before = TrueTime(host_before.clock_pairs)
    time_after = TrueTime(host_after.clock_pairs, clock_offsets)
    before = [_place_sample(sample, host_before, time_before) for sample in samples_before]
    after = [_place_sample(sample, host_after, time_after) for sample in samples_after]
    before0 = [each for each in before if each.sample.cpu == 0]
    after0 = [each for each in after if each.sample.cpu == 0]

    blackout_ns = after[0].true_time_ns - before[-1].true_time_ns
    null_before, null_after = _split_around_gap(before0, blackout_ns)
    coherence, raw_line_before, raw_line_after = _find_shift(before0, after0, _get_raw_point, _get_raw_width)
    continuity, error_line_before, error_line_after = _find_shift(before0, after0, _get_error_point, _get_realtime_width)
    seam_ns = after0[0].true_time_ns
    placing_bound_ns = time_before.bound_ns + time_after.bound_ns
    return MigrationYardstick(
        coherence=coherence,
        coherence_null=_find_shift(null_before, null_after, _get_raw_point, _get_raw_width)[0],
        continuity=dataclasses.replace(continuity, bound_ns=continuity.bound_ns + placing_bound_ns),
        continuity_null=_find_shift(null_before, null_after, _get_error_point, _get_realtime_width)[0],
        realtime_error_before_ns=error_line_before.get_value(seam_ns),
        realtime_error_after_ns=error_line_after.get_value(seam_ns),
        blackout_ns=blackout_ns,
        cpu_differences_ns=_find_cpu_differences(after, raw_line_after),
        series=[SeriesPoint(each.true_time_ns, error_line_before.get_difference(*_get_error_point(each)),
                            raw_line_before.get_difference(*_get_raw_point(each)), each.sample.cpu)
                for each in before + after])


@dataclasses.dataclass(frozen=True)
class _PlacedSample:
    sample: GuestSample
    true_time_ns: int     # of the sample's pair with CLOCK_REALTIME


def _place_sample(sample, host, true_time):
    mid_ticks = sample.realtime.tsc_before_ticks + sample.realtime.width_ticks // 2
    return _PlacedSample(sample, true_time.get_time_ns(host.guest_tsc.to_host_tsc(mid_ticks, sample.cpu)))


def _get_raw_point(placed):
    return placed.sample.raw.tsc_mid_ticks, placed.sample.raw.clock_ns


def _get_error_point(placed):
    return placed.true_time_ns, placed.sample.realtime.clock_ns - placed.true_time_ns


def _get_raw_width(placed):
    return placed.sample.raw.width_ticks


def _get_realtime_width(placed):
    return placed.sample.realtime.width_ticks


def _find_shift(before, after, get_point, get_width):
    tight_before, tight_after = _choose_tight(before, get_width), _choose_tight(after, get_width)
    line_before, line_after = Line([get_point(each) for each in tight_before]), Line([get_point(each) for each in tight_after])
    seam = get_point(after[0])[0]
    shift_ns = line_before.get_difference(seam, line_after.get_value(seam))

    # A clock reading may lie anywhere within its pair. That it lies at the same place in all of them is likely, not proven.
    ns_per_tick = statistics.median((after[i + 1].true_time_ns - after[i].true_time_ns)
                                    / (after[i + 1].sample.realtime.tsc_mid_ticks - after[i].sample.realtime.tsc_mid_ticks)
                                    for i in range(len(after) - 1))
    width_ns = ns_per_tick * (max(map(get_width, tight_before)) + max(map(get_width, tight_after))) / 2
    bound_ns = width_ns + line_before.get_error(seam) + line_after.get_error(seam)
    unit_slope = line_before.slope if get_point is _get_raw_point else 1.0
    return (Shift(shift_ns, bound_ns, (line_after.slope - line_before.slope) / unit_slope * 1e6), line_before, line_after)


def _choose_tight(items, get_width):
    limit_ticks = sorted(map(get_width, items))[int((len(items) - 1) * _USED_SHARE)]
    return [item for item in items if get_width(item) <= limit_ticks]


def _split_around_gap(placed, gap_ns):
    """Two halves with a gap of this length between them, or of half the time there is."""
    middle_ns = (placed[0].true_time_ns + placed[-1].true_time_ns) / 2
    gap_ns = min(gap_ns, (placed[-1].true_time_ns - placed[0].true_time_ns) / 2)
    return ([each for each in placed if each.true_time_ns < middle_ns - gap_ns / 2],
            [each for each in placed if each.true_time_ns > middle_ns + gap_ns / 2])


def _find_cpu_differences(placed, line):
    differences = {}
    for cpu in sorted({each.sample.cpu for each in placed} - {0}):
        tight = _choose_tight([each for each in placed if each.sample.cpu == cpu], _get_raw_width)
        differences[cpu] = statistics.fmean(line.get_difference(*_get_raw_point(each)) for each in tight)
    return differences
