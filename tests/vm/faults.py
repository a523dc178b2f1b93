# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can go wrong around a migration: each fault as a context manager, which begins it on a host and takes it back.

Whoever begins one holds the migration meanwhile (phase_gate.py), so that it is complete before the migration goes on; the ones
of services that are killed are the exception: what follows meets them on their way down or up again.
"""

import contextlib
import json

import deployment
import emulated_host
import host_time

LIBVIRT_BUS_NAME = "org.libvirt"
LIBVIRTD = "libvirtd.service"
JOURNAL_UNITS = ("systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-journald.service")
STATE_DIR = "/var/lib/clockferry"
PEER_PORT = 16520
HOUR_NS = 3_600_000_000_000
NETWORK_DEVICE = "eth0"

_SERVICE_DEADLINE_S = 60

# Both ways of a TCP connection to the peer port, into the last band of a queue that has one more than anything else is put into.
_NETWORK_SCRIPT = """\
set -e
modprobe sch_prio; modprobe sch_netem; modprobe cls_u32
tc qdisc replace dev "$0" root handle 1: prio bands 4
tc qdisc replace dev "$0" parent 1:4 handle 40: netem $2
for side in dport sport; do
    tc filter add dev "$0" parent 1: protocol ip u32 match ip protocol 6 0xff match ip $side "$1" 0xffff flowid 1:4
done
"""

# The other end is dbus-daemon's, whose own life is not at stake here: as if it had dropped this one client.
_DROP_BUS_CONNECTION_SCRIPT = """\
import ctypes, errno, os, socket, sys
PIDFD_GETFD = 438
pid = int(sys.argv[1])
pidfd = os.pidfd_open(pid)
dropped = 0
for fd in os.listdir(f"/proc/{pid}/fd"):
    copy = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, int(fd), 0)
    if copy < 0 and ctypes.get_errno() == errno.EBADF:
        continue  # it was closed meanwhile
    if copy < 0:
        raise OSError(ctypes.get_errno(), f"pidfd_getfd of {fd}")
    try:
        with socket.socket(fileno=copy) as connection:
            if connection.family == socket.AF_UNIX and connection.getpeername() == "/run/dbus/system_bus_socket":
                connection.shutdown(socket.SHUT_RDWR)
                dropped += 1
    except OSError:
        pass  # no socket, or one that is not connected
sys.exit(0 if dropped else "no connection to the system bus")
"""


def get_pid(host, unit):
    return int(host.run(["systemctl", "show", "--property=MainPID", "--value", unit]).stdout)


def get_bus_pid(host, name):
    """Of the process that has this name on the system bus: the bus starts libvirt-dbus by itself, which has no unit."""
    answer = host.run(["busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                       "GetConnectionUnixProcessID", "s", name]).stdout
    return answer.split()[1]


def wait_until_active(host, unit):
    host.wait_until(["systemctl", "is-active", "--quiet", unit], _SERVICE_DEADLINE_S, f"{unit} to run again")


# ---- services

@contextlib.contextmanager
def killed(host, unit):
    host.run(["systemctl", "kill", "--signal=SIGKILL", unit])
    yield


@contextlib.contextmanager
def frozen(host, unit):
    host.run(["systemctl", "kill", "--signal=SIGSTOP", unit])
    try:
        yield
    finally:
        host.run(["systemctl", "kill", "--signal=SIGCONT", unit])


@contextlib.contextmanager
def restarted(host, unit):
    host.run(["systemctl", "restart", unit])
    yield


@contextlib.contextmanager
def reloaded(host, unit):
    host.run(["systemctl", "reload", unit])
    yield


@contextlib.contextmanager
def libvirt_dbus_killed(host):
    host.run(["kill", "-KILL", get_bus_pid(host, LIBVIRT_BUS_NAME)])
    yield


@contextlib.contextmanager
def libvirt_dbus_frozen(host):
    pid = get_bus_pid(host, LIBVIRT_BUS_NAME)
    host.run(["kill", "-STOP", pid])
    try:
        yield
    finally:
        host.run(["kill", "-CONT", pid])


@contextlib.contextmanager
def libvirt_dbus_restarted(host):
    """It goes as it does when its session ends, and is back before anything else happens."""
    host.run(["kill", "-TERM", get_bus_pid(host, LIBVIRT_BUS_NAME)])
    host.wait_until(["busctl", "call", LIBVIRT_BUS_NAME, "/org/libvirt/QEMU", "org.libvirt.Connect", "ListDomains", "u", "0"],
                    _SERVICE_DEADLINE_S, "libvirt-dbus to be back")
    yield


@contextlib.contextmanager
def upgraded(host, packages_folder):
    """By dpkg, under the QEMUs that use the files, and the packages' scripts restart the daemon."""
    deployment.install_packages([host], packages_folder)
    yield


@contextlib.contextmanager
def dropped_by_bus(host):
    host.run(["python3", "-c", _DROP_BUS_CONNECTION_SCRIPT, get_pid(host, deployment.DAEMON_UNIT)])
    yield


@contextlib.contextmanager
def without_journal(host):
    """Not even its sockets are there."""
    host.run(["systemctl", "stop", *JOURNAL_UNITS])
    try:
        yield
    finally:
        host.run(["systemctl", "start", *JOURNAL_UNITS])


# ---- what a process may have

@contextlib.contextmanager
def without_file_descriptors(host):
    """The daemon gets none beyond those it has: the lowest free number is over the limit."""
    pid = get_pid(host, deployment.DAEMON_UNIT)
    host.run(["sh", "-c", 'free=0; while [ -e /proc/"$0"/fd/$free ]; do free=$((free + 1)); done; prlimit --pid "$0" --nofile=$free:',
              str(pid)])
    try:
        yield
    finally:
        # it may have ended
        host.run(["prlimit", "--pid", str(pid), "--nofile=16384:"], check=False)


@contextlib.contextmanager
def without_memory(host):
    """The daemon gets no more address space than it has; GLib ends a program that needs more."""
    pid = get_pid(host, deployment.DAEMON_UNIT)
    host.run(["sh", "-c", 'prlimit --pid "$0" --as=$(($(sed -n "s/^VmSize:[^0-9]*\\([0-9]*\\) kB/\\1/p" /proc/"$0"/status) * 1024)):',
              str(pid)])
    try:
        yield
    finally:
        host.run(["prlimit", "--pid", str(pid), "--as=unlimited:"], check=False)


@contextlib.contextmanager
def state_folder_full(host):
    """The daemon is started where not one more byte can be written beside its key."""
    try:
        host.run(["sh", "-c", """\
set -e
cp -a "$0" /run/clockferry-test-state
mount -t tmpfs -o size=64k,mode=700 tmpfs "$0"
cp -a /run/clockferry-test-state/. "$0"/
chown --reference=/run/clockferry-test-state "$0"
cat /dev/zero > "$0"/filler 2>/dev/null || true
if echo more 2>/dev/null > "$0"/more-filler; then exit 1; fi
systemctl restart "$1"
""", STATE_DIR, deployment.DAEMON_UNIT])
        yield
    finally:
        host.run(["sh", "-c", '{ ! mountpoint --quiet "$0" || umount "$0"; } && rm -rf /run/clockferry-test-state'
                              ' && systemctl restart "$1"', STATE_DIR, deployment.DAEMON_UNIT])


# ---- between the hosts

@contextlib.contextmanager
def network(hosts, netem):
    """What these hosts send on the peer channel meets this (see tc-netem(8)); libvirt's own traffic goes on."""
    with contextlib.ExitStack() as stack:
        for host in hosts:
            # in part, if the script fails
            stack.callback(host.run, ["tc", "qdisc", "del", "dev", NETWORK_DEVICE, "root"], check=False)
            host.run(["sh", "-c", _NETWORK_SCRIPT, NETWORK_DEVICE, str(PEER_PORT), netem])
        yield


@contextlib.contextmanager
def clock_stepped(host, step_ns):
    host_time.step_clock(host, step_ns)
    try:
        yield
    finally:
        host_time.step_clock(host, -step_ns)


def get_plans(host):
    """Of each domain on the host what would become of its clocks if it went now; None while the daemon does not answer."""
    result = host.run(["clockferryctl", "--json", "list"], check=False)
    return {each["domain"]: each["next_migration"] for each in json.loads(result.stdout)["domains"]} if result.rc == 0 else None


def wait_until_recovered(host, *domains):
    """The daemon runs, and would hand over the clocks of these domains and knows no others, without anybody's help."""
    wait_until_active(host, deployment.DAEMON_UNIT)
    emulated_host.wait_until(lambda: get_plans(host) == dict.fromkeys(domains, "fixed"), _SERVICE_DEADLINE_S,
                             f"{host.name}: clockferryd to have recovered",
                             lambda: host.run("systemctl status clockferryd libvirtd | cat", check=False).stdout)
