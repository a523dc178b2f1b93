#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Write the binary inputs of the corpora, which are kept beside what is text.

    tests/fuzz/make-corpus.py      writes tests/fuzz/corpus/TARGET/NAME.bin, of every target below

Found inputs have other names and are left alone. The layouts are those of the comment on top of each
target, of plugin/clock/*.h, and of the D-Bus specification.
"""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
DOMAIN = bytes.fromhex("6c2c1d3e7f5a4b7e9d0c010203040506")
YEAR_2200_NS = 7258118400 * 10**9
DAY_NS = 86400 * 10**9
INT64_MAX = 2**63 - 1

TO_HELPER = {"incoming": 1, "fixup": 2, "withdraw": 3}
TO_DAEMON = {"record": 16, "report": 17, "refused": 18}
MASTER_CLOCK, CATCHUP, OPAQUE = 1, 2, 4


def write(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.bin").write_bytes(data)


def step(kind, data=b""):
    return struct.pack("<BH", kind, len(data)) + data


# the helper's messages: plugin/clock/helper-protocol.h


def header(kind, length, domain=DOMAIN, version=1):
    return struct.pack("<IHHII16s", 0x59524643, version, kind, length, 0, domain)


def message(kind, body=b"", **other):
    return header(kind, 32 + len(body), **other) + body


def record(vcpus=((0, 2**64 - 1234567), (2, 2**64 - 1234567)), guest=10**12, host=1700000000 * 10**9,
           boot=3600 * 10**9, tsc=5 * 10**11, ratio=0, frac_bits=0, khz=2500000, flags=MASTER_CLOCK,
           count=None):
    head = struct.pack("<QQQQQIIII", guest, host, boot, tsc, ratio, frac_bits, khz, flags,
                       len(vcpus) if count is None else count)
    return head + b"".join(struct.pack("<IIQ", number, 0, ticks) for number, ticks in vcpus)


def fixup(rec, theta=1000, real_minus_boot=1699996400 * 10**9, bound=10**6, deadline=5 * 10**9,
          max_advance=300 * 10**9, mode=0, flags=0):
    return struct.pack("<qqQQQII", theta, real_minus_boot, bound, deadline, max_advance, mode,
                       flags) + rec


def report(verdict=1, reason=0, flags=0, vcpus=((0, 5, 6), (2, 5, 6)), advance=178 * 10**6,
           residual=-42, count=None):
    head = struct.pack("<IIIiqQQQQQQqqQQIIII", verdict, reason, flags, 0, 1000, 10**6, 5 * 10**9,
                       10**12, (10**12 + advance) % 2**64, 1700000001 * 10**9, 6 * 10**11, advance,
                       residual, 7, 9, 2, 14, 2500000, len(vcpus) if count is None else count)
    return head + b"".join(struct.pack("<IIQQ", number, 0, *ticks) for number, *ticks in vcpus)


RECORDS = {
    "usual": record(),
    "scaled": record(ratio=3 << 47, frac_bits=48),
    "no-master-clock": record(flags=0, tsc=0),
    "opaque": record(flags=OPAQUE, tsc=0),
    "year-2200": record(host=YEAR_2200_NS),
    "latest": record(guest=INT64_MAX, host=INT64_MAX, boot=INT64_MAX, tsc=2**64 - 1),
    "offsets-overflow": record(vcpus=[(0, 2**63), (1, 2**63 - 1), (4095, 2**64 - 1)]),
    "no-frequency": record(khz=0),
    "no-vcpus": record(vcpus=[]),
    "5000-vcpus": record(count=5000),
    "ids-descend": record(vcpus=[(2, 0), (1, 0)]),
    "widest-scale": record(ratio=2**64 - 1, frac_bits=63),
    "too-wide-scale": record(ratio=1, frac_bits=64),
    "excluding-flags": record(flags=MASTER_CLOCK | OPAQUE),
    "before-1970": record(host=2**64 - 1),
    "reserved-bits": record()[:-12] + b"\1" + record()[-11:],
}


def make_clock_record():
    to_daemon, other_domain, with_header, type_shift = 1, 2, 4, 3

    def add(name, flags, data):
        write("clock-record", name, bytes([flags]) + data)

    for name, rec in RECORDS.items():
        add(f"record-{name}", to_daemon | with_header | TO_DAEMON["record"] << type_shift, rec)
        add(f"fixup-{name}", with_header | TO_HELPER["fixup"] << type_shift, fixup(rec))
    add("report", to_daemon, message(TO_DAEMON["report"], report()))
    add("report-empty", to_daemon, message(TO_DAEMON["report"], report(vcpus=[])))
    add("report-of-many", to_daemon, message(TO_DAEMON["report"], report(count=2**32 - 1)))
    add("refused", to_daemon, message(TO_DAEMON["refused"], struct.pack("<II", 8, 4)))
    add("incoming", 0, message(TO_HELPER["incoming"], struct.pack("<Q", 2**64 - 1)))
    add("withdraw", 0, message(TO_HELPER["withdraw"]))
    add("wrong-way", 0, message(TO_DAEMON["report"], report()))
    add("other-domain", other_domain, message(TO_HELPER["withdraw"]))
    add("version-2", 0, message(TO_HELPER["withdraw"], version=2))
    add("length-lies", 0, header(TO_HELPER["withdraw"], 2**32 - 1))
    add("theta-of-ages", with_header | TO_HELPER["fixup"] << type_shift,
        fixup(RECORDS["usual"], theta=-2**63))


def make_helper_receive():
    raw, incoming, fix, withdraw, long, service, await_, reconnect, read_clock = range(9)
    usual = fixup(record())

    def number(value):
        return struct.pack("<Q", value)

    def add(name, *steps):
        write("helper-receive", name, b"".join(steps))

    add("migration", step(incoming, number(10**12)), step(service), step(fix, usual),
        step(await_, number(10**12)), step(service))
    add("waits", step(incoming, number(10**12)), step(service), step(await_, number(7)),
        step(await_, number(8)))
    add("withdrawn", step(incoming, number(10**12)), step(fix, usual), step(withdraw),
        step(await_, number(10**12)))
    add("source", step(read_clock), step(service), step(reconnect), step(service), step(read_clock))
    add("garbage", step(raw, b"GET / HTTP/1.1\r\n\r\n"), step(service), step(reconnect),
        step(withdraw))
    add("other-domain", step(raw, message(TO_HELPER["withdraw"], domain=bytes(16))), step(withdraw))
    add("empty-packet", step(incoming, number(5)), step(raw), step(withdraw), step(service))
    add("too-long", step(incoming, number(5)), step(long, number(149999)), step(service))
    add("flood", *[step(incoming, number(i)) for i in range(100)], step(reconnect), step(service))
    add("deadline-over", step(incoming, number(0)), step(service), step(await_, number(1)))
    add("deadline-never", step(incoming, number(2**64 - 1)), step(service), step(await_, number(1)))
    for name, rec in RECORDS.items():
        add(f"fixup-{name}", step(incoming, number(10**12)), step(fix, fixup(rec)), step(service),
            step(await_, number(10**12)))


def make_helper_link():
    raw, rec_, rep, refused, drain, loop, hang_up, free_next = range(8)

    def add(name, *steps):
        write("helper-link", name, b"".join(steps))

    add("source", step(rec_, record()), step(drain), step(rec_, record(guest=2 * 10**12)), step(loop))
    add("destination", step(rec_, record()), step(rep, report()), step(loop), step(hang_up))
    for verdict in range(4):
        add(f"verdict-{verdict}", step(rep, report(verdict=verdict, reason=6 * verdict)), step(drain))
    add("report-absurd", step(rec_, RECORDS["offsets-overflow"]),
        step(rep, report(flags=7, vcpus=[(4095, 2**63, 2**63 - 1), (4095, 0, 0), (7, 1, 2**64 - 1)],
                         advance=-2**62, residual=-2**63)), step(drain))
    add("refused", step(refused, struct.pack("<II", 2, 0)), step(loop))
    add("refused-record", step(refused, struct.pack("<II", 8, 99)), step(drain))
    add("garbage", step(raw, b"\0" * 4096), step(rec_, record()), step(drain))
    add("other-domain", step(raw, message(TO_DAEMON["record"], record(), domain=bytes(16))),
        step(loop))
    add("empty-packet", step(raw), step(drain))
    add("freed-in-callback", step(rec_, record()), step(free_next), step(rec_, record()),
        step(rep, report()), step(loop))
    add("flood", *[step(rec_, record(guest=i)) for i in range(100)], step(drain))
    for name, rec in RECORDS.items():
        add(f"record-{name}", step(rec_, rec), step(drain))


def make_helper_cmdline():
    uuid = b"6c2c1d3e-7f5a-4b7e-9d0c-0123456789ab"

    def add(name, *arguments):
        write("helper-cmdline", name, b"".join(argument + b"\0" for argument in arguments))

    add("usual", b"/usr/bin/qemu-system-x86_64", b"-name", b"guest=web", b"-uuid", uuid, b"-S")
    add("two", b"qemu", b"-uuid", uuid, b"--uuid", uuid.upper().replace(b"6C", b"7D"))
    add("cut-off", b"qemu", b"-uuid", uuid[:-1])
    add("last", b"qemu", b"-uuid")
    add("of-itself", b"qemu", b"-uuid", b"-uuid", uuid)
    add("across-reads", b"q" * 4080, b"-uuid", uuid)
    add("long-argument", b"-uuid" * 2000, uuid, b"-uuid", uuid + b"0")
    write("helper-cmdline", "no-end", b"qemu\0-uuid\0" + uuid)


# the peer channel: data/org.clockferry1.Peer.xml, and the D-Bus specification

UUID = b"6c2c1d3e-7f5a-4b7e-9d0c-0123456789ab"
TICKET = b"00112233445566778899aabbccddeeff" * 2
MIGRATION = b"6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39"


def padded(data, to):
    return data + bytes(-len(data) % to)


def dbus_string(text):
    return struct.pack("<I", len(text)) + text + b"\0"


def dbus(kind, serial, fields, signature=b"", body=b"", body_length=None, order=b"l"):
    """A message in little endian. fields: pairs of code and value; a number is a serial."""
    if signature:
        fields = [*fields, (8, signature)]
    array = b""
    for code, value in fields:
        array = padded(array, 8)
        if isinstance(value, int):
            array += struct.pack("<BB2sI", code, 1, b"u\0", value)
        elif code == 8:
            array += struct.pack("<BB2s", code, 1, b"g\0") + bytes([len(value)]) + value + b"\0"
        else:
            array += struct.pack("<BB2s", code, 1, b"o\0" if code == 1 else b"s\0")
            array += dbus_string(value)
    head = order + struct.pack("<BBBIII", kind, 0, 1,
                               len(body) if body_length is None else body_length, serial,
                               len(array))
    return padded(head + array, 8) + body


def dbus_call(serial, member, signature=b"", body=b"", **other):
    return dbus(1, serial, [(1, b"/org/clockferry1/Peer"), (2, b"org.clockferry1.Peer"),
                            (3, member)], signature, body, **other)


def dbus_strings(*texts):
    body = b""
    for text in texts:
        body = padded(body, 4) + dbus_string(text)
    return body


def make_peer_claim():
    raw, claim, check, time, abandon, call, signal = range(7)
    right_domain, right_ticket, right_migration = 1, 2, 4
    right = right_domain | right_ticket | right_migration

    def add(name, *steps):
        write("peer-claim", name, b"".join(steps))

    add("claim", step(claim, bytes([right])), step(time), step(time), step(abandon), step(time))
    add("check", step(check, bytes([right])), step(time), step(claim, bytes([right])))
    add("twice", step(claim, bytes([right])), step(claim, bytes([right])))
    add("no-ticket", step(claim, bytes([right_domain]) + TICKET[:-1] + b"0\n" + MIGRATION))
    add("short-ticket", step(check, bytes([right_domain]) + TICKET[:-1]))
    add("no-domain", step(claim, bytes([right_ticket | right_migration]) + UUID[:-1] + b"0"))
    add("odd-domain", step(claim, bytes([right_ticket | right_migration]) + b"../../etc\n"))
    add("odd-migration", step(claim, bytes([right_domain | right_ticket]) + MIGRATION.upper()))
    add("time-first", step(time))
    add("abandon-first", step(abandon))
    add("nothing")
    add("http", step(raw, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
    add("tls-again", step(raw, bytes.fromhex("160301020001000200")))
    add("wrong-types", step(call, b"Claim\n(1, 2, 3)"), step(call, b"Claim\n('a',)"),
        step(call, b"Time\n({'a': <1>},)"), step(call, b"Check\n(@as [], 'x')"))
    add("other-calls", step(call, b"Introspect"), step(call, b"GetAll\n('org.clockferry1.Peer',)"),
        step(signal, b"Record\n('" + UUID + b"', @ay [1, 2])"), step(signal, b"Withdrawn"))
    add("raw-claim", step(raw, dbus_call(1, b"Claim", b"sss",
                                         dbus_strings(UUID, TICKET, MIGRATION))),
        step(raw, dbus_call(2, b"Time")))
    add("raw-properties", step(raw, dbus(1, 1, [(1, b"/"), (2, b"org.freedesktop.DBus.Properties"),
                                                (3, b"GetAll")], b"s", dbus_strings(b"x"))))
    add("raw-huge", step(raw, dbus_call(1, b"Time", body_length=2**27)))
    add("raw-cut-off", step(raw, dbus_call(1, b"Time")[:40]))
    add("raw-big-endian", step(raw, dbus_call(1, b"Time", order=b"B")))
    add("flood", *[step(time) for _ in range(120)])


def make_peer_stream():
    def add(name, piece, *messages):
        write("peer-stream", name, bytes([piece - 1]) + b"".join(messages))

    claim = dbus_call(1, b"Claim", b"sss", dbus_strings(UUID, TICKET, MIGRATION))
    add("whole", 256, claim, dbus_call(2, b"Time"))
    add("single-bytes", 1, claim, dbus_call(2, b"Time"))
    add("across-headers", 17, claim, dbus_call(2, b"Time"), dbus_call(3, b"Time"))
    add("largest", 256, dbus_call(1, b"x", b"s", bytes(4000)))
    add("too-large", 5, claim, dbus_call(1, b"x", body_length=4096))
    add("overflowing", 7, b"l" + b"\1\0\1" + b"\xff" * 12)
    add("big-endian", 16, b"B" + b"\1\0\1" + struct.pack(">III", 8, 1, 1) + bytes(16), claim)
    add("no-dbus", 3, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    add("cut-off", 9, claim[:15])


def make_peer_session():
    raw, accept, time, answer, error, record_, withdrawn, signal = range(8)
    claim, check = b"\0", b"\1"

    def accepted(error_us=1000, real_minus_boot=1699996400 * 10**9):
        return step(accept, struct.pack("<BQq", 1, error_us, real_minus_boot))

    def told(boottime):
        return step(time, struct.pack("<q", boottime))

    def add(name, *parts):
        write("peer-session", name, b"".join(parts))

    own, others = b"\1", b"\0"
    add("claim", claim, accepted(), told(10**12), step(record_, own + record()),
        step(withdrawn, own + b"rolled-back"))
    add("early-record", claim, step(record_, own + record()), accepted())
    add("early-withdrawn", claim, step(record_, own + record()), step(withdrawn, own), accepted())
    add("check", check, accepted(), told(10**12), told(10**12 + 1000), step(record_, own + record()))
    add("check-absurd", check, accepted(2**64 - 1, -2**63), told(2**62 - 1))
    add("clocks-race", claim, accepted(), told(10**12), told(2**62 - 1), told(0),
        step(record_, own + RECORDS["latest"]))
    add("time-before-boot", claim, accepted(), told(-1))
    add("time-too-late", claim, accepted(), told(2**63 - 1))
    add("no-time", claim, accepted(), step(record_, own + record()))
    add("refused", claim, step(error, b"org.clockferry1.Error.NotAuthorized\nno such domain"))
    add("refused-oddly", check, step(error, b"org.freedesktop.DBus.Error.UnknownMethod\n%s%n\x1b[0m"))
    add("refused-time", claim, accepted(), step(error, b"x.y\n"))
    add("other-answer", claim, step(answer, b"('yes', 'yes')"))
    add("no-answer", claim, step(answer, b"()"))
    add("other-time", claim, accepted(), step(answer, b"(uint32 5,)"))
    add("others-record", claim, accepted(), step(record_, others + record()))
    add("others-withdrawn", claim, accepted(), step(withdrawn, others + b"cancelled"))
    add("signals", claim, accepted(), step(signal, b"Record\n('x', 'y')"), step(signal, b"Other\n()"),
        step(signal, b"Withdrawn\n(1, 2)"))
    add("raw-answer", claim, step(raw, dbus(2, 1, [(5, 1)], b"bt", struct.pack("<IIQ", 1, 0, 5))),
        told(10**12))
    add("raw-huge", claim, step(raw, dbus(2, 1, [(5, 1)], b"ay", body_length=2**27)))
    add("no-dbus", claim, step(raw, b"SSH-2.0-x\r\n" * 4))
    add("hangs-up", claim)
    for name, rec in RECORDS.items():
        add(f"record-{name}", claim, accepted(), told(10**12), step(record_, own + rec))


def make_helper_fixup():
    set_, add_, host, twice = range(4)
    theta, real_minus_boot, bound, deadline, max_advance, mode_flags = range(6)
    guest, host_src, boot, tsc, ratio, bits_khz, flags_count, first_id, first_ofs, second_id, second_ofs = \
        range(6, 17)
    unstable, drifts, old, old_khz, drops, garbles, scales, loses_master = (1 << i for i in range(8))

    def put(at, value, kind=set_):
        return step(kind, struct.pack("<BQ", at, value % 2**64))

    def add(name, *steps, vcpus=2, blackout=178 * 10**6):
        write("helper-fixup", name, struct.pack("<BQ", vcpus - 1, blackout) + b"".join(steps))

    add("usual")
    add("eight-vcpus", vcpus=8, blackout=290 * 10**9)
    add("twice", step(twice))
    add("observe", put(mode_flags, 1))
    add("too-long", blackout=399 * 10**9)
    add("theta", put(theta, 5 * 10**9, add_))
    add("theta-negative", put(theta, -(10**9), add_))
    add("theta-of-a-year", put(theta, 365 * DAY_NS))
    add("clock-set", put(real_minus_boot, 3600 * 10**9, add_))
    add("clock-set-absurdly", put(real_minus_boot, 2**63), put(theta, -365 * DAY_NS))
    add("clock-trusted", put(mode_flags, 2 << 32), put(real_minus_boot, 0))
    add("deadline-over", put(deadline, 0))
    add("day-allowed", put(max_advance, DAY_NS), put(host_src, 1), put(bound, 365 * DAY_NS))
    add("year-2200", put(host_src, YEAR_2200_NS))
    add("before-1970", put(host_src, 2**64 - 1))
    add("other-clock", put(guest, 7))
    add("clock-of-ages", put(guest, INT64_MAX))
    add("tsc-absurd", put(tsc, 2**64 - 1))
    add("offsets-overflow", put(first_ofs, 2**63), put(second_ofs, 2**63 - 1))
    add("offsets-apart", put(second_ofs, 10**12, add_))
    add("other-ids", put(first_id, 5), put(second_id, 4000))
    add("no-frequency", put(bits_khz, 0))
    add("other-frequency", put(bits_khz, 3000000 << 32))
    add("scaled", put(ratio, 2**64 - 1), put(bits_khz, 63 | 2000000 << 32))
    add("no-master-clock", put(tsc, 0), put(flags_count, 2 << 32))
    add("without-pvclock", put(mode_flags, 1 << 32))
    for name, flags in {"unstable": unstable, "drifts": drifts, "old": old, "old-khz": old_khz,
                        "drops": drops, "garbles": garbles, "scales": scales,
                        "loses-master": loses_master}.items():
        add(f"host-{name}", step(host, struct.pack("<BBQ", 1, flags, 1600000)))


# the observer's messages, and what its program in the kernel tells: observer/observer-protocol.h, clock-sight.h


def sight_head(number=1, pid=7, guest=10**12, host=1700000000 * 10**9, tsc=5 * 10**11, boot=3600 * 10**9, tai=0, kvm_flags=14,
               khz=2500000, count=2, flags=0):
    return struct.pack("<IIQQQQQQIIII", 1, pid, number, guest, host, tsc, boot, tai, kvm_flags, khz, count, flags)


def sight_vcpu(vcpu=0, number=1, ticks=2**64 - 1234567, ratio=2**48, khz=2500000, flags=0):
    return struct.pack("<IIQQQII", 2, vcpu, number, ticks, ratio, khz, flags)


def make_observer():
    as_it_is, with_type, head, vcpu, drop = range(5)
    to_observer, to_daemon = 0, 1

    def add(name, *steps):
        write("observer", name, b"".join(steps))

    def seen(name, head_data, *vcpus):
        add(f"sight-{name}", step(head, head_data), *(step(vcpu, data) for data in vcpus))

    for name, rec in RECORDS.items():
        add(f"record-{name}", step(with_type, bytes([to_daemon, 19]) + rec))
    add("watch", step(with_type, bytes([to_observer, 1])))
    add("unwatch", step(with_type, bytes([to_observer, 2])))
    add("wrong-way", step(with_type, bytes([to_daemon, 1])))
    add("ready", step(with_type, bytes([to_daemon, 16])))
    add("watching", step(with_type, bytes([to_daemon, 18])))
    add("unable", step(with_type, bytes([to_daemon, 17]) + b"no types".ljust(400, b"\0")))
    add("unable-without-end", step(with_type, bytes([to_daemon, 17]) + b"x" * 400))
    add("missed", step(with_type, bytes([to_daemon, 20]) + struct.pack("<II", 7, 3)))
    add("missed-for-no-reason", step(with_type, bytes([to_daemon, 20]) + struct.pack("<II", 99, 0)))
    add("nonsense", step(as_it_is, bytes([to_daemon]) + b"nonsense that is longer than a header"))
    seen("usual", sight_head(), sight_vcpu(), sight_vcpu(1))
    seen("scaled", sight_head(), *(sight_vcpu(each, ratio=2**48 * 4 // 5, khz=2000000) for each in (0, 1)))
    seen("scaled-svm", sight_head(), *(sight_vcpu(each, ratio=2**32 * 4 // 5, khz=2000000) for each in (0, 1)))
    seen("mixed", sight_head(), sight_vcpu(), sight_vcpu(1, khz=2000000))
    seen("missing", sight_head(), sight_vcpu(), sight_vcpu(1, flags=4))
    seen("same-id", sight_head(), sight_vcpu(), sight_vcpu())
    seen("incomplete", sight_head(), sight_vcpu(), sight_vcpu(1, number=2))
    seen("no-vcpus", sight_head(count=0))
    seen("no-master-clock", sight_head(kvm_flags=0, host=0, tsc=0, tai=37 * 10**9 + 3600 * 10**9), sight_vcpu(), sight_vcpu(1))
    seen("year-2200", sight_head(host=YEAR_2200_NS), sight_vcpu(), sight_vcpu(1))
    seen("latest", sight_head(guest=2**64 - 1), sight_vcpu(), sight_vcpu(1))
    add("sights-interleaved", step(head, sight_head()), step(head, sight_head(number=2, pid=8)), step(vcpu, sight_vcpu(number=2)),
        step(vcpu, sight_vcpu()), step(vcpu, sight_vcpu(1, number=2)), step(vcpu, sight_vcpu(1)))
    add("sight-dropped", step(head, sight_head()), step(vcpu, sight_vcpu()), step(drop, struct.pack("<Q", 7)), step(vcpu, sight_vcpu(1)))


if __name__ == "__main__":
    make_clock_record()
    make_helper_receive()
    make_helper_link()
    make_helper_cmdline()
    make_peer_claim()
    make_peer_stream()
    make_peer_session()
    make_helper_fixup()
    make_observer()
