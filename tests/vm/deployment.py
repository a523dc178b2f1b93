# SPDX-License-Identifier: LGPL-2.1-or-later
"""Put clockferry, as `meson install` staged it, into the running hosts; and take it out of service for the control."""

import contextlib

import host_pair

_DAEMON_UNIT = "clockferryd.service"
_SETTINGS_PATH = "/etc/clockferry/clockferry.conf.d/90-test.conf"
_HOOK_PATH = "/etc/libvirt/hooks/qemu.d/50-clockferry"

# What a package's scripts would do. A reload makes libvirtd see a hook where there was none before.
_ACTIVATE_SCRIPT = f"""\
set -e
systemd-sysusers
systemd-tmpfiles --create 2>&1 | grep -i clockferry >&2 || true
ldconfig
journalctl --update-catalog
systemctl daemon-reload
systemctl reload dbus.service
systemctl reload-or-restart libvirtd.service
if systemctl cat {_DAEMON_UNIT} >/dev/null 2>&1; then
    systemctl restart {_DAEMON_UNIT}
fi
"""


def deploy(hosts, staging_dir):
    """Copy a staging tree (DESTDIR) into both hosts and put it to work there."""
    def deploy_to(host):
        host.put_tar(staging_dir)
        host.run(_ACTIVATE_SCRIPT, timeout=120)

    host_pair.run_in_parallel(*(lambda host=host: deploy_to(host) for host in hosts))


@contextlib.contextmanager
def daemon_settings(hosts, **keys):
    """Within it the daemons of these hosts run with these keys of clockferry.conf."""
    def restart(host):
        # two restarts within seconds are no sign of trouble here
        host.run(["systemctl", "reset-failed", _DAEMON_UNIT], check=False)
        host.run(["systemctl", "restart", _DAEMON_UNIT])

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
    stop = f"test ! -e {_HOOK_PATH} || chmod a-x {_HOOK_PATH}; systemctl stop {_DAEMON_UNIT} 2>/dev/null || true"
    was_active = [host for host in hosts
                  if host.run(["systemctl", "is-active", "--quiet", _DAEMON_UNIT], check=False).rc == 0]
    had_hook = [host for host in hosts if host.run(["test", "-x", _HOOK_PATH], check=False).rc == 0]
    for host in hosts:
        host.run(stop)
    try:
        yield
    finally:
        for host in had_hook:
            host.run(["chmod", "a+x", _HOOK_PATH])
        for host in was_active:
            host.run(["systemctl", "start", _DAEMON_UNIT])
