# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages that scripts/package built, and packages of a version to upgrade to."""

import pathlib
import re
import subprocess
import tempfile

import build_tree

# in the order in which dpkg can install them
PACKAGES = ("clockferry-qemu", "clockferry")
SUCCESSORS_DIR = build_tree.BUILD_DIR / "successor-packages"
SUCCESSOR_SUFFIX = "+next"


def find_packages(folder):
    """The packages' files in a folder, in the order of PACKAGES; an empty list when it has none."""
    files = [file for package in PACKAGES for file in pathlib.Path(folder).glob(f"{package}_*.deb")]
    if files and len(files) != len(PACKAGES):
        raise RuntimeError(f"{folder} should hold one file of each of {', '.join(PACKAGES)}; scripts/package makes them")
    return files


def read_version(package_file):
    return subprocess.run(["dpkg-deb", "--field", package_file, "Version"],
                          check=True, capture_output=True, text=True).stdout.strip()


def make_successors(folder):
    """The same packages as a later version, in SUCCESSORS_DIR; returns that version."""
    SUCCESSORS_DIR.mkdir(parents=True, exist_ok=True)
    for old in SUCCESSORS_DIR.glob("*.deb"):
        old.unlink()
    files = find_packages(folder)
    version = read_version(files[0])
    successor = version + SUCCESSOR_SUFFIX
    for file in files:
        with tempfile.TemporaryDirectory() as tree:
            subprocess.run(["dpkg-deb", "--raw-extract", file, tree], check=True)
            control = pathlib.Path(tree) / "DEBIAN" / "control"
            control.write_text(re.sub(rf"(^Version: |\(= ){re.escape(version)}(?=$|\))", rf"\g<1>{successor}",
                                      control.read_text(), flags=re.MULTILINE))
            subprocess.run(["dpkg-deb", "--build", tree, SUCCESSORS_DIR / file.name.replace(version, successor)],
                           check=True, stdout=subprocess.DEVNULL)
    return successor
