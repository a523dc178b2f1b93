#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each test that docs/threat-model.md names is there, and is run.

usage: threat-model-test.py SOURCE_FOLDER
"""

import pathlib
import re
import sys
import unittest

SOURCE_DIR = pathlib.Path(sys.argv[1])
REFERENCE = re.compile(r"`([a-z_-]+\.(?:c|py)):(test_\w+)`")
# Every code span that looks like the name of a file with tests, so that none is missed for its form.
ANY_FILE = re.compile(r"`([^`]*(?:-test\.c|-test\.py|test_[a-z_]+\.py)[^`]*)`")


def find_test_files():
    files = {}
    for path in SOURCE_DIR.glob("tests/*/*"):
        if path.suffix in (".c", ".py"):
            files.setdefault(path.name, []).append(path)
    return files


def is_run(text, suffix, function):
    """Defined; and in C also added to the tests, by this name or in a table."""
    if suffix == ".py":
        return re.search(rf"^ *def {function}\(", text, re.MULTILINE) is not None
    return len(re.findall(rf"\b{function}\b", text)) > 1 and re.search(rf"^{function} \(", text, re.MULTILINE) is not None


class ThreatModel(unittest.TestCase):
    def test_claims(self):
        text = (SOURCE_DIR / "docs/threat-model.md").read_text()
        files = find_test_files()
        references = REFERENCE.findall(text)
        self.assertGreater(len(references), 50, "the references have another form now")
        self.assertEqual([f"{file}:{function}" for file, function in references], ANY_FILE.findall(text))
        for file, function in sorted(set(references)):
            with self.subTest(f"{file}:{function}"):
                paths = files.get(file, [])
                self.assertEqual(len(paths), 1, f"files of that name: {paths}")
                self.assertTrue(is_run(paths[0].read_text(), paths[0].suffix, function), "there is no such test")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
