# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of the Debian packages: installed on a host that never had them, upgraded under a running migration, removed, purged."""

import json

import pytest

import clock_checks
import deployment
import guest_domain
import journey
import migration
import observed_clocks
import outcome
import package_files
from daemon_journal import DaemonJournal

CONFIGURATION = "/etc/clockferry/clockferry.conf"

# apt without its lists: all that the packages need is installed.
APT_INSTALL = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-install-recommends",
               "-o", "Dir::State::Lists=/run/no-lists", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]

UPGRADE_DEADLINE_S = 400

# What the tests themselves put there has this in its name.
_TEST_FILES = "*clockferry-test*"


@pytest.fixture(scope="module", autouse=True)
def installed_again(deployed_hosts, deployed_folder):
    """Whatever becomes of the packages here, they are installed before and afterwards."""
    if not package_files.find_packages(deployed_folder):
        pytest.skip(f"{deployed_folder} holds no packages")
    yield
    deployment.install_packages(deployed_hosts, deployed_folder)


@pytest.fixture(scope="module")
def successor(deployed_folder):
    """The version of the packages in package_files.SUCCESSORS_DIR, which is later than the one that is installed."""
    return package_files.make_successors(deployed_folder)


def is_hook_in_place(host):
    return host.run(["test", "-x", deployment.HOOK_PATH], check=False).rc == 0


def is_active(host, unit):
    return host.run(["systemctl", "is-active", "--quiet", unit], check=False).rc == 0


def get_installed_version(host):
    versions = host.run(["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Version}\n",
                         *package_files.PACKAGES]).stdout.splitlines()
    assert len(set(versions)) == 1, versions
    status, version = versions[0].split()
    assert status == "installed", versions
    return version


def assert_ready(host):
    """Everything of the packages is in service, by the host's own word."""
    assert is_active(host, deployment.DAEMON_UNIT)
    assert host.run(["systemctl", "is-enabled", deployment.DAEMON_UNIT]).stdout.strip() == "enabled"
    assert is_hook_in_place(host)
    result = host.run(["clockferryctl", "--json", "check"], check=False)
    checks = json.loads(result.stdout)["checks"]
    failures = [check for check in checks if check["status"] == "failure"]
    assert checks and not failures, failures
    # never a failure, as most guests are handed over without it
    assert [check["status"] for check in checks if check["id"] == "observer"] == ["ok"], checks


def assert_nothing_left(host, owned_paths):
    left = host.run(["sh", "-c", 'for path; do [ ! -e "$path" ] || echo "$path"; done', "sh", *owned_paths]).stdout
    left += host.run(f"find /etc /var/lib /var/cache -name '*clockferry*' -not -path '{_TEST_FILES}'", timeout=120).stdout
    assert not left, left


def list_owned_paths(host):
    """What the packages brought, but for folders that others have too."""
    paths = host.run(["dpkg-query", "--listfiles", *package_files.PACKAGES]).stdout.splitlines()
    return sorted({path for path in paths if "clockferry" in path})


def migrate_and_report(guest, to_host):
    arrived = DaemonJournal(to_host)
    guest.migrate(to_host)
    report = arrived.wait_for_report(guest.spec.uuid)
    arrived.wait_for_event("domain-ready", guest.spec.uuid)
    return report


def test_first_installation_is_ready(deployed_hosts, deployed_folder, start_ready_guest):
    dest = deployed_hosts.dest
    owned_paths = list_owned_paths(dest)
    deployment.remove_packages(dest, purge=True)
    assert_nothing_left(dest, owned_paths)

    result = dest.run([*APT_INSTALL, *deployment.put_packages(dest, deployed_folder)], timeout=deployment.DPKG_TIMEOUT_S)
    print(result.stdout + result.stderr)
    assert_ready(dest)
    library, = [path for path in owned_paths if path.endswith("/libclockferry-qemu.so")]
    assert dest.run(["stat", "--format=%a %U:%G", library]).stdout.strip() == "4644 root:root"
    assert "clockferry" in dest.run("journalctl --list-catalog").stdout

    report = migrate_and_report(start_ready_guest(), dest)
    assert report["CLOCKFERRY_EVENT"] == "migration-fixed", report["MESSAGE"]


@pytest.mark.full
def test_guest_is_older_than_the_installation(deployed_hosts, deployed_folder, start_guest):
    """It was started on a host that had never seen clockferry; its first migration is right, as any after it."""
    source, dest = deployed_hosts
    deployment.remove_packages(source, purge=True)
    guest = start_guest(vcpus=2, persistent=True)
    departing, arrived = DaemonJournal(source), DaemonJournal(dest)
    deployment.install_packages([source], deployed_folder)
    ready = departing.wait_for_event("domain-ready", guest.spec.uuid, observed_clocks.START_DEADLINE_S)
    assert ready["CLOCKFERRY_SOURCE"] == "observed", ready["MESSAGE"]
    observed_clocks.check_qemu_is_untouched(guest)
    measured = outcome.migrate_promptly(guest, dest)
    report = arrived.wait_for_report(guest.spec.uuid)
    assert (report["CLOCKFERRY_EVENT"], report.get("CLOCKFERRY_SOURCE")) == ("migration-fixed", "observed"), report["MESSAGE"]
    clock_checks.check_handed_over(measured, report)


@pytest.mark.full
def test_upgrade_under_a_running_migration(deployed_hosts, deployed_folder, successor, start_ready_guest, monkeypatch):
    """The migration goes on, whatever becomes of its clocks; the next one is fixed."""
    monkeypatch.setattr(migration, "MIGRATION_DEADLINE_S", UPGRADE_DEADLINE_S)
    source, dest = deployed_hosts
    deployment.install_packages(deployed_hosts, deployed_folder)
    guest = start_ready_guest(vcpus=2)
    journal = DaemonJournal(dest)
    with journey.held_before_pause(guest, dest):
        deployment.install_packages(deployed_hosts, package_files.SUCCESSORS_DIR)
        job = source.virsh("domjobinfo", guest.name).stdout
    assert "Unbounded" in job, f"the migration was over before the upgrade: {job}"
    assert [get_installed_version(host) for host in deployed_hosts] == [successor] * 2
    assert all(is_active(host, deployment.DAEMON_UNIT) for host in deployed_hosts)
    guest.wait_for_samples(10, 60, since=guest.count_samples())
    journal.wait_for_event("domain-ready", guest.spec.uuid)

    report = migrate_and_report(guest, source)
    assert report["CLOCKFERRY_EVENT"] == "migration-fixed", report["MESSAGE"]


@pytest.mark.full
def test_upgrade_keeps_what_the_operator_decided(deployed_hosts, deployed_folder, successor):
    """A hook that was taken out of service stays so, and a changed configuration file as it is."""
    dest = deployed_hosts.dest
    deployment.install_packages([dest], deployed_folder)
    dest.run(["clockferryctl", "disable"])
    dest.run(f"echo '# by hand' >> {CONFIGURATION}")
    try:
        dest.run(["dpkg", "--install", *deployment.put_packages(dest, package_files.SUCCESSORS_DIR)], timeout=deployment.DPKG_TIMEOUT_S)
        assert get_installed_version(dest) == successor
        assert not is_hook_in_place(dest)
        assert "# by hand" in dest.get_file(CONFIGURATION)
        assert is_active(dest, deployment.DAEMON_UNIT)
    finally:
        dest.run(f"sed -i '/^# by hand$/d' {CONFIGURATION}")
        dest.run(["clockferryctl", "enable"])
    assert_ready(dest)


@pytest.mark.full
def test_removal_leaves_libvirt_as_it_was(deployed_hosts, deployed_folder, start_guest):
    """No hook, and guests start, even one that asks for the helper; installed again, all is in service again."""
    source, dest = deployed_hosts
    deployment.install_packages([source], deployed_folder)
    deployment.remove_packages(source)
    assert source.run(["test", "-e", deployment.HOOK_PATH], check=False).rc == 1
    assert source.run(["systemctl", "cat", deployment.DAEMON_UNIT], check=False).rc != 0

    guest = start_guest(domain_xml=guest_domain.WITH_HELPER_XML)
    report = migrate_and_report(guest, dest)
    assert report["CLOCKFERRY_EVENT"] == "migration-stock", report["MESSAGE"]

    deployment.install_packages([source], deployed_folder)
    assert_ready(source)
    report = migrate_and_report(guest, source)
    assert report["CLOCKFERRY_EVENT"] == "migration-fixed", report["MESSAGE"]
