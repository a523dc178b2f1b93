# SPDX-License-Identifier: LGPL-2.1-or-later
"""What QEMUs told a host's KVM about guests' clocks, as the kernel saw it: every KVM_SET_CLOCK and every TSC offset set.

Stock QEMU sets the clock with no flags, once each time it resumes a guest, and never the offset attribute. So a trace of nothing
else shows that what is preloaded into QEMU has kept its hands off.
"""

import contextlib
import dataclasses
import re

_TRACEFS = "/sys/kernel/tracing"
_INSTANCE = f"{_TRACEFS}/instances/clockferry-clock"
_KVM_SET_CLOCK = 0x4030AE7B
_KVM_SET_DEVICE_ATTR = 0x4018AEE1
# struct kvm_clock_data: clock, flags; the second and third arguments of both functions are the request and its argument
_PROBES = ("p:clockferry/vm_ioctl kvm_arch_vm_ioctl cmd=%si:u32 clock=+u0(%dx):u64 flags=+u8(%dx):u32\n"
           "p:clockferry/vcpu_ioctl kvm_arch_vcpu_ioctl cmd=%si:u32\n")
# Both come from QEMU's main thread.
_SET_CLOCK_LINE = re.compile(r"^ *qemu-system.*: vm_ioctl: .* clock=(?P<clock>\d+) flags=(?P<flags>\d+)")
_SET_OFFSET_LINE = re.compile(r"^ *qemu-system.*: vcpu_ioctl: ")


@dataclasses.dataclass
class ClockTrace:
    """Filled in when the traced stretch has ended."""
    set_clock_flags: list = None    # of each KVM_SET_CLOCK
    offsets_set: int = None         # how many TSC offset attributes

    @property
    def is_as_stock(self):
        return not any(self.set_clock_flags) and self.offsets_set == 0


@contextlib.contextmanager
def trace_clock(host):
    """Within it, watch the host's KVM; the yielded ClockTrace is filled in at the end."""
    trace = ClockTrace()
    host.run(["sh", "-c", f"""\
cd {_TRACEFS} && grep -q clockferry/vm_ioctl kprobe_events || cat >> kprobe_events
mkdir -p {_INSTANCE} && cd {_INSTANCE}/events/clockferry || exit
echo 'cmd == {_KVM_SET_CLOCK}' > vm_ioctl/filter && echo 1 > vm_ioctl/enable || exit
echo 'cmd == {_KVM_SET_DEVICE_ATTR}' > vcpu_ioctl/filter && echo 1 > vcpu_ioctl/enable"""], stdin=_PROBES)
    try:
        yield trace
        text = host.get_file(f"{_INSTANCE}/trace")
        trace.set_clock_flags = [int(match["flags"]) for match in map(_SET_CLOCK_LINE.search, text.splitlines()) if match]
        trace.offsets_set = sum(1 for line in text.splitlines() if _SET_OFFSET_LINE.search(line))
    finally:
        host.run(["rmdir", _INSTANCE])
