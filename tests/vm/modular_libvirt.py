# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's modular daemons, virtqemud and virtproxyd, which Debian builds and does not ship.

They are compiled from the source package of the libvirt that is installed, and linked with its library; its QEMU driver is what
virtqemud loads. So they are what Debian's packages would have, but for a few small files.
"""

import pathlib
import re
import subprocess

import build_tree

DAEMONS = ("virtqemud", "virtproxyd")
UNITS = ("virtqemud.service", "virtqemud.socket", "virtqemud-ro.socket", "virtqemud-admin.socket",
         "virtproxyd.service", "virtproxyd.socket", "virtproxyd-ro.socket", "virtproxyd-admin.socket", "virtproxyd-tcp.socket")

_LIBRARY_DIR = pathlib.Path("/usr/lib/x86_64-linux-gnu")
_LIBRARIES = [_LIBRARY_DIR / name for name in ("libvirt.so.0", "libvirt-lxc.so.0", "libvirt-qemu.so.0")]

# What the daemons are made of: four source files each, and the administration interface.
_OBJECTS = ("remote_daemon", "remote_daemon_config", "remote_daemon_dispatch", "remote_daemon_stream")
_ADMIN_LIBRARY = "src/admin/libvirt_admin_driver.a"
_GENERATED_HEADER = re.compile(r"^(src/\S+_(?:protocol|stubs)\.h):", re.MULTILINE)

_MESON_OPTIONS = [
    "--prefix=/usr", "--libdir=lib/x86_64-linux-gnu", "--sysconfdir=/etc", "--localstatedir=/var", "-Drunstatedir=/run",
    "-Dauto_features=disabled", "-Dsystem=true", "-Dinit_script=systemd", "-Dpolkit=enabled", "-Dyajl=enabled",
    "-Ddriver_remote=enabled", "-Ddriver_libvirtd=enabled", "-Ddriver_qemu=enabled",
    "-Dqemu_user=libvirt-qemu", "-Dqemu_group=libvirt-qemu",
]

_APT_DIR = pathlib.Path("/etc/apt")


def build():
    """Build what is not built yet; returns the folder of the programs and units."""
    version = subprocess.run(["dpkg-query", "--show", "--showformat", "${source:Version}", "libvirt-daemon"],
                             check=True, capture_output=True, text=True).stdout
    folder = build_tree.BUILD_DIR / "modular-libvirt" / version
    if not all((folder / name).exists() for name in (*DAEMONS, *UNITS)):
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "build.log", "w") as log:
            try:
                source = _fetch_source(version, folder, log)
                _compile(source, folder, log)
            except subprocess.CalledProcessError as error:
                raise RuntimeError(f"the modular daemons of libvirt {version} cannot be built; see {log.name}: {error}") from None
    return folder


def _ask_for_source_packages(folder):
    """Where this machine's packages are from, there their sources are too (sources.list(5), in both of its formats)."""
    for path in [_APT_DIR / "sources.list", *(_APT_DIR / "sources.list.d").iterdir()]:
        if path.suffix == ".sources":
            (folder / path.name).write_text(re.sub(r"^Types:.*$", "Types: deb-src", path.read_text(), flags=re.MULTILINE))
        elif path.suffix == ".list" and path.exists():
            lines = [line for line in path.read_text().splitlines() if line.startswith("deb ")]
            (folder / path.name).write_text("".join(f"deb-src {line.removeprefix('deb ')}\n" for line in lines))


def _fetch_source(version, folder, log):
    """Debian's source, patched; by apt, with lists of its own, as a machine rarely has those of source packages."""
    apt = folder / "apt"
    for needed in ("sources", "lists/partial", "cache/archives/partial"):
        (apt / needed).mkdir(parents=True, exist_ok=True)
    _ask_for_source_packages(apt / "sources")
    options = ["-o", "Dir::Etc::SourceList=/dev/null", "-o", f"Dir::Etc::SourceParts={apt}/sources",
               "-o", f"Dir::State::Lists={apt}/lists", "-o", f"Dir::Cache={apt}/cache", "-o", "APT::Sandbox::User=root"]
    subprocess.run(["apt-get", *options, "update"], check=True, stdout=log, stderr=log)
    subprocess.run(["apt-get", *options, "source", "--download-only", f"libvirt={version}"], check=True, cwd=folder,
                   stdout=log, stderr=log)
    source = folder / "source"
    subprocess.run(["rm", "-rf", source], check=True)
    description, = folder.glob("libvirt_*.dsc")
    subprocess.run(["dpkg-source", "--extract", description, source], check=True, stdout=log, stderr=log)
    return source


def _compile(source, folder, log):
    build_dir = source / "build"

    def run(*words):
        subprocess.run(words, check=True, cwd=build_dir if build_dir.exists() else source, stdout=log, stderr=log)

    run("meson", "setup", build_dir, *_MESON_OPTIONS)
    targets = subprocess.run(["ninja", "-t", "targets", "all"], check=True, cwd=build_dir, capture_output=True, text=True).stdout
    run("ninja", *_GENERATED_HEADER.findall(targets))
    flags = subprocess.run(["pkg-config", "--libs", "gio-2.0", "gnutls", "libxml-2.0", "libtirpc"],
                           check=True, capture_output=True, text=True).stdout.split()
    for daemon in DAEMONS:
        objects = [f"src/{daemon}.p/remote_{name}.c.o" for name in _OBJECTS]
        run("ninja", *objects, _ADMIN_LIBRARY)
        run("cc", "-rdynamic", "-o", folder / daemon, *objects, _ADMIN_LIBRARY, *_LIBRARIES, *flags)
    for unit in UNITS:
        (folder / unit).write_bytes((build_dir / "src" / unit).read_bytes())
