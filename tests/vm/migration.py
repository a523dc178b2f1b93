# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run a guest on the emulated hosts, migrate it, and collect what the yardsticks need."""

import dataclasses
import time

import emulated_host
import guest_domain
import host_time
import yardstick

START_DEADLINE_S = 120
MIGRATION_DEADLINE_S = 120
# Enough for a slope good to a fraction of a ppb: half of them are used, over about six seconds.
SAMPLES_PER_SIDE = 250


@dataclasses.dataclass(frozen=True)
class MeasuredMigration:
    yardstick: yardstick.MigrationYardstick
    virsh_duration_s: float
    clock_offsets: list          # how far the host it went to is ahead of the one it came from, before and after
    clocksources_before: list
    clocksources_after: list

    def describe(self):
        offset = self.clock_offsets[0]
        return (f"{self.yardstick.describe()}\n"
                f"virsh migrate                {self.virsh_duration_s:10.3f} s\n"
                f"hosts' clocks apart          {offset.offset_ns / 1e3:+14.3f} us +- {offset.bound_ns / 1e3:.3f}"
                f" (shortest round trip {offset.round_trip_min_ns} ns)")


class Guest:
    """A guest on one of the hosts."""

    def __init__(self, spec, host):
        self.spec = spec
        self.host = host

    def start(self):
        """Create the (transient) domain and wait for its first lines."""
        xml_path = f"{guest_domain.GUEST_DIR}/{self.spec.name}.xml"
        self.host.put_file(xml_path, guest_domain.make_domain_xml(self.spec))
        self.host.virsh("create", xml_path)
        self.wait_for_samples(1, START_DEADLINE_S)

    def read_log(self, host=None):
        return yardstick.GuestLog.parse((host or self.host).get_file(self.spec.yardstick_path))

    def wait_for_samples(self, count, deadline_s, after_sequence=0):
        """Wait until the host the guest is on has this many samples of it, counted from a sequence number."""
        seen = "nothing"

        def count_is_reached():
            nonlocal seen
            lines = self.host.run(["tail", "-n", "3", self.spec.yardstick_path], check=False)
            samples = yardstick.GuestLog.parse(lines.stdout).samples
            seen = lines.stdout + lines.stderr
            return samples and samples[-1].sequence >= after_sequence + count

        emulated_host.wait_until(count_is_reached, deadline_s, f"{count} samples of {self.spec.name} on {self.host.name}",
                                 lambda: f"{seen}\n{self._describe_trouble()}")

    def read_tsc_offsets(self):
        """The guest's TSC offsets, out of debugfs of the host it is on."""
        script = """\
cd /sys/kernel/debug/kvm/"$(cat /run/libvirt/qemu/"$0".pid)"-* || exit
for vcpu in vcpu*; do
    echo "${vcpu#vcpu} $(cat $vcpu/tsc-offset) $(cat $vcpu/tsc-scaling-ratio $vcpu/tsc-scaling-ratio-frac-bits 2>/dev/null)"
done"""
        rows = sorted([int(word) for word in line.split()]
                      for line in self.host.run(["sh", "-c", script, self.spec.name]).stdout.splitlines())
        offset_ticks = [row[1] for row in rows]
        return yardstick.GuestTscOffsets(offset_ticks, *rows[0][2:])

    def migrate(self, to_host, options=("--live",)):
        """Let virsh move the guest, and return the seconds that took. The guest counts as moved only when it went well."""
        begin = time.monotonic()
        self.host.virsh("migrate", *options, self.spec.name, f"qemu+tcp://{to_host.name}/system", timeout=MIGRATION_DEADLINE_S)
        self.host = to_host
        return time.monotonic() - begin

    def _describe_trouble(self):
        script = 'virsh -q list --all; tail -n 20 /var/log/libvirt/qemu/"$0".log /var/log/libvirt/qemu/"$0"-console.log'
        return self.host.run(["sh", "-c", script, self.spec.name], check=False).stdout


class Watch:
    """What was seen of a guest before it moves, to be judged once it has moved.

    What happens between, a migration or several steps of one, is the test's own affair; migrate_and_judge() is the plain case.
    """

    def __init__(self, guest, to_host):
        self._guest = guest
        self._from_host = guest.host
        self._to_host = to_host
        begin_sequence = guest.read_log().get_last_stay()[0].sequence
        guest.wait_for_samples(SAMPLES_PER_SIDE, START_DEADLINE_S, begin_sequence)
        self._offset_before, self._pairs_before = self._look_at_hosts()
        self._guest_tsc_before = guest.read_tsc_offsets()

    def judge(self, virsh_duration_s):
        """Wait until the guest has run long enough on the other host, and compare."""
        guest = self._guest
        log_before = guest.read_log(self._from_host)
        samples_before = log_before.get_last_stay()
        guest.wait_for_samples(SAMPLES_PER_SIDE, MIGRATION_DEADLINE_S, samples_before[-1].sequence)
        log_after = guest.read_log()
        offset_after, pairs_after = self._look_at_hosts()

        pairs_from, pairs_to = (before + after for before, after in zip(self._pairs_before, pairs_after))
        clock_offsets = [self._offset_before, offset_after]
        verdict = yardstick.judge_migration(
            samples_before, log_after.get_last_stay(), yardstick.HostView(pairs_from, self._guest_tsc_before),
            yardstick.HostView(pairs_to, guest.read_tsc_offsets()), clock_offsets)
        return MeasuredMigration(verdict, virsh_duration_s, clock_offsets, log_before.clocksources, log_after.clocksources)

    def _look_at_hosts(self):
        offset = host_time.measure_clock_offset(self._from_host, self._to_host)
        return offset, [host_time.take_clock_pairs(host) for host in (self._from_host, self._to_host)]


def migrate_and_judge(guest, to_host, options=("--live",)):
    """One migration, measured on either side."""
    watch = Watch(guest, to_host)
    return watch.judge(guest.migrate(to_host, options))


def start_guest(hosts, spec):
    """Start a guest on the source host, with nothing left of an earlier one of that name on either host."""
    remove_guest(hosts, spec)
    guest_domain.deploy_initramfs(hosts)
    guest = Guest(spec, hosts.source)
    guest.start()
    return guest


def remove_guest(hosts, spec):
    """A failed migration may leave the guest on either host, or on both."""
    for host in hosts:
        host.virsh("destroy", spec.name, check=False)
        host.run(["rm", "-f", spec.yardstick_path, spec.console_path])
