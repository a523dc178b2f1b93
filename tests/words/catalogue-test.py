#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The journal catalogue: systemd takes it, it has an entry for each event and for nothing else, and each
entry names fields that its event has, manual pages that there are, and what its reader wants to know.

usage: catalogue-test.py SOURCE_FOLDER
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# Of every event that is about a domain, and of every one that is about a migration.
DOMAIN_FIELDS = {"DOMAIN", "DOMAIN_NAME"}
MIGRATION_FIELDS = DOMAIN_FIELDS | {"MIGRATION", "PEER"}
MIGRATION_EVENT = re.compile(r"(departure|arrival|migration)-|clocks-apart$")


def read_events(path):
    """MESSAGE_ID to name."""
    return {message_id: name
            for name, message_id in re.findall(r'\{ "([a-z-]+)", "([0-9a-f]{32})"', path.read_text())}


def read_documented_fields(path):
    """Name of an event to its fields, by docs/events.md."""
    text = path.read_text()
    report = {name for row in re.findall(r"^\| ([A-Z_, ]+) \|", text, re.MULTILINE) for name in row.split(", ")}
    fields = {}
    for name, column in re.findall(r"^\| `([a-z-]+)` \|.*\| ([^|]*) \|$", text, re.MULTILINE):
        fields[name] = set(re.findall(r"\b[A-Z][A-Z_]+\b", column)) | (report if "final report" in column else set())
        fields[name] |= MIGRATION_FIELDS if MIGRATION_EVENT.match(name) else DOMAIN_FIELDS
    return fields


def compile_catalogue(path):
    """What systemd makes of it: MESSAGE_ID to header lines and body."""
    with tempfile.TemporaryDirectory() as root:
        folder = pathlib.Path(root, "usr/lib/systemd/catalog")
        folder.mkdir(parents=True)
        shutil.copy(path, folder)
        run_journalctl(root, "--update-catalog")
        dump = run_journalctl(root, "--dump-catalog")
    entries = {}
    for entry in re.split(r"^-- ", dump, flags=re.MULTILINE)[1:]:
        message_id, _, text = entry.partition("\n")
        header, _, body = text.partition("\n\n")
        entries[message_id.strip()] = (header.splitlines(), body.strip())
    return entries


def run_journalctl(root, verb):
    result = subprocess.run(["journalctl", f"--root={root}", "--no-pager", verb], capture_output=True, text=True)
    if result.returncode != 0 or result.stderr:
        sys.exit(f"journalctl {verb}: status {result.returncode}\n{result.stderr}")
    return result.stdout


def check_entry(source_dir, header, body, fields):
    """Yield what is wrong with it."""
    values = {}
    for line in header:
        key, _, value = line.partition(": ")
        values.setdefault(key, []).append(value)
    for key, pattern in (("Subject", r"\S.*"), ("Defined-By", "clockferry"), ("Support", r"https://\S+")):
        if not re.fullmatch(pattern, values.get(key, [""])[0]):
            yield f"{key}: is missing or odd"
    if not values.get("Documentation"):
        yield "Documentation: is missing"
    for value in values.get("Documentation", []):
        page = re.fullmatch(r"man:([a-z.-]+)\((\d)\)", value)
        if not page or not (source_dir / "docs" / "man" / ".".join(page.groups())).exists():
            yield f"there is no manual page {value}"
    # what happened, what it means for the guest, what to do
    if len(body.split("\n\n")) < 3 and "Nothing is to be done" not in " ".join(body.split()):
        yield "it does not say all that a reader wants to know"
    for line in body.splitlines():
        if len(line) > 80:
            yield f"too long for a terminal: {line}"
    for field in re.findall(r"@(\w+)@", "\n".join([*header, body])):
        if not field.startswith("CLOCKFERRY_") or field[len("CLOCKFERRY_"):] not in fields:
            yield f"its event has no field {field}"


def main():
    source_dir = pathlib.Path(sys.argv[1])
    events = read_events(source_dir / "daemon" / "event-log.c")
    documented = read_documented_fields(source_dir / "docs" / "events.md")
    entries = compile_catalogue(source_dir / "data" / "clockferry.catalog")
    if not events or not documented:
        sys.exit("no events were found: has their table another form now?")

    wrong = [f"there is no event {message_id}" for message_id in entries.keys() - events.keys()]
    for message_id, name in events.items():
        if message_id not in entries:
            wrong.append(f"{name}: there is no entry {message_id}")
            continue
        wrong += [f"{name}: {what}" for what in check_entry(source_dir, *entries[message_id], documented.get(name, set()))]
    for line in wrong:
        print(f"clockferry.catalog: {line}")
    print(f"{len(events)} events, {len(entries)} entries")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
