# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hold a guest's QEMU at a chosen moment of a migration, by a library that is preloaded into it (host_tools/phase_gate.c)."""

import contextlib

import host_image

_GATE_DIR = "/run/clockferry-test-gate"
_LIBRARY = f"{host_image.AGENT_DIR}/phase-gate.so"
_HELD_DEADLINE_S = 90

# The helper second: libvirt's hook turns the two around where the guest arrives, so that both orders are lived with.
DOMAIN_XML = ("<qemu:commandline>"
              f"<qemu:env name='LD_PRELOAD' value='{_LIBRARY}:libclockferry-qemu.so'/>"
              "</qemu:commandline>")


def open_gates(host):
    """Let whatever is held go on, and have the folder by which the library is told: for QEMU's user to write in."""
    host.run(["sh", "-c", 'mkdir -p "$0" && chmod 1777 "$0" && rm -f "$0"/*', _GATE_DIR])


@contextlib.contextmanager
def hold(host, moment):
    """A QEMU of the host that comes to this moment waits there until the end of it. Yields a function that waits for that."""
    def wait_until_held():
        host.wait_until(["test", "-e", f"{_GATE_DIR}/held-{moment}"], _HELD_DEADLINE_S, f"QEMU to come to {moment}")

    host.run(["touch", f"{_GATE_DIR}/hold-{moment}"])
    try:
        yield wait_until_held
    finally:
        host.run(["rm", "-f", f"{_GATE_DIR}/hold-{moment}"])


def forget_cont(host):
    """What get_cont_s() tells is of a `cont` after this."""
    host.run(["rm", "-f", f"{_GATE_DIR}/cont"])


def get_cont_s(host):
    """How long the last `cont` on this host took over the guest's clocks, in seconds."""
    return int(host.get_file(f"{_GATE_DIR}/cont").splitlines()[-1]) / 1e9
