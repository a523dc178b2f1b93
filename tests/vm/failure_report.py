# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keep what both hosts know about a failed test."""

import io
import re
import shutil
import tarfile

import build_tree

_COMMANDS = {
    "journal.txt": ["journalctl", "-b", "-o", "short-precise", "--no-pager"],
    "events.txt": ["journalctl", "-b", "-o", "verbose", "--identifier=clockferryd", "--no-pager"],
    "domains.txt": ["virsh", "-q", "-c", "qemu:///system", "list", "--all"],
    "units.txt": ["systemctl", "--no-pager", "--failed"],
}
_QEMU_LOG_DIR = "/var/log/libvirt/qemu"


def keep_failure(hosts, test_id):
    """Write the hosts' journals, QEMU logs and lists of domains to build/vm/failures/<test>/, and return that folder."""
    report_dir = build_tree.FAILURES_DIR / re.sub(r"[^\w.-]+", "_", test_id)
    shutil.rmtree(report_dir, ignore_errors=True)
    for host in hosts:
        host_dir = report_dir / host.name
        host_dir.mkdir(parents=True)
        if host.get_pid() is None:
            (host_dir / "not-running.txt").write_text("The host was not running.\n")
            continue
        for file_name, argv in _COMMANDS.items():
            result = host.run(argv, check=False, timeout=120)
            (host_dir / file_name).write_text(result.stdout + result.stderr)
        with tarfile.open(fileobj=io.BytesIO(host.get_tar(_QEMU_LOG_DIR))) as tar:
            tar.extractall(host_dir / "qemu")
        shutil.copy(host.dir / "console.log", host_dir / "console.log")
    return report_dir
