# SPDX-License-Identifier: LGPL-2.1-or-later
"""One emulated host: a QEMU machine without KVM of its own, in which KVM is real for the guests it runs."""

import io
import json
import os
import pathlib
import signal
import subprocess
import tarfile
import time

import debian_kernel
import host_channel
import host_image

MEMORY_MIB = 3072
VCPUS = 1
SHARED_MEMORY_MIB = 1
POLL_INTERVAL_S = 0.2

# la57 and the rest only cost time under emulation; without vmx KVM has one candidate, kvm_amd.
_CPU = "max,+svm,+npt,-la57,-vmx"


class EmulatedHost:
    """A host, running or not. What there is to know about a running one is in its folder, so that any process can use it."""

    def __init__(self, identity, variant):
        self.identity = identity
        self.variant = variant
        self.name = identity.name
        self.dir = variant.dir / identity.name
        self._channel = None

    # ---- life

    def start(self, peer_name, tsc_khz):
        """Start the machine; wait_until_ready() tells when it is a host."""
        initramfs = host_image.build_initramfs(self.identity, self.variant)
        for socket_path in self.dir.glob("*.sock"):
            socket_path.unlink()
        with open(self.dir / "qemu.log", "wb") as log:
            process = subprocess.Popen(self._build_command(initramfs, peer_name, tsc_khz), stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=True, cwd=self.variant.dir)
        state = {"pid": process.pid, "start_time": _get_start_time(process.pid)}
        (self.dir / "state.json").write_text(json.dumps(state))

    def get_pid(self):
        """The pid of this host's QEMU, or None when it does not run. A pid that meanwhile belongs to another does not count."""
        try:
            state = json.loads((self.dir / "state.json").read_text())
        except FileNotFoundError:
            return None
        return state["pid"] if _get_start_time(state["pid"]) == state["start_time"] else None

    def stop(self):
        """End the machine at once: there is nothing in it to keep."""
        self.disconnect()
        pid = self.get_pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: self.get_pid() is None, 20, f"{self.name}: its QEMU (pid {pid}) to end")
        (self.dir / "state.json").unlink(missing_ok=True)

    def wait_until_ready(self, deadline_s):
        """Wait for the agent, then for systemd to have started everything, then for libvirt to answer."""
        deadline = time.monotonic() + deadline_s
        self._wait_for(["true"], deadline, "the agent to answer", try_timeout_s=10)
        self._wait_for(["sh", "-c", "systemctl is-system-running --wait | grep -xE 'running|degraded'"], deadline,
                       "systemd to have started its units")
        self._wait_for(["virsh", "-q", "-c", "qemu:///system", "version"], deadline, "libvirt to answer")

    # ---- use

    def run(self, argv, check=True, timeout=60, stdin=b""):
        """Run a command (a list, or a string for the shell) in the host."""
        if isinstance(argv, str):
            argv = ["sh", "-c", argv]
        if isinstance(stdin, str):
            stdin = stdin.encode()
        rc, stdout, stderr = self._get_channel().run(argv, stdin, timeout)
        result = host_channel.CommandResult([str(word) for word in argv], rc, stdout.decode(errors="replace"),
                                            stderr.decode(errors="replace"))
        if check and rc != 0:
            raise host_channel.CommandFailed(self.name, result)
        return result

    def put_file(self, path, content, mode=0o644):
        """Write a file in the host, making the folders above it."""
        if isinstance(content, str):
            content = content.encode()
        script = 'mkdir -p "$(dirname "$0")" && rm -f "$0" && cat > "$0" && chmod "$1" "$0"'
        self.run(["sh", "-c", script, path, f"{mode:o}"], stdin=content)

    def get_file(self, path):
        return self.run(["cat", path]).stdout

    def put_tar(self, directory, target="/"):
        """Copy a folder's content into the host, everything owned by root."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as tar:
            tar.add(directory, arcname=".", filter=_own_by_root)
        # Not touching the folders that are there already: the root of a staging tree is no model for /.
        self.run(["tar", "-x", "-f", "-", "-C", target, "--no-overwrite-dir", "--keep-directory-symlink"],
                 stdin=content.getvalue(), timeout=120)

    def get_tar(self, path):
        """A folder of the host, as the bytes of a tar file."""
        argv = ["tar", "-c", "-C", path, "."]
        rc, stdout, stderr = self._get_channel().run(argv, timeout_s=120)
        # 1: a file grew meanwhile, as logs do
        if rc not in (0, 1):
            raise host_channel.CommandFailed(self.name, host_channel.CommandResult(argv, rc, "", stderr.decode()))
        return stdout

    def wait_until(self, condition, deadline, what):
        """Wait for a command to succeed, or for a function to return something true; returns what that was."""
        if callable(condition):
            return wait_until(condition, deadline, f"{self.name}: {what}")
        return self._wait_for(condition, time.monotonic() + deadline, what)

    def virsh(self, *words, check=True, timeout=120):
        return self.run(["virsh", "-q", "-c", "qemu:///system", *words], check=check, timeout=timeout)

    @property
    def console_socket(self):
        return self.dir / "console.sock"

    def disconnect(self):
        if self._channel:
            self._channel.close()
            self._channel = None

    # ---- internal

    def _get_channel(self):
        if self._channel is None:
            sockets = [self._get_agent_socket(number) for number in range(host_image.AGENT_PORT_COUNT)]
            self._channel = host_channel.HostChannel(self.name, sockets)
        return self._channel

    def _get_agent_socket(self, number):
        return self.dir / f"agent.{number}.sock"

    def _wait_for(self, argv, deadline, what, try_timeout_s=None):
        seen = "nothing yet"

        def succeeds():
            nonlocal seen
            if self.get_pid() is None:
                raise RuntimeError(f"{self.name}: its QEMU ended; see {self.dir}/qemu.log and console.log")
            try:
                result = self.run(argv, check=False, timeout=try_timeout_s or max(1, deadline - time.monotonic()))
            except (FileNotFoundError, ConnectionError, TimeoutError) as error:
                self.disconnect()
                seen = str(error)
                return None
            seen = f"exit code {result.rc}, {result.stdout}{result.stderr}"
            return result if result.rc == 0 else None

        return wait_until(succeeds, deadline - time.monotonic(), f"{self.name}: {what}", lambda: seen)

    def _build_command(self, initramfs, peer_name, tsc_khz):
        kernel = debian_kernel.find_kernel()
        shared_memory = self.variant.dir / "shared-memory"
        # With its frequency given and nothing left to measure it by, a host's TSC runs at exactly that for the kernel.
        cmdline = (f"console=ttyS0 quiet loglevel=4 tsc=reliable clocksource=tsc tsc_early_khz={tsc_khz} hpet=disable pmtmr=0 "
                   f"net.ifnames=0 {self.variant.kernel_options} mitigations=off nowatchdog random.trust_cpu=on no_timer_check "
                   "cryptomgr.notests systemd.show_status=no")
        command = [
            "qemu-system-x86_64", "-name", f"clockferry-{self.name}", "-nodefaults", "-no-user-config", "-display", "none",
            "-machine", "q35,hpet=off,vmport=off", "-accel", "tcg,thread=multi", "-cpu", _CPU, "-smp", str(VCPUS),
            "-m", str(MEMORY_MIB), "-uuid", self.identity.uuid,
            "-kernel", kernel.image, "-initrd", initramfs, "-append", cmdline,
            "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=root,mount_tag=hostroot",
            "-netdev", f"dgram,id=lan,local.type=unix,local.path={self.dir}/lan.sock,"
                       f"remote.type=unix,remote.path={self.variant.dir}/{peer_name}/lan.sock",
            "-device", f"virtio-net-pci,netdev=lan,mac={self.identity.mac}",
            "-object", f"memory-backend-file,id=shared,mem-path={shared_memory},share=on,size={SHARED_MEMORY_MIB}M",
            "-device", "ivshmem-plain,memdev=shared",
            "-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng",
            "-chardev", f"socket,id=console,path={self.console_socket},server=on,wait=off,logfile={self.dir}/console.log",
            "-serial", "chardev:console",
            "-device", f"virtio-serial-pci,max_ports={host_image.AGENT_PORT_COUNT + 1}",
        ]
        for number in range(host_image.AGENT_PORT_COUNT):
            command += [
                "-chardev", f"socket,id=agent{number},path={self._get_agent_socket(number)},server=on,wait=off",
                "-device", f"virtserialport,chardev=agent{number},name={host_image.AGENT_PORT_PREFIX}{number}",
            ]
        return [str(word) for word in command]


def wait_until(condition, deadline_s, what, describe_seen=None):
    """Poll until condition() returns something true, and return that."""
    deadline = time.monotonic() + deadline_s
    while True:
        look_begin = time.monotonic()
        value = condition()
        if value:
            return value
        look_end = time.monotonic()
        if look_end > deadline:
            seen = f"; seen: {describe_seen()}" if describe_seen else ""
            raise TimeoutError(f"waited {deadline_s:.0f} s for {what}{seen}")
        # A look takes time of the host's one processor, which what is waited for needs as well.
        time.sleep(max(POLL_INTERVAL_S, 2 * (look_end - look_begin)))


def _own_by_root(member):
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _get_start_time(pid):
    """When a process was started, in ticks since boot: with the pid it names one process for good. None: no such process."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(fields[18])
