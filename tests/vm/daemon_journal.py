# SPDX-License-Identifier: LGPL-2.1-or-later
"""What clockferryd said in a host's journal. Only for what the program has to say: figures come from the yardsticks."""

import json

import emulated_host


class DaemonJournal:
    """The events of one host from a moment on."""

    def __init__(self, host):
        """From now on."""
        self._host = host
        # The daemon may not have said anything yet, but the journal always has a last entry.
        self._cursor = json.loads(host.run("journalctl -n 1 -o json --output-fields=MESSAGE").stdout)["__CURSOR"]

    def read_events(self):
        """All events since, oldest first, as dicts of their fields."""
        lines = self._host.run(["journalctl", "-u", "clockferryd", f"--after-cursor={self._cursor}", "-o", "json"]).stdout
        entries = (json.loads(line) for line in lines.splitlines())
        return [entry for entry in entries if "CLOCKFERRY_EVENT" in entry]

    def wait_for_event(self, names, domain=None, deadline_s=30):
        """The first event of one of these names (of the domain with this UUID)."""
        names = (names,) if isinstance(names, str) else names
        seen = []

        def find():
            seen[:] = self.read_events()
            return next((event for event in seen if event["CLOCKFERRY_EVENT"] in names
                         and domain in (None, event.get("CLOCKFERRY_DOMAIN"))), None)

        return emulated_host.wait_until(
            find, deadline_s, f"{self._host.name}: the event {' or '.join(names)}",
            lambda: "; ".join(f"{event['CLOCKFERRY_EVENT']}: {event['MESSAGE']}" for event in seen) or "no event at all")

    def wait_for_report(self, domain):
        """The final report of the domain's arrival."""
        return self.wait_for_event(FINAL_REPORTS, domain)


FINAL_REPORTS = ("migration-fixed", "migration-kvmclock-only", "migration-observed", "migration-stock")
