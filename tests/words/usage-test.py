#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual pages name each command and option that the programs' --help does, and no other; and no text tells its reader to type
a command that there is not.

usage: usage-test.py SOURCE_FOLDER CLOCKFERRYCTL CLOCKFERRYD
"""

import pathlib
import re
import sys
import unittest

import usage_text

SOURCE_DIR, CLOCKFERRYCTL, CLOCKFERRYD = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
MAN_DIR = SOURCE_DIR / "docs" / "man"

# Texts that tell people what to type.
TEXTS = ["*.md", "docs/*.md", "docs/man/*", "data/clockferry.catalog", "data/clockferry.conf", "tests/vm/README.md"]
# At the begin of a line, quoted, after a prompt, or after a colon: elsewhere it is the program that is spoken of.
TYPED = re.compile(r"(?:^\s*|`|Ql |# |: |&& )clockferryctl ([a-z]+)((?: (?:--[a-z-]+|-[A-Za-z]))*)", re.MULTILINE)
PROSE = re.compile(r"^\s*clockferryctl (and|does|is|the) ")


def read_section(page, name):
    text = (MAN_DIR / page).read_text()
    _, _, rest = text.partition(f"\n.Sh {name}\n")
    section, _, _ = rest.partition("\n.Sh ")
    return section


def find_documented_options(part):
    """Long names to short ones, or "", of the items in a part of a page."""
    options = {}
    for item in re.findall(r"^\.It (Fl .*)$", part, re.MULTILINE):
        long_names = re.findall(r"Fl -([a-z-]+)", item)
        letters = re.findall(r"Fl (\w)\b", item)
        for name in long_names:
            options[name] = letters[0] if letters else ""
    return options


class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.commands, cls.common = usage_text.read_commands(CLOCKFERRYCTL)

    def test_commands_and_their_options(self):
        section = "\n" + read_section("clockferryctl.1", "COMMANDS")
        parts = {}
        # a command may have several forms, one item each
        for part in section.split("\n.It Cm ")[1:]:
            name = part.split()[0]
            parts[name] = parts.get(name, "") + part
        self.assertEqual(sorted(parts), sorted(self.commands))
        for name, options in self.commands.items():
            with self.subTest(name):
                self.assertEqual(find_documented_options(parts[name]), options)

    def test_common_options(self):
        section = read_section("clockferryctl.1", "DESCRIPTION")
        self.assertEqual(find_documented_options(section), self.common)

    def test_daemon(self):
        section = read_section("clockferryd.8", "DESCRIPTION")
        self.assertEqual(find_documented_options(section), usage_text.find_options(usage_text.read_help(CLOCKFERRYD)))

    def test_what_texts_have_people_type(self):
        seen = 0
        for path in sorted(path for pattern in TEXTS for path in SOURCE_DIR.glob(pattern)):
            text = path.read_text()
            for typed in TYPED.finditer(text):
                if PROSE.match(typed[0] + " "):
                    continue
                seen += 1
                name, options = typed[1], typed[2].split()
                with self.subTest(f"{path.name}: {typed[0].strip()}"):
                    self.assertIn(name, [*self.commands, "help"])
                    known = {**self.common, **self.commands.get(name, {})}
                    for option in options:
                        self.assertIn(option, [f"--{known_name}" for known_name in known] +
                                      [f"-{letter}" for letter in known.values() if letter])
        self.assertGreater(seen, 20, "texts have another form now")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
