# SPDX-License-Identifier: LGPL-2.1-or-later
"""The installed Debian kernel, which both the emulated hosts and their guests boot, and its modules."""

import pathlib
import re


class DebianKernel:
    def __init__(self, image):
        self.image = image
        self.release = image.name.removeprefix("vmlinuz-")
        self.modules_dir = pathlib.Path("/lib/modules") / self.release

    def resolve_modules(self, names):
        """Module files for the names given, each after the ones it needs."""
        dependencies = {}
        for line in (self.modules_dir / "modules.dep").read_text().splitlines():
            path, _, needed = line.partition(":")
            dependencies[path] = needed.split()
        path_of = {_get_module_name(path): path for path in dependencies}

        ordered = []

        def append_after_needed(path):
            if path in ordered:
                return
            for needed in dependencies[path]:
                append_after_needed(needed)
            ordered.append(path)

        for name in names:
            append_after_needed(path_of[name])
        return [self.modules_dir / path for path in ordered]


def find_kernel():
    """The newest kernel of linux-image-amd64."""
    images = sorted(pathlib.Path("/boot").glob("vmlinuz-*-amd64"), key=_get_version_key)
    if not images:
        raise RuntimeError("no /boot/vmlinuz-*-amd64: install linux-image-amd64")
    return DebianKernel(images[-1])


def add_modules_to(archive, kernel, names):
    """Put modules into an initramfs, numbered in the order in which its init has to load them."""
    for number, path in enumerate(kernel.resolve_modules(names)):
        archive.add_file(f"modules/{number:02}-{path.name}", path.read_bytes())


def _get_module_name(path):
    return path.rpartition("/")[2].removesuffix(".ko").replace("-", "_")


def _get_version_key(image):
    return [int(number) for number in re.findall(r"\d+", image.name)]
