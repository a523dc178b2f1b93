# SPDX-License-Identifier: LGPL-2.1-or-later
"""clockferryd as an earlier or a later release might be: built from these sources with a few words exchanged."""

import contextlib
import pathlib
import shutil
import subprocess

import build_tree
import deployment

_DAEMON_PATH = "/usr/sbin/clockferryd"


def build(name, *exchanges):
    """Build the daemon with these exchanges, triples (file or folder, old text, new text); returns the program."""
    folder = build_tree.BUILD_DIR / "variants" / name
    source, built = folder / "source", folder / "build"
    shutil.rmtree(source, ignore_errors=True)
    files = subprocess.run(["git", "ls-files"], cwd=build_tree.REPOSITORY_DIR, check=True, capture_output=True, text=True).stdout
    for file in map(pathlib.Path, files.splitlines()):
        (source / file.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy2(build_tree.REPOSITORY_DIR / file, source / file)
    for path, old, new in exchanges:
        _exchange(source / path, old, new)
    subprocess.run(["meson", "setup", "-Dtests=false", "-Dselinux=disabled", *(["--wipe"] if built.exists() else []), built, source],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", built, "daemon/clockferryd"], check=True, stdout=subprocess.DEVNULL)
    return built / "daemon" / "clockferryd"


def _exchange(path, old, new):
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    found = False
    for file in files:
        text = file.read_bytes()
        if old.encode() in text:
            file.write_bytes(text.replace(old.encode(), new.encode()))
            found = True
    if not found:
        raise RuntimeError(f"{path} has no '{old}' to exchange")


@contextlib.contextmanager
def running(host, program):
    """Within it the host's daemon is this program."""
    host.run(["cp", "--archive", _DAEMON_PATH, f"{_DAEMON_PATH}.own"])
    try:
        host.put_file(_DAEMON_PATH, program.read_bytes(), mode=0o755)
        host.run(["systemctl", "restart", deployment.DAEMON_UNIT])
        yield
    finally:
        host.run(["mv", f"{_DAEMON_PATH}.own", _DAEMON_PATH])
        host.run(["systemctl", "restart", deployment.DAEMON_UNIT])
