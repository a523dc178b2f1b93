# SPDX-License-Identifier: LGPL-2.1-or-later
"""The records that clockferry-observer makes of a guest's pauses, by its own socket, whoever else is told of them.

Where the guest's QEMU has the helper in it, helper and observer see the same KVM_GET_CLOCK in ways that have nothing in common:
their records must be the same to the nanosecond and the tick.
"""

import contextlib
import dataclasses
import json
import re
import secrets

SERVICE = "clockferry-observer.service"
SOCKET = "clockferry-observer.socket"
# Of its program, which the kernel checks: seconds under emulation, and more when the host has guests to run.
START_DEADLINE_S = 60
_SOCKET_PATH = "/run/clockferry-observer.sock"

# Runs in the host as root, who may connect as the daemon does. observer/observer-protocol.h has the messages.
_WATCH_PROGRAM = """\
import json, socket, struct, sys
HEADER, RECORD, VCPU = struct.Struct("=IHHIIiI"), struct.Struct("=QQQQQIIII"), struct.Struct("=IIQ")
MAGIC, VERSION, WATCH, READY, UNABLE, WATCHING, RECORD_TYPE, MISSED = 0x42464f43, 1, 1, 16, 17, 18, 19, 20
pid = int(sys.argv[1])
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect(sys.argv[2])
def tell(**what):
    print(json.dumps(what), flush=True)
while message := connection.recv(1 << 17):
    _magic, _version, kind, _length, _reserved, _pid, _reserved2 = HEADER.unpack_from(message)
    body = message[HEADER.size:]
    if kind == READY:
        connection.send(HEADER.pack(MAGIC, VERSION, WATCH, HEADER.size, 0, pid, 0))
    elif kind == UNABLE:
        tell(unable=body.split(b"\\0")[0].decode())
    elif kind == WATCHING:
        tell(watching=pid)
    elif kind == MISSED:
        tell(missed=struct.unpack_from("=II", body))
    elif kind == RECORD_TYPE:
        guest, host, boot, tsc, ratio, frac_bits, khz, flags, count = RECORD.unpack_from(body)
        vcpus = {id: offset for id, _, offset in VCPU.iter_unpack(body[RECORD.size:])}
        tell(guest_src_ns=guest, host_src_ns=host, boot_src_ns=boot, tsc_src_ticks=tsc, tsc_ratio=ratio, tsc_frac_bits=frac_bits,
             freq_khz=khz, flags=flags, ofs_ticks=vcpus)
"""

# A client that stays, for the observer to stay as well: its program is checked by the kernel whenever it starts. When the observer
# is stopped, this ends with it.
_HOLD_PROGRAM = """\
import socket, sys
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect(sys.argv[1])
while connection.recv(1 << 17):
    pass
"""
_HOLD_SCRIPT = """\
read -r pid <"$0" && kill -0 "$pid" && exit
python3 -c "$1" "$2" </dev/null &
echo $! >"$0"
"""
_HOLDER_PID_PATH = "/run/clockferry-test-observer-held.pid"


@dataclasses.dataclass
class ObservedClocks:
    """Filled in when the watched stretch has ended."""
    records: list = dataclasses.field(default_factory=list)
    others: list = dataclasses.field(default_factory=list)   # whatever else the observer said

    def find(self, guest_src_ns):
        """The record of the pause whose kvmclock this is, or None."""
        return next((record for record in self.records if record["guest_src_ns"] == guest_src_ns), None)


@contextlib.contextmanager
def watch(host, name, is_able=True):
    """Within it, the observer of the host watches the QEMU of the guest; is_able: it can, and is in service."""
    seen = ObservedClocks()
    if not is_able:
        yield seen
        return
    host.run(["sh", "-c", f"exec >{_HOLDER_PID_PATH}.log 2>&1; " + _HOLD_SCRIPT, _HOLDER_PID_PATH, _HOLD_PROGRAM, _SOCKET_PATH])
    path = f"/run/clockferry-test-observed-{secrets.token_hex(4)}"
    script = 'python3 -c "$1" "$(cat /run/libvirt/qemu/"$2".pid)" "$3" >"$0" 2>&1 </dev/null & echo $!'
    pid = host.run(["sh", "-c", script, path, _WATCH_PROGRAM, name, _SOCKET_PATH]).stdout.strip()
    try:
        host.wait_until(["grep", "-q", "watching", path], START_DEADLINE_S, f"the observer to watch {name}")
        yield seen
        for line in host.get_file(path).splitlines():
            said = json.loads(line)
            (seen.records if "guest_src_ns" in said else seen.others).append(said)
    finally:
        host.run(f"kill {pid}; rm -f {path}", check=False)


def check_qemu_is_untouched(guest):
    """Nothing of clockferry is in the guest's QEMU, and nobody traces it."""
    pid = guest.host.get_file(f"/run/libvirt/qemu/{guest.name}.pid").strip()
    assert "libclockferry" not in guest.host.get_file(f"/proc/{pid}/maps")
    assert "libclockferry" not in guest.host.get_file(f"/proc/{pid}/environ")
    assert "TracerPid:\t0\n" in guest.host.get_file(f"/proc/{pid}/status")


def is_attached(host):
    """The observer's program to the kernel, by the kernel's own list of what is attached to its functions."""
    functions = host.get_file("/sys/kernel/tracing/enabled_functions")
    # what is called directly is on the next line
    return re.search(r"^__x64_sys_ioctl .*\n?.*direct-->bpf_trampoline", functions, re.MULTILINE) is not None


def check_agreement(seen, report):
    """What the destination's helper was given, by its final report, is what was observed of that pause."""
    record = seen.find(int(report["CLOCKFERRY_GUEST_SRC_NS"]))
    assert record is not None, f"not seen: {report['MESSAGE']}; seen were {seen}"
    assert record["host_src_ns"] == int(report["CLOCKFERRY_HOST_SRC_NS"]), (record, report)
    assert record["tsc_src_ticks"] == int(report["CLOCKFERRY_TSC_SRC_TICKS"]), (record, report)
    assert record["freq_khz"] == int(report["CLOCKFERRY_FREQ_KHZ"]), (record, report)
    reported = {}
    for offsets in report["CLOCKFERRY_OFFSETS"].split():
        vcpu, source, _before, _after = offsets.split(":")
        reported[vcpu] = int(source) % 2**64
    assert record["ofs_ticks"] == reported, (record, report)


def check_warned(host, *words):
    """clockferryctl warns that the host's observer sees nothing, and these words are in what it says of that."""
    checks = json.loads(host.run(["clockferryctl", "--json", "check"], check=False).stdout)["checks"]
    check, = (check for check in checks if check["id"] == "observer")
    assert check["status"] == "warning", check
    for word in words:
        assert word in check["finding"] + (check["remedy"] or ""), check
