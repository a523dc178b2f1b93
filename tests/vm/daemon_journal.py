# SPDX-License-Identifier: LGPL-2.1-or-later
"""What clockferryd said in a host's journal. Only for what the program has to say: figures come from the yardsticks."""

import json

import emulated_host


class DaemonJournal:
    """The events of one host from a moment on."""

    def __init__(self, host):
        """From now on."""
        self._host = host
        # Not a cursor: where its entry is not of the unit asked for, journalctl of systemd 252 skips the first that is.
        self._skipped = len(self._read_all())

    def read_events(self):
        """All events since, oldest first, as dicts of their fields."""
        return [entry for entry in self._read_all()[self._skipped:] if "CLOCKFERRY_EVENT" in entry]

    def _read_all(self):
        lines = self._host.run(["journalctl", "-u", "clockferryd", "-o", "json"]).stdout
        return [json.loads(line) for line in lines.splitlines()]

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
