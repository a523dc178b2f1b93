# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kinds of emulated hosts: the everyday ones, and those that a few tests need. Each kind has a pair of its own."""

import collections.abc
import dataclasses

import build_tree
import modular_libvirt


@dataclasses.dataclass(frozen=True)
class HostVariant:
    """What a kind of hosts has beyond, or instead of, what all have (host_image.py)."""
    name: str
    kernel_options: str
    qemu_daemon: str = "libvirtd"
    enabled_units: tuple = ()    # pairs (target, unit)
    masked_units: tuple = ()
    make_files: collections.abc.Callable = lambda identity: []   # triples (path, content, mode)

    @property
    def dir(self):
        """Where the state of its pair is."""
        return build_tree.BUILD_DIR if self.name == "everyday" else build_tree.BUILD_DIR / self.name


# AppArmor compiles a profile for each guest that starts or arrives: seconds under emulation.
EVERYDAY = HostVariant(name="everyday", kernel_options="apparmor=0 selinux=0 audit=0", masked_units=("apparmor.service",))

# As Debian comes: libvirt's profiles are enforced. What they deny is in the journal, by the kernel's audit.
APPARMOR = HostVariant(name="apparmor", kernel_options="apparmor=1 security=apparmor audit=1",
                       enabled_units=(("sysinit.target", "apparmor.service"),))


def _make_modular_files(identity):
    folder = modular_libvirt.build()
    return [
        *((f"usr/sbin/{name}", (folder / name).read_bytes(), 0o755) for name in modular_libvirt.DAEMONS),
        *((f"usr/lib/systemd/system/{name}", (folder / name).read_bytes(), 0o644) for name in modular_libvirt.UNITS),
        ("etc/libvirt/virtqemud.conf", f'host_uuid = "{identity.uuid}"\n', 0o644),
        ("etc/libvirt/virtproxyd.conf", 'auth_tcp = "none"\n', 0o644),
    ]


# virtqemud in place of libvirtd, and virtproxyd for those who come over the network.
MODULAR = HostVariant(
    name="modular", kernel_options=EVERYDAY.kernel_options, qemu_daemon="virtqemud",
    enabled_units=(*(("sockets.target", unit) for unit in modular_libvirt.UNITS if unit.endswith(".socket")),
                   ("multi-user.target", "virtqemud.service")),
    masked_units=(*EVERYDAY.masked_units, "libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket",
                  "libvirtd-tcp.socket"),
    make_files=_make_modular_files)

VARIANTS = {variant.name: variant for variant in (EVERYDAY, APPARMOR, MODULAR)}
