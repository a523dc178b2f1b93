# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever becomes of libvirt's hook, and whatever is in the domain that it gets: the guest arrives."""

import contextlib
import time

import pytest

import deployment
import guest_domain
import migration
import outcome

# minutes together
pytestmark = pytest.mark.full

PROGRAM = "/usr/bin/clockferry-hook"
FIFO = "/run/clockferry-test-fifo"
# The program's own alarm is after one; starting a program takes its time under emulation.
HOOK_MAX_S = 4
# libvirt passes on no text above 4 MiB (REMOTE_STRING_MAX of its remote protocol), and adds to a domain's.
TEXT_MAX_BYTES = 3_500_000


@contextlib.contextmanager
def program_replaced(host, script):
    """In place of the hook's program a script that knows the program itself as $real."""
    host.run(["cp", "--archive", PROGRAM, f"{PROGRAM}.real"])
    try:
        host.put_file(PROGRAM, f"#!/bin/sh\nreal={PROGRAM}.real\n{script}\n", mode=0o755)
        yield
    finally:
        host.run(["mv", f"{PROGRAM}.real", PROGRAM])
        host.run(["rm", "-f", FIFO])


@pytest.fixture(scope="module")
def plain_guest(deployed_hosts):
    """One without the helper in its XML, which goes to and fro: whether its QEMU has the helper tells what the hook did."""
    spec = guest_domain.GuestSpec(name="plain")
    yield migration.start_guest(deployed_hosts, spec)
    migration.remove_guest(deployed_hosts, spec)


@pytest.mark.parametrize("script", [
    pytest.param("kill -KILL $$", id="killed"),
    # opened for both, so that its end never comes
    pytest.param(f'mkfifo {FIFO} 2>/dev/null; exec $real "$@" <> {FIFO}', id="hanging"),
    pytest.param("kill -SEGV $$", id="crashing"),
    pytest.param('exec $real "$@" <&-', id="without-stdin"),
    pytest.param('exec $real "$@" < /etc', id="stdin-a-folder"),
    pytest.param('head -c 1000 | $real "$@"', id="stdin-cut-off"),
    pytest.param('exec $real "$@" > /dev/full', id="stdout-full"),
])
def test_program_fails(deployed_hosts, plain_guest, script):
    to_host = deployed_hosts.dest if plain_guest.host is deployed_hosts.source else deployed_hosts.source
    with program_replaced(to_host, script):
        outcome.expect_stock(plain_guest, to_host, "helper", "no helper in its QEMU")


def test_five_megabytes_of_domain(deployed_hosts):
    """More than libvirt would ever give it: the environment is all that it changes, in time."""
    host = deployed_hosts.source
    spec = guest_domain.GuestSpec(metadata_xml=f"<m:m xmlns:m='urn:m'>{'x' * 5_000_000}</m:m>")
    host.put_file("/run/clockferry-test.xml", guest_domain.make_domain_xml(spec))
    begin = time.monotonic()
    result = host.run(f"{deployment.HOOK_PATH} guest migrate begin - < /run/clockferry-test.xml", timeout=60)
    assert time.monotonic() - begin <= HOOK_MAX_S
    assert "libclockferry-qemu.so" in result.stdout and len(result.stdout) > 5_000_000
    assert result.stderr == ""


@pytest.mark.parametrize("fields", [
    pytest.param({"metadata_xml": f"<m:m xmlns:m='urn:m'>{'x' * TEXT_MAX_BYTES}</m:m>"}, id="megabytes-of-metadata"),
    pytest.param({"name": "гость 客 ضيف 🦉 $(reboot); %s"}, id="name-in-any-script"),
])
def test_odd_domain_is_fixed(deployed_hosts, start_ready_guest, fields):
    outcome.expect_fixed(start_ready_guest(**fields), deployed_hosts.dest)
