# SPDX-License-Identifier: LGPL-2.1-or-later
"""Write an initramfs (cpio "newc") from memory, so that no build needs root, device nodes or a staging folder."""

import stat

_TRAILER = "TRAILER!!!"


class CpioArchive:
    def __init__(self):
        self._entries = {}

    def add_directory(self, path):
        path = path.strip("/")
        if path and path not in self._entries:
            self._add_parents(path)
            self._entries[path] = (stat.S_IFDIR | 0o755, b"")

    def add_file(self, path, content, mode=0o644):
        path = path.strip("/")
        if isinstance(content, str):
            content = content.encode()
        self._add_parents(path)
        self._entries[path] = (stat.S_IFREG | mode, content)

    def add_symlink(self, path, target):
        path = path.strip("/")
        self._add_parents(path)
        self._entries[path] = (stat.S_IFLNK | 0o777, target.encode())

    def to_bytes(self):
        # The kernel unpacks in order, so a folder has to come before what is in it; dict order sees to that.
        parts = [_encode_entry(number, path, mode, content)
                 for number, (path, (mode, content)) in enumerate(self._entries.items(), start=1)]
        parts.append(_encode_entry(0, _TRAILER, 0, b""))
        return b"".join(parts)

    def _add_parents(self, path):
        parent = path.rpartition("/")[0]
        if parent:
            self.add_directory(parent)


def _encode_entry(inode, path, mode, content):
    name = path.encode() + b"\0"
    uid = gid = mtime = device_major = device_minor = special_major = special_minor = checksum = 0
    fields = (inode, mode, uid, gid, 1, mtime, len(content), device_major, device_minor,
              special_major, special_minor, len(name), checksum)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _pad_to_4(header + name) + _pad_to_4(content)


def _pad_to_4(data):
    return data + b"\0" * (-len(data) % 4)
