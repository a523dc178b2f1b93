#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does the compiled SELinux module label what is installed?

usage: selinux-module-test.py MODULE.pp PATH=TYPE...
"""

import pathlib
import re
import subprocess
import sys
import tempfile


def read_file_contexts(module):
    """Pairs of a compiled pattern and the type that a path of that pattern gets."""
    with tempfile.TemporaryDirectory() as folder:
        contexts = pathlib.Path(folder) / "module.fc"
        subprocess.run(["semodule_unpackage", module, f"{folder}/module.mod", contexts], check=True)
        lines = [line.split() for line in contexts.read_text().splitlines() if not line.startswith("#")]
    return [(re.compile(words[0]), words[-1].split(":")[2]) for words in lines if words]


def main():
    module, *expectations = sys.argv[1:]
    patterns = read_file_contexts(module)
    wrong = 0
    print(f"1..{len(expectations)}")
    for number, expectation in enumerate(expectations, start=1):
        path, expected = expectation.split("=")
        types = [label for pattern, label in patterns if pattern.fullmatch(path)]
        wrong += types != [expected]
        print(f"{'ok' if types == [expected] else 'not ok'} {number} {path} is {expected}; found: {types}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
