# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an operator's programs get from an installed clockferry: the bus as its policy lets them, and figures for node_exporter."""

import pytest

COLLECTOR_DIR = "/var/lib/prometheus/node-exporter"
METRICS_PATH = f"{COLLECTOR_DIR}/clockferry.prom"
MANAGER = ["org.clockferry1", "/org/clockferry1/Manager", "org.clockferry1.Manager"]


def run_as(host, groups, *command):
    """As a user who is nobody, in these groups besides."""
    privileges = ["setpriv", "--reuid=nobody", "--regid=nogroup", f"--groups={groups}" if groups else "--clear-groups"]
    return host.run([*privileges, *command], check=False)


@pytest.mark.parametrize("client", [
    ["busctl", "get-property", *MANAGER, "Version"],
    ["gdbus", "call", "--system", "--dest", MANAGER[0], "--object-path", MANAGER[1],
     "--method", "org.freedesktop.DBus.Properties.Get", MANAGER[2], "Version"],
], ids=lambda client: client[0])
def test_group_libvirt_may_read_and_nobody_else(deployed_hosts, client):
    host = deployed_hosts.source
    read = run_as(host, "libvirt", *client)
    assert read.rc == 0 and "0.1.0" in read.stdout, read
    refused = run_as(host, None, *client)
    assert refused.rc != 0 and "denied" in (refused.stdout + refused.stderr).lower(), refused


def test_only_root_may_reload(deployed_hosts):
    host = deployed_hosts.source
    reload = ["busctl", "call", *MANAGER, "Reload"]
    refused = run_as(host, "libvirt", *reload)
    assert refused.rc != 0 and "denied" in (refused.stdout + refused.stderr).lower(), refused
    host.run(reload)


def test_bus_explains_itself(deployed_hosts):
    """Whoever introspects it reads what each member means."""
    text = deployed_hosts.source.run(["gdbus", "introspect", "--system", "--dest", MANAGER[0], "--object-path", MANAGER[1],
                                      "--xml"]).stdout
    for member in ("Version", "Peers", "Reload"):
        assert f'name="{member}"' in text
    assert text.count("org.gtk.GDBus.DocString") >= 12, text


def test_metrics_for_node_exporter(deployed_hosts):
    """By the unit that the timer starts, within its sandbox."""
    host = deployed_hosts.source
    host.run(["mkdir", "-p", COLLECTOR_DIR])
    try:
        host.run(["systemctl", "start", "clockferry-metrics.service"])
        text = host.get_file(METRICS_PATH)
    finally:
        host.run(["rm", "-rf", "/var/lib/prometheus"])
    assert "\nclockferry_up 1\n" in text
    assert text.endswith("\n# EOF\n")
