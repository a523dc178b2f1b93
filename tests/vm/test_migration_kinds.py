# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every way in which libvirt migrates a guest, and everything else it does to one: with clockferry and, as the control, without.

The tests of an arm share a guest, which goes to and fro. `scripts/test` runs the arm with clockferry; `--full` both.
"""

import pytest

import clock_checks
import guest_domain
import journey
import libvirt_events
from daemon_journal import DaemonJournal

# So little that a migration is still under way when something is to happen to it, MiB/s.
SLOW = 4
# Memory it writes to keeps a migration from converging; the guest needs more than the usual for that.
BUSY = {"name": "busy", "memory_mib": 128, "extra_cmdline": "dirty_mib=24"}


@pytest.fixture(scope="module", params=[journey.CLOCKFERRY, pytest.param(journey.STOCK, marks=pytest.mark.full)])
def arm(request, deployed_hosts):
    with journey.travel(deployed_hosts, request.param) as made:
        yield made


def wait_until_transferring(host, guest):
    """The job is known to the source's libvirt, and memory is on its way."""
    host.wait_until(lambda: "Data processed" in host.virsh("domjobinfo", guest.name, check=False).stdout, 60,
                    f"{guest.name} to be on its way")


# ---- one guest through it all

@pytest.mark.parametrize("kind, options", [
    pytest.param("live, direct", ["--live"], marks=pytest.mark.full),
    ("live, peer to peer", ["--live", "--p2p"]),
    pytest.param("live, tunnelled", ["--live", "--p2p", "--tunnelled"], marks=pytest.mark.full),
    pytest.param("not live", [], marks=pytest.mark.full),
    pytest.param("live, under another name", ["--live", "--dname", "renamed"], marks=pytest.mark.full),
], ids=lambda value: value.replace(", ", "-").replace(" ", "-") if isinstance(value, str) else "")
def test_precopy(trip, kind, options):
    guest = trip.board(name="traveller", vcpus=2)
    # a name goes with the guest, and may be its own again
    if "--dname" in options:
        trip.guest.name_on_arrival = options[-1]
    trip.migrate(kind, *options)
    if "--dname" in options:
        trip.guest.name_on_arrival = guest.spec.name
        trip.migrate("live, under its first name again", "--live", "--dname", guest.spec.name)


def expect_rolled_back(trip, kind, migrate_and_fail):
    """The guest goes on where it was: kvmclock without the pause, the TSC with it, as after any pause of stock QEMU."""
    guest = trip.guest
    from_host, to_host = guest.host, trip.other_host
    rolled_back, abandoned = DaemonJournal(from_host), DaemonJournal(to_host)
    with libvirt_events.record_events(from_host) as events:
        measured = trip.expect_no_report(kind, lambda: migrate_and_fail(guest, from_host, to_host))
    assert events.lifecycle == ["Suspended Migrated", "Resumed Migrated"]
    check_paused(measured)
    if trip.with_clockferry:
        rolled_back.wait_for_event("departure-rolled-back", guest.spec.uuid)
        abandoned.wait_for_event("arrival-abandoned", guest.spec.uuid)


def check_paused(measured):
    verdict = measured.yardstick
    assert abs(verdict.tsc_shift_ns) <= clock_checks.COHERENCE_MAX_NS, measured.describe()
    clock_checks.check_stock(measured)


def test_destination_killed_after_the_pause(trip):
    trip.board(name="traveller", vcpus=2)

    def migrate_and_kill(guest, from_host, to_host):
        with journey.Background(guest, to_host, "--bandwidth", str(SLOW)) as migrating:
            wait_until_transferring(from_host, guest)
            to_host.run(["sh", "-c", 'kill -9 "$(cat /run/libvirt/qemu/"$0".pid)"', guest.name])
            migrating.expect_failure("qemu unexpectedly closed the monitor", "job 'migration out' failed")

    expect_rolled_back(trip, "destination's QEMU killed after the pause", migrate_and_kill)


@pytest.mark.full
def test_finish_fails(trip):
    """The destination cannot write the guest's definition: libvirt finds that out after the source has handed everything over."""
    trip.board(name="traveller", vcpus=2)

    def migrate_and_fail(guest, _from_host, to_host):
        to_host.run("mkdir -p /etc/libvirt/qemu && mount -t tmpfs -o ro none /etc/libvirt/qemu")
        try:
            journey.Background(guest, to_host, "--live", "--persistent").expect_failure("Read-only file system")
        finally:
            to_host.run(["umount", "/etc/libvirt/qemu"])

    expect_rolled_back(trip, "Finish fails at the destination", migrate_and_fail)


@pytest.mark.full
def test_suspend_option(trip):
    guest = trip.board(name="traveller", vcpus=2)
    to_host = trip.other_host

    def migrate_and_resume():
        guest.migrate(to_host, ["--live", "--suspend"])
        assert "paused" in to_host.virsh("domstate", guest.name).stdout
        to_host.virsh("resume", guest.name)

    trip.expect_stock("live with --suspend, then resumed", to_host, migrate_and_resume, "arrived-paused")


@pytest.mark.full
def test_paused_by_hand_before(trip):
    guest = trip.board(name="traveller", vcpus=2)
    from_host, to_host = guest.host, trip.other_host

    def suspend_migrate_resume():
        from_host.virsh("suspend", guest.name)
        guest.migrate(to_host)
        assert "paused" in to_host.virsh("domstate", guest.name).stdout
        to_host.virsh("resume", guest.name)

    trip.expect_stock("paused by hand, migrated, resumed", to_host, suspend_migrate_resume, "arrived-paused")


def test_suspend_and_resume(trip):
    guest = trip.board(name="traveller", vcpus=2)

    def suspend_and_resume():
        guest.host.virsh("suspend", guest.name)
        guest.host.virsh("resume", guest.name)

    check_paused(trip.expect_no_report("suspend and resume", suspend_and_resume))


def test_save_and_restore(trip):
    guest = trip.board(name="traveller", vcpus=2)

    def save_and_restore():
        guest.host.virsh("save", guest.name, "/var/tmp/traveller.save")
        guest.host.virsh("restore", "/var/tmp/traveller.save")

    clock_checks.check_stock(trip.expect_no_report("save and restore", save_and_restore))


@pytest.mark.full
def test_reset(trip):
    guest = trip.board(name="traveller", vcpus=2)
    trip.expect_reboot("reset", lambda: guest.host.virsh("reset", guest.name))


@pytest.mark.full
def test_reboot(trip):
    guest = trip.board(name="traveller", vcpus=2)
    # the guest's kernel reboots at this
    trip.expect_reboot("reboot", lambda: guest.host.virsh("send-key", guest.name, "KEY_LEFTCTRL", "KEY_LEFTALT", "KEY_DELETE"))


@pytest.mark.full
def test_migration_after_all_that(trip):
    """Whatever has happened to it, the guest's next migration is handed over."""
    trip.board(name="traveller", vcpus=2)
    trip.migrate("live, after a reset and a reboot", "--live")


# ---- a guest that is too busy to converge

def test_postcopy(trip):
    guest = trip.board(**BUSY)
    to_host = trip.other_host
    with libvirt_events.record_events(to_host) as events:
        trip.migrate("post-copy", "--live", "--postcopy", "--postcopy-after-precopy", "--bandwidth", str(2 * SLOW),
                     "--postcopy-bandwidth", str(4 * SLOW))
    # memory was still on the other side when the guest went on
    assert "Resumed Post-copy" in events.lifecycle, events.lifecycle
    assert guest.host is to_host


@pytest.mark.full
def test_suspended_by_timeout(trip):
    guest = trip.board(**BUSY)
    from_host = guest.host
    with libvirt_events.record_events(from_host) as events:
        trip.migrate("live, suspended by --timeout", "--live", "--bandwidth", str(2 * SLOW), "--timeout", "3", "--timeout-suspend")
    assert events.lifecycle[0] == "Suspended Migrated", events.lifecycle


def test_paused_by_hand_on_the_way(trip):
    """libvirt lets the guest run at its destination: so all of the pause belongs to the migration."""
    guest = trip.board(**BUSY)
    from_host, to_host = guest.host, trip.other_host

    def migrate_and_suspend():
        with journey.Background(guest, to_host, "--live", "--bandwidth", str(2 * SLOW)) as migrating:
            wait_until_transferring(from_host, guest)
            from_host.virsh("suspend", guest.name)
            migrating.expect_success()
        assert "running" in to_host.virsh("domstate", guest.name).stdout

    trip.expect_fixed("live, paused by hand on the way", to_host, migrate_and_suspend)


def test_cancelled_before_switchover(trip):
    guest = trip.board(**BUSY)
    from_host, to_host = guest.host, trip.other_host

    def migrate_and_abort():
        with journey.Background(guest, to_host, "--live", "--bandwidth", "1") as migrating:
            wait_until_transferring(from_host, guest)
            from_host.virsh("domjobabort", guest.name)
            # The last is what the destination's QEMU says whose stream ends in the middle of a section; virsh prefers that to the
            # source's job that failed (libvirt-domain.c, virDomainMigrateVersion3Full).
            migrating.expect_failure("canceled by client", "job 'migration out' failed", "load of migration failed")

    abandoned = DaemonJournal(to_host)
    measured = trip.expect_no_report("live, cancelled before switchover", migrate_and_abort, resumes=False)
    clock_checks.check_untouched(measured)
    if trip.with_clockferry:
        abandoned.wait_for_event("arrival-abandoned", guest.spec.uuid)


# ---- a guest with a definition, and one with a disk

@pytest.mark.full
def test_persistent(trip):
    guest = trip.board(name="settler", persistent=True)
    source = guest.host
    trip.migrate("live, definition and all", "--live", "--persistent", "--undefinesource")
    assert guest.name not in source.virsh("list", "--all", "--name").stdout
    assert guest.name in guest.host.virsh("list", "--persistent", "--name").stdout


@pytest.mark.full
def test_managedsave(trip):
    guest = trip.board(name="settler", persistent=True)

    def save_and_start():
        guest.host.virsh("managedsave", guest.name)
        guest.host.virsh("start", guest.name)

    clock_checks.check_stock(trip.expect_no_report("managedsave and start", save_and_start))


@pytest.mark.full
def test_storage_copied(trip):
    trip.board(name="disked", disk=True)
    trip.migrate("live, with its disk", "--live", "--copy-storage-all")


@pytest.mark.full
def test_snapshot_and_revert(trip):
    guest = trip.board(name="disked", disk=True)

    def snapshot_and_revert():
        guest.host.virsh("snapshot-create-as", guest.name, "before")
        guest.host.virsh("snapshot-revert", guest.name, "before")

    try:
        clock_checks.check_stock(trip.expect_no_report("snapshot and revert", snapshot_and_revert))
    finally:
        guest.host.virsh("snapshot-delete", guest.name, "before", check=False)


# ---- guests of other kinds

@pytest.mark.full
def test_clocksource_tsc(trip):
    trip.board(name="tsc", clocksource="tsc")
    measured = trip.migrate("live, guest on clocksource=tsc", "--live")
    assert set(measured.clocksources_after) == {"tsc"}


@pytest.mark.full
def test_guest_without_kvmclock(trip):
    """It checks its TSC against the HPET or ACPI timer, which do not count the blackout: its TSC must not jump."""
    guest = trip.board(name="hidden", **guest_domain.without_kvmclock(trip.hosts.source))
    to_host = trip.other_host
    measured = trip.expect_stock("live, guest without kvmclock (kvm=off)", to_host,
                                 lambda: guest.migrate(to_host), "no-pvclock")
    assert set(measured.clocksources_after) == {"tsc"}


def test_guest_with_hyperv_enlightenments(trip):
    trip.board(name="hyperv", clock_xml="<clock offset='utc'><timer name='hypervclock' present='yes'/></clock>",
               features_xml="<hyperv><relaxed state='on'/><vapic state='on'/><vpindex state='on'/><synic state='on'/>"
                            "<frequencies state='on'/></hyperv>" + guest_domain.HIDDEN_KVM_XML)
    measured = trip.migrate("live, guest on Hyper-V's reference TSC page", "--live")
    assert set(measured.clocksources_after) == {"hyperv_clocksource_tsc_page"}
    assert measured.hyperv_page_shift_ns is not None
    if trip.with_clockferry:
        # the page counts in units of 100 ns
        assert abs(measured.hyperv_page_shift_ns) <= clock_checks.COHERENCE_MAX_NS


@pytest.mark.full
def test_vcpus_plugged_in_and_out_before(trip):
    guest = trip.board(name="growing", vcpus=2, vcpus_max=4)
    for count, kind in ((4, "live, after vCPUs were plugged in"), (3, "live, after a vCPU was unplugged")):
        guest.host.virsh("setvcpus", guest.name, str(count), "--live")
        guest.wait_for_cpus(count)
        guest.settled_since = guest.count_samples()
        measured = trip.migrate(kind, "--live")
        assert len(measured.yardstick.cpu_differences_ns) == count - 1
