# SPDX-License-Identifier: LGPL-2.1-or-later
"""The emulated hosts' own clocks: how far apart they are, how they tie to the TSC, and setting them for a test."""

import dataclasses
import secrets

import host_image
import host_pair

_HOST_CLOCK = f"{host_image.AGENT_DIR}/host-clock"
# The ivshmem device; its memory is the third of its resources.
_SHARED_MEMORY_FINDER = "grep -l PCI_ID=1AF4:1110 /sys/bus/pci/devices/*/uevent"
_FIND_SHARED_MEMORY = f"memory=$({_SHARED_MEMORY_FINDER}) && memory=${{memory%uevent}}resource2"
# Of a host that keeps the memory mapped, a named pipe each: what it is asked for, and what it answers.
_SERVER_ASKED, _SERVER_SAYS = "/run/clockferry-test-clock.asked", "/run/clockferry-test-clock.says"
_ROUNDS = 20000
# As a rule it is 0.3 us; when the hosts' processors had other work all the while, they never ran at once, and it is milliseconds.
_ROUND_TRIP_GOOD_NS = 5_000
_ATTEMPTS = 5
_PAIRS = 40
_PAIRS_KEPT = 10


@dataclasses.dataclass(frozen=True)
class ClockPair:
    """A clock that was read between two TSC readings, the second `width_ticks` after the first."""
    tsc_before_ticks: int
    width_ticks: int
    clock_ns: int

    @property
    def tsc_mid_ticks(self):
        return self.tsc_before_ticks + self.width_ticks / 2


@dataclasses.dataclass(frozen=True)
class ClockOffset:
    """How far `other` is ahead of `reference`, at a time on the reference's clock."""
    offset_ns: float
    bound_ns: float
    round_trip_min_ns: int
    reference_time_ns: int


def measure_clock_offset(reference, other, clock="realtime"):
    """Let two hosts play ping-pong through the memory they share; the offset is proven to within the bound.

    The clock "raw" is CLOCK_MONOTONIC_RAW, which nobody steps or slews: how a host's time passed, whatever its clock did.
    """
    best = _play_once(reference, other, clock)
    for _attempt in range(1, _ATTEMPTS):
        if best.round_trip_min_ns <= _ROUND_TRIP_GOOD_NS:
            break
        best = min(best, _play_once(reference, other, clock), key=lambda each: each.round_trip_min_ns)
    return best


def _play_once(reference, other, clock):
    nonce = secrets.randbits(63) + 1
    _answered, asked = host_pair.run_in_parallel(
        lambda: _play(other, "answer", clock, nonce),
        lambda: _play(reference, "ask", clock, f"{nonce} {_ROUNDS}"))
    sent_ns, stamp_ns, received_ns = (int(word) for word in asked.stdout.split())
    round_trip_min_ns = received_ns - sent_ns
    return ClockOffset(stamp_ns - sent_ns - round_trip_min_ns / 2, round_trip_min_ns / 2, round_trip_min_ns, received_ns)


def _play(host, part, clock, words):
    return host.run(f"""\
if [ -p {_SERVER_ASKED} ]; then
  echo {part} {clock} {words} > {_SERVER_ASKED} && head -n 1 {_SERVER_SAYS}
else
  {_FIND_SHARED_MEMORY} && exec {_HOST_CLOCK} {part} {clock} "$memory" {words}
fi""")


def keep_shared_memory(host):
    """From now on the host keeps it mapped, to be measured by once its kernel lets nobody map it any more."""
    host.run(f"""\
mkfifo {_SERVER_ASKED} {_SERVER_SAYS} && {_FIND_SHARED_MEMORY} || exit
{_HOST_CLOCK} serve "$memory" <>{_SERVER_ASKED} 1<>{_SERVER_SAYS} 2>/dev/null &""")


def take_clock_pairs(host):
    """Pairs (TSC, CLOCK_MONOTONIC_RAW) of the host itself, taken at once: the tightest of many."""
    lines = host.run([_HOST_CLOCK, "pairs", "raw", _PAIRS]).stdout.splitlines()
    pairs = [ClockPair(*(int(word) for word in line.split())) for line in lines]
    return sorted(pairs, key=lambda pair: pair.width_ticks)[:_PAIRS_KEPT]


def set_clock_offset(reference, other, offset_ns):
    """Step `other` so that it is ahead of `reference` by this much; returns the offset as it then is."""
    step_ns = round(offset_ns - measure_clock_offset(reference, other).offset_ns)
    step_clock(other, step_ns)
    return measure_clock_offset(reference, other)


def step_clock(host, step_ns):
    host.run([_HOST_CLOCK, "step", step_ns])


def slew_clock(host, ppm):
    """Let the host's clock run fast by this much from now on; 0 ends it."""
    host.run([_HOST_CLOCK, "slew", ppm])


def declare_clock(host, synchronised):
    """Make adjtimex() in the host say whether its clock is kept by a time service."""
    host.run([_HOST_CLOCK, "declare", "synchronised" if synchronised else "unsynchronised"])
