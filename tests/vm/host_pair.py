# SPDX-License-Identifier: LGPL-2.1-or-later
"""The two hosts together: what joins them, and booting them side by side."""

import contextlib
import fcntl
import subprocess
import threading
import time

import build_tree
import emulated_host
import host_image
import host_variant

BOOT_DEADLINE_S = 240


class HostPair:
    """There is one pair of each kind; pairs of different kinds may run side by side."""

    def __init__(self, variant=host_variant.EVERYDAY):
        self._variant = variant
        self.source = emulated_host.EmulatedHost(host_image.SOURCE, variant)
        self.dest = emulated_host.EmulatedHost(host_image.DEST, variant)

    def __iter__(self):
        return iter((self.source, self.dest))

    def get_host(self, name):
        for host in self:
            if host.name == name:
                return host
        raise KeyError(f"no host named {name}: there are source and dest")

    def are_up(self):
        return all(host.get_pid() is not None for host in self)

    @contextlib.contextmanager
    def hold(self, alone=False):
        """Keep others from ending the hosts meanwhile, or, to boot or end them oneself, from using them."""
        self._variant.dir.mkdir(parents=True, exist_ok=True)
        with open(self._variant.dir / "lock", "w") as lock_file:
            try:
                fcntl.flock(lock_file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RuntimeError("the hosts are in use by another test run, or are being booted or ended") from None
            yield

    def boot(self, dest_tsc_ppm=0):
        """Start both from scratch, and return the seconds it took until both were ready.

        dest_tsc_ppm: by how much the destination misjudges its TSC's frequency, and with it the length of a second.
        """
        begin = time.monotonic()
        with self.hold(alone=True):
            self._end_hosts()
            with open(self._variant.dir / "shared-memory", "wb") as shared_memory:
                shared_memory.truncate(emulated_host.SHARED_MEMORY_MIB << 20)
            tsc_khz = measure_tsc_khz()
            self.source.start("dest", tsc_khz)
            self.dest.start("source", round(tsc_khz * (1 + dest_tsc_ppm / 1e6)))
            self.wait_until_ready()
            host_image.keep_capabilities(self.source.get_tar(host_image.CAPABILITIES_DIR), self._variant)
        return time.monotonic() - begin

    def wait_until_ready(self):
        run_in_parallel(*(lambda host=host: host.wait_until_ready(BOOT_DEADLINE_S) for host in self))

    def stop(self):
        with self.hold(alone=True):
            self._end_hosts()

    def disconnect(self):
        for host in self:
            host.disconnect()

    def _end_hosts(self):
        for host in self:
            host.stop()


@contextlib.contextmanager
def borrow(variant=host_variant.EVERYDAY):
    """Within it a pair of this kind is up: the one that `hosts up` left running, else one that ends with it."""
    pair = HostPair(variant)
    was_up = pair.are_up()
    if was_up:
        pair.wait_until_ready()
    else:
        pair.boot()
    try:
        with pair.hold():
            yield pair
    finally:
        if was_up:
            pair.disconnect()
        else:
            pair.stop()


def run_in_parallel(*functions):
    """Call functions at the same time; returns their results, or raises what the first of them raised."""
    results = [None] * len(functions)
    errors = []

    def call(number, function):
        try:
            results[number] = function()
        except Exception as error:  # handed to the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=call, args=each) for each in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def measure_tsc_khz():
    """The machine's TSC frequency against its CLOCK_REALTIME, which an emulated host's TSC ticks at as well."""
    program = build_tree.compile_host_clock()

    def take_pair():
        tsc, _width, clock_ns = subprocess.run([program, "pairs", "realtime", "1"], check=True, capture_output=True, text=True).stdout.split()
        return int(tsc), int(clock_ns)

    begin = take_pair()
    time.sleep(1)  # the length of the measurement itself
    end = take_pair()
    return round((end[0] - begin[0]) * 1_000_000 / (end[1] - begin[1]))
