# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long QEMU's `cont` was held up by what is preloaded into it, as the kernel saw it.

Before it sets the guest's clock QEMU asks KVM_CHECK_EXTENSION, and after that each vCPU's thread calls KVM_KVMCLOCK_CTRL
(hw/i386/kvm/clock.c), so the time between these two system calls is what QEMU's own KVM_SET_CLOCK took and a preloaded library did
before it, in place of it and behind it. ftrace stamps both.
"""

import contextlib
import dataclasses
import re

# What the project promises.
DELAY_MAX_S = 0.050

_TRACING = "/sys/kernel/tracing/instances/clockferry"
_KVM_CHECK_EXTENSION = 0xAE03
_KVM_SET_CLOCK = 0x4030AE7B
_KVM_KVMCLOCK_CTRL = 0xAEAD
_IOCTL_LINE = re.compile(r"-(?P<thread>\d+)\s.*?(?P<seconds>\d+\.\d+): sys_ioctl\(fd: \w+, cmd: (?P<command>\w+)")


@dataclasses.dataclass
class ContDelay:
    """Filled in when the traced stretch has ended; None when no `cont` was seen."""
    delay_s: float = None


@contextlib.contextmanager
def trace_cont_delay(host):
    """Within it, watch the host's ioctls; the yielded ContDelay is filled in at the end."""
    measured = ContDelay()
    host.run(f"""\
mkdir -p {_TRACING} && cd {_TRACING}/events/syscalls/sys_enter_ioctl
echo 'cmd == {_KVM_CHECK_EXTENSION} || cmd == {_KVM_SET_CLOCK} || cmd == {_KVM_KVMCLOCK_CTRL}' > filter && echo 1 > enable""")
    try:
        yield measured
        measured.delay_s = find_delay_s(host.get_file(f"{_TRACING}/trace"))
    finally:
        host.run(["rmdir", _TRACING])


def find_delay_s(trace):
    """From the last KVM_CHECK_EXTENSION of a thread before its KVM_SET_CLOCK to the first KVM_KVMCLOCK_CTRL of any."""
    last_check_s, begin_s = {}, None
    for match in map(_IOCTL_LINE.search, trace.splitlines()):
        if match is None:
            continue
        thread, seconds, command = match["thread"], float(match["seconds"]), int(match["command"], 16) & 0xFFFFFFFF
        if command == _KVM_CHECK_EXTENSION:
            last_check_s[thread] = seconds
        elif command == _KVM_SET_CLOCK:
            begin_s = begin_s or last_check_s.get(thread)
        elif begin_s is not None:
            return seconds - begin_s
    return None
