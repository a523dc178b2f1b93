# SPDX-License-Identifier: LGPL-2.1-or-later
"""What libvirt itself says that happened to a domain, by `virsh event`."""

import contextlib
import re
import secrets

_LIFECYCLE_LINE = re.compile(r"event 'lifecycle' for domain '(?P<domain>[^']*)': (?P<event>.*)")


class LibvirtEvents:
    """The lifecycle events of one host, in words such as "Resumed Post-copy"; filled in when the recorded stretch has ended."""

    def __init__(self):
        self.lifecycle = []


@contextlib.contextmanager
def record_events(host):
    events = LibvirtEvents()
    path = f"/run/clockferry-test-events-{secrets.token_hex(4)}"
    script = 'virsh -c qemu:///system event --event lifecycle --loop >"$0" 2>&1 </dev/null & echo $!'
    pid = host.run(["sh", "-c", script, path]).stdout.strip()
    try:
        yield events
        for match in map(_LIFECYCLE_LINE.search, host.get_file(path).splitlines()):
            if match:
                events.lifecycle.append(match["event"].strip())
    finally:
        host.run(f"kill {pid}; rm -f {path}", check=False)
