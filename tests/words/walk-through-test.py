#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/walk-through.md can be followed (tests/vm does), and whoever follows it would notice a wrong word.

usage: walk-through-test.py SOURCE_FOLDER
"""

import pathlib
import sys
import unittest

SOURCE_DIR = pathlib.Path(sys.argv.pop(1)).resolve()
sys.path.insert(0, str(SOURCE_DIR / "tests" / "vm"))
sys.dont_write_bytecode = True

import walk_through  # noqa: E402


def make_block(*lines, language="console"):
    return "\n".join([f"```{language}", *lines, "```", ""])


class Parsing(unittest.TestCase):
    def test_steps(self):
        text = "Words.\n\n" + make_block("source# one", "both# two \\", "    --three", "says", "", "much", "dest# four")
        steps = walk_through.parse(text)
        self.assertEqual([(step.hosts, step.command, step.expected) for step in steps], [
            (("source",), "one", ()),
            (("source", "dest"), "two \\\n    --three", ("says", "", "much")),
            (("dest",), "four", ()),
        ])
        self.assertEqual([step.line_number for step in steps], [4, 5, 10])
        self.assertFalse(any(step.is_followed for step in steps))

    def test_a_command_that_goes_on(self):
        text = make_block("dest# watch", "seen", language="console follow") + make_block("source# do")
        steps = walk_through.parse(text)
        self.assertEqual([(step.block, step.is_followed) for step in steps], [(0, True), (1, False)])
        self.assertEqual(steps[0].expected, ("seen",))

    def test_what_may_be_asked_again(self):
        def make_step(command):
            return walk_through.parse(make_block(f"source# {command}"))[0]

        for command in ("clockferryctl list", "clockferryctl show last", "journalctl -x -n 1", "virsh list"):
            self.assertTrue(make_step(command).only_looks, command)
        for command in ("virsh migrate --live web qemu+tcp://dest/system", "clockferryctl enable", "virsh list; reboot",
                        "clockferryctl plot last", "virsh listen"):
            self.assertFalse(make_step(command).only_looks, command)

    def test_status(self):
        check, other = walk_through.parse(make_block("source# clockferryctl check --peer dest", "source# clockferryctl list"))
        self.assertEqual([check.may_end_with(status) for status in (0, 1, 2, 127)], [True, True, True, False])
        self.assertEqual([other.may_end_with(status) for status in (0, 1, 2)], [True, False, False])

    def test_what_nobody_could_follow(self):
        for what, text in {
            "nothing": "Only words.\n",
            "a block without a command": make_block(),
            "another language": make_block("source# one", language="sh"),
            "no language": make_block("source# one", language=""),
            "output of no command": make_block("source#one"),
            "a host that there is not": make_block("other# one"),
            "code that is not in a block": make_block("source# one") + "\n    source# two\n",
            "a block without an end": "```console\nsource# one\n",
            "two commands that go on": make_block("dest# one", "dest# two", language="console follow"),
            "one that goes on on both hosts": make_block("both# one", language="console follow"),
            "one that goes on alone": make_block("dest# one", language="console follow"),
            "two that go on at a time": make_block("dest# one", language="console follow") * 2 + make_block("dest# two"),
        }.items():
            with self.subTest(what), self.assertRaises(walk_through.WalkThroughError):
                walk_through.parse(text)


class Comparing(unittest.TestCase):
    def check(self, expected, output, fits):
        difference = walk_through.find_difference(tuple(expected), output)
        self.assertEqual(difference is None, fits, difference or f"{expected} was taken for {output!r}")

    def test_what_fits(self):
        for expected, output in [
            ([], ""),
            ([], "\n"),
            (["one", "two"], "one\ntwo\n"),
            (["NAME   READY"], "NAME\tREADY\n"),
            (["  indented"], "indented\n"),
            (["advanced by … ms"], "advanced by 415.3 ms\n"),
            (["web  …  yes"], "web\tsome words\tyes\n"),
            (["3…9"], "3.14159\n"),
            (["a.b"], "a.b\n"),
            (["…"], ""),
            (["…"], "one\ntwo\n"),
            (["one", "…", "four"], "one\ntwo\nthree\nfour\n"),
            (["one", "…", "two"], "one\ntwo\n"),
            (["…", "one", "…", "one"], "one\nx\none\n"),
            (["one", "", "two"], "one\n\ntwo\n"),
        ]:
            with self.subTest(expected=expected, output=output):
                self.check(expected, output, True)

    def test_what_does_not(self):
        for expected, output in [
            ([], "something\n"),
            (["something"], ""),
            (["one"], "One\n"),
            (["one"], "one\ntwo\n"),
            (["one", "two"], "two\none\n"),
            (["one", "two"], "one\n"),
            (["ab"], "a b\n"),
            (["a b"], "ab\n"),
            (["a.b"], "axb\n"),
            (["advanced by … ms"], "advanced by ms\n"),
            (["advanced by … ms"], "advanced by \nms\n"),
            (["web  …  yes"], "web\tno\n"),
            (["web  …  yes"], "web     yes\n"),
            (["one", "…", "four"], "one\ntwo\nfive\n"),
            (["one", "…", "four"], "one\nfour\nfive\n"),
            (["…", "one"], "two\n"),
        ]:
            with self.subTest(expected=expected, output=output):
                self.check(expected, output, False)

    def test_a_difference_names_the_line(self):
        difference = walk_through.find_difference(("one", "two", "three"), "one\ntwo\nfour\n")
        self.assertIn("this line: three", difference)
        self.assertIn("four", difference)
        self.assertIn("the end", walk_through.find_difference(("one",), "one\ntwo\n"))


class TheText(unittest.TestCase):
    def test_it_can_be_followed(self):
        steps = walk_through.parse((SOURCE_DIR / "docs" / "walk-through.md").read_text())
        self.assertTrue(any("virsh migrate" in step.command for step in steps))


if __name__ == "__main__":
    unittest.main()
