# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run a guest on the emulated hosts, migrate it, and collect what the yardsticks need."""

import dataclasses
import json
import time

import emulated_host
import guest_domain
import host_time
import yardstick

START_DEADLINE_S = 120
# A host's one emulated processor brings them up one after the other.
START_DEADLINE_S_PER_VCPU = 3
MIGRATION_DEADLINE_S = 120
# Enough for a slope good to about a ppb: half of them are used, over about four seconds.
SAMPLES_PER_SIDE = 150
# Of guest_init.c: every so many samples one of another CPU. That many times around is enough to see each.
SAMPLES_PER_OTHER_CPU = 4
CPU_ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class MeasuredMigration:
    """What a migration, or whatever else happened to the guest meanwhile, did to its clocks."""
    yardstick: yardstick.MigrationYardstick
    virsh_duration_s: float
    clock_offsets: list          # how far the CLOCK_REALTIME of the host it went to is ahead of the other's, before and after
    clocksources_before: list
    clocksources_after: list
    hyperv_page_shift_ns: int    # by the guest's reference TSC page: how far its time was moved against the TSC; None without

    def describe(self):
        lines = [self.yardstick.describe()]
        if self.hyperv_page_shift_ns is not None:
            lines.append(f"coherence   Hyper-V page     {self.hyperv_page_shift_ns / 1e3:+14.3f} us")
        lines.append(f"virsh                        {self.virsh_duration_s:10.3f} s")
        if self.clock_offsets:
            offset = self.clock_offsets[0]
            lines.append(f"hosts' clocks apart          {offset.offset_ns / 1e3:+14.3f} us +- {offset.bound_ns / 1e3:.3f}"
                         f" (shortest round trip {offset.round_trip_min_ns} ns)")
        return "\n".join(lines)


class Guest:
    """A guest on one of the hosts."""

    def __init__(self, spec, host):
        self.spec = spec
        self.host = host
        self.name = spec.name           # libvirt's; --dname changes it at its arrival
        self.name_on_arrival = spec.name
        # Of the samples on the host it is on, those before this one are from before the last thing that happened to its clocks.
        self.settled_since = 0

    def start(self):
        """Create the domain, transient or persistent as its spec has it, and wait for its first lines."""
        xml_path = f"{guest_domain.GUEST_DIR}/{self.spec.name}.xml"
        self.host.put_file(xml_path, guest_domain.make_domain_xml(self.spec))
        if self.spec.persistent:
            self.host.virsh("define", xml_path)
            self.host.virsh("start", self.name)
        else:
            self.host.virsh("create", xml_path)
        self.wait_for_samples(1, START_DEADLINE_S + self.spec.vcpus * START_DEADLINE_S_PER_VCPU)

    def read_log(self, host=None):
        return yardstick.GuestLog.parse((host or self.host).get_file(self.spec.yardstick_path))

    def count_samples(self, host=None):
        """How many samples the host (the one it is on) has of it."""
        return int((host or self.host).run(["grep", "-sc", "^P ", self.spec.yardstick_path], check=False).stdout or 0)

    def count_boots(self):
        """How often it has begun to write on the host it is on."""
        return int(self.host.run(["grep", "-c", "^S ", self.spec.yardstick_path], check=False).stdout)

    def wait_for_samples(self, count, deadline_s, since=0):
        """Wait until the host the guest is on has this many samples of it, beyond the first `since`."""
        emulated_host.wait_until(lambda: self.count_samples() >= since + count, deadline_s,
                                 f"{count} samples of {self.spec.name} on {self.host.name}", self.describe_trouble)

    def wait_for_cpus(self, count):
        """Wait until this many CPUs show in the guest's latest samples, and no more."""
        def cpus_are_in_use():
            samples = self.read_log().samples[-CPU_ROUNDS * count * SAMPLES_PER_OTHER_CPU:]
            return {sample.cpu for sample in samples} == set(range(count))

        emulated_host.wait_until(cpus_are_in_use, START_DEADLINE_S, f"{self.name} to use {count} CPUs", self.describe_trouble)

    def read_tsc_offsets(self):
        """The guest's TSC offsets, out of debugfs of the host it is on."""
        script = """\
cd /sys/kernel/debug/kvm/"$(cat /run/libvirt/qemu/"$0".pid)"-* || exit
for vcpu in vcpu*; do
    echo "${vcpu#vcpu} $(cat $vcpu/tsc-offset) $(cat $vcpu/tsc-scaling-ratio $vcpu/tsc-scaling-ratio-frac-bits 2>/dev/null)"
done"""
        rows = sorted([int(word) for word in line.split()]
                      for line in self.host.run(["sh", "-c", script, self.name]).stdout.splitlines())
        offset_ticks = [row[1] for row in rows]
        return yardstick.GuestTscOffsets(offset_ticks, *rows[0][2:])

    def migrate(self, to_host, options=("--live",)):
        """Let virsh move the guest, and return the seconds that took. The guest counts as moved only when it went well."""
        begin = time.monotonic()
        self.host.virsh("migrate", *options, self.name, get_uri(to_host), timeout=MIGRATION_DEADLINE_S)
        self.host, self.name = to_host, self.name_on_arrival
        return time.monotonic() - begin

    def describe_trouble(self):
        """For a message of failure: the last that it wrote, and what libvirt and QEMU say."""
        script = 'tail -n 3 "$1"; virsh -q list --all; tail -n 20 /var/log/libvirt/qemu/"$0".log "$2"'
        return self.host.run(["sh", "-c", script, self.name, self.spec.yardstick_path, self.spec.console_path],
                             check=False).stdout


class Watch:
    """What was seen of a guest before something happens to it, to be judged once that is over and the guest runs again.

    What happens is the test's own affair: a migration, several steps of one, or something that leaves the guest where it is;
    migrate_and_judge() is the plain case.
    """

    def __init__(self, guest, to_host):
        self._guest = guest
        self.from_host = guest.host
        self._to_host = to_host
        self._stays = to_host is guest.host
        self._begin = max(guest.read_log().get_last_stay_begin(), guest.settled_since)
        guest.wait_for_samples(SAMPLES_PER_SIDE, START_DEADLINE_S, since=self._begin)
        self._offsets_before, self._pairs_before = self._look_at_hosts()
        self._guest_tsc_before = guest.read_tsc_offsets()
        self._count_before = guest.count_samples()
        self._arrival_begin = 0 if self._stays else guest.count_samples(to_host)

    def judge(self, virsh_duration_s):
        """Wait until the guest has run long enough after what happened, and compare."""
        guest = self._guest
        # A guest that stays may have written while it happened.
        after_begin = guest.count_samples() if self._stays else self._arrival_begin
        guest.settled_since = after_begin
        guest.wait_for_samples(SAMPLES_PER_SIDE, MIGRATION_DEADLINE_S, since=after_begin)
        log_before = guest.read_log(self.from_host)
        log_after = guest.read_log()
        samples_before = log_before.samples[self._begin:self._count_before if self._stays else None]
        self._expect_one_life(samples_before, log_after.samples[after_begin:])
        offsets_after, pairs_after = self._look_at_hosts()

        pairs_from, pairs_to = (before + after for before, after in zip(self._pairs_before, pairs_after))
        verdict = yardstick.judge_migration(
            samples_before, log_after.samples[after_begin:], yardstick.HostView(pairs_from, self._guest_tsc_before),
            yardstick.HostView(pairs_to, guest.read_tsc_offsets()), self._offsets_before["raw"] + offsets_after["raw"])
        return MeasuredMigration(
            verdict, virsh_duration_s, self._offsets_before["realtime"] + offsets_after["realtime"],
            log_before.clocksources, log_after.clocksources,
            _find_hyperv_page_shift(log_before, self._begin + len(samples_before), log_after, after_begin))

    def _expect_one_life(self, *stays):
        """A guest whose kernel crashed begins to count anew: what its clocks say then is no verdict on anything."""
        for samples in stays:
            if any(later.sequence < earlier.sequence for earlier, later in zip(samples, samples[1:])):
                raise AssertionError(f"{self._guest.name} was booted by itself: {self._guest.describe_trouble()}")

    def _look_at_hosts(self):
        offsets = {clock: [] if self._stays else [host_time.measure_clock_offset(self.from_host, self._to_host, clock)]
                   for clock in ("raw", "realtime")}
        return offsets, [host_time.take_clock_pairs(host) for host in (self.from_host, self._to_host)]


def _find_hyperv_page_shift(log_before, before_end, log_after, after_begin):
    """What the last page before and the first page after make of the guest's TSC where its samples begin again."""
    pages_before = [page for page in log_before.hyperv_pages if page.after_samples <= before_end]
    pages_after = [page for page in log_after.hyperv_pages if page.after_samples > after_begin]
    if not pages_before or not pages_after:
        return None
    seam_ticks = log_after.samples[after_begin].raw.tsc_before_ticks
    return pages_after[0].get_reference_time_ns(seam_ticks) - pages_before[-1].get_reference_time_ns(seam_ticks)


def get_uri(host):
    return f"qemu+tcp://{host.name}/system"


# Less than a guest changes by itself: a migration that slow does not end.
CRAWL_BYTES_PER_S = 50_000
FULL_BYTES_PER_S = 1 << 30


def set_speed(guest, bytes_per_s):
    """Of the migration of the guest that is under way; virsh knows no speed below 1 MiB/s."""
    command = {"execute": "migrate-set-parameters", "arguments": {"max-bandwidth": bytes_per_s}}
    guest.host.virsh("qemu-monitor-command", guest.name, json.dumps(command))


def migrate_and_judge(guest, to_host, options=("--live",)):
    """One migration, measured on either side, with the figures printed."""
    watch = Watch(guest, to_host)
    measured = watch.judge(guest.migrate(to_host, options))
    print(f"\n{guest.spec.name} to {to_host.name}\n{measured.describe()}")
    return measured


def start_guest(hosts, spec):
    """Start a guest on the source host, with nothing left of an earlier one of that name on either host."""
    remove_guest(hosts, spec)
    guest_domain.deploy_initramfs(hosts)
    if spec.disk:
        guest_domain.deploy_disk(hosts, spec)
    guest = Guest(spec, hosts.source)
    guest.start()
    return guest


def remove_guest(hosts, spec):
    """A failed migration may leave the guest on either host, or on both."""
    for host in hosts:
        host.virsh("destroy", spec.uuid, check=False)
        host.virsh("undefine", spec.uuid, "--managed-save", "--snapshots-metadata", check=False)
        host.run(["rm", "-f", spec.yardstick_path, spec.console_path, spec.disk_path])
