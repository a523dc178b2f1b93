# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long QEMU's `cont` was held up before KVM_SET_CLOCK by what is preloaded into it, as the kernel saw it.

QEMU asks KVM_CHECK_EXTENSION and at once calls KVM_SET_CLOCK (hw/i386/kvm/clock.c), so the time between these two system calls of
its thread is what a preloaded library spent before letting the second one through. ftrace stamps both.
"""

import contextlib
import dataclasses
import re

_TRACING = "/sys/kernel/tracing/instances/clockferry"
_KVM_CHECK_EXTENSION = 0xAE03
_KVM_SET_CLOCK = 0x4030AE7B
_IOCTL_LINE = re.compile(r"-(?P<thread>\d+)\s.*?(?P<seconds>\d+\.\d+): sys_ioctl\(fd: \w+, cmd: (?P<command>\w+)")


@dataclasses.dataclass
class ContDelay:
    """Filled in when the traced stretch has ended; None when no KVM_SET_CLOCK was seen."""
    delay_s: float = None


@contextlib.contextmanager
def trace_cont_delay(host):
    """Within it, watch the host's ioctls; the yielded ContDelay is filled in at the end."""
    measured = ContDelay()
    host.run(f"""\
mkdir -p {_TRACING} && cd {_TRACING}/events/syscalls/sys_enter_ioctl
echo 'cmd == {_KVM_CHECK_EXTENSION} || cmd == {_KVM_SET_CLOCK}' > filter && echo 1 > enable""")
    try:
        yield measured
        measured.delay_s = find_delay_s(host.get_file(f"{_TRACING}/trace"))
    finally:
        host.run(["rmdir", _TRACING])


def find_delay_s(trace):
    """Between the first KVM_SET_CLOCK that a thread issued after a KVM_CHECK_EXTENSION, and that."""
    last_check_s = {}
    for match in map(_IOCTL_LINE.search, trace.splitlines()):
        if match is None:
            continue
        thread, seconds, command = match["thread"], float(match["seconds"]), int(match["command"], 16) & 0xFFFFFFFF
        if command == _KVM_CHECK_EXTENSION:
            last_check_s[thread] = seconds
        elif thread in last_check_s:
            return seconds - last_check_s[thread]
    return None
