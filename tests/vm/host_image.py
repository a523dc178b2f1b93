# SPDX-License-Identifier: LGPL-2.1-or-later
"""The initramfs of an emulated host, with the few files that make the machine's own root a host of its own."""

import dataclasses
import gzip
import tarfile
import uuid

import build_tree
import cpio_archive
import debian_kernel

BUSYBOX = "/bin/busybox"
AGENT_DIR = "/usr/local/lib/clockferry-test"
AGENT_PORT_PREFIX = "clockferry-test.agent."
AGENT_PORT_COUNT = 4
CAPABILITIES_DIR = "/var/cache/libvirt/qemu/capabilities"

_INITRAMFS_MODULES = ["virtio_pci", "9p", "9pnet_virtio", "overlay", "virtio_net", "virtio_console", "kvm_amd"]

_AGENT_UNIT_NAME = "clockferry-test-agent.service"

# Enabled units: what a Debian libvirt host enables, plus migration over plain TCP and our agent.
_ENABLED_UNITS = {
    "sysinit.target": [_AGENT_UNIT_NAME],
    "sockets.target": ["libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket", "libvirtd-tcp.socket",
                       "virtlogd.socket", "virtlockd.socket"],
    "multi-user.target": ["libvirtd.service"],
    "getty.target": ["serial-getty@ttyS0.service"],
}

# Each costs seconds under emulation and does nothing for these tests. timesyncd would move the clock under test.
_MASKED_UNITS = [
    "systemd-timesyncd.service", "systemd-hwdb-update.service", "systemd-journal-flush.service",
    "systemd-journal-catalog-update.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
    "systemd-update-done.service", "systemd-random-seed.service", "systemd-user-sessions.service", "systemd-binfmt.service",
    "systemd-pstore.service", "systemd-machine-id-commit.service", "ldconfig.service",
    "systemd-udev-settle.service", "keyboard-setup.service", "console-setup.service",
    "getty@tty1.service", "selinux-autorelabel-mark.service", "proc-sys-fs-binfmt_misc.automount", "dev-hugepages.mount",
    "dev-mqueue.mount", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "modprobe@configfs.service",
    "modprobe@drm.service", "modprobe@efi_pstore.service", "modprobe@fuse.service", "modprobe@loop.service",
    "modprobe@dm_mod.service", "apt-daily.timer", "apt-daily-upgrade.timer",
]

_AGENT_UNIT = f"""\
[Unit]
Description=Command agent of the clockferry VM tests
DefaultDependencies=no
Conflicts=shutdown.target
Before=sysinit.target

[Service]
Type=exec
ExecStart=/usr/bin/python3 -I -S {AGENT_DIR}/host_agent.py {AGENT_PORT_PREFIX}
OOMScoreAdjust=-1000
KillMode=process
"""

_AUTOLOGIN_DROP_IN = """\
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 %I linux
"""


@dataclasses.dataclass(frozen=True)
class HostIdentity:
    """What tells one emulated host from the other."""
    name: str
    address: str
    mac: str
    machine_id: str
    uuid: str


def make_identity(name, number):
    seed = uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.clockferry.test")
    return HostIdentity(name=name, address=f"10.77.0.{number}", mac=f"52:54:00:cf:00:{number:02x}",
                        machine_id=seed.hex, uuid=str(uuid.uuid5(seed, "host_uuid")))


SOURCE = make_identity("source", 1)
DEST = make_identity("dest", 2)
IDENTITIES = (SOURCE, DEST)


def build_initramfs(identity, variant):
    """Write the host's initramfs and return its path."""
    archive = cpio_archive.CpioArchive()
    archive.add_file("init", (build_tree.TESTS_DIR / "host_init.sh").read_bytes(), mode=0o755)
    with open(BUSYBOX, "rb") as busybox:
        archive.add_file("bin/busybox", busybox.read(), mode=0o755)
    archive.add_file("host.env", f"HOST_ADDRESS={identity.address}/24\n")
    debian_kernel.add_modules_to(archive, debian_kernel.find_kernel(), _INITRAMFS_MODULES)
    _add_overlay(archive, identity, variant)

    path = variant.dir / identity.name / "initramfs.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(archive.to_bytes(), compresslevel=1))
    return path


def keep_capabilities(tar_content, variant):
    """Remember what libvirt found out, for the next boot."""
    _get_capabilities_tar(variant).write_bytes(tar_content)


def _get_capabilities_tar(variant):
    """libvirt takes half a minute under emulation to find out what QEMU can do, and keeps it in files.

    It checks them itself: they have to be of the same QEMU, and of the same daemon.
    """
    return build_tree.BUILD_DIR / f"{variant.qemu_daemon}-capabilities.tar"


def _add_capabilities(archive, variant):
    capabilities_tar = _get_capabilities_tar(variant)
    if not capabilities_tar.exists():
        return
    with tarfile.open(capabilities_tar) as tar:
        for member in tar.getmembers():
            if member.isfile():
                path = f"overlay{CAPABILITIES_DIR}/{member.name.removeprefix('./')}"
                archive.add_file(path, tar.extractfile(member).read(), mode=0o600)


def _add_overlay(archive, identity, variant):
    hosts = "127.0.0.1 localhost\n::1 localhost\n" + "".join(f"{each.address} {each.name}\n" for each in IDENTITIES)
    files = {
        "etc/hostname": identity.name + "\n",
        "etc/hosts": hosts,
        "etc/machine-id": identity.machine_id + "\n",
        "etc/fstab": "",
        "etc/libvirt/libvirtd.conf": f'auth_tcp = "none"\nhost_uuid = "{identity.uuid}"\n',
        # The guest's yardstick file must not be rotated away in the middle of a test.
        "etc/libvirt/virtlogd.conf": "max_size = 1073741824\n",
        # Upstream libvirt installs this; Debian's package does not, and then there is no post-copy.
        "etc/sysctl.d/60-qemu-postcopy-migration.conf": "vm.unprivileged_userfaultfd = 1\n",
        "etc/systemd/journald.conf.d/clockferry-test.conf":
            "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nForwardToSyslog=no\n",
        f"etc/systemd/system/{_AGENT_UNIT_NAME}": _AGENT_UNIT,
        "etc/systemd/system/serial-getty@.service.d/autologin.conf": _AUTOLOGIN_DROP_IN,
        f"{AGENT_DIR}/host_agent.py": (build_tree.TESTS_DIR / "host_agent.py").read_bytes(),
    }
    for path, content in files.items():
        archive.add_file("overlay/" + path, content)
    archive.add_file(f"overlay/{AGENT_DIR}/host-clock", build_tree.compile_host_clock().read_bytes(), mode=0o755)
    archive.add_file(f"overlay/{AGENT_DIR}/phase-gate.so", build_tree.compile_phase_gate().read_bytes(), mode=0o755)

    for path, content, mode in variant.make_files(identity):
        archive.add_file("overlay/" + path, content, mode)

    _add_capabilities(archive, variant)

    units = "overlay/etc/systemd/system"
    enabled_units = [(target, unit) for target, enabled in _ENABLED_UNITS.items() for unit in enabled]
    for target, unit in [*enabled_units, *variant.enabled_units]:
        template = unit.partition("@")[0] + "@.service" if "@" in unit else unit
        folder = ".." if unit == _AGENT_UNIT_NAME else "/lib/systemd/system"
        archive.add_symlink(f"{units}/{target}.wants/{unit}", f"{folder}/{template}")
    for unit in [*_MASKED_UNITS, *variant.masked_units]:
        archive.add_symlink(f"{units}/{unit}", "/dev/null")
    archive.add_symlink(f"{units}/default.target", "/lib/systemd/system/multi-user.target")

