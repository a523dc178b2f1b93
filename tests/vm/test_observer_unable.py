# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts on which nothing can be observed: it is said why, once, and the first migration is as in stock QEMU.

A kernel that is locked down is in test_apparmor.py, whose hosts are ended after that.
"""

import contextlib

import pytest

import clock_checks
import deployment
import guest_domain
import migration
import observed_clocks
import outcome
from daemon_journal import DaemonJournal

# As of a kernel whose KVM has another name for a member: libbpf does not find it, and the kernel's verifier refuses what that leaves
# of the program. Debian's kernel has these types in vmlinux itself, others in the module.
_OTHER_TYPES_DIR = "/run/clockferry-test-btf"
_OTHER_TYPES_SCRIPT = f"""\
mkdir -p {_OTHER_TYPES_DIR}
for name in vmlinux kvm; do
  sed s/l1_tsc_offset/l2_tsc_offset/ "/sys/kernel/btf/$name" > "{_OTHER_TYPES_DIR}/$name"
done
"""

# Lines of the unit, and words of what is said then.
_CAUSES = {
    "out of service": ((), ("not in service", "systemctl enable --now clockferry-observer.socket")),
    "no BTF": (("InaccessiblePaths=/sys/kernel/btf",), ("does not tell its types", "CONFIG_DEBUG_INFO_BTF")),
    "no CAP_BPF": (("AmbientCapabilities=", "AmbientCapabilities=CAP_PERFMON"), ("lacks the capability CAP_BPF",)),
    "no CAP_PERFMON": (("AmbientCapabilities=", "AmbientCapabilities=CAP_BPF"), ("lacks the capability CAP_PERFMON",)),
    "bpf(2) forbidden": (("SystemCallFilter=~bpf",), ("does not permit the observer's program", "Operation not permitted")),
    "refused by the verifier": ((f"BindReadOnlyPaths={_OTHER_TYPES_DIR}:/sys/kernel/btf",), ("refused the observer's program",)),
}


@contextlib.contextmanager
def observer_of(host, *drop_in):
    """Within it, the observer's unit has these lines besides, or the observer is out of service without any."""
    folder = f"/run/systemd/system/{observed_clocks.SERVICE}.d"
    host.run(["systemctl", "stop", observed_clocks.SOCKET, observed_clocks.SERVICE])
    try:
        if drop_in:
            host.put_file(f"{folder}/90-test.conf", "\n".join(("[Service]", *drop_in, "")))
            host.run("systemctl daemon-reload")
            host.run(["systemctl", "start", observed_clocks.SOCKET])
        yield
    finally:
        host.run(["rm", "-rf", folder])
        host.run("systemctl daemon-reload")
        host.run(["systemctl", "stop", observed_clocks.SOCKET, observed_clocks.SERVICE])
        host.run(["systemctl", "reset-failed", observed_clocks.SERVICE], check=False)
        host.run(["systemctl", "start", observed_clocks.SOCKET])


def count_complaints(host, since, words):
    """Lines of the observer in the journal."""
    lines = host.run(["journalctl", "--unit", observed_clocks.SERVICE, "--since", since, "--output", "cat"]).stdout.splitlines()
    return sum(words in line for line in lines)


def wait_for_remark(host, text):
    """The daemon has asked the observer anew, and says this of the guest."""
    host.run(["systemctl", "reload", deployment.DAEMON_UNIT])
    host.wait_until(lambda: text in host.run(["clockferryctl", "list"]).stdout, observed_clocks.START_DEADLINE_S, f"'{text}' to be said")


@pytest.mark.full
def test_stock_where_nothing_can_be_observed(deployed_hosts, start_guest):
    drop_in, words = _CAUSES["refused by the verifier"]
    source, dest = deployed_hosts
    source.run(_OTHER_TYPES_SCRIPT)
    with observer_of(source, *drop_in):
        journal = DaemonJournal(source)
        guest = start_guest()
        not_ready = journal.wait_for_event("domain-not-ready", guest.spec.uuid, observed_clocks.START_DEADLINE_S)
        assert words[0] in not_ready["CLOCKFERRY_REASON"], not_ready["MESSAGE"]
        measured, report = outcome.migrate_with_report(guest, dest, is_observable=False)
        assert (report["CLOCKFERRY_VERDICT"], report["CLOCKFERRY_STEP"]) == ("stock", "record"), report["MESSAGE"]
        clock_checks.check_stock(measured)
        left = journal.wait_for_event("departure-unclaimed", guest.spec.uuid)
        assert words[0] in left["CLOCKFERRY_REASON"], left["MESSAGE"]
        complaints = [event for event in journal.read_events() if event["CLOCKFERRY_EVENT"] == "domain-not-ready"]
        assert len(complaints) == 1, complaints


@pytest.fixture(scope="module")
def old_guest(deployed_hosts):
    """One for all of them, without the helper."""
    spec = guest_domain.GuestSpec(name="old")
    yield migration.start_guest(deployed_hosts, spec)
    migration.remove_guest(deployed_hosts, spec)


@pytest.mark.full
@pytest.mark.parametrize("cause", _CAUSES)
def test_it_is_said_why(deployed_hosts, old_guest, cause):
    drop_in, words = _CAUSES[cause]
    source = deployed_hosts.source
    source.run(_OTHER_TYPES_SCRIPT)
    wait_for_remark(source, "fixed")
    journal = DaemonJournal(source)
    since = source.run(["date", "+@%s"]).stdout.strip()
    with observer_of(source, *drop_in):
        # only where it is out of service has the daemon words of its own for that
        wait_for_remark(source, words[0] if drop_in else "clockferry-observer is not there")
        assert "stock" in source.run(["clockferryctl", "list"]).stdout
        said = [event["CLOCKFERRY_REASON"] for event in journal.read_events() if event["CLOCKFERRY_EVENT"] == "domain-not-ready"]
        assert sum(words[0] in reason for reason in said) == (1 if drop_in else 0), said
        assert all("it can not be observed" in reason for reason in said), said
        assert (count_complaints(source, since, words[0]) > 0) == bool(drop_in)
        observed_clocks.check_warned(source, *words)
    wait_for_remark(source, "fixed")
