# SPDX-License-Identifier: LGPL-2.1-or-later
"""Put clockferry into the running hosts, as packages or as `meson install` staged it; and take it out of service for the control."""

import contextlib

import host_pair
import package_files

DAEMON_UNIT = "clockferryd.service"
HOOK_PATH = "/etc/libvirt/hooks/qemu.d/50-clockferry"

_OBSERVER_SOCKET = "clockferry-observer.socket"
_OBSERVER_SERVICE = "clockferry-observer.service"
_SETTINGS_PATH = "/etc/clockferry/clockferry.conf.d/90-test.conf"
_INCOMING_DIR = "/var/cache/clockferry-test"

# dpkg reads what is installed on a whole machine, and its scripts start a dozen programs.
DPKG_TIMEOUT_S = 300

# What a package's scripts do. A reload makes libvirtd see a hook where there was none before.
_ACTIVATE_SCRIPT = f"""\
set -e
systemd-sysusers
systemd-tmpfiles --create 2>&1 | grep -i clockferry >&2 || true
ldconfig
journalctl --update-catalog
systemctl daemon-reload
systemctl reload dbus.service
systemctl reload-or-restart libvirtd.service
if systemctl cat {DAEMON_UNIT} >/dev/null 2>&1; then
    systemctl restart {DAEMON_UNIT}
fi
if systemctl cat {_OBSERVER_SOCKET} >/dev/null 2>&1; then
    systemctl stop {_OBSERVER_SERVICE}
    systemctl enable --now {_OBSERVER_SOCKET}
fi
"""


def deploy(hosts, folder):
    """Put clockferry to work in both hosts: the packages of a folder, or else a staging tree (DESTDIR)."""
    if package_files.find_packages(folder):
        install_packages(hosts, folder)
        return

    def deploy_to(host):
        host.put_tar(folder)
        host.run(_ACTIVATE_SCRIPT, timeout=120)

    host_pair.run_in_parallel(*(lambda host=host: deploy_to(host) for host in hosts))


def put_packages(host, folder):
    """Copy the packages of a folder into the host; returns where they are, in an order in which dpkg can install them."""
    paths = []
    for file in package_files.find_packages(folder):
        paths.append(f"{_INCOMING_DIR}/{file.name}")
        host.put_file(paths[-1], file.read_bytes())
    return paths


def install_packages(hosts, folder):
    """Install the packages of a folder, of whatever version, in these hosts."""
    def install_in(host):
        # nobody is there to ask about a configuration file that a staging tree brought
        host.run(["dpkg", "--force-confnew", "--install", *put_packages(host, folder)], timeout=DPKG_TIMEOUT_S)

    host_pair.run_in_parallel(*(lambda host=host: install_in(host) for host in hosts))


def remove_packages(host, purge=False):
    host.run(["dpkg", "--purge" if purge else "--remove", *reversed(package_files.PACKAGES)], timeout=DPKG_TIMEOUT_S)


@contextlib.contextmanager
def daemon_settings(hosts, **keys):
    """Within it the daemons of these hosts run with these keys of clockferry.conf."""
    def restart(host):
        # two restarts within seconds are no sign of trouble here
        host.run(["systemctl", "reset-failed", DAEMON_UNIT], check=False)
        host.run(["systemctl", "restart", DAEMON_UNIT])

    text = "[clockferry]\n" + "".join(f"{key}={value}\n" for key, value in keys.items())
    for host in hosts:
        host.put_file(_SETTINGS_PATH, text)
        restart(host)
    try:
        yield
    finally:
        for host in hosts:
            host.run(["rm", "-f", _SETTINGS_PATH])
            restart(host)


@contextlib.contextmanager
def clockferry_out_of_service(hosts):
    """Within it both hosts are as if clockferry were not installed: guests started and migrated there are stock."""
    stop = f"test ! -e {HOOK_PATH} || chmod a-x {HOOK_PATH}; systemctl stop {DAEMON_UNIT} 2>/dev/null || true"
    was_active = [host for host in hosts
                  if host.run(["systemctl", "is-active", "--quiet", DAEMON_UNIT], check=False).rc == 0]
    had_hook = [host for host in hosts if host.run(["test", "-x", HOOK_PATH], check=False).rc == 0]
    for host in hosts:
        host.run(stop)
    try:
        yield
    finally:
        for host in had_hook:
            host.run(["chmod", "a+x", HOOK_PATH])
        for host in was_active:
            host.run(["systemctl", "start", DAEMON_UNIT])


@contextlib.contextmanager
def observer_out_of_service(hosts):
    """Within it no guest is observed: one without the helper is stock at its first migration."""
    units = [_OBSERVER_SOCKET, _OBSERVER_SERVICE]
    for host in hosts:
        host.run(["systemctl", "stop", *units], check=False)
    try:
        yield
    finally:
        for host in hosts:
            host.run(["systemctl", "start", _OBSERVER_SOCKET], check=False)
