# SPDX-License-Identifier: LGPL-2.1-or-later
"""What clockferryd said in a host's journal. Only for what the program has to say: figures come from the yardsticks."""

import json

import emulated_host

# More than a test ever sees; reading all of a journal takes seconds under emulation.
_ENTRIES_MAX = 200


class DaemonJournal:
    """The events of one host from a moment on."""

    def __init__(self, host):
        """From now on."""
        self._host = host
        entries = self._read_last(1)
        self._last_cursor = entries[-1]["__CURSOR"] if entries else None

    def read_events(self):
        """All events since, oldest first, as dicts of their fields."""
        # Not journalctl's --after-cursor: where its entry is not of the unit asked for, systemd 252 skips the first that is.
        entries = self._read_last(_ENTRIES_MAX)
        cursors = [entry["__CURSOR"] for entry in entries]
        begin = cursors.index(self._last_cursor) + 1 if self._last_cursor in cursors else 0
        assert begin > 0 or self._last_cursor is None or len(entries) < _ENTRIES_MAX, f"over {_ENTRIES_MAX} entries to read"
        return [entry for entry in entries[begin:] if "CLOCKFERRY_EVENT" in entry]

    def _read_last(self, count):
        lines = self._host.run(["journalctl", "-u", "clockferryd", "-o", "json", "-n", str(count)]).stdout
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


FINAL_REPORTS = ("migration-fixed", "migration-kvmclock-only", "migration-observed", "migration-stock",
                 "migration-unknown")
