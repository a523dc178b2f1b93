#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What bash and zsh offer for a clockferryctl command line, asked of the shells themselves: each command, each option that --help
names and no other, domains, migrations; and nothing at all, in silence, where the program fails.

usage: completion-test.py SOURCE_FOLDER CLOCKFERRYCTL
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import usage_text

SOURCE_DIR, CLOCKFERRYCTL = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
COMPLETION_DIR = SOURCE_DIR / "data" / "completion"

# bash has the words of the line in COMP_WORDS; "=" is one of its own.
BASH_SCRIPT = """\
source "$1" || exit
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_clockferryctl || exit
printf '%s\\n' "${COMPREPLY[@]}"
"""

# In place of the program, with its JSON: see docs/json.md.
STAND_IN = """\
#!/bin/sh
case "$*" in
"list --json") cat <<'JSON'
{
  "domains" : [
    {
      "domain" : "4dea22b3-1d52-d8f3-2516-782e98ab3fa0",
      "domain_name" : "web",
      "phase" : "running"
    },
    {
      "domain" : "5dea22b3-1d52-d8f3-2516-782e98ab3fa0",
      "domain_name" : "web two",
      "phase" : "running"
    }
  ]
}
JSON
;;
"history --limit "*" --json") cat <<'JSON'
{
  "migrations" : [
    {
      "migration" : "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39",
      "direction" : "arriving"
    }
  ]
}
JSON
;;
*) exit 2 ;;
esac
"""
BROKEN_STAND_IN = "#!/bin/sh\necho 'clockferryctl list: clockferryd is not running' >&2\nexit 1\n"


def split_as_bash(line):
    return [word for word in re.split(r"\s+|(=)", line) if word] + ([""] if line.endswith((" ", "=")) else [])


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.commands, cls.common = usage_text.read_commands(CLOCKFERRYCTL)

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.put_stand_in(STAND_IN)

    def put_stand_in(self, script):
        path = pathlib.Path(self.folder.name, "clockferryctl")
        path.write_text(script)
        path.chmod(0o755)

    def run_shell(self, *command):
        env = {**os.environ, "PATH": f"{self.folder.name}:{os.environ['PATH']}", "HOME": self.folder.name, "TERM": "xterm"}
        result = subprocess.run(command, capture_output=True, text=True, cwd=self.folder.name, env=env, timeout=60)
        self.assertEqual(result.stderr, "")
        return sorted(word.rstrip("=") for word in result.stdout.splitlines() if word)

    def ask_bash(self, line):
        words = split_as_bash(line)
        return self.run_shell("bash", "--norc", "--noprofile", "-c", BASH_SCRIPT, "bash",
                              COMPLETION_DIR / "clockferryctl.bash", *words)

    def ask_zsh(self, line):
        return self.run_shell("zsh", "-f", SOURCE_DIR / "tests" / "words" / "complete.zsh", COMPLETION_DIR, line)

    def each_shell(self):
        yield "bash", self.ask_bash
        if shutil.which("zsh"):
            yield "zsh", self.ask_zsh

    def check(self, line, offers):
        for shell, ask in self.each_shell():
            with self.subTest(shell=shell, line=line):
                self.assertEqual(ask(line), sorted(offers))

    def test_commands(self):
        self.check("clockferryctl ", [*self.commands, "help"])
        self.check("clockferryctl --json his", ["history"])
        self.check("clockferryctl help mon", ["monitor"])

    def test_options(self):
        self.check("clockferryctl --", [f"--{name}" for name in self.common])
        for command, options in self.commands.items():
            self.check(f"clockferryctl {command} --", [f"--{name}" for name in (*options, *self.common)])

    def test_domains(self):
        for line in ("clockferryctl check ", "clockferryctl history --domain ", "clockferryctl history --domain=",
                     "clockferryctl --no-color check w"):
            self.check(line, ["web", r"web\ two"])

    def test_migrations(self):
        for line in ("clockferryctl show ", "clockferryctl plot ", "clockferryctl show --json "):
            self.check(line, ["6fcb3e6b", "last"])
        self.check("clockferryctl show 6", ["6fcb3e6b"])

    def test_nothing_more(self):
        for line in ("clockferryctl check web ", "clockferryctl status ", "clockferryctl history --limit "):
            for shell, ask in self.each_shell():
                with self.subTest(shell=shell, line=line):
                    # zsh falls back to options
                    self.assertEqual([offer for offer in ask(line) if not offer.startswith("-")], [])

    def test_files(self):
        pathlib.Path(self.folder.name, "some.journal").touch()
        self.check("clockferryctl show --journal some", ["some.journal"])

    def test_silence(self):
        self.put_stand_in(BROKEN_STAND_IN)
        self.check("clockferryctl check ", [])
        self.check("clockferryctl show ", ["last"])

    def test_form_of_json(self):
        """The shells read it by line."""
        journal = pathlib.Path(self.folder.name, "journal")
        journal.mkdir()
        result = subprocess.run([CLOCKFERRYCTL, "history", "--json", "--journal", journal], check=True, capture_output=True, text=True)
        self.assertRegex(result.stdout, r'\A{\n  "migrations" : \[')


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
