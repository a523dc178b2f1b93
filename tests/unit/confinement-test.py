#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The services are confined as well as they are said to be, and systemd finds nothing wrong with the units.

usage: confinement-test.py SOURCE_FOLDER FOLDER_OF_SYSTEMD'S_UNITS UNIT=LIMIT...

A LIMIT is ten times what `systemd-analyze security` may say at most. It is asked offline, of the units as they are built.
"""

import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

SOURCE_DIR, SYSTEM_UNIT_DIR = pathlib.Path(sys.argv[1]), sys.argv[2]
LIMITS = {pathlib.Path(unit): int(limit) for unit, limit in (argument.split("=") for argument in sys.argv[3:])}

# What a service may be that is reached from the network, or reads what others wrote.
NEVER_OFF = re.compile(r"CapabilityBoundingSet_|AmbientCapabilities$|NoNewPrivileges$|SystemCallArchitectures$"
                       r"|MemoryDenyWriteExecute$|RestrictNamespaces_|RestrictSUIDSGID$|ProtectSystem$|ProtectKernel")

# Beyond that: what the observer is there for.
OBSERVER = "clockferry-observer.service"
OBSERVER_CAPABILITIES = "CAP_BPF CAP_PERFMON"
OBSERVER_MAY = {"AmbientCapabilities", "CapabilityBoundingSet_CAP_BPF"}


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", "--no-pager", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)


def read_setting(unit, name):
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def assess(unit):
    """Each thing that systemd-analyze looks at, to whether it is as it should be: None where it does not apply."""
    table = subprocess.run(["systemd-analyze", "security", "--offline=true", "--json=short", unit], stdout=subprocess.PIPE, check=True)
    return {row["json_field"]: row["set"] for row in json.loads(table.stdout)}


class Confinement(unittest.TestCase):
    def test_exposure(self):
        for unit, limit in LIMITS.items():
            with self.subTest(unit.name):
                found = analyze("security", "--offline=true", f"--threshold={limit}", unit)
                self.assertEqual(found.returncode, 0, found.stdout)

    def test_what_none_of_them_may_do(self):
        for unit in LIMITS:
            rows = {name: is_good for name, is_good in assess(unit).items() if NEVER_OFF.match(name)}
            self.assertGreater(len(rows), 30)
            for name, is_good in rows.items():
                with self.subTest(unit.name, name=name):
                    self.assertEqual(is_good, not (unit.name == OBSERVER and name in OBSERVER_MAY))

    def test_capabilities(self):
        """Of the observer: these two, and no more. Nobody else has any."""
        for unit in LIMITS:
            with self.subTest(unit.name):
                is_observer = unit.name == OBSERVER
                self.assertEqual(read_setting(unit, "CapabilityBoundingSet"), [OBSERVER_CAPABILITIES if is_observer else ""])
                self.assertEqual(read_setting(unit, "AmbientCapabilities"), [OBSERVER_CAPABILITIES] if is_observer else [])

    def test_observer_socket(self):
        """For the daemon's user alone."""
        socket_unit = SOURCE_DIR / "systemd/clockferry-observer.socket"
        self.assertEqual(read_setting(socket_unit, "SocketMode"), ["0600"])
        self.assertEqual(read_setting(socket_unit, "SocketUser"), ["clockferry"])
        self.assertEqual(read_setting(socket_unit, "SocketGroup"), [])

    def test_system_calls_are_listed_one_by_one_or_by_group(self):
        """The first word is a list of what is allowed, not of what is not."""
        for unit in LIMITS:
            with self.subTest(unit.name):
                self.assertEqual(read_setting(unit, "SystemCallFilter")[0], "@system-service")

    def test_verify(self):
        """In a root of their own, where the programs and what the units refer to are there."""
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            units = root / "usr/lib/systemd/system"
            shutil.copytree(SYSTEM_UNIT_DIR, units, symlinks=True)
            checked = [*LIMITS, *SOURCE_DIR.glob("systemd/*.timer"), *SOURCE_DIR.glob("systemd/*.socket")]
            # they refer to each other
            for unit in checked:
                shutil.copy(unit, units)
            for unit in checked:
                for command in read_setting(unit, "Exec[A-Za-z]+"):
                    program = root / command.split()[0].lstrip("/")
                    program.parent.mkdir(parents=True, exist_ok=True)
                    program.touch(mode=0o755)
                with self.subTest(unit.name):
                    found = analyze("verify", f"--root={root}", "--man=no", unit.name)
                    self.assertEqual((found.returncode, found.stdout), (0, ""))

    def test_state_folder(self):
        """The daemon's alone, by the unit and by tmpfiles, even if somebody has opened it."""
        daemon_unit = next(unit for unit in LIMITS if unit.name == "clockferryd.service")
        self.assertEqual(read_setting(daemon_unit, "StateDirectoryMode"), ["0700"])
        self.assertEqual(read_setting(daemon_unit, "UMask"), ["0077"])
        if os.geteuid() != 0:
            self.skipTest("needs root, to make a folder of another user")
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name) / "var/lib/clockferry"
            folder.mkdir(parents=True)
            folder.chmod(0o755)
            (pathlib.Path(name) / "etc").mkdir()
            for file, line in (("passwd", "clockferry:x:64201:64201::/:/bin/false"), ("group", "clockferry:x:64201:")):
                (pathlib.Path(name) / "etc" / file).write_text(line + "\n")
            subprocess.run(["systemd-tmpfiles", "--create", f"--root={name}", SOURCE_DIR / "systemd/clockferry.tmpfiles"], check=True)
            status = folder.stat()
            self.assertEqual((stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid), (0o700, 64201, 64201))

    def test_documentation(self):
        for unit in LIMITS:
            for page in read_setting(unit, "Documentation")[0].split():
                with self.subTest(unit.name, page=page):
                    name, section = re.fullmatch(r"man:([a-z-]+)\((\d)\)", page).groups()
                    self.assertTrue((SOURCE_DIR / f"docs/man/{name}.{section}").exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
